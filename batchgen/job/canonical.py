"""Encode values of jobs and rows as canonical JSON and as text; refuse what cannot be stored."""

import re
from collections.abc import Iterator
from math import isfinite
from typing import TypeAlias

import msgspec

from batchgen.text import one_line
from batchgen.types import Json

MAX_DEPTH = 64
_MAX_BITS = 14_000  # about 4,200 digits; Python formats numbers up to 4,300 digits

_KeyPath: TypeAlias = tuple[str, ...]
_encode = msgspec.json.Encoder(order="sorted").encode
_SURROGATE = re.compile("[\ud800-\udfff]")


class UnstorableError(ValueError):
    """A value that JSON, a file name or the ledger cannot store; the message says why."""


def canonical(value: Json) -> bytes:
    """Return the one JSON encoding of a value, with sorted names.

    Raise UnstorableError for NUL characters, which end a text in many tools; for lone surrogates,
    which UTF-8 cannot encode; for numbers that are not finite or have thousands of digits; and for
    nesting beyond MAX_DEPTH.
    """
    try:
        encoded = _encode(value)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        fault = next(_faults(value), "the value is not JSON")
        raise UnstorableError(fault) from error
    # Checking every value in detail would cost more than the rest of its row. Numbers that are not
    # finite are encoded as null.
    is_deep = len(encoded) > MAX_DEPTH and encoded.count(b"[") + encoded.count(b"{") > MAX_DEPTH
    if is_deep or b"\\u0000" in encoded or b"null" in encoded:
        for fault in _faults(value):
            raise UnstorableError(fault)
    return encoded


def as_text(value: Json) -> str:
    """Return a value as templates insert it: `true`, `1.5`, `1024x768`, JSON, empty for null."""
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
    """Return a value for a message: one line of at most 40 characters."""
    return one_line(repr(value), 40)


def _faults(value: Json) -> Iterator[str]:
    unchecked: list[tuple[_KeyPath, Json]] = [((), value)]
    while unchecked:
        path, item = unchecked.pop()
        if fault := _fault(item):
            yield f"{_format_path(path)} {fault}"
        if len(path) >= MAX_DEPTH:
            yield f"{_format_path(path[:1])} is nested more than {MAX_DEPTH} levels deep"
            return
        if isinstance(item, dict):
            yield from (
                f"{_format_path((*path, name))}: the name {_fault(name)}"
                for name in item
                if _fault(name)
            )
            unchecked += (((*path, name), inner) for name, inner in reversed(item.items()))
        elif isinstance(item, list):
            unchecked += (((*path, str(at)), inner) for at, inner in enumerate(item))


def _fault(value: Json) -> str | None:
    match value:
        case str():
            if "\0" in value:
                return f"has a NUL character at position {value.index(chr(0)) + 1}; remove it"
            if match := _SURROGATE.search(value):
                half = f"\\u{ord(match[0]):04x}"
                return f"has {half}, half of a surrogate pair and no character; remove it"
        case float() if not isfinite(value):
            return f"is {value}, which JSON cannot store; use a finite number"
        case int() if value.bit_length() > _MAX_BITS:
            return "is a number of thousands of digits; put it in quotes if it is text"
    return None


def _format_path(path: _KeyPath) -> str:
    return f"`{one_line(ascii('.'.join(path))[1:-1], 60)}`" if path else "the value"
