"""What replies reveal about the limits of a server, and when to log it. Pure."""

import math
from enum import Enum, auto

import msgspec

from batchgen.provider.endpoints.headers import advertised_rate
from batchgen.types import Decision, FaultKind, HttpResponse, Reply

_OVERLOADED = frozenset({503, 529})  # 529: "overloaded" of several providers
_CONCURRENCY_WORDS = ("concurren", "in flight", "in-flight", "parallel", "simultaneous")
_MIN_ACCEPTED = 20  # requests, before anything is concluded
_WINDOW = 200  # accepted requests
_NEAR_HIGHEST = 0.95  # replies on their way make the number in flight a little uncertain
_MIN_FOR_NEAR = 10  # requests in flight; with fewer, only a number above the highest counts
_MIN_REFUSALS = 2  # in a row; a token bucket sometimes refuses at the highest number too
_MIN_INTERVAL_S = 30.0  # between two messages: a rate that is being learned changes often
_MIN_CHANGE = 2.0  # factor


class Signal(Enum):
    """How a server reacted to a request."""

    ACCEPTED = auto()  # within the limits, whatever the result is
    REFUSED = auto()  # above the rate or the concurrency: a 429 does not say which
    CONCURRENCY = auto()  # refused: too many requests in flight
    OVERLOADED = auto()  # the server cannot keep up
    NONE = auto()


class Feedback(msgspec.Struct, frozen=True):
    """What a reply reveals; per_second: the request rate in the provider's headers."""

    signal: Signal
    per_second: float | None = None


def feedback_of(reply: Reply, decision: Decision) -> Feedback:
    """Return what a reply with this decision reveals about the server's limits."""
    if not isinstance(reply, HttpResponse):
        timeout = reply.kind is FaultKind.TIMEOUT
        return Feedback(Signal.OVERLOADED if timeout else Signal.NONE)
    if decision.hold:
        text = f"{decision.code or ''} {decision.message}".casefold()
        concurrency = any(words in text for words in _CONCURRENCY_WORDS)
        return Feedback(Signal.CONCURRENCY if concurrency else Signal.REFUSED)
    if reply.status in _OVERLOADED:
        return Feedback(Signal.OVERLOADED)
    return Feedback(Signal.ACCEPTED, per_second=advertised_rate(reply.headers))


class ConcurrencySignal:
    """The numbers of requests in flight at which the server accepted and refused requests."""

    def __init__(self) -> None:
        self._accepted = 0
        self._highest = 0  # accepted number in flight, in this window
        self._highest_before = 0  # in the window before
        self._refusals = 0  # in a row at the highest accepted number

    def record_accepted(self, in_flight: int) -> None:
        """Record an accepted request; `in_flight` includes it."""
        self._accepted += 1
        self._highest = max(self._highest, in_flight)
        if self._accepted % _WINDOW == 0:
            self._highest, self._highest_before = 0, self._highest

    def explains(self, in_flight: int) -> bool:
        """Count a refusal; return whether the server limits the number of requests in flight."""
        highest = max(self._highest, self._highest_before)
        near = _NEAR_HIGHEST * highest if highest >= _MIN_FOR_NEAR else highest + 1
        at_limit = in_flight >= near and self._accepted >= _MIN_ACCEPTED
        self._refusals = self._refusals + 1 if at_limit else 0
        return self._refusals >= _MIN_REFUSALS


class LogThrottle:
    """Limits how often a changing value is logged."""

    def __init__(self) -> None:
        self._logged = math.nan
        self._quiet_until = -math.inf

    def should_log(self, value: float, now: float) -> bool:
        """Return whether to log this value, and remember it as logged if so.

        The first value is logged immediately, and so is infinity (no limit): it makes the last
        message void. now: monotonic seconds.
        """
        same = value == self._logged or self._logged / _MIN_CHANGE < value < (
            self._logged * _MIN_CHANGE
        )
        if same or (now < self._quiet_until and math.isfinite(value)):
            return False
        self._logged, self._quiet_until = value, now + _MIN_INTERVAL_S
        return True
