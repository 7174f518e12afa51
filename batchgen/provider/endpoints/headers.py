"""What the headers of a reply tell: its id, and how long to wait before the next request.

`Retry-After` is RFC 9110, 10.2.3; `retry-after-ms` and `x-ratelimit-*` are OpenAI's. The vendor
documents `x-inference-id` (https://docs.aimlapi.com, "Response headers") and no wait at all.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType

from batchgen.provider.endpoints.errors import tidy

_TOO_MANY = 429
_LONGEST_ID = 200
_LONGEST_WAIT = 64  # characters; what is longer is no number and no date
_UNITS_S = MappingProxyType({"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001})
_PARTS = re.compile(r"([0-9]+(?:\.[0-9]+)?)(h|ms|m|s)", re.ASCII)
_PLAIN = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+", re.ASCII)
_EPOCH = datetime.fromtimestamp(0, UTC)
_LONGEST_RESET_S = 86_400.0  # moments of the epoch are beyond it
_EPOCH_S = 1e9  # thirty years as a duration, the year 2001 as a moment


def request_id(headers: Mapping[str, str]) -> str | None:
    """The name under which the provider knows the request."""
    for name in ("x-inference-id", "x-request-id", "request-id"):
        if name in headers and (found := tidy(headers[name], _LONGEST_ID)):
            return found
    return None


def asked_wait_s(status: int | None, headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that the provider asks to wait, above 0; None where it asks nothing sensible.

    now: aware UTC. The reset times of the limits count on a 429 only: OpenAI sends them with
    every reply.
    """
    waits = _asked_waits(status, headers, now)
    return next((wait for wait in waits if wait is not None and wait > 0), None)


def _asked_waits(
    status: int | None, headers: Mapping[str, str], now: datetime
) -> Iterator[float | None]:
    milliseconds = _number(_short(headers, "retry-after-ms"))
    yield milliseconds / 1000 if milliseconds is not None else None
    after = _short(headers, "retry-after")
    yield _number(after)
    yield _until(after, now)
    if status != _TOO_MANY:
        return
    for what in ("-requests", "-tokens", ""):
        if headers.get(f"x-ratelimit-remaining{what}", "0").strip() == "0":
            yield _reset_s(_short(headers, f"x-ratelimit-reset{what}"), now)


def advertised_rate(headers: Mapping[str, str]) -> float | None:
    """Requests a second that `x-ratelimit-*` come to, on a reply that took the last one.

    OpenAI's reset is the time until the whole limit is there again, so that the limit over it is
    the rate; where a window ends then it is at least that. None where anything is missing.
    """
    for what in ("-requests", ""):
        if f"x-ratelimit-limit{what}" not in headers:
            continue
        remaining = _number(_short(headers, f"x-ratelimit-remaining{what}"))
        limit = _number(_short(headers, f"x-ratelimit-limit{what}"))
        reset_s = _reset_s(_short(headers, f"x-ratelimit-reset{what}"), _EPOCH)
        if remaining == 0 and limit and reset_s and 0 < reset_s <= _LONGEST_RESET_S:
            return limit / reset_s
    return None


def _short(headers: Mapping[str, str], name: str) -> str:
    text = headers.get(name, "").strip()
    return text if len(text) <= _LONGEST_WAIT else ""


def _number(text: str) -> float | None:
    return float(text) if _PLAIN.fullmatch(text) else None


def _until(text: str, now: datetime) -> float | None:
    """Seconds until an HTTP date (RFC 9110, 5.6.7)."""
    try:
        moment = parsedate_to_datetime(text)
        # `-0000` gives a naive date, which by RFC 5322 is UTC.
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (aware - now).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _reset_s(text: str, now: datetime) -> float | None:
    """Seconds until a limit resets: `6m0s`, `120ms`, plain seconds, or a moment of the epoch."""
    number = _number(text)
    if number is not None:
        if number < _EPOCH_S:
            return number
        moment = number / 1000 if number >= 1000 * _EPOCH_S else number
        return moment - now.timestamp()
    parts = _PARTS.findall(text)
    if not parts or "".join(amount + unit for amount, unit in parts) != text:
        return None
    return sum(float(amount) * _UNITS_S[unit] for amount, unit in parts)
