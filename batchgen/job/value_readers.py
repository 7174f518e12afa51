"""Readers of a job file's values: each checks one kind of value and has its JSON Schema."""

import re
from collections.abc import Callable, Mapping

import msgspec

from batchgen.text import did_you_mean, one_line, seconds
from batchgen.types import Json

_HEADER = re.compile(r"[A-Za-z0-9_-]+")
_MAX_NUMBER = 1e12  # beyond any rate or sum of money
_AMOUNT = r"[0-9]+(?:\.[0-9]+)?"
# The format of text.parse_duration.
_DURATION = rf"^(?=[0-9])(?:{_AMOUNT}h)?(?:{_AMOUNT}m)?(?:{_AMOUNT}s)?(?:{_AMOUNT}ms)?$"
_STATUS: list[Json] = [
    {"type": "integer", "minimum": 100, "maximum": 599},
    {"type": "string", "pattern": "^(?:[1-5][0-9]{2}|[1-5][xX]{2})$"},
]


class Reader(msgspec.Struct, frozen=True):
    """How a value is read, and its JSON Schema.

    read: raises ValueError with a message that says what would be valid.
    """

    read: Callable[[Json], Json]
    schema: Mapping[str, Json]

    def __call__(self, value: Json) -> Json:
        return self.read(value)


def _reads(**schema: Json) -> Callable[[Callable[[Json], Json]], Reader]:
    return lambda read: Reader(read, schema)


@_reads(type="string", minLength=1)
def text(value: Json) -> Json:
    """Read a non-empty text."""
    if isinstance(value, str) and value:
        return value
    raise ValueError(f"{describe(value)} is not a text; put it in quotes")


@_reads(type="boolean")
def flag(value: Json) -> Json:
    """Read true or false."""
    if isinstance(value, bool):
        return value
    raise ValueError(f"{describe(value)} is neither true nor false")


@_reads(anyOf=[{"const": False}, {"type": "string", "pattern": f"^{_HEADER.pattern}$"}])
def header(value: Json) -> Json:
    """Read the name of a header; empty for `off`, `none` or false, if none is to be sent."""
    if value is False or (isinstance(value, str) and value.lower() in ("none", "off")):
        return ""
    if isinstance(value, str) and _HEADER.fullmatch(value):
        return value
    raise ValueError(f"{describe(value)} is not a header's name such as Idempotency-Key, nor off")


@_reads(anyOf=[{"type": "number", "minimum": 0}, {"type": "string", "pattern": _DURATION}])
def duration(value: Json) -> Json:
    """Read a duration such as `1.5s`, `30m` or `2h`, or a number of seconds; return seconds."""
    return seconds(value)


@_reads(
    anyOf=[
        {"type": "number", "exclusiveMinimum": 0},
        {"type": "string", "pattern": _DURATION.replace("^", "^(?=.*[1-9])", 1)},
    ]
)
def positive_duration(value: Json) -> Json:
    """Read a duration above zero; return seconds."""
    if duration_s := seconds(value):
        return duration_s
    raise ValueError(f"{describe(value)} is not a duration above 0")


def integer(minimum: int, maximum: int = 2**31) -> Reader:
    """Return a reader of whole numbers within bounds."""

    @_reads(type="integer", minimum=minimum, maximum=maximum)
    def read(value: Json) -> Json:
        if isinstance(value, int) and not isinstance(value, bool) and minimum <= value <= maximum:
            return value
        upper = "" if maximum == 2**31 else f" to {maximum}"
        raise ValueError(f"{describe(value)} is not a whole number from {minimum}{upper or ' up'}")

    return read


@_reads(type="number", exclusiveMinimum=0, maximum=_MAX_NUMBER)
def number(value: Json) -> Json:
    """Read a number above zero."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= _MAX_NUMBER:
        return float(value)
    raise ValueError(f"{describe(value)} is not a number above 0, at most {_MAX_NUMBER:,.0f}")


@_reads(type="number", exclusiveMinimum=0, maximum=1)
def fraction(value: Json) -> Json:
    """Read a fraction above 0 and at most 1."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1:
        return float(value)
    raise ValueError(f"{describe(value)} is not a fraction such as 0.3 (above 0, at most 1)")


@_reads(type="number", exclusiveMinimum=0, maximum=_MAX_NUMBER)
def money(value: Json) -> Json:
    """Read an amount of US dollars, as a number."""
    try:
        return number(value)
    except ValueError:
        raise ValueError(
            f"{describe(value)} is not an amount of US dollars such as 20.00"
        ) from None


def one_of(*words: str) -> Reader:
    """Return a reader of one of these words."""

    @_reads(enum=list(words))
    def read(value: Json) -> Json:
        if value in words:
            return value
        hint = did_you_mean(str(value), words)
        raise ValueError(
            f"{describe(value)} is not one of {', '.join(words)}"
            + (f"; did you mean {hint}?" if hint else "")
        )

    return read


@_reads(type="object")
def mapping(value: Json) -> Json:
    """Read a mapping; its section checks the content."""
    if isinstance(value, dict):
        return value
    raise ValueError(f"{describe(value)} is not a mapping of keys to values")


@_reads(type="array")
def sequence(value: Json) -> Json:
    """Read a list; the caller checks the items."""
    if isinstance(value, list):
        return value
    raise ValueError(f"{describe(value)} is not a list")


@_reads(anyOf=[*_STATUS, {"type": "array", "minItems": 1, "items": {"anyOf": _STATUS}}])
def statuses(value: Json) -> Json:
    """Read a status, a class such as `5xx`, or a list of them; `read_rules` checks it."""
    return value


_FIELD = r"[^\s.{}/]+(?:\.[^\s.{}/]+)*"


@_reads(type="string", pattern=f"^{_FIELD}$")
def field(value: Json) -> Json:
    """Read the place of a value in a reply, such as `data.0.task_id`."""
    if isinstance(value, str) and re.fullmatch(_FIELD, value):
        return value
    raise ValueError(f"{describe(value)} is not a field of a reply such as data.0.task_id")


@_reads(anyOf=[{"type": "string", "minLength": 1}, {"type": "array", "items": {"type": "string"}}])
def words(value: Json) -> Json:
    """Read a word or a list of words; return the list."""
    listed: Json = [value] if isinstance(value, str) else value
    if isinstance(listed, list) and listed and all(isinstance(word, str) for word in listed):
        return listed
    raise ValueError(f"{describe(value)} is not a list of words such as [SUCCESS, DONE]")


def describe(value: Json) -> str:
    """Return a value as it looks in the job file, for messages."""
    return one_line(repr(value), 60)
