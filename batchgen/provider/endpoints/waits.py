"""The wait that a provider asks for: in headers, in fields of the body, in the words of a message.

`Retry-After` is RFC 9110, 10.2.3; `retry-after-ms` and `x-ratelimit-*` are OpenAI's; `RateLimit` is
the IETF draft "RateLimit header fields for HTTP"; `retryDelay` is google.rpc.RetryInfo. The vendor
documents no wait.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime

from batchgen.provider.endpoints.durations import (
    DURATION,
    read_duration_s,
    read_number,
    read_reset_s,
    read_until_s,
)
from batchgen.provider.endpoints.errors import read_error, read_json
from batchgen.provider.endpoints.topics import plain_text
from batchgen.types import HttpResponse, Json

_TOO_MANY = 429
_LIMITED = frozenset({_TOO_MANY, 503, 529})
_MAX_DEPTH = 6
_MAX_ITEMS = 20
_MAX_S = 31 * 86_400.0  # beyond a month it is no wait
_FIELDS = {  # fields of a body, and how many seconds one of their numbers stands for
    **dict.fromkeys(("retrydelay", "retryafter", "retryafterseconds", "retryafters"), 1.0),
    **dict.fromkeys(("retryin", "waittime", "waitseconds", "wait", "resetafter", "resetin"), 1.0),
    **dict.fromkeys(("resetat", "resetsat", "resettime"), 1.0),
    **dict.fromkeys(("retryat", "ratelimitreset", "secondsuntilreset", "cooldown"), 1.0),
    **dict.fromkeys(("retryafterms", "waitms", "retrydelayms", "resetafterms"), 0.001),
}
_NAME = re.compile(r"[^a-z]")
_REMAINING = re.compile(r"\b(?:r|remaining)=([0-9]{1,12})\b", re.ASCII)
_RESET = re.compile(r"\b(?:t|reset)=([0-9]{1,9})\b", re.ASCII)
_WORDS = re.compile(
    r"\b(?:try(?:ing)? (?:it |this |your request )?again|retry(?:ing)?|wait|resets?|available"
    rf"|come back|again)\b[^.;0-9]{{0,40}}?(?:~\s*)?(?P<wait>{DURATION})"
)
_BARE = re.compile(r"\bretry[ _-]?after[\s:=]+(?P<wait>[0-9]+(?:\.[0-9]+)?)(?![0-9a-z/%-])")
_MOMENT = re.compile(
    r"\b(?:try again|retry|resets?|reset|available)\b[^.;0-9]{0,30}?"
    r"(?P<wait>20[0-9]{2}-[0-9]{2}-[0-9]{2}[t ][0-9:.]+(?:z|[+-][0-9:]{5})?)"
)


def requested_wait_s(reply: HttpResponse, now: datetime, status: int | None = None) -> float | None:
    """Return the seconds that the provider asks to wait, above 0; None if it does not ask.

    now: aware UTC. status: that of an error inside a 2xx reply. Reset times of limits are read if
    the reply refuses for its rate: OpenAI sends them with every reply. Bodies of 2xx replies
    without an error are not read: they hold prompts.
    """
    status = reply.status if status is None else status
    waits = _of_headers(reply.headers, now, limited=status == _TOO_MANY)
    if status in _LIMITED or status >= 400:  # noqa: PLR2004  # errors
        waits = [*waits, *_of_body(reply, now, limited=status in _LIMITED)]
    return next((wait for wait in waits if wait is not None and 0 < wait <= _MAX_S), None)


def _of_headers(headers: Mapping[str, str], now: datetime, *, limited: bool) -> list[float | None]:
    milliseconds = read_number(headers.get("retry-after-ms", "").strip())
    after = headers.get("retry-after", "").strip()
    waits = [
        None if milliseconds is None else milliseconds / 1000,
        read_number(after),
        read_duration_s(after),
        read_until_s(after, now) if after and read_number(after.lstrip("-")) is None else None,
        read_duration_s(headers.get("x-ratelimit-reset-after", "")),
        read_number(headers.get("x-ratelimit-reset-after", "").strip()),
    ]
    return [*waits, _exhausted_s(headers, now)] if limited else waits


def _exhausted_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the reset time of the limits that are used up; the longest if there are several."""
    resets: dict[bool, list[float]] = {True: [], False: []}
    for name, value in headers.items():
        if "ratelimit" not in name or "reset" not in name:
            continue
        remaining = headers.get(name.replace("reset", "remaining"), "").strip()
        reset_s = read_reset_s(value, now)
        if reset_s is not None and reset_s > 0 and read_number(remaining) in (None, 0.0):
            resets[remaining != ""].append(reset_s)
    found = resets[True] or resets[False] or list(_standard_resets(headers))
    return max(found, default=None)


def _standard_resets(headers: Mapping[str, str]) -> Iterator[float]:
    """Yield the reset times of `RateLimit: limit=5, remaining=0, reset=30` and `"x";r=0;t=30`."""
    value = headers.get("ratelimit", "")
    remaining, reset = _REMAINING.search(value), _RESET.search(value)
    if reset is not None and (remaining is None or remaining[1] == "0"):
        yield float(reset[1])


def _of_body(reply: HttpResponse, now: datetime, *, limited: bool) -> Iterator[float | None]:
    try:
        value = read_json(reply.body)
    except ValueError:
        value = None
    yield from _of_fields(value, now, 0)
    if limited:
        yield _of_inner_headers(value, now)
    yield from _of_words(plain_text(read_error(reply).message), now)


def _of_fields(value: Json, now: datetime, depth: int) -> Iterator[float | None]:
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, list):
        for item in value[:_MAX_ITEMS]:
            yield from _of_fields(item, now, depth + 1)
    if isinstance(value, dict):
        for name, inner in value.items():
            unit_s = _FIELDS.get(_NAME.sub("", name.lower()))
            if unit_s is not None:
                yield _of_field(inner, unit_s, now)
            yield from _of_fields(inner, now, depth + 1)


def _of_field(value: Json, unit_s: float, now: datetime) -> float | None:
    match value:
        case bool():
            return None
        case int() | float():
            wait_s = read_reset_s(f"{value:f}".rstrip("0").rstrip("."), now)
            return None if wait_s is None else wait_s * unit_s
        case str():
            number = read_number(value.strip())
            return read_reset_s(value, now) if number is None else number * unit_s
        case {"seconds": int() | float() as seconds, **rest}:  # google.protobuf.Duration
            nanos = rest.get("nanos")
            return seconds + (nanos / 1e9 if isinstance(nanos, int) else 0.0)
        case _:
            return None


def _of_inner_headers(value: Json, now: datetime) -> float | None:
    """Return the wait in `error.metadata.headers` (OpenRouter), which are those of a provider."""
    body: Json = value[0] if isinstance(value, list) and value else value
    error = body.get("error", body) if isinstance(body, dict) else None
    metadata = error.get("metadata") if isinstance(error, dict) else None
    inner = metadata.get("headers") if isinstance(metadata, dict) else None
    if not isinstance(inner, dict):
        return None
    headers = {name.lower(): str(text) for name, text in inner.items()}
    waits = _of_headers(headers, now, limited=True)
    return next((wait for wait in waits if wait is not None and wait > 0), None)


def _of_words(text: str, now: datetime) -> Iterator[float | None]:
    for pattern in (_WORDS, _BARE):
        if match := pattern.search(text):
            yield read_reset_s(match["wait"], now)
    if match := _MOMENT.search(text):
        yield read_until_s(match["wait"].replace(" ", "T").upper(), now)
