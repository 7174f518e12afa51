"""Durations and moments as providers write them in headers, fields and sentences. Pure."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType

_MAX_WIDTH = 64  # characters; no number and no date is longer
_MIN_EPOCH_S = 1e9  # thirty years as a duration, the year 2001 as a time since the epoch
_UNITS_S = MappingProxyType({"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001})
_UNIT = r"milliseconds?|millis|msecs?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d"
_AMOUNT = r"[0-9]{1,15}(?:\.[0-9]{1,15})?"
_PART = re.compile(rf"({_AMOUNT})\s*({_UNIT})(?![a-z])", re.IGNORECASE | re.ASCII)
_MORE = rf"[\s,]{{0,3}}(?:and\s)?{_AMOUNT}\s?(?:{_UNIT})(?![a-z])"
DURATION = (  # not the end of a longer number
    rf"(?<![0-9])(?<![0-9][.,]){_AMOUNT}\s?(?:{_UNIT})(?![a-z])(?:{_MORE}){{0,4}}"
)
_WHOLE = re.compile(rf"[~≈]?\s*{DURATION}", re.IGNORECASE | re.ASCII)
_ISO_DURATION = re.compile(
    r"P(?:([0-9]{1,3})D)?T(?:([0-9]{1,4})H)?(?:([0-9]{1,5})M)?(?:([0-9]{1,9}(?:\.[0-9]{1,9})?)S)?",
    re.IGNORECASE | re.ASCII,
)
_ISO_UNITS_S = (86_400.0, 3600.0, 60.0, 1.0)
_CLOCK = re.compile(r"([0-9]{1,3}):([0-9]{2}):([0-9]{2}(?:\.[0-9]{1,9})?)", re.ASCII)
_NAMED_UTC = re.compile(r"(?<=[0-9])\s?(?:UTC|GMT)$", re.IGNORECASE)
_PLAIN = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+", re.ASCII)


def read_number(text: str) -> float | None:
    """Return a plain number; None for any other text."""
    return float(text) if len(text) <= _MAX_WIDTH and _PLAIN.fullmatch(text) else None


def read_duration_s(text: str) -> float | None:
    """Return the seconds of a duration with units; None for other text.

    text: `6m0s`, `1900ms`, `1 minute and 3 seconds`, `PT1M30S` (ISO 8601) or `0:01:30`.
    """
    text = text.strip()
    if len(text) > _MAX_WIDTH:
        return None
    if _WHOLE.fullmatch(text):
        return sum(float(amount) * _UNITS_S[_unit(unit)] for amount, unit in _PART.findall(text))
    if (iso := _ISO_DURATION.fullmatch(text)) and any(iso.groups()):
        return sum(
            float(amount or 0) * unit_s
            for amount, unit_s in zip(iso.groups(), _ISO_UNITS_S, strict=True)
        )
    if clock := _CLOCK.fullmatch(text):
        return 3600 * float(clock[1]) + 60 * float(clock[2]) + float(clock[3])
    return None


def read_wait_s(text: str, now: datetime, *, unit_s: float = 1.0) -> float | None:
    """Return the seconds until the end of a wait; None for text that cannot be read.

    text: a number, a duration with units, seconds or milliseconds since the epoch, or a date.
    unit_s: what a number without a unit counts. now: aware.
    """
    text = text.strip()
    number = read_number(text)
    if number is not None:
        return until_epoch_s(number, now) if number >= _MIN_EPOCH_S else number * unit_s
    duration_s = read_duration_s(text)
    return read_until_s(text, now) if duration_s is None else duration_s


def until_epoch_s(number: float, now: datetime) -> float:
    """Return the seconds until a time since the epoch in seconds, milli- or microseconds."""
    while number >= 1000 * _MIN_EPOCH_S:
        number /= 1000
    return number - now.timestamp()


def read_until_s(text: str, now: datetime) -> float | None:
    """Return the seconds until an HTTP date (RFC 9110, 5.6.7) or an ISO 8601 one, else None."""
    if len(text) > _MAX_WIDTH:
        return None
    iso = _NAMED_UTC.sub("+00:00", text.strip())
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = parse(text if parse is parsedate_to_datetime else iso)
            # `-0000` gives a naive date, which is UTC by RFC 5322.
            aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return (aware - now).total_seconds()
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
    return None


def _unit(word: str) -> str:
    word = word.lower()
    return "ms" if word.startswith(("ms", "mil")) else word[0]
