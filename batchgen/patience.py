"""How long senders are waited for: one timer looks after all exchanges of a transport.

A timer for each of them, renewed with every piece, would cost more than parsing a small reply.
"""

import asyncio
from types import TracebackType
from typing import Self

from batchgen.service import Timeouts

_LOOK_S = 0.25
_PART = 8  # of the shortest timeout: as much as one of that length may last longer


class Watch:
    """Cuts exchanges whose time is up: each soon after its own, within an eighth or 0.25 s."""

    def __init__(self, timeouts: Timeouts, total_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._total_s = total_s
        self._first_s = total_s if timeouts.first_byte_s is None else timeouts.first_byte_s
        self._stall_s = timeouts.stall_s
        shortest_s = min(self._total_s, self._first_s, self._stall_s)
        self._look_s = min(_LOOK_S, shortest_s / _PART)
        self._waiting: set[Patience] = set()
        self._is_looking = False

    def begin(self, patience: "Patience") -> tuple[float, float]:
        """Look after an exchange from now on: when its first byte, and when all of it is due."""
        self._waiting.add(patience)
        if not self._is_looking:
            self._is_looking = True
            self._loop.call_later(self._look_s, self._look)
        now = self._loop.time()
        return min(now + self._first_s, now + self._total_s), now + self._total_s

    def end(self, patience: "Patience") -> None:
        """It is over."""
        self._waiting.discard(patience)

    def next_due(self) -> float:
        """When the next piece of a reply is due, of which one has come now."""
        return self._loop.time() + self._stall_s

    def _look(self) -> None:
        now = self._loop.time()
        for patience in [one for one in self._waiting if one.due <= now]:
            patience.lose()
        self._is_looking = bool(self._waiting)
        if self._is_looking:
            self._loop.call_later(self._look_s, self._look)


class Patience:
    """With one sender: until its reply begins, between two pieces, and altogether.

    The block that it is entered for is cut with a TimeoutError, as by `asyncio.timeout`.

    due: the time of the event loop's clock, in seconds, at which it ends.
    """

    __slots__ = ("_cancelling", "_is_lost", "_task", "_until", "_watch", "due")

    due: float
    _until: float
    _task: "asyncio.Task[object]"

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._is_lost = False

    def renew(self) -> None:
        """Something has come: the next piece may take as long again."""
        self.due = min(self._watch.next_due(), self._until)

    def lose(self) -> None:
        """The time is up."""
        if not self._is_lost:
            self._is_lost = True
            self._task.cancel()

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can be cut")
        self._task = task
        self._cancelling = task.cancelling()
        self.due, self._until = self._watch.begin(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._watch.end(self)
        # Where somebody else has cancelled the task as well, it is theirs to hear of it.
        if (
            self._is_lost
            and self._task.uncancel() <= self._cancelling
            and kind is asyncio.CancelledError
        ):
            raise TimeoutError from error
