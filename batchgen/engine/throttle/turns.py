"""Whose turn it is while a model has not accepted anything: the tasks that it has answered already.

If the first replies of a model are such that every further task may meet the same (a web page, an
empty list), their tasks try again before others are sent. So a wrong address costs a few tasks.
"""

import asyncio
from collections.abc import Awaitable, Callable

_MAX_WAIT_S = 3600.0


class Turns:
    """The tasks of one model that try again before others are sent.

    sleep: waits, or returns early when the run is stopping.
    """

    def __init__(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._sleep = sleep
        self._first: set[str] = set()
        self._waiting: set[asyncio.Future[None]] = set()

    def has(self, key: str) -> bool:
        """Return whether a task may send now."""
        return not self._first or key in self._first

    def put_first(self, key: str) -> None:
        """Let a task try again before others are sent."""
        self._first.add(key)

    def leave(self, key: str) -> None:
        """Note that a task sends nothing more."""
        self._first.discard(key)
        if not self._first:
            self.end()

    def end(self) -> None:
        """Let all tasks send again."""
        self._first.clear()
        for waiting in self._waiting:
            waiting.cancel()

    async def wait(self, key: str, stopping: Callable[[], bool]) -> None:
        """Wait until it is a task's turn, or until the run is stopping."""
        while not self.has(key) and not stopping():
            waiting = asyncio.ensure_future(self._sleep(_MAX_WAIT_S))
            self._waiting.add(waiting)
            try:
                await asyncio.wait((waiting,))
            finally:
                self._waiting.discard(waiting)
                waiting.cancel()
