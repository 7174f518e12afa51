"""Conversion of text and values to the types that a model's parameters have, without loss."""

import msgspec

from batchgen.provider.catalog.parameter import (
    SIDES,
    Form,
    ValueType,
    is_input,
    is_reference,
    split_wxh,
)
from batchgen.types import Json

_BOOLEANS = {"true": True, "false": False}


def text_value(text: str) -> Json:
    """Parse a text of unknown type as JSON; return the text itself if it is not JSON.

    `42`, `1.5`, `true`, `null`, `[1]`, `{"a": 1}` and `"quoted"` are typed; `16:9`, `1024x768`,
    `007` and `NaN` stay text.
    """
    try:
        value: Json = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return text
    return value


def parse_as(text: str, forms: tuple[Form, ...]) -> Json:
    """Parse a text as a value of one of the forms; return the text itself if no form fits."""
    if _takes(forms, ValueType.BOOLEAN) and text.lower() in _BOOLEANS:
        return _BOOLEANS[text.lower()]
    value = coerce(text, forms)
    if value is text:
        value = coerce(text_value(text.strip()), forms)
    return value if any(_has_type(value, form) for form in forms) else text


def coerce(value: Json, forms: tuple[Form, ...]) -> Json:
    """Convert a value to the type that the forms require, if the conversion loses nothing.

    `2` becomes `"2"` if the forms list texts, `1.0` becomes `1`, `"1024x768"` becomes a width and
    a height, and a single image becomes a list.
    """
    if type(value) is float and value.is_integer() and _takes(forms, ValueType.INTEGER):
        return int(value)
    if type(value) is int and any(str(value) in form.enum for form in forms):
        return str(value)  # no form has both 2 and "2"
    if type(value) is str and value[:1] not in ("", "[") and _takes_image_list(forms):
        return [value]
    if is_reference(value) and _takes_image_list(forms):
        return [value]
    if type(value) is str and _takes(forms, ValueType.SIDES) and (pair := split_wxh(value)):
        return dict(zip(SIDES, pair, strict=True))
    return value


def _takes(forms: tuple[Form, ...], value_type: ValueType) -> bool:
    return any(form.type is value_type for form in forms)


def _takes_image_list(forms: tuple[Form, ...]) -> bool:
    """Return whether the forms accept a list of files and not a single file."""
    takes_list = any(form.items is not None and is_input(form.items) for form in forms)
    return takes_list and not any(map(is_input, forms))


def _has_type(value: Json, form: Form) -> bool:
    match form.type:
        case ValueType.INTEGER:
            return type(value) is int
        case ValueType.NUMBER:
            return type(value) in (int, float)
        case ValueType.LIST:
            return type(value) is list
        case ValueType.RECORD | ValueType.SIDES:
            return type(value) is dict
        case ValueType.ANY:
            return True
        case ValueType.TEXT | ValueType.WXH | ValueType.BOOLEAN:
            return is_input(form) and is_reference(value)
