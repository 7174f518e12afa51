"""Durations and moments as providers write them in headers, fields and sentences. Pure."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType

_MAX_WIDTH = 64  # characters; no number and no date is longer
_MIN_EPOCH_S = 1e9  # thirty years as a duration, the year 2001 as a time since the epoch
_UNITS_S = MappingProxyType({"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001})
_UNIT = r"milliseconds?|millis|msecs?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d"
_AMOUNT = r"[0-9]+(?:\.[0-9]+)?"
_PART = re.compile(rf"({_AMOUNT})\s*({_UNIT})(?![a-z])", re.IGNORECASE | re.ASCII)
DURATION = (
    rf"{_AMOUNT}\s*(?:{_UNIT})(?![a-z])(?:[\s,]*(?:and\s+)?{_AMOUNT}\s*(?:{_UNIT})(?![a-z]))*"
)
_WHOLE = re.compile(rf"~?\s*{DURATION}", re.IGNORECASE | re.ASCII)
_PLAIN = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+", re.ASCII)


def read_number(text: str) -> float | None:
    """Return a plain number; None for any other text."""
    return float(text) if _PLAIN.fullmatch(text) else None


def read_duration_s(text: str) -> float | None:
    """Return the seconds of `6m0s`, `1900ms` or `1 minute and 3 seconds`; None for other text."""
    if len(text) > _MAX_WIDTH or not _WHOLE.fullmatch(text.strip()):
        return None
    return sum(float(amount) * _UNITS_S[_unit(unit)] for amount, unit in _PART.findall(text))


def read_reset_s(text: str, now: datetime) -> float | None:
    """Return the seconds until a limit resets; None for text that cannot be read.

    text: a duration, plain seconds, seconds or milliseconds since the epoch, or a date. now: aware.
    """
    text = text.strip()
    if len(text) > _MAX_WIDTH:
        return None
    number = read_number(text)
    if number is None:
        duration_s = read_duration_s(text)
        return read_until_s(text, now) if duration_s is None else duration_s
    if number < _MIN_EPOCH_S:
        return number
    epoch_s = number / 1000 if number >= 1000 * _MIN_EPOCH_S else number
    return epoch_s - now.timestamp()


def read_until_s(text: str, now: datetime) -> float | None:
    """Return the seconds until an HTTP date (RFC 9110, 5.6.7) or an ISO 8601 one, else None."""
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = parse(text)
            # `-0000` gives a naive date, which is UTC by RFC 5322.
            aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return (aware - now).total_seconds()
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
    return None


def _unit(word: str) -> str:
    word = word.lower()
    return "ms" if word.startswith(("ms", "mil")) else word[0]
