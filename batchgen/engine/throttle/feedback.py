"""What a reply tells about the pace that a server allows. Pure."""

import math
from enum import Enum, auto

import msgspec

from batchgen.provider.endpoints.headers import advertised_rate
from batchgen.types import Decision, FaultKind, HttpResponse, Reply

_OVERLOADED = frozenset({503, 529})  # 529: "overloaded" of several providers
_CROWD_WORDS = ("concurren", "in flight", "in-flight", "parallel", "simultaneous")


class Signal(Enum):
    """How a server took a request."""

    ACCEPTED = auto()  # it came through the limits, whatever became of it then
    REFUSED = auto()  # too many in a time, or too many at once: a 429 does not tell which
    CROWDED = auto()  # too many at once
    OVERLOADED = auto()  # the server cannot keep up
    NOTHING = auto()


class Heard(msgspec.Struct, frozen=True):
    """What a reply told; per_second: requests that the provider's own figures come to."""

    signal: Signal
    per_second: float | None = None


def heard(reply: Reply, decision: Decision) -> Heard:
    """Read a reply that means `decision`."""
    if not isinstance(reply, HttpResponse):
        timeout = reply.kind is FaultKind.TIMEOUT
        return Heard(Signal.OVERLOADED if timeout else Signal.NOTHING)
    if decision.hold:
        said = f"{decision.code or ''} {decision.message}".casefold()
        crowded = any(words in said for words in _CROWD_WORDS)
        return Heard(Signal.CROWDED if crowded else Signal.REFUSED)
    if reply.status in _OVERLOADED:
        return Heard(Signal.OVERLOADED)
    return Heard(Signal.ACCEPTED, per_second=advertised_rate(reply.headers))


_KNOWN = 20  # accepted requests before anything is concluded
_REMEMBERED = 200
_NEAR = 0.95  # replies on their way make levels a little uncertain
_MANY = 10
_CERTAIN = 2  # a bucket refuses the highest level too, now and then


class ConcurrencySignal:
    """The numbers in flight at which requests were accepted and refused."""

    def __init__(self) -> None:
        self._count = 0
        self._highest = 0
        self._highest_before = 0
        self._certainty = 0

    def accepted(self, level: int) -> None:
        """A request was accepted while so many were in flight, itself among them."""
        self._count += 1
        self._highest = max(self._highest, level)
        if self._count % _REMEMBERED == 0:
            self._highest, self._highest_before = 0, self._highest

    def refused(self, level: int) -> bool:
        """Count a refusal; tell whether the number in flight is what the server goes by."""
        highest = max(self._highest, self._highest_before)
        near = _NEAR * highest if highest >= _MANY else highest + 1
        crowded = level >= near and self._count >= _KNOWN
        self._certainty = self._certainty + 1 if crowded else 0
        return self._certainty >= _CERTAIN


_QUIET_S = 30.0  # between two lines: a pace that is being found changes with every refusal
_MUCH = 2.0  # times what was told


class LogThrottle:
    """Remembers what was told last."""

    def __init__(self) -> None:
        self._told = math.nan
        self._quiet_until = -math.inf

    def tell(self, level: float, now: float) -> bool:
        """Whether to tell this level; it counts as told then.

        The first one is told at once, and so is infinity: what was told of a limit is void.
        """
        same = level == self._told or self._told / _MUCH < level < self._told * _MUCH
        if same or (now < self._quiet_until and math.isfinite(level)):
            return False
        self._told, self._quiet_until = level, now + _QUIET_S
        return True
