"""Request timeouts that do not count the time in which this process was stopped.

A process that was stopped (SIGSTOP, a frozen container, a suspended machine) finds bytes in its
sockets and overdue timers in the same iteration of the event loop. A timer of asyncio or aiohttp
would then cancel a request whose reply has already arrived, and the request would be paid for
again. So one timer counts the time in ticks: a late tick counts as two ticks at most, and a request
that becomes due is cancelled at the next tick, after the sockets have been read.
"""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Self

from batchgen.types import Timeouts

_TICK_S = 0.125
_TICKS = 16  # per shortest timeout; a request is cancelled at most two ticks too late

DEADLINE: ContextVar["Deadline"] = ContextVar("DEADLINE")  # of the request that this task sends


class _RunningClock:
    """Counts the seconds in which the event loop runs, in ticks; made inside a running loop.

    now_s: seconds counted until the last tick.
    """

    def __init__(self, shortest_s: float) -> None:
        """shortest_s: the shortest time that is measured."""
        self.now_s = 0.0
        self._tick_s = min(_TICK_S, shortest_s / _TICKS)
        self._loop = asyncio.get_running_loop()
        self._ticked_at_s = self._loop.time()
        self._timer = self._loop.call_later(self._tick_s, self._tick)

    def close(self) -> None:
        """Stop the clock."""
        self._timer.cancel()

    def on_tick(self) -> None:
        """Act on what was due at the last tick: the sockets have been read since."""
        raise NotImplementedError

    def _tick(self) -> None:
        at_s = self._loop.time()
        self._timer = self._loop.call_later(self._tick_s, self._tick)
        self.on_tick()
        self.now_s += min(at_s - self._ticked_at_s, 2 * self._tick_s)
        self._ticked_at_s = at_s


class Deadlines(_RunningClock):
    """The deadlines of all requests of a transport."""

    def __init__(self, timeouts: Timeouts, total_s: float) -> None:
        self.total_s = total_s
        self.connect_s = timeouts.connect_s
        self.first_byte_s = total_s if timeouts.first_byte_s is None else timeouts.first_byte_s
        self.stall_s = timeouts.stall_s
        self.pending: set[Deadline] = set()
        super().__init__(min(total_s, self.connect_s, self.first_byte_s, self.stall_s))

    def on_tick(self) -> None:
        """Cancel the requests that are due."""
        expired = [deadline for deadline in self.pending if deadline.due_s <= self.now_s]
        for deadline in expired:
            deadline.expire()


class Deadline:
    """The deadlines of one request: of its next step, and of the whole request.

    Use it as an async context manager; it raises TimeoutError in the block when it is due.

    due_s: compared with `Deadlines.now_s`. is_sent: whether the request may have been sent.
    is_handshaking: whether a TLS handshake has begun and not ended. is_broken: see `break_off`.
    """

    __slots__ = (
        *("_close", "_deadlines", "_end_s", "_timeout", "_token"),
        *("due_s", "is_broken", "is_handshaking", "is_sent"),
    )

    due_s: float
    _end_s: float
    _token: Token["Deadline"]

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self._timeout = asyncio.timeout(None)
        self._close: Callable[[], None] | None = None
        self.is_sent = False
        self.is_handshaking = False
        self.is_broken = False

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
        """Start the connect timeout."""
        self._allow(self._deadlines.connect_s)

    def begin_sending(self) -> None:
        """Start the timeout for the first byte of the reply: the connection is ready."""
        self.is_sent = True
        self.is_handshaking = False
        self._allow(self._deadlines.first_byte_s)

    def renew(self) -> None:
        """Start the timeout for the next chunk of the reply."""
        self._allow(self._deadlines.stall_s)

    def limit_rest(self, seconds: float, close: Callable[[], None]) -> None:
        """Call `close` when the rest takes longer than this, or is due; the block is not cancelled.

        For the body of an error: what has arrived by then is enough.
        """
        self._close = close
        self._end_s = min(self._end_s, self._deadlines.now_s + seconds)
        self.renew()

    def break_off(self) -> None:
        """Expire at the next tick: the rest of the reply is invalid. The head is read before."""
        self.is_broken = True
        self._allow(0.0)

    def expire(self) -> None:
        """Cancel the block, unless it ends in this iteration of the event loop."""
        self._deadlines.pending.discard(self)
        if self._close is not None:
            self._close()
        else:
            self._timeout.reschedule(0.0)  # a time in the past: in the next iteration

    def _allow(self, seconds: float) -> None:
        allowed_s = 0.0 if self.is_broken else seconds
        self.due_s = min(self._deadlines.now_s + allowed_s, self._end_s)


class RunningTimer(_RunningClock):
    """Calls back once after the process has been running for some time; see the module's rule."""

    def __init__(self, seconds: float, callback: Callable[[], None]) -> None:
        """Start the timer inside a running event loop. seconds: above 0."""
        self._due_s = seconds
        self._callback = callback
        super().__init__(seconds)

    def on_tick(self) -> None:
        """Call back if the time is over."""
        if self.now_s >= self._due_s:
            self.close()
            self._callback()
