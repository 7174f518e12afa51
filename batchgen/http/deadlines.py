"""Timeouts of requests: they measure the silence of the other side, never our own absence.

A process that was stopped (SIGSTOP, a frozen container, a suspended machine) finds bytes in its
sockets and overdue timers in the same turn of the event loop. A timer of asyncio or aiohttp would
then cancel a request whose reply has already arrived, and the request would be paid for again. So
one timer counts the time in ticks: however late a tick is, it counts as two at most, and what
becomes due within it is cancelled at the next tick, after the sockets have been read.
"""

import asyncio
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Self

from batchgen.types import Timeouts

_TICK_S = 0.125
_TICKS = 16  # in the shortest timeout: a request is cancelled at most two ticks too late

DEADLINE: ContextVar["Deadline"] = ContextVar("DEADLINE")  # of the request that this task makes


class Deadlines:
    """The deadlines of all requests of a transport; made inside a running event loop.

    now_s: seconds that the event loop has been running, as of the last tick.
    """

    def __init__(self, timeouts: Timeouts, total_s: float) -> None:
        self.total_s = total_s
        self.connect_s = timeouts.connect_s
        self.first_byte_s = total_s if timeouts.first_byte_s is None else timeouts.first_byte_s
        self.stall_s = timeouts.stall_s
        self.now_s = 0.0
        self.pending: set[Deadline] = set()
        shortest_s = min(total_s, self.connect_s, self.first_byte_s, self.stall_s)
        self._tick_s = min(_TICK_S, shortest_s / _TICKS)
        self._loop = asyncio.get_running_loop()
        self._ticked_at_s = self._loop.time()
        self._timer = self._loop.call_later(self._tick_s, self._tick)

    def close(self) -> None:
        """Stop the timer."""
        self._timer.cancel()

    def _tick(self) -> None:
        at_s = self._loop.time()
        for deadline in [one for one in self.pending if one.due_s <= self.now_s]:
            deadline.expire()
        self.now_s += min(at_s - self._ticked_at_s, 2 * self._tick_s)
        self._ticked_at_s = at_s
        self._timer = self._loop.call_later(self._tick_s, self._tick)


class Deadline:
    """The deadline of one request: of its next step, and of the whole.

    Use it as an async context manager; the block is cancelled with a TimeoutError when it is due.

    due_s: in seconds of its `Deadlines`. is_sent: whether the request may have left.
    """

    __slots__ = ("_deadlines", "_end_s", "_timeout", "_token", "due_s", "is_sent")

    due_s: float
    _end_s: float
    _token: Token["Deadline"]

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self._timeout = asyncio.timeout(None)
        self.is_sent = False

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self.due_s = self._end_s = self._deadlines.now_s + self._deadlines.total_s
        self._deadlines.pending.add(self)
        self._token = DEADLINE.set(self)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        DEADLINE.reset(self._token)
        self._deadlines.pending.discard(self)
        await self._timeout.__aexit__(kind, error, trace)

    def begin_connecting(self) -> None:
        """Begin the time that a connection may take."""
        self._allow(self._deadlines.connect_s)

    def begin_sending(self) -> None:
        """Begin the time until the first byte of the reply: there is a connection."""
        self.is_sent = True
        self._allow(self._deadlines.first_byte_s)

    def renew(self) -> None:
        """Begin the time until the next piece of the reply."""
        self._allow(self._deadlines.stall_s)

    def expire(self) -> None:
        """Cancel the block, unless it ends in this turn of the event loop."""
        self._deadlines.pending.discard(self)
        self._timeout.reschedule(0.0)  # a time in the past: in the next turn

    def _allow(self, seconds: float) -> None:
        self.due_s = min(self._deadlines.now_s + seconds, self._end_s)
