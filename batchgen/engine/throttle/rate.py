"""How many requests go out in a second: told by the job, or learned from refusals. Pure.

Between two moments at which a server's token bucket was empty it has accepted what flowed in
meanwhile: the count over the time is its rate, whatever the bucket's size. What overflows while
nothing is sent makes that too low, what a pause has saved up makes the count after the pause too
high; the truth is between the two, and over a long cycle they meet.
"""

import math

import msgspec

from batchgen.engine.throttle.adaptive_limit import Limit

_SHORTEST_S = 0.05
_MOST_FALL = 0.5
_LATE_S = 0.05  # a wake-up that is so late is made up for; more was a pause, or nobody came


class Ticket(msgspec.Struct, frozen=True):
    """A request that was let through.

    serial: counts from 0, in each gate. level: requests in flight with it. held_by: the limit
    that it waited for last.
    """

    serial: int
    sent_at: float
    level: int
    held_by: Limit | None = None


class Pace:
    """The moments at which requests may go out, evenly spaced; times are monotonic seconds."""

    def __init__(self, *, rpm: float | None = None, images_per_minute: float | None = None) -> None:
        self.rate = Limit(_per_second(rpm))
        self._images = _per_second(images_per_minute)
        self._next = -math.inf
        self._next_image = -math.inf
        self._interval_s = 0.0  # from the last request to the next one
        self._image_interval_s = 0.0
        self._last_images = 1
        self._empty_at: float | None = None  # when the server's bucket was last seen empty
        self._opened_at: float | None = None  # when the first request after that went out
        self._from = 0
        self._refused = 0

    def allow(self, *, rpm: float | None, images_per_minute: float | None) -> None:
        """Take other limits of the job, for the request that waits already too."""
        self.rate.allow(_per_second(rpm))
        self._images = _per_second(images_per_minute)
        before_s, images_before_s = self._interval_s, self._image_interval_s
        self._space(self._last_images)
        self._next += self._interval_s - before_s
        self._next_image += self._image_interval_s - images_before_s

    def due(self) -> float:
        """When the next request may go out."""
        return max(self._next, self._next_image)

    def take(self, now: float, images: int) -> None:
        """Let a request go out now."""
        if self._opened_at is None:
            self._opened_at = now
        self._space(images)
        self._next = _after(self._next, now, self._interval_s)
        self._next_image = _after(self._next_image, now, self._image_interval_s)

    def _space(self, images: int) -> None:
        self._last_images = images
        self._interval_s = 1 / self.rate.value
        self._image_interval_s = images / self._images

    def accepted(self, ticket: Ticket) -> int:
        """How many of this cycle's requests were accepted before this one was sent."""
        return ticket.serial - self._from - self._refused

    def refused(self, ticket: Ticket, pause_s: float, *, avoidable: bool) -> None:
        """The server had no room for a request: fall to the rate that it has shown.

        avoidable: a pause comes only where too much is sent, and is worth a longer cycle.
        """
        accepted = max(1, self.accepted(ticket))
        opened_at = ticket.sent_at if self._opened_at is None else self._opened_at
        since_empty = ticket.sent_at - (opened_at if self._empty_at is None else self._empty_at)
        low = accepted / max(_SHORTEST_S, since_empty + (pause_s if self._empty_at is None else 0))
        if self._empty_at is None or self.rate.is_early(accepted):
            measured = max(low, _MOST_FALL * self.rate.value) if self.rate.is_learned else low
        else:
            measured = accepted / max(_SHORTEST_S, ticket.sent_at - opened_at)
        # The provider's own word is that one may go out after the pause.
        measured = max(measured, 1 / pause_s if pause_s else 0.0)
        each_pause = measured * pause_s if avoidable else 0.0
        self.rate.refused(measured, each_pause=each_pause)

    def told(self, per_second: float) -> None:
        """The provider's own figures: a first estimate, where nothing was learned or given."""
        if math.isinf(self.rate.value):
            self.rate.refused(per_second)

    def begin_cycle(self, now: float, serial: int) -> None:
        """Count from here: the server's bucket is empty, the next request has this serial."""
        self._empty_at, self._opened_at = now, None
        self._from, self._refused = serial, 0

    def count_refused(self) -> None:
        """A request of this cycle was refused."""
        self._refused += 1


def _per_second(per_minute: float | None) -> float:
    return math.inf if per_minute is None else per_minute / 60


def _after(planned: float, now: float, interval_s: float) -> float:
    late_s = now - planned
    made_up_s = _LATE_S if late_s <= _LATE_S or interval_s < _LATE_S else 0.0
    return max(planned, now - made_up_s) + interval_s
