"""Settings of a simulator: latency, faults, limits."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType

import msgspec

from batchgen.errors import UsageError
from batchgen.simulator.fault_names import FILE_FAULTS, GENERATION_FAULTS, POLL_FAULTS, WORK_FAULTS

_NAMED_FAULTS = (*GENERATION_FAULTS, *FILE_FAULTS, *POLL_FAULTS, *WORK_FAULTS)
_USUAL_STATUSES = ("400", "401", "402", "403", "404", "408", "429", "500", "502", "503", "504")
_LONGEST_NAME = 20
_LATENCY = re.compile(
    r"(?P<mean>[0-9]+(?:\.[0-9]+)?)(?P<unit>ms|s|m)"
    r"(?:(?:±|\+-|\+/-)(?P<spread>[0-9]+(?:\.[0-9]+)?)(?P<spread_unit>ms|s|m)?)?",
    re.ASCII,
)
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0}
_SPAN = re.compile(r"(?P<low>[0-9.]+(?:ms|s|m))\.\.(?P<high>[0-9.]+(?:ms|s|m))", re.ASCII)
_LEAST_STATUS, _MOST_STATUS = 200, 599
_ROUNDING = 1e-9  # the sum of ten faults of 0.1 is slightly above 1


class Latency(msgspec.Struct, frozen=True):
    """Duration of a generation: `mean_s` seconds, plus or minus up to `spread_s`."""

    mean_s: float = 0.0
    spread_s: float = 0.0

    def at(self, share: float) -> float:
        """Return the seconds for a draw between 0 (shortest) and 1 (longest)."""
        return max(0.0, self.mean_s + self.spread_s * (2 * share - 1))


class SimulatorSettings(msgspec.Struct, frozen=True):
    """Everything that decides the simulator's answers.

    faults: the share of requests with each fault, as `parse_faults` returns it.
    work: how long a remote job takes: a video, music, a transcript.
    rpm: requests per minute of the token bucket; burst: its capacity, one second's requests
        if None. most_in_flight: concurrent requests; more get a 429.
    tell_limits: say in headers how long to wait and what is left.
    seed: of the draws of faults, latency and pictures.
    port: of the API; 0 takes a free one. The files have a free port of their own.
    api_keys: the valid keys; None accepts any key that is not empty.
    credit: generations until the credit is spent; balance_usd: balance in US dollars; None is
        unlimited.
    refuse_words: lowercase words in a prompt that the content policy refuses.
    fail_words: lowercase words in a prompt that make a remote job fail.
    url_lifetime_s: seconds until the URL of a file expires, None for never.
    honour_idempotency: repeat the answer for a repeated `Idempotency-Key`.
    """

    latency: Latency = Latency()
    work: Latency = Latency()
    faults: Mapping[str, float] = msgspec.field(default_factory=lambda: MappingProxyType({}))
    rpm: float | None = None
    burst: float | None = None
    most_in_flight: int | None = None
    tell_limits: bool = True
    seed: int = 0
    port: int = 0
    api_keys: frozenset[str] | None = None
    credit: int | None = None
    balance_usd: float | None = None
    refuse_words: frozenset[str] = frozenset({"forbidden-word"})
    fail_words: frozenset[str] = frozenset({"failing-word"})
    url_lifetime_s: float | None = None
    honour_idempotency: bool = True


def parse_latency(text: str) -> Latency:
    """Parse a latency such as `250ms`, `2s`, `2s±0.5` (`2s+-0.5`) or `30s..120s`.

    A spread without a unit has that of the mean. Raise UsageError if it cannot be parsed.
    """
    if span := _SPAN.fullmatch(text.replace(" ", "")):
        low, high = (parse_latency(span[end]).mean_s for end in ("low", "high"))
        if low > high:
            raise UsageError(f"in the latency {text!r} the shortest is more than the longest")
        return Latency((low + high) / 2, (high - low) / 2)
    found = _LATENCY.fullmatch(text.replace(" ", ""))
    if found is None:
        raise UsageError(
            f"{text!r} is not a latency; 250ms, 1.5s, 2s±0.5, 2s+-500ms and 30s..120s are"
        )
    unit = found["unit"]
    mean_s = float(found["mean"]) * _UNIT_S[unit]
    spread_s = float(found["spread"] or 0) * _UNIT_S[found["spread_unit"] or unit]
    if spread_s > mean_s:
        raise UsageError(f"in the latency {text!r} the part after ± is more than the part before")
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
    others = (FILE_FAULTS, POLL_FAULTS, WORK_FAULTS)
    for names in (set(faults).difference(*others), *others):
        total = sum(faults.get(name, 0) for name in names)
        if total > 1 + _ROUNDING:
            raise UsageError(f"the faults {text!r} add up to {total:g}; together they may be 1")
    return faults


def _fault_name(name: str) -> str:
    status = name.isascii() and name.isdecimal() and _LEAST_STATUS <= int(name) <= _MOST_STATUS
    if not status and name not in _NAMED_FAULTS:
        near = get_close_matches(name[:_LONGEST_NAME], (*_USUAL_STATUSES, *_NAMED_FAULTS), n=1)
        if near:
            raise UsageError(f"{name!r} is not a fault; did you mean {near[0]}?")
        statuses = f"an HTTP status from {_LEAST_STATUS} to {_MOST_STATUS}"
        known = ", ".join(_NAMED_FAULTS)
        raise UsageError(f"{name!r} is not a fault; {statuses} is, and {known}")
    return name


def _share(name: str, text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise UsageError(f"the fault {name} needs a share between 0 and 1, as in {name}=0.1")
    return share
