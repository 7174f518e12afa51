"""Request id, requested wait and rate limit from the headers of replies.

`Retry-After` is RFC 9110, 10.2.3; `retry-after-ms` and `x-ratelimit-*` are OpenAI's. The vendor
documents `x-inference-id` (https://docs.aimlapi.com, "Response headers") and no wait.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType

from batchgen.provider.endpoints.errors import sanitize

_TOO_MANY = 429
_MAX_ID_WIDTH = 200
_MAX_VALUE_WIDTH = 64  # characters; no number and no date is longer
_UNITS_S = MappingProxyType({"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001})
_PARTS = re.compile(r"([0-9]+(?:\.[0-9]+)?)(h|ms|m|s)", re.ASCII)
_PLAIN = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+", re.ASCII)
_EPOCH = datetime.fromtimestamp(0, UTC)
_MAX_RESET_S = 86_400.0  # times since the epoch are larger
_MIN_EPOCH_S = 1e9  # thirty years as a duration, the year 2001 as a time since the epoch


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the provider's id of the request; None if there is none."""
    for name in ("x-inference-id", "x-request-id", "request-id"):
        if name in headers and (value := sanitize(headers[name], _MAX_ID_WIDTH)):
            return value
    return None


def requested_wait_s(status: int | None, headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds that the provider asks to wait, above 0; None if it does not ask.

    now: aware UTC. The reset times of the limits are read on a 429 only: OpenAI sends them with
    every reply.
    """
    waits = _requested_waits(status, headers, now)
    return next((wait for wait in waits if wait is not None and wait > 0), None)


def _requested_waits(
    status: int | None, headers: Mapping[str, str], now: datetime
) -> Iterator[float | None]:
    milliseconds = _number(_short(headers, "retry-after-ms"))
    yield milliseconds / 1000 if milliseconds is not None else None
    after = _short(headers, "retry-after")
    yield _number(after)
    yield _until(after, now)
    if status != _TOO_MANY:
        return
    for suffix in ("-requests", "-tokens", ""):
        if headers.get(f"x-ratelimit-remaining{suffix}", "0").strip() == "0":
            yield _reset_s(_short(headers, f"x-ratelimit-reset{suffix}"), now)


def advertised_rate(headers: Mapping[str, str]) -> float | None:
    """Return the requests per second of `x-ratelimit-*`, from a reply that used the last request.

    OpenAI's reset is the time until the whole limit is available again, so the rate is the limit
    divided by it; with a fixed window the rate is at least that. None if a header is missing.
    """
    for suffix in ("-requests", ""):
        if f"x-ratelimit-limit{suffix}" not in headers:
            continue
        remaining = _number(_short(headers, f"x-ratelimit-remaining{suffix}"))
        limit = _number(_short(headers, f"x-ratelimit-limit{suffix}"))
        reset_s = _reset_s(_short(headers, f"x-ratelimit-reset{suffix}"), _EPOCH)
        if remaining == 0 and limit and reset_s and 0 < reset_s <= _MAX_RESET_S:
            return limit / reset_s
    return None


def _short(headers: Mapping[str, str], name: str) -> str:
    text = headers.get(name, "").strip()
    return text if len(text) <= _MAX_VALUE_WIDTH else ""


def _number(text: str) -> float | None:
    return float(text) if _PLAIN.fullmatch(text) else None


def _until(text: str, now: datetime) -> float | None:
    """Return the seconds until an HTTP date (RFC 9110, 5.6.7); None for other text."""
    try:
        parsed = parsedate_to_datetime(text)
        # `-0000` gives a naive date, which is UTC by RFC 5322.
        aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
        return (aware - now).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _reset_s(text: str, now: datetime) -> float | None:
    """Return the seconds until a limit resets; None for text that cannot be read.

    text: `6m0s`, `120ms`, plain seconds, or seconds or milliseconds since the epoch.
    """
    number = _number(text)
    if number is not None:
        if number < _MIN_EPOCH_S:
            return number
        epoch_s = number / 1000 if number >= 1000 * _MIN_EPOCH_S else number
        return epoch_s - now.timestamp()
    parts = _PARTS.findall(text)
    if not parts or "".join(amount + unit for amount, unit in parts) != text:
        return None
    return sum(float(amount) * _UNITS_S[unit] for amount, unit in parts)
