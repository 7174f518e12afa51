"""The part of JSON Schema that the vendor's specs use, and its validation.

The messages are those of the vendor's validator (https://docs.aimlapi.com, "Errors and messages").
"""

import re
from collections.abc import Iterator, Mapping
from typing import TypeAlias

import msgspec

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
JsonObject: TypeAlias = dict[str, Json]
Scalar: TypeAlias = bool | int | float | str

# The specs say `uri`; their descriptions also allow base64.
_URI = re.compile(r"(?:https?://|data:)\S+|[A-Za-z0-9+/=_-]{16,}", re.ASCII)
_SIZE = re.compile(r"([0-9]{1,5})x([0-9]{1,5})", re.ASCII)


class Schema(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """One schema; `sides` (minimum, maximum) is not JSON Schema: a size that only prose limits."""

    type: str | None = None
    enum: tuple[Scalar, ...] = ()
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    multiple_of: int | None = None
    min_length: int = 0
    max_length: int | None = None
    format: str | None = None
    sides: tuple[int, int] | None = None
    items: "Schema | None" = None
    min_items: int = 0
    max_items: int | None = None
    properties: Mapping[str, "Schema"] = {}
    required: frozenset[str] = frozenset()
    any_of: tuple["Schema", ...] = ()
    default: Scalar | None = None


def type_of(value: Json) -> str:
    """Return the JSON type of a value; a whole number is an `integer`, `1.0` too."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "integer" if value == value // 1 else "number"
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "object"


def problems(value: Json, schema: Schema, path: str) -> Iterator[str]:
    """Yield every problem of a value as `path: problem, expectation`; path: of the value."""
    value_type = type_of(value)
    if schema.any_of:
        yield from _nearest(value, schema, path)
    elif value is None and schema.nullable:
        return
    elif schema.type not in (None, value_type) and (schema.type, value_type) != (
        "number",
        "integer",
    ):
        yield f"{path}: Expected {schema.type}, received {value_type}"
    elif schema.enum and value not in schema.enum:
        allowed = " | ".join(map(repr, schema.enum))
        yield f"{path}: Invalid enum value. Expected {allowed}, received {value!r:.80}"
    else:
        yield from _inside(value, schema, path)


def _nearest(value: Json, schema: Schema, path: str) -> Iterator[str]:
    """Yield no problems if any form fits, else those of the last form of the same type.

    The last form is from the older spec, which mostly allows more.
    """
    by_form = [list(problems(value, form, path)) for form in schema.any_of]
    if all(by_form):
        same_type = [
            messages
            for form, messages in zip(schema.any_of, by_form, strict=True)
            if form.type == type_of(value)
        ]
        yield from (same_type or by_form)[-1]


def _inside(value: Json, schema: Schema, path: str) -> Iterator[str]:
    match value:
        case bool():
            return
        case int() | float():
            yield from _number(value, schema, path)
        case str():
            yield from _string(value, schema, path)
        case list():
            yield from _array(value, schema, path)
        case dict():
            yield from _object(value, schema, path)


def _number(value: float, schema: Schema, path: str) -> Iterator[str]:
    if schema.minimum is not None and value < schema.minimum:
        yield f"{path}: Number must be greater than or equal to {schema.minimum:g}"
    if schema.maximum is not None and value > schema.maximum:
        yield f"{path}: Number must be less than or equal to {schema.maximum:g}"
    if schema.multiple_of and value % schema.multiple_of:
        yield f"{path}: Number must be a multiple of {schema.multiple_of}"


def _string(value: str, schema: Schema, path: str) -> Iterator[str]:
    if len(value) < schema.min_length:
        yield f"{path}: String must contain at least {schema.min_length} character(s)"
    if schema.max_length is not None and len(value) > schema.max_length:
        yield f"{path}: String must contain at most {schema.max_length} character(s)"
    if schema.format == "uri" and not _URI.fullmatch(value):
        yield f"{path}: Invalid url, received {value!r:.80}"
    if schema.sides and not _size_within(value, *schema.sides):
        low, high = schema.sides
        yield f"{path}: Must be between [{low}x{low}, {high}x{high}], received {value!r:.80}"


def _size_within(value: str, low: int, high: int) -> bool:
    match = _SIZE.fullmatch(value)
    return match is not None and all(low <= int(side) <= high for side in match.groups())


def _array(value: list[Json], schema: Schema, path: str) -> Iterator[str]:
    if len(value) < schema.min_items:
        yield f"{path}: Array must contain at least {schema.min_items} element(s)"
    if schema.max_items is not None and len(value) > schema.max_items:
        yield f"{path}: Array must contain at most {schema.max_items} element(s)"
    if schema.items is not None:
        for index, item in enumerate(value):
            yield from problems(item, schema.items, f"{path}.{index}")


def _object(value: dict[str, Json], schema: Schema, path: str) -> Iterator[str]:
    prefix = f"{path}." if path else ""
    for name in sorted(schema.required - value.keys()):
        yield f"{prefix}{name}: Required"
    for name, inner in value.items():
        if name in schema.properties:
            yield from problems(inner, schema.properties[name], f"{prefix}{name}")
    unknown = ", ".join(repr(name) for name in value if name not in schema.properties)
    if unknown and schema.properties:
        known = ", ".join(schema.properties)
        yield f"{path or 'body'}: Unrecognized key(s) in object: {unknown:.200}; it has {known}"
