"""The wait that a provider asks for in headers, and in fields of a JSON body. Pure.

`Retry-After` is RFC 9110, 10.2.3; `retry-after-ms` and `x-ratelimit-*` are OpenAI's; `RateLimit` is
the IETF draft "RateLimit header fields for HTTP"; `retryDelay` is google.rpc.RetryInfo.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from types import MappingProxyType

from batchgen.provider.endpoints.durations import read_number, read_wait_s, until_epoch_s
from batchgen.types import Json

_MAX_DEPTH = 8
_MAX_ITEMS = 50
_MIN_EPOCH = 1e9
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SEPARATORS = re.compile(r"[^a-z0-9]+")
_UNIT = (
    r"(?:_?(?:in_)?(?P<unit>ms|msecs?|millis|milliseconds|s|secs?|seconds|mins?|minutes|hours"
    r"|epoch|timestamp|ts|unix|utc|time|date))?"
)
_AFTER = r"(?:_?(?:after|in|at|on|for|until|delay|time|period|duration|wait|interval|backoff))"
_ASKS = re.compile(
    r"(?:[a-z0-9]+_){0,4}?(?:"
    rf"retry{_AFTER}{{1,2}}|try_?again{_AFTER}|(?:wait|cool_?down|back_?off|delay){_AFTER}?"
    rf"|(?:rate_?limit_?)?resets?{_AFTER}{{0,2}}"
    rf"|(?:available|unblock(?:ed)?|unlocks?|renews?|refills?){_AFTER}"
    r"|estimated_time|next_?(?:available|allowed|request|retry|reset|attempt|try)(?:_allowed|_available)?"
    rf"{_AFTER}?|(?P<before>seconds|secs|ms|milliseconds|minutes|time)_?(?:until|to|before|till)_?"
    r"(?:wait|retry|resets?|next|available|refill)(?:_[a-z]+)?"
    rf"){_UNIT}"
)
_NO_WAIT = re.compile(
    r"(?:^|_)(?:max|maximum|min|default|no|total|average|avg|last|can|should|is|queue|elapsed"
    r"|processing)_"
)
_ASKING_HEADER = re.compile(r"retry|again|back-?off|cool-?down")
_ASKS_TO_POLL = re.compile(
    r"(?:retry_?(?:after|in)|poll(?:ing)?_?(?:after|in|interval|delay)"
    r"|next_?poll(?:_?(?:after|in|at))?|check_?(?:after|again_?(?:in|after)|back_?in))" + _UNIT
)
_UNITS_S = MappingProxyType({"m": 60.0, "h": 3600.0})
_LIMIT_RESET = re.compile(r"rate-?limit.*reset|reset.*rate-?limit")
_RESET_FORM = re.compile(r"(?<=reset)-(?:after|in|at|on|time|ms|milliseconds|s|seconds)$")
_FIRST_PART = re.compile(r"(?:in )?([^,;]+)")
_REMAINING = re.compile(r"\b(?:r|remaining)\s*=\s*([0-9]{1,12})\b", re.ASCII)
_RESET = re.compile(r"\b(?:t|reset)\s*=\s*([0-9]{1,12})\b", re.ASCII)


def header_waits(headers: Mapping[str, str], now: datetime) -> Iterator[float | None]:
    """Yield the waits of `Retry-After` and of headers with a similar name."""
    for name in ("retry-after-ms", "retry-after"):
        yield _wait_of(name, headers.get(name, ""), now)
    for name, value in headers.items():
        if _ASKING_HEADER.search(name):
            yield _wait_of(name, value, now)


def reset_waits(headers: Mapping[str, str], now: datetime) -> tuple[float | None, float | None]:
    """Return the longest time until a limit resets: of those used up, and of those not known to be.

    A limit is used up if its `remaining` is 0; if that is above 0, the limit is left out.
    """
    used_up: list[float] = []
    unknown: list[float] = []
    for remaining, reset_s in (*_resets(headers, now), *_standard_resets(headers, now)):
        if reset_s is not None and reset_s > 0 and not (remaining or 0) > 0:
            (unknown if remaining is None else used_up).append(reset_s)
    return max(used_up, default=None), max(unknown, default=None)


def field_waits(value: Json, now: datetime, depth: int = 0) -> Iterator[float | None]:
    """Yield the waits in fields of a body such as `retryDelay` and `retry_after`, at any depth."""
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, list):
        for item in value[:_MAX_ITEMS]:
            yield from field_waits(item, now, depth + 1)
    if not isinstance(value, dict):
        return
    for name, inner in list(value.items())[:_MAX_ITEMS]:
        field = _snake(name)
        if "reset" not in field or not _is_left(value.get("remaining")):
            yield _wait_of(name, inner, now)
        yield from field_waits(inner, now, depth + 1)


def inner_headers(value: Json, depth: int = 0) -> Iterator[Mapping[str, str]]:
    """Yield the headers of a reply that a gateway repeats in its own, as `metadata.headers`."""
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, list):
        for item in value[:_MAX_ITEMS]:
            yield from inner_headers(item, depth + 1)
    if isinstance(value, dict):
        for name, inner in list(value.items())[:_MAX_ITEMS]:
            if "headers" in name.lower() and isinstance(inner, dict):
                yield {key.lower(): _text(text) for key, text in inner.items()}
            else:
                yield from inner_headers(inner, depth + 1)


def poll_waits(value: Json, now: datetime) -> Iterator[float | None]:
    """Yield the waits until the next poll in the outer fields of a reply about a remote job."""
    places = (value, value.get("data")) if isinstance(value, dict) else ()
    for place in places:
        if isinstance(place, dict):
            for name, inner in place.items():
                if match := _ASKS_TO_POLL.fullmatch(_snake(name)):
                    yield _read(inner, _unit_s(match["unit"]), now)


def _wait_of(name: str, value: Json, now: datetime) -> float | None:
    """Return the wait of a field whose name asks for one."""
    snake = _snake(name)
    match = _ASKS.fullmatch(snake)
    if match is None or _NO_WAIT.search(snake):
        return None
    return _read(value, _unit_s(match["unit"] or match["before"]), now)


def _snake(name: str) -> str:
    if len(name) > 60:  # noqa: PLR2004  # no name of a field is longer
        return ""
    return _SEPARATORS.sub("_", _CAMEL.sub("_", name).lower()).strip("_")


def _unit_s(unit: str | None) -> float:
    if unit and unit.startswith(("ms", "mil")):
        return 0.001
    return _UNITS_S.get((unit or "")[:1], 1.0)


def _read(value: Json, unit_s: float, now: datetime) -> float | None:
    match value:
        case bool():
            pass
        case int() | float():
            is_epoch = value >= _MIN_EPOCH
            return until_epoch_s(min(value, 1e30), now) if is_epoch else value * unit_s
        case str():
            return _read_text(value.strip(" \"'"), unit_s, now)
        case [str() as single]:
            return _read_text(single, unit_s, now)
        case {"seconds": int() | float() | str() as seconds, **rest}:  # google.protobuf.Duration
            whole, nanos = _read(seconds, 1.0, now), rest.get("nanos")
            return (whole or 0.0) + (nanos / 1e9 if isinstance(nanos, int) else 0.0)
    return None


def _read_text(text: str, unit_s: float, now: datetime) -> float | None:
    wait_s = read_wait_s(text, now, unit_s=unit_s)
    if wait_s is None and (part := _FIRST_PART.match(text)):  # `2, 2`: the field was sent twice
        return read_wait_s(part[1], now, unit_s=unit_s)
    return wait_s


def _is_left(remaining: Json) -> bool:
    number = read_number(remaining.strip()) if isinstance(remaining, str) else remaining
    return isinstance(number, int | float) and number > 0


def _text(value: Json) -> str:
    return _text(value[0]) if isinstance(value, list) and value else str(value)


def _resets(
    headers: Mapping[str, str], now: datetime
) -> Iterator[tuple[float | None, float | None]]:
    """Yield what remains of each limit in `x-ratelimit-*`, and the seconds until it resets."""
    for name, value in headers.items():
        if not _LIMIT_RESET.search(name):
            continue
        unit_s = 0.001 if name.endswith(("-ms", "-milliseconds")) else 1.0
        remaining = headers.get(_RESET_FORM.sub("", name).replace("reset", "remaining"), "")
        left = [read_number(part.strip()) for part in remaining.split(",")]
        resets = [read_wait_s(part, now, unit_s=unit_s) for part in value.split(",")]
        if len(left) == len(resets) > 1:  # one for each window, as in `0, 5` and `2, 60`
            yield from zip(left, resets, strict=True)
        else:
            exhausted = 0.0 if remaining.strip().startswith("-") else left[0]
            yield exhausted, read_wait_s(value, now, unit_s=unit_s)


def _standard_resets(
    headers: Mapping[str, str], now: datetime
) -> Iterator[tuple[float | None, float | None]]:
    """Yield the same of `RateLimit: limit=5, remaining=0, reset=30` and `"x";r=0;t=30, "y";…`."""
    value = headers.get("ratelimit", "")[:1000]
    for item in value.split(",") if ";" in value else (value,):
        remaining, reset = _REMAINING.search(item), _RESET.search(item)
        if reset is not None:
            yield float(remaining[1]) if remaining else None, read_wait_s(reset[1], now)
