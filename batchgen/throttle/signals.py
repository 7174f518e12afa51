"""What a reply tells about the pace that a server allows. Pure."""

from enum import Enum, auto

import msgspec

from batchgen.provider.endpoints.headers import told_rate
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
    return Heard(Signal.ACCEPTED, per_second=told_rate(reply.headers))
