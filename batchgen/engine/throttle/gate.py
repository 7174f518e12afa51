"""The gate of one model: its requests pass in order, within the limits of rate and concurrency.

A gate spaces requests evenly, without a burst at the start of a minute. It closes for as long as
the provider asks. Afterwards requests are sent at the learned rate, not all at once.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable

from batchgen.engine.throttle.adaptive_limit import AdaptiveLimit
from batchgen.engine.throttle.false_alarms import FalseAlarms
from batchgen.engine.throttle.feedback import ConcurrencySignal, Feedback, LogThrottle, Signal
from batchgen.engine.throttle.rate import RequestSchedule, Ticket
from batchgen.job import Bounds

# Requests that may start together, the seconds for which that holds, and those in which the number
# doubles then. At the start of a run they are few until a request is accepted, so that a dead end
# costs a handful of requests; providers that answer slowly are not waited for.
_FIRST_RAMP = (5.0, 0.2, 0.025)
_RAMP = (16.0, 0.0, 0.25)
_MAX_DOUBLINGS = 40
_MAX_WAIT_S = 3600.0
_LONG_WAIT_S = 60.0  # a wait that is reported
_SAME_END_S = 1.0  # ends of a wait that are closer together are reported once
_OVERLOAD_DECREASE = 0.7
_SMOOTHING = 0.05  # the weight of the newest reply in the share of overload replies
_OVERLOAD_SHARE = 0.2  # a single 503 is no overload; five in a row are


class Gate:
    """The queue of one model's requests, with the limits that they wait for.

    monotonic: seconds. sleep: waits, or returns early when the run is stopping; the caller then
    does not send. on_long_wait: is called with the seconds that a request waits for the rate.
    """

    def __init__(
        self,
        bounds: Bounds,
        *,
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        on_long_wait: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._schedule = RequestSchedule(rpm=bounds.rpm, images_per_minute=bounds.images_per_minute)
        self._concurrency = AdaptiveLimit(bounds.concurrency, minimum=1, after_refusal=1.0)
        self._monotonic = monotonic
        self._sleep = sleep
        self._on_long_wait = on_long_wait
        self._queue = asyncio.Lock()  # first in, first out
        self._waiting: asyncio.Future[None] | None = None
        self._closed_until = 0.0
        self._reported_until = 0.0
        self._ramp_began_at: float | None = None
        self._ramp_shape = _FIRST_RAMP
        self._serial = 0
        self._in_flight = 0
        self._reacted_serial = 0  # refusals of requests before this one are taken into account
        self._concurrency_signal = ConcurrencySignal()
        self._false_alarms = FalseAlarms()
        self._log_throttle = LogThrottle()
        self._overload_share = 0.0
        self._is_probing = False
        self.is_proven = False

    async def acquire(
        self,
        images: int,
        stopping: Callable[[], bool],
        has_turn: Callable[[], bool] = lambda: True,
    ) -> Ticket | None:
        """Wait until a request may be sent, or until the run is stopping.

        Return None if it is the turn of others.
        """
        async with self._queue:
            limited_by: AdaptiveLimit | None = None
            while not stopping():
                if not has_turn():
                    return None
                limit, wait_s = self._next_wait()
                if wait_s <= 0:
                    break
                if limit is self._schedule.rate:
                    self._report_long_wait(wait_s)
                limited_by = limit
                await self._wait(wait_s)
            return self._issue_ticket(images, limited_by)

    def record(self, ticket: Ticket, feedback: Feedback, pause_s: float) -> None:
        """Learn from the reply to a request, which is no longer in flight."""
        self._in_flight -= 1
        match feedback.signal:
            case Signal.ACCEPTED:
                self._record_accepted(ticket, feedback)
            case Signal.REFUSED:
                self._record_refused(ticket, pause_s, concurrency=False)
            case Signal.CONCURRENCY:
                self._record_refused(ticket, pause_s, concurrency=True)
            case Signal.OVERLOADED:
                self._record_overload(ticket)
            case Signal.NONE:
                pass
        self._wake()

    def probe(self, *, on: bool) -> None:
        """Send one request at a time, or as many as the limits allow again.

        on: every further request may meet the same as the last one.
        """
        self._is_probing = on
        self._wake()

    def prove(self) -> None:
        """Note that a request was accepted: what the model makes can be used."""
        self.is_proven = True

    def release(self) -> None:
        """Give back a ticket; its request is not sent."""
        self._in_flight -= 1
        self._wake()

    def hold(self, seconds: float) -> bool:
        """Send nothing for this time; return whether that is a second longer than the hold now."""
        now = self._monotonic()
        until = now + seconds
        if until <= self._closed_until:
            return False
        is_longer = self._closed_until <= now or until >= self._closed_until + _SAME_END_S
        self._closed_until = until
        if self._false_alarms.is_known:  # without a learned rate all would be sent together
            self._ramp_began_at = until
            self._ramp_shape = _RAMP
        return is_longer

    def set_limits(self, bounds: Bounds) -> None:
        """Change the job's limits, also for requests that are waiting."""
        self._schedule.set_limits(rpm=bounds.rpm, images_per_minute=bounds.images_per_minute)
        self._concurrency.set_maximum(bounds.concurrency)
        self._wake()

    def bottleneck(self) -> str | None:
        """Describe the limit that the next request waits for.

        None if no request is waiting, or if the gate is closed: that is reported when it closes.
        """
        limit, wait_s = self._next_wait()
        if self._waiting is None or wait_s <= 0 or limit is None:
            return None
        if limit.is_learned:
            return f"the provider: {self._describe(limit)}"
        if limit is self._concurrency:
            return f"concurrency {int(limit.value)}"
        return "images_per_minute" if math.isinf(limit.value) else f"rpm {limit.value * 60:.3g}"

    def message_to_log(self) -> str | None:
        """Describe the reaction to refusals; None if there is none or it is logged already."""
        limits = (self._schedule.rate, self._concurrency)
        reduced = next((limit for limit in limits if limit.is_reduced), None)
        if reduced is None and not self._false_alarms.is_known:
            return None
        value = math.inf if reduced is None else reduced.value
        if not self._log_throttle.should_log(value, self._monotonic()):
            return None
        if reduced is None:
            return "these 429s do not depend on our rate; rate unchanged"
        kind = "number" if reduced is self._concurrency else "rate"
        return f"slowed to {self._describe(reduced)}, the {kind} the provider accepts"

    def _describe(self, limit: AdaptiveLimit) -> str:
        if limit is self._concurrency:
            return f"{int(limit.value)} requests in flight"
        return f"{limit.value * 60:.3g} requests/min"

    def _next_wait(self) -> tuple[AdaptiveLimit | None, float]:
        """Return the limit that the next request waits for, and the longest wait in seconds."""
        now = self._monotonic()
        closed_s = self._closed_until - now
        if closed_s > 0:
            return None, closed_s
        if self._is_probing and self._in_flight:
            return None, _MAX_WAIT_S
        if self._in_flight + 1 > self._concurrency.value:
            return self._concurrency, _MAX_WAIT_S
        if self._in_flight + 1 > self._ramp(now):
            return None, self._ramp_shape[2] / 4
        return self._schedule.rate, self._schedule.next_at() - now

    def _report_long_wait(self, wait_s: float) -> None:
        until = self._monotonic() + wait_s
        if wait_s >= _LONG_WAIT_S and until > self._reported_until + _SAME_END_S:
            self._reported_until = until
            self._on_long_wait(wait_s)

    def _ramp(self, now: float) -> float:
        began_at = now if self._ramp_began_at is None else self._ramp_began_at
        start, flat_s, doubling_s = self._ramp_shape
        flat_s = 0.0 if self.is_proven else flat_s
        doublings = min(_MAX_DOUBLINGS, max(0.0, now - began_at - flat_s) / doubling_s)
        return start * math.pow(2.0, doublings)

    def _issue_ticket(self, images: int, limited_by: AdaptiveLimit | None) -> Ticket:
        now = self._monotonic()
        self._ramp_began_at = now if self._ramp_began_at is None else self._ramp_began_at
        self._schedule.record_sent(now, images)
        self._in_flight += 1
        ticket = Ticket(self._serial, now, self._in_flight, limited_by)
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
        """Make the first request in the queue check the limits again."""
        if self._waiting is not None:
            self._waiting.cancel()

    def _record_accepted(self, ticket: Ticket, feedback: Feedback) -> None:
        self._overload_share *= 1 - _SMOOTHING
        self._concurrency_signal.record_accepted(ticket.in_flight)
        self._false_alarms.record_accepted(ticket)
        if feedback.per_second is not None:
            self._schedule.use_advertised_rate(feedback.per_second)
        if ticket.limited_by is not None:
            ticket.limited_by.record_accepted()

    def _record_refused(self, ticket: Ticket, pause_s: float, *, concurrency: bool) -> None:
        if ticket.serial < self._reacted_serial or self._is_false_alarm(ticket):
            return
        self._reacted_serial = self._serial
        if concurrency or self._concurrency_signal.explains(ticket.in_flight):
            lost_per_pause = ticket.in_flight * pause_s
            self._concurrency.record_refused(ticket.in_flight - 1, lost_per_pause=lost_per_pause)
            self._schedule.count_refused()
            return
        self._concurrency.reset()
        self._adjust_rate(ticket, pause_s)
        self._schedule.begin_cycle(self._monotonic(), self._serial)

    def _is_false_alarm(self, ticket: Ticket) -> bool:
        rate = self._schedule.rate
        if not self._false_alarms.explains(ticket, unlimited=not rate.is_learned):
            return False
        self._schedule.count_refused()
        if self._false_alarms.is_exceeded:
            rate.slow_increase()
        return True

    def _adjust_rate(self, ticket: Ticket, pause_s: float) -> None:
        """Lower the rate to the measured one, or restore it if the rate is not the cause."""
        schedule, rate = self._schedule, self._schedule.rate
        unexpected = not rate.is_learned or rate.is_unexpected(schedule.accepted_before(ticket))
        earlier_rate = self._false_alarms.rate_to_restore(
            ticket, rate.value, next_serial=self._serial, unexpected=unexpected
        )
        if earlier_rate is None:
            avoidable = not self._false_alarms.is_known
            schedule.record_refused(ticket, pause_s, avoidable=avoidable)
        else:
            rate.restore(earlier_rate)

    def _record_overload(self, ticket: Ticket) -> None:
        self._overload_share += _SMOOTHING * (1 - self._overload_share)
        if ticket.serial >= self._reacted_serial and self._overload_share > _OVERLOAD_SHARE:
            self._concurrency.record_refused(_OVERLOAD_DECREASE * ticket.in_flight)
            self._reacted_serial = self._serial
            self._overload_share = 0.0
