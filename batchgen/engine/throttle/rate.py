"""When the next request may be sent: at the job's rate, or at one learned from refusals. Pure.

Between two moments at which the server's token bucket was empty, the server has accepted exactly
the tokens that were added. So the number of accepted requests divided by that time is its rate,
for any size of the bucket. Tokens that overflow while nothing is sent make the result too low;
tokens that are saved during a pause make the result after the pause too high. The true rate lies
between the two, and over a long cycle both converge to it.
"""

import math

import msgspec

from batchgen.engine.throttle.adaptive_limit import AdaptiveLimit

_MIN_ELAPSED_S = 0.05
_MAX_DECREASE = 0.5
_MAX_DELAY_S = 0.05  # a wake-up delayed by at most this is made up for; idle time is not


class Ticket(msgspec.Struct, frozen=True):
    """The permission to send one request.

    serial: counts from 0 in each gate. sent_at: monotonic seconds. in_flight: requests in flight,
    this one included. limited_by: the limit that it waited for last.
    """

    serial: int
    sent_at: float
    in_flight: int
    limited_by: AdaptiveLimit | None = None


class RequestSchedule:
    """The evenly spaced times at which requests may be sent; times are monotonic seconds."""

    def __init__(self, *, rpm: float | None = None, images_per_minute: float | None = None) -> None:
        self.rate = AdaptiveLimit(_per_second(rpm))
        self._images_per_s = _per_second(images_per_minute)
        self._next = -math.inf
        self._next_image = -math.inf
        self._interval_s = 0.0  # from the last request to the next one
        self._image_interval_s = 0.0
        self._last_images = 1
        self._empty_at: float | None = None  # when the server's bucket was last known to be empty
        self._cycle_sent_at: float | None = None  # when the first request of the cycle was sent
        self._cycle_serial = 0
        self._cycle_refused = 0

    def set_limits(self, *, rpm: float | None, images_per_minute: float | None) -> None:
        """Change the job's limits; this also moves the time of the next request."""
        self.rate.set_maximum(_per_second(rpm))
        self._images_per_s = _per_second(images_per_minute)
        interval_s, image_interval_s = self._interval_s, self._image_interval_s
        self._set_intervals(self._last_images)
        self._next += self._interval_s - interval_s
        self._next_image += self._image_interval_s - image_interval_s

    def next_at(self) -> float:
        """Return when the next request may be sent."""
        return max(self._next, self._next_image)

    def record_sent(self, now: float, images: int) -> None:
        """Schedule the next request after one that is sent now."""
        if self._cycle_sent_at is None:
            self._cycle_sent_at = now
        self._set_intervals(images)
        self._next = _next_time(self._next, now, self._interval_s)
        self._next_image = _next_time(self._next_image, now, self._image_interval_s)

    def _set_intervals(self, images: int) -> None:
        self._last_images = images
        self._interval_s = 1 / self.rate.value
        self._image_interval_s = images / self._images_per_s

    def accepted_before(self, ticket: Ticket) -> int:
        """Return how many of this cycle's requests were accepted before this one was sent."""
        return ticket.serial - self._cycle_serial - self._cycle_refused

    def record_refused(self, ticket: Ticket, pause_s: float, *, avoidable: bool) -> None:
        """Lower the rate to what the server has accepted in this cycle.

        avoidable: whether lower rates avoid pauses, which makes a longer cycle worthwhile.
        """
        accepted = max(1, self.accepted_before(ticket))
        first_sent_at = ticket.sent_at if self._cycle_sent_at is None else self._cycle_sent_at
        elapsed_s = ticket.sent_at - (first_sent_at if self._empty_at is None else self._empty_at)
        low = accepted / max(_MIN_ELAPSED_S, elapsed_s + (pause_s if self._empty_at is None else 0))
        if self._empty_at is None or self.rate.is_far_too_high(accepted):
            measured = max(low, _MAX_DECREASE * self.rate.value) if self.rate.is_learned else low
        else:
            measured = accepted / max(_MIN_ELAPSED_S, ticket.sent_at - first_sent_at)
        # The provider itself allows one request after the pause.
        measured = max(measured, 1 / pause_s if pause_s else 0.0)
        self.rate.record_refused(measured, lost_per_pause=measured * pause_s if avoidable else 0.0)

    def use_advertised_rate(self, per_second: float) -> None:
        """Start with the rate in the provider's headers if none is given or learned."""
        if math.isinf(self.rate.value):
            self.rate.record_refused(per_second)

    def begin_cycle(self, now: float, serial: int) -> None:
        """Start a measurement: the server's bucket is empty, the next request has this serial."""
        self._empty_at, self._cycle_sent_at = now, None
        self._cycle_serial, self._cycle_refused = serial, 0

    def count_refused(self) -> None:
        """Count a refused request of this cycle."""
        self._cycle_refused += 1


def _per_second(per_minute: float | None) -> float:
    return math.inf if per_minute is None else per_minute / 60


def _next_time(planned: float, now: float, interval_s: float) -> float:
    delay_s = now - planned
    made_up_s = _MAX_DELAY_S if delay_s <= _MAX_DELAY_S or interval_s < _MAX_DELAY_S else 0.0
    return max(planned, now - made_up_s) + interval_s
