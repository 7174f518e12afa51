"""Settings of a simulator, and how latencies and faults are written."""

import re
from collections.abc import Awaitable, Callable, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import TypeAlias

import msgspec

from batchgen.errors import UsageError
from batchgen.simulator.fault_names import FILE_FAULTS, GENERATION_FAULTS, JOB_FAULTS, POLL_FAULTS

Sleep: TypeAlias = Callable[[float], Awaitable[None]]  # of seconds

_NAMED_FAULTS = (*GENERATION_FAULTS, *FILE_FAULTS, *POLL_FAULTS, *JOB_FAULTS)
_USUAL_STATUSES = ("400", "401", "402", "403", "404", "408", "429", "500", "502", "503", "504")
_MAX_NAME_CHARS = 20
_LATENCY = re.compile(
    r"(?P<mean>[0-9]+(?:\.[0-9]+)?)(?P<unit>ms|s|m)"
    r"(?:(?:±|\+-|\+/-)(?P<spread>[0-9]+(?:\.[0-9]+)?)(?P<spread_unit>ms|s|m)?)?",
    re.ASCII,
)
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0}
_SPAN = re.compile(r"(?P<low>[0-9.]+(?:ms|s|m))\.\.(?P<high>[0-9.]+(?:ms|s|m))", re.ASCII)
_MIN_STATUS, _MAX_STATUS = 200, 599
_ROUNDING = 1e-9  # the sum of ten faults of 0.1 is slightly above 1


class Latency(msgspec.Struct, frozen=True):
    """A duration: `mean_s` seconds, plus or minus up to `spread_s`."""

    mean_s: float = 0.0
    spread_s: float = 0.0

    def at(self, share: float) -> float:
        """Return the seconds for a draw between 0 (shortest) and 1 (longest)."""
        return max(0.0, self.mean_s + self.spread_s * (2 * share - 1))


class SimulatorSettings(msgspec.Struct, frozen=True):
    """Everything that decides the simulator's replies.

    latency: before each reply. job_duration: of a remote job: a video, music, a transcript.
    faults: the share of requests with each fault, as `parse_faults` returns it.
    rpm: requests per minute of the token bucket; burst: its capacity, one second's requests
        if None. max_in_flight: requests in parallel; more get a 429.
    limit_headers: send headers with the wait after a 429 and with what is left of the rate.
    seed: of the draws of faults and latency, and of images.
    port: of the API; 0 takes a free one. The files have a free port of their own.
    api_keys: the valid keys; None accepts any key that is not empty.
    credit: generations until the credit is spent; balance_usd: balance in US dollars; None is
        unlimited.
    refuse_words: lowercase words in a prompt that the content policy refuses.
    url_lifetime_s: seconds until the URL of a file expires, None for never.
    honour_idempotency: repeat the reply for a repeated `Idempotency-Key`.
    """

    latency: Latency = Latency()
    job_duration: Latency = Latency()
    faults: Mapping[str, float] = msgspec.field(default_factory=lambda: MappingProxyType({}))
    rpm: float | None = None
    burst: float | None = None
    max_in_flight: int | None = None
    limit_headers: bool = True
    seed: int = 0
    port: int = 0
    api_keys: frozenset[str] | None = None
    credit: int | None = None
    balance_usd: float | None = None
    refuse_words: frozenset[str] = frozenset({"forbidden-word"})
    url_lifetime_s: float | None = None
    honour_idempotency: bool = True


def parse_latency(text: str) -> Latency:
    """Parse a latency such as `250ms`, `2s`, `2s±0.5` (`2s+-0.5`) or `30s..120s`.

    A spread without a unit has that of the mean. Raise UsageError if it cannot be parsed.
    """
    if span := _SPAN.fullmatch(text.replace(" ", "")):
        low, high = (parse_latency(span[end]).mean_s for end in ("low", "high"))
        if low > high:
            raise UsageError(f"{text!r} has the longest latency first; write 30s..120s")
        return Latency((low + high) / 2, (high - low) / 2)
    match = _LATENCY.fullmatch(text.replace(" ", ""))
    if match is None:
        raise UsageError(
            f"{text!r} is not a latency; write it like 250ms, 1.5s, 2s±0.5, 2s+-500ms or 30s..120s"
        )
    unit = match["unit"]
    mean_s = float(match["mean"]) * _UNIT_S[unit]
    spread_s = float(match["spread"] or 0) * _UNIT_S[match["spread_unit"] or unit]
    if spread_s > mean_s:
        raise UsageError(f"the latency {text!r} has a spread (±) above its mean; lower the spread")
    return Latency(mean_s, spread_s)


def parse_faults(text: str) -> dict[str, float]:
    """Parse faults such as `429=0.1,500=0.02,reset=0.01`: names, and shares between 0 and 1.

    Raise UsageError if one is unknown or the shares exceed 1.
    """
    faults: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, share = (piece.strip() for piece in part.partition("="))
        if name in faults:
            raise UsageError(f"the fault {name} is given twice")
        faults[_fault_name(name)] = _share(name, share)
    others = (FILE_FAULTS, POLL_FAULTS, JOB_FAULTS)
    for names in (set(faults).difference(*others), *others):
        total = sum(faults.get(name, 0) for name in names)
        if total > 1 + _ROUNDING:
            raise UsageError(f"the faults {text!r} add up to {total:g}; lower them to at most 1")
    return faults


def _fault_name(name: str) -> str:
    is_status = name.isascii() and name.isdecimal() and _MIN_STATUS <= int(name) <= _MAX_STATUS
    if not is_status and name not in _NAMED_FAULTS:
        similar = get_close_matches(name[:_MAX_NAME_CHARS], (*_USUAL_STATUSES, *_NAMED_FAULTS), n=1)
        if similar:
            raise UsageError(f"{name!r} is not a fault; did you mean {similar[0]}?")
        raise UsageError(
            f"{name!r} is not a fault; write an HTTP status from {_MIN_STATUS} to {_MAX_STATUS}, "
            f"or one of {', '.join(_NAMED_FAULTS)}"
        )
    return name


def _share(name: str, text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise UsageError(f"the fault {name} needs a share between 0 and 1, as in {name}=0.1")
    return share
