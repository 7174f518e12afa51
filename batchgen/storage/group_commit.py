"""Executes operations in groups, such as commits and fsyncs, which cost less together.

A group is all that was submitted while the last one was executed. So a single item never waits for
others, and many share one commit, one fsync and one change of threads. Items that are submitted in
the same turn of the event loop are queued together.

One thread does the work as long as its groups are fast; more threads would only compete with the
event loop for the interpreter lock. On a slow disk the other threads help.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Generic, TypeAlias, TypeVar

from batchgen.errors import StorageError

T = TypeVar("T")
R = TypeVar("R")

_Entry: TypeAlias = tuple[T, asyncio.Future[R], asyncio.AbstractEventLoop]
_Queue: TypeAlias = "queue.SimpleQueue[list[_Entry[T, R]] | None]"

_SLOW_S = 0.02  # while a group takes longer than this, other threads take what is submitted


class GroupCommit(Generic[T, R]):
    """Executes submitted items in groups, on separate threads.

    execute: returns the result of each item of a group, in order. An exception among the results
        is raised to the caller who submitted that item; one that it raises, to all of the group.
    name: of the threads. threads: at most; all but the first help only while a group is slow.
    max_group: a group that has this many items takes no more. It bounds how long the first item
        waits: a group has fewer than twice as many.
    """

    def __init__(
        self,
        execute: Callable[[Sequence[T]], Sequence[R | BaseException]],
        *,
        name: str,
        max_group: int,
        threads: int = 1,
    ) -> None:
        """Start the threads. Raises StorageError if the system refuses one."""
        self._execute = execute
        self._max_group = max_group
        self._submitted: list[_Entry[T, R]] = []
        self._submitted_lock = threading.Lock()
        self._queue: _Queue[T, R] = queue.SimpleQueue()
        self._helpers_queue: _Queue[T, R] = queue.SimpleQueue() if threads > 1 else self._queue
        self._busy_since_s: float | None = None  # of the first thread
        self._threads = [
            threading.Thread(
                target=self._run, args=(number == 0,), name=f"{name}-{number}", daemon=True
            )
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

    async def submit(self, item: T) -> R:
        """Execute an item and return its result; cancelling the caller does not undo it."""
        if not self._threads:
            raise RuntimeError("submitted after close")
        loop = asyncio.get_running_loop()
        result: asyncio.Future[R] = loop.create_future()
        with self._submitted_lock:
            # A loop that was stopped in mid-turn has not run its `_enqueue`.
            if not self._submitted or self._submitted[-1][2] is not loop:
                loop.call_soon(self._enqueue)
            self._submitted.append((item, result, loop))
        return await result

    def _enqueue(self) -> None:
        with self._submitted_lock:
            submitted, self._submitted = self._submitted, []
        since_s = self._busy_since_s
        is_slow = since_s is not None and time.monotonic() - since_s > _SLOW_S
        entries = self._helpers_queue if is_slow else self._queue
        for first in range(0, len(submitted), self._max_group):
            entries.put(submitted[first : first + self._max_group])

    def close(self) -> None:
        """Execute what was submitted and end the threads; harmless when repeated."""
        self._enqueue()
        self._queue.put(None)
        for _ in self._threads[1:]:
            self._helpers_queue.put(None)
        for thread in self._threads:
            thread.join()
        self._threads = []

    def _run(self, is_first: bool) -> None:  # noqa: FBT001  # an argument of Thread is positional
        source = self._queue if is_first else self._helpers_queue
        is_open = True
        while is_open:
            group, is_open = self._next_group(source)
            if not group:
                continue
            if is_first:
                self._busy_since_s = time.monotonic()
            results = self._results(group)
            if is_first:
                self._busy_since_s = None
            _deliver(group, results)

    def _next_group(self, source: "_Queue[T, R]") -> "tuple[list[_Entry[T, R]], bool]":
        """Wait for a group; False when the queue is closed."""
        group: list[_Entry[T, R]] = []
        entries = source.get()
        while entries is not None:
            group += entries
            if len(group) >= self._max_group:
                break
            try:
                entries = source.get_nowait()
            except queue.Empty:
                break
        return group, entries is not None

    def _results(self, group: "list[_Entry[T, R]]") -> Sequence[R | BaseException]:
        try:
            return self._execute([item for item, _, _ in group])
        except BaseException as error:  # noqa: BLE001  # a dead thread would leave all waiting
            return [error] * len(group)


def _deliver(group: "list[_Entry[T, R]]", results: Sequence[R | BaseException]) -> None:
    """Set the results of a group, with one call into each event loop."""
    pairs = list(zip(group, results, strict=True))
    for loop in {loop for _, _, loop in group}:
        with suppress(RuntimeError):  # the loop is closed: its callers are gone
            loop.call_soon_threadsafe(_set_results, [pair for pair in pairs if pair[0][2] is loop])


def _set_results(pairs: "list[tuple[_Entry[T, R], R | BaseException]]") -> None:
    for (_, future, _), result in pairs:
        if future.done():  # its caller was cancelled; the item was executed anyway
            continue
        if isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result(result)
