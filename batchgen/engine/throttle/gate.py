"""Admits the requests of one model: in their order, at the pace and in the number that it bears.

A gate spaces requests evenly (no burst at the minute's start), closes for as long as the provider
asks, and opens again at the learned pace, so that those who waited do not come as a herd.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable

from batchgen.engine.throttle.adaptive_limit import Limit
from batchgen.engine.throttle.false_alarms import FalseAlarms
from batchgen.engine.throttle.feedback import ConcurrencySignal, Heard, LogThrottle, Signal
from batchgen.engine.throttle.rate import Pace, Ticket
from batchgen.job import Bounds

_HERD = 16  # requests that may start together at a server of which nothing is known yet
_RAMP_S = 0.25  # in which that number doubles
_MOST_DOUBLINGS = 40
_LONGEST_WAIT_S = 3600.0
_LESS = 0.7
_NEWEST = 0.05  # the weight of one reply in the share of those that told of an overload
_OVERLOAD_SHARE = 0.2  # a stray 503 is no overload; five in a row are


class Gate:
    """Lets the requests of one model through, one after the other.

    sleep: waits, or returns early when the run is stopping; the caller then does not send.
    """

    def __init__(
        self,
        bounds: Bounds,
        *,
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.pace = Pace(rpm=bounds.rpm, images_per_minute=bounds.images_per_minute)
        self.window = Limit(bounds.concurrency, least=1, fall=1.0)
        self._monotonic = monotonic
        self._sleep = sleep
        self._turn = asyncio.Lock()  # first come, first served
        self._waiting: asyncio.Future[None] | None = None
        self._closed_until = 0.0
        self._begun: float | None = None
        self._serial = 0
        self._in_flight = 0
        self._cut = 0  # refusals of requests before this serial are known already
        self._levels = ConcurrencySignal()
        self._strays = FalseAlarms()
        self._news = LogThrottle()
        self._overload = 0.0

    async def admit(self, images: int, stopping: Callable[[], bool]) -> Ticket:
        """Return when this request's turn has come, or when the run is stopping."""
        async with self._turn:
            held_by: Limit | None = None
            while not stopping():
                limit, wait_s = self._obstacle()
                if wait_s <= 0:
                    break
                held_by = limit
                await self._wait(wait_s)
            return self._take(images, held_by)

    def hear(self, ticket: Ticket, heard: Heard, pause_s: float) -> None:
        """Learn from the reply to a request, which is not in flight any more."""
        self._in_flight -= 1
        match heard.signal:
            case Signal.ACCEPTED:
                self._accepted(ticket, heard)
            case Signal.REFUSED | Signal.CROWDED:
                self._refused(ticket, pause_s, crowded=heard.signal is Signal.CROWDED)
            case Signal.OVERLOADED:
                self._overloaded(ticket)
            case Signal.NOTHING:
                pass
        self._wake()

    def leave(self) -> None:
        """A request that was let through is not sent."""
        self._in_flight -= 1
        self._wake()

    def hold(self, seconds: float) -> bool:
        """Close for so many seconds from now; tell whether that is later than before."""
        until = self._monotonic() + seconds
        if until <= self._closed_until:
            return False
        self._closed_until = until
        if self._strays.known:  # no pace is kept then, and all who wait would come at once
            self._begun = until
        return True

    def allow(self, bounds: Bounds) -> None:
        """Take other bounds of the job, also for those who wait already."""
        self.pace.allow(rpm=bounds.rpm, images_per_minute=bounds.images_per_minute)
        self.window.allow(bounds.concurrency)
        self._wake()

    def reason(self) -> str | None:
        """What keeps the next request waiting, in words.

        None where nobody waits, and while the gate is closed: that is told when it closes.
        """
        limit, wait_s = self._obstacle()
        if self._waiting is None or wait_s <= 0 or limit is None:
            return None
        learned = ", as the provider bears it" if limit.is_learned else ""
        return f"{self._told(limit)}{learned}"

    def news(self) -> str | None:
        """What batchgen makes of the refusals now, in words; None where that was told already."""
        cut = next((limit for limit in (self.pace.rate, self.window) if limit.is_cut), None)
        if cut is None and not self._strays.known:
            return None
        if not self._news.tell(math.inf if cut is None else cut.value, self._monotonic()):
            return None
        if cut is None:
            return "they come at any pace, so sending is not slowed for them"
        return f"sending {self._told(cut)}, as it bears it"

    def _told(self, limit: Limit) -> str:
        if limit is self.window:
            return f"{int(limit.value)} at once"
        return "images a minute" if math.isinf(limit.value) else f"{limit.value * 60:.3g} a minute"

    def _obstacle(self) -> tuple[Limit | None, float]:
        """What keeps the next request waiting, and for how many seconds at most."""
        now = self._monotonic()
        closed_s = self._closed_until - now
        if closed_s > 0:
            return None, closed_s
        if self._in_flight + 1 > self.window.value:
            return self.window, _LONGEST_WAIT_S
        if self._in_flight + 1 > self._ramp(now):
            return None, _RAMP_S / 8
        return self.pace.rate, self.pace.due() - now

    def _ramp(self, now: float) -> float:
        begun = now if self._begun is None else self._begun
        doublings = min(_MOST_DOUBLINGS, max(0.0, now - begun) / _RAMP_S)
        return _HERD * math.pow(2.0, doublings)

    def _take(self, images: int, held_by: Limit | None) -> Ticket:
        now = self._monotonic()
        self._begun = now if self._begun is None else self._begun
        self.pace.take(now, images)
        self._in_flight += 1
        ticket = Ticket(self._serial, now, self._in_flight, held_by)
        self._serial += 1
        return ticket

    async def _wait(self, seconds: float) -> None:
        self._waiting = asyncio.ensure_future(self._sleep(seconds))
        try:
            await asyncio.wait((self._waiting,))
        finally:
            self._waiting.cancel()
            self._waiting = None

    def _wake(self) -> None:
        """Have the first in the queue look again."""
        if self._waiting is not None:
            self._waiting.cancel()

    def _accepted(self, ticket: Ticket, heard: Heard) -> None:
        self._overload *= 1 - _NEWEST
        self._levels.accepted(ticket.level)
        self._strays.accepted(ticket)
        if heard.per_second is not None:
            self.pace.told(heard.per_second)
        if ticket.held_by is not None:
            ticket.held_by.accepted()

    def _refused(self, ticket: Ticket, pause_s: float, *, crowded: bool) -> None:
        if ticket.serial < self._cut or self._is_stray(ticket):
            return
        self._cut = self._serial
        if crowded or self._levels.refused(ticket.level):
            self.window.refused(ticket.level - 1, each_pause=ticket.level * pause_s)
            self.pace.count_refused()
            return
        self.window.forget()
        self._slow_down(ticket, pause_s)
        self.pace.begin_cycle(self._monotonic(), self._serial)

    def _is_stray(self, ticket: Ticket) -> bool:
        rate = self.pace.rate
        if not self._strays.explain(ticket, unlimited=not rate.is_learned):
            return False
        self.pace.count_refused()
        if self._strays.many:
            rate.unknown_spend()
        return True

    def _slow_down(self, ticket: Ticket, pause_s: float) -> None:
        """Fall to the rate that the server has shown, or rise again if the rate is not why."""
        rate = self.pace.rate
        soon = not rate.is_learned or rate.is_soon(self.pace.accepted(ticket))
        before = self._strays.believed(ticket, rate.value, next_serial=self._serial, soon=soon)
        if before is None:
            self.pace.refused(ticket, pause_s, avoidable=not self._strays.known)
        else:
            rate.restore(before)

    def _overloaded(self, ticket: Ticket) -> None:
        self._overload += _NEWEST * (1 - self._overload)
        if ticket.serial >= self._cut and self._overload > _OVERLOAD_SHARE:
            self.window.refused(_LESS * ticket.level)
            self._cut = self._serial
            self._overload = 0.0
