"""Format and parse text for people: durations, money, sizes, rates, single lines."""

import difflib
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec

from batchgen.types import Json

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_DURATION = re.compile(
    rf"(?:({_NUMBER})h)?(?:({_NUMBER})m)?(?:({_NUMBER})s)?(?:({_NUMBER})ms)?", re.ASCII
)
_UNIT_S = (3600.0, 60.0, 1.0, 0.001)
_EXAMPLES = "50ms, 1.5s, 30m, 2h and 1h30m are durations"
_MAX_S = 100 * 365 * 86_400.0  # timers overflow beyond it
_MINUTE = 60
_HOUR = 60
_TWO_DAYS = 48  # hours; longer durations are shown without minutes
_KILO = 1000
_MIN_MONEY = 0.00005  # less would be shown as $0.0000
_MAX_WORD_LENGTH = 64
_CONTROL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]|\r(?!\n)"
)


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as `50ms`, `1.5s`, `30m`, `2h` or `1h30m`.

    Raises ValueError with a message that says what would be valid.
    """
    match = _DURATION.fullmatch(text.strip())
    parts = match.groups() if match else ()
    if not any(parts):
        raise ValueError(_not_a_duration(text))
    total = sum(float(part) * unit for part, unit in zip(parts, _UNIT_S, strict=True) if part)
    return _bounded(total, text)


def seconds(value: Json) -> float:
    """Return the seconds of a number, or of a text in the format of `parse_duration`.

    Raises ValueError with a message that says what would be valid.
    """
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _bounded(value, str(value))
    raise ValueError(_not_a_duration(str(value)))


def _bounded(duration_s: float, text: str) -> float:
    if not 0 <= duration_s <= _MAX_S:
        raise ValueError(
            f"the duration {one_line(text, 40)!r} is not between 0 and 100 years; {_EXAMPLES}"
        )
    return float(duration_s)


def _not_a_duration(text: str) -> str:
    line = one_line(text, 40)
    if re.fullmatch(_NUMBER, line):
        return f"the duration {line!r} has no unit; write {line}s, {line}m or {line}h"
    return f"{line!r} is not a duration; {_EXAMPLES}"


def show_duration(duration_s: float) -> str:
    """Format a duration in at most two units: `50 ms`, `12.4 s`, `5 min 03 s`, `2 h 05 min`."""
    duration_s = max(duration_s, 0.0)
    if 0 < round(duration_s * _KILO) < _KILO:
        return f"{round(duration_s * _KILO)} ms"
    if round(duration_s, 1) < _MINUTE:
        return f"{duration_s:.1f}".removesuffix(".0") + " s"
    minutes, rest_s = divmod(round(duration_s), 60)
    if minutes < _HOUR:
        return f"{minutes} min {rest_s:02} s"
    hours, minutes = divmod(round(duration_s / 60), 60)
    if hours < _TWO_DAYS:
        return f"{hours} h {minutes:02} min"
    days, hours = divmod(round(duration_s / 3600), 24)
    return f"{days} d {hours:02} h"


def show_money(usd: float | None) -> str:
    """Format US dollars: `$1.24`, `$0.026` (up to four decimals below a dollar), `unknown`."""
    if usd is None:
        return "unknown"
    if usd < 0:
        return f"-{show_money(-usd)}"
    if 0 < usd < _MIN_MONEY:
        return "under $0.0001"
    if usd >= 1 or not usd:
        return f"${usd:,.2f}"
    whole, _, decimals = f"{usd:.4f}".partition(".")
    return f"${whole}.{decimals[:2]}{decimals[2:].rstrip('0')}"


def show_bytes(size_bytes: int) -> str:
    """Format a size in decimal units: `312 B`, `4.6 kB`, `1.2 GB`."""
    if size_bytes < _KILO:
        return f"{size_bytes} B"
    size = size_bytes / _KILO
    for unit in ("kB", "MB", "GB"):
        if round(size, 1) < _KILO:
            return f"{size:.1f} {unit}"
        size /= _KILO
    return f"{size:,.1f} TB"


def show_count(number: int) -> str:
    """Format a count with thousands separators: `1,234,567`."""
    return f"{number:,}"


def show_rate(per_s: float) -> str:
    """Format a rate in the smallest unit with a value of at least 1: `4.1/s`, `12.0/min`."""
    for unit, factor in (("s", 1), ("min", 60)):
        if per_s * factor >= 1:
            return f"{per_s * factor:,.1f}/{unit}"
    return f"{per_s * 3600:.1f}/h"


def one_line(text: str, width: int) -> str:
    """Return a text as one line of at most `width` characters, cut with `…`.

    All characters that control a terminal (escapes, bidirectional overrides, line separators)
    become spaces, and several spaces become one.
    """
    head = text[: 8 * width]  # a prompt may have megabytes; only its beginning is needed
    line = " ".join("".join(c if c.isprintable() else " " for c in head).split())
    if len(line) <= width and len(head) == len(text):
        return line
    return line[: width - 1].rstrip() + "…"


def printable(text: str) -> str:
    r"""Return a text whose control characters are escapes of JSON, such as `\u001b`.

    Tabs and ends of lines stay. Controls are those of ASCII and Latin-1, the line separators, and
    the characters that change the direction of text: a terminal obeys all of them.
    """
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


class Field(msgspec.Struct, frozen=True):
    """A part of a status line; if the line is too long, the highest rank is dropped first."""

    rank: int
    text: str


def fit(fields: Sequence[Field], width: int) -> str:
    """Join the fields that fit into `width` characters, in the given order."""
    kept = list(fields)
    while len(kept) > 1 and len(_joined(kept)) > width:
        kept.remove(max(kept, key=lambda field: field.rank))
    return one_line(_joined(kept), width)


def _joined(fields: Sequence[Field]) -> str:
    return ", ".join(field.text for field in fields)


def did_you_mean(word: str, candidates: Iterable[str], *, nearness: float = 0.6) -> str | None:
    """Return the candidate that was probably meant, ignoring case; None if none is similar.

    nearness: the minimum similarity, from 0 (any word) to 1 (the same word).
    """
    by_folded = {candidate.casefold(): candidate for candidate in candidates}
    # The comparison is quadratic in the length; all names here are shorter than the limit.
    near = difflib.get_close_matches(word.casefold()[:_MAX_WORD_LENGTH], by_folded, 1, nearness)
    return by_folded[near[0]] if near else None


_encode = msgspec.json.Encoder().encode


def utc_isoformat(moment: datetime) -> str:
    """Return the `isoformat` of a time in UTC, in a third of the time that `isoformat` takes.

    A time without a zone, as another tool may have stored it, is regarded as UTC.
    """
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return _encode(moment)[1:-2].decode() + "+00:00"
