"""Values of jobs and rows as canonical JSON and as text; what nothing could keep is refused."""

import re
from collections.abc import Iterator
from math import isfinite
from typing import TypeAlias

import msgspec

from batchgen.text import one_line
from batchgen.types import Json

MAX_DEPTH = 64
_MOST_BITS = 14_000  # some 4,200 digits: Python writes no number beyond 4,300

_Place: TypeAlias = tuple[str, ...]
_encode = msgspec.json.Encoder(order="sorted").encode
_SURROGATE = re.compile("[\ud800-\udfff]")


class UnstorableError(ValueError):
    """A value that JSON, a file name or the ledger could not hold; the message says which."""


def canonical(value: Json) -> bytes:
    """The one JSON text of a value, names sorted.

    Raises UnstorableError for NUL characters, which end a text for many tools; for lone surrogates,
    which no UTF-8 can hold; for numbers that are not finite or have thousands of digits; and for
    nesting beyond MAX_DEPTH.
    """
    try:
        encoded = _encode(value)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        fault = next(_faults(value), "it is no JSON value")
        raise UnstorableError(fault) from error
    # A closer look at every value would cost more than the rest of its row. Numbers that are not
    # finite are encoded as null.
    deep = len(encoded) > MAX_DEPTH and encoded.count(b"[") + encoded.count(b"{") > MAX_DEPTH
    if deep or b"\\u0000" in encoded or b"null" in encoded:
        for fault in _faults(value):
            raise UnstorableError(fault)
    return encoded


def as_text(value: Json) -> str:
    """A value as templates show it: `true`, `1.5`, `1024x768`, lists as JSON, null as nothing."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case None:
            return ""
        case {"width": int(width), "height": int(height)}:
            return f"{width}x{height}"
        case int() | float():
            return str(value)
        case _:
            return _encode(value).decode()


def describe_value(value: Json) -> str:
    """A value as messages show it: one line of at most 40 characters."""
    return one_line(repr(value), 40)


def _faults(value: Json) -> Iterator[str]:
    waiting: list[tuple[_Place, Json]] = [((), value)]
    while waiting:
        place, one = waiting.pop()
        if fault := _fault(one):
            yield f"{_told(place)} {fault}"
        if len(place) >= MAX_DEPTH:
            yield f"{_told(place[:1])} is nested more than {MAX_DEPTH} levels deep"
            return
        if isinstance(one, dict):
            yield from (
                f"{_told((*place, name))}: the name {_fault(name)}" for name in one if _fault(name)
            )
            waiting += (((*place, name), inner) for name, inner in reversed(one.items()))
        elif isinstance(one, list):
            waiting += (((*place, str(at)), inner) for at, inner in enumerate(one))


def _fault(value: Json) -> str | None:
    match value:
        case str():
            if "\0" in value:
                return f"has a NUL character at position {value.index(chr(0)) + 1}; remove it"
            if found := _SURROGATE.search(value):
                half = f"\\u{ord(found[0]):04x}"
                return f"has {half}, half of a surrogate pair and no character; remove it"
        case float() if not isfinite(value):
            return f"is {value}, which no JSON can hold; give a number"
        case int() if value.bit_length() > _MOST_BITS:
            return "is a number of thousands of digits; put it in quotes if it is text"
    return None


def _told(place: _Place) -> str:
    return f"`{one_line(ascii('.'.join(place))[1:-1], 60)}`" if place else "the value"
