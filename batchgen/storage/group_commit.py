"""Work that costs less together: threads that take all that waits, do it, and wake the waiters.

A group is as large as what arrived while the last one was under way, so that one alone waits for
nobody and many share what is dear: a commit, an fsync, a change of threads. What is ordered in one
turn of the event loop is handed over together.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Generic, TypeAlias, TypeVar

from batchgen.errors import StorageError

T = TypeVar("T")
R = TypeVar("R")

_Order: TypeAlias = tuple[T, asyncio.Future[R], asyncio.AbstractEventLoop]


class GroupCommit(Generic[T, R]):
    """Carries out orders in groups, on threads of its own.

    carry_out: gives the result of each order of a group, in their order; an exception among them
        is raised where that order's result is awaited, and one that it raises wherever one of the
        group's is. most: orders after which a group takes no more, which bounds how long the first
        of them waits: it has fewer than twice as many.
    """

    def __init__(
        self,
        execute: Callable[[Sequence[T]], Sequence[R | BaseException]],
        *,
        name: str,
        most: int,
        threads: int = 1,
    ) -> None:
        self._carry_out = execute
        self._most = most
        self._gathered: list[_Order[T, R]] = []
        self._gathering = threading.Lock()
        self._queue: queue.SimpleQueue[list[_Order[T, R]] | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            try:
                thread.start()
            except RuntimeError as error:
                raise StorageError(
                    f"the thread {thread.name} cannot be started ({error}): allow more memory"
                    " (`ulimit -v`) or processes (`ulimit -u`)"
                ) from error

    async def submit(self, order: T) -> R:
        """Have an order carried out. Whoever is cancelled here does not undo it."""
        if not self._threads:
            raise RuntimeError("nobody carries out orders any more")
        loop = asyncio.get_running_loop()
        result: asyncio.Future[R] = loop.create_future()
        with self._gathering:
            # A loop that ended in mid-turn has handed over nothing.
            if not self._gathered or self._gathered[-1][2] is not loop:
                loop.call_soon(self._hand_over)
            self._gathered.append((order, result, loop))
        return await result

    def _hand_over(self) -> None:
        with self._gathering:
            gathered, self._gathered = self._gathered, []
        for first in range(0, len(gathered), self._most):
            self._queue.put(gathered[first : first + self._most])

    def close(self) -> None:
        """Carry out what waits and end the threads; harmless when repeated."""
        self._hand_over()
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()
        self._threads = []

    def _work(self) -> None:
        going_on = True
        while going_on:
            group, going_on = self._take()
            if group:
                _tell(group, self._results(group))

    def _take(self) -> "tuple[list[_Order[T, R]], bool]":
        group: list[_Order[T, R]] = []
        orders = self._queue.get()
        while orders is not None:
            group += orders
            if len(group) >= self._most:
                break
            try:
                orders = self._queue.get_nowait()
            except queue.Empty:
                break
        return group, orders is not None

    def _results(self, group: "list[_Order[T, R]]") -> Sequence[R | BaseException]:
        try:
            return self._carry_out([what for what, _, _ in group])
        except BaseException as error:  # noqa: BLE001  # a dead thread would leave all waiting
            return [error] * len(group)


def _tell(group: "list[_Order[T, R]]", results: Sequence[R | BaseException]) -> None:
    told = list(zip(group, results, strict=True))
    for loop in {loop for _, _, loop in group}:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any longer
            loop.call_soon_threadsafe(_wake, [one for one in told if one[0][2] is loop])


def _wake(told: "list[tuple[_Order[T, R], R | BaseException]]") -> None:
    for (_, future, _), result in told:
        if future.done():  # its task was cancelled; what was done stands all the same
            continue
        if isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result(result)
