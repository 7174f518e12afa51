"""Text from a CSV cell or a `--set` flag, made into values; and values made to fit without loss."""

import msgspec

from batchgen.provider.catalog.parameter import SIDES, Form, Kind, is_input, is_reference, split_wxh
from batchgen.types import Json

_FLAGS = {"true": True, "false": False}


def text_value(text: str) -> Json:
    """The value of a text whose type nothing tells: JSON where it is JSON, or else the text.

    `42`, `1.5`, `true`, `null`, `[1]`, `{"a": 1}` and `"quoted"` are typed; `16:9`, `1024x768`,
    `007` and `NaN` stay text.
    """
    try:
        value: Json = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return text
    return value


def typed(text: str, forms: tuple[Form, ...]) -> Json:
    """The text as a value of one of the forms; the text itself where it is of none of them."""
    if _takes(forms, Kind.FLAG) and text.lower() in _FLAGS:
        return _FLAGS[text.lower()]
    value = coerce(text, forms)
    if value is text:
        value = coerce(text_value(text.strip()), forms)
    return value if any(_is_of(value, form) for form in forms) else text


def coerce(value: Json, forms: tuple[Form, ...]) -> Json:
    """The value in the type that the forms ask for, where nothing is lost by it.

    `2` becomes `"2"` for a list of texts, `1.0` becomes `1`, `"1024x768"` becomes sides, and a
    picture a list of one.
    """
    if type(value) is float and value.is_integer() and _takes(forms, Kind.WHOLE):
        return int(value)
    if type(value) is int and any(str(value) in form.enum for form in forms):
        return str(value)  # no form has both 2 and "2"
    if type(value) is str and value[:1] not in ("", "[") and _takes_pictures(forms):
        return [value]
    if is_reference(value) and _takes_pictures(forms):
        return [value]
    if type(value) is str and _takes(forms, Kind.SIDES) and (pair := split_wxh(value)):
        return dict(zip(SIDES, pair, strict=True))
    return value


def _takes(forms: tuple[Form, ...], kind: Kind) -> bool:
    return any(form.type is kind for form in forms)


def _takes_pictures(forms: tuple[Form, ...]) -> bool:
    """Whether a list of pictures is what is taken, and a single one is not."""
    several = any(form.items is not None and is_input(form.items) for form in forms)
    return several and not any(map(is_input, forms))


def _is_of(value: Json, form: Form) -> bool:
    match form.type:
        case Kind.WHOLE:
            return type(value) is int
        case Kind.NUMBER:
            return type(value) in (int, float)
        case Kind.LIST:
            return type(value) is list
        case Kind.RECORD | Kind.SIDES:
            return type(value) is dict
        case Kind.ANY:
            return True
        case Kind.TEXT | Kind.WXH | Kind.FLAG:
            return is_input(form) and is_reference(value)
