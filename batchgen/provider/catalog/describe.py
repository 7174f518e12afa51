"""Descriptions of parameters, and messages about values that a model does not accept."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from json import dumps

from batchgen.provider.catalog.parameter import (
    SIDES,
    Form,
    Scalar,
    ValueType,
    acceptor,
    any_of,
    is_input,
    side,
    split_wxh,
)
from batchgen.text import show_bytes
from batchgen.types import Json

_MAX_VALUE_WIDTH = 48
_MAX_LISTED = 14
_JSON_TYPES: dict[type, frozenset[ValueType]] = {
    str: frozenset({ValueType.TEXT, ValueType.WXH}),
    bool: frozenset({ValueType.BOOLEAN}),
    int: frozenset({ValueType.INTEGER, ValueType.NUMBER}),
    float: frozenset({ValueType.INTEGER, ValueType.NUMBER}),
    list: frozenset({ValueType.LIST}),
    dict: frozenset({ValueType.RECORD, ValueType.SIDES}),
}


def format_value(value: Json) -> str:
    """Format a value as a person would write it, shortened to 48 characters."""
    text = value if isinstance(value, str) else repr(value)
    if isinstance(value, (bool, list, dict)):
        text = dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_VALUE_WIDTH else text[: _MAX_VALUE_WIDTH - 1] + "…"


def format_values(values: Iterable[Scalar]) -> str:
    """Join the values in one line; of more than 14, only the first dozen."""
    texts = [format_value(value) for value in values]
    if len(texts) <= _MAX_LISTED:
        return ", ".join(texts)
    return f"{', '.join(texts[: _MAX_LISTED - 2])}, … ({len(texts)} values)"


def suggestion(word: str, words: Iterable[str]) -> str:
    """Return `; did you mean ...?` if one of the words is similar, else an empty string."""
    by_fold = {known.casefold(): known for known in words}
    close = get_close_matches(word[:_MAX_VALUE_WIDTH].casefold(), by_fold, n=1, cutoff=0.7)
    return f"; did you mean `{by_fold[close[0]]}`?" if close else ""


def describe(forms: tuple[Form, ...]) -> str:
    """Return the accepted values as words that can follow "it takes"."""
    return " or ".join(_describe_form(form) for form in forms) or "nothing"


def size_advice(size_forms: Mapping[str, tuple[Form, ...]], params: Mapping[str, Json]) -> str:
    """Return how to set the size of a model's output.

    size_forms: the model's size parameters, each with the forms that it accepts.
    """
    if not size_forms:
        return "its size cannot be chosen"
    present = [key for key in size_forms if params.get(key) is not None]
    if present:
        return f"`{present[0]}` already sets the size"
    width, height = (format_value(params.get(name)) for name in SIDES)
    if params.keys() >= set(SIDES) and tuple(size_forms) == ("image_size",):
        return f"set the size with `image_size: {{width: {width}, height: {height}}}`"
    if params.keys() >= set(SIDES) and tuple(size_forms) == ("size",):
        return f"set the size with `size: {width}x{height}`"
    ways = [f"`{key}`: {describe(forms)}" for key, forms in size_forms.items()]
    return f"set the size with {' and '.join(ways)}"


def describe_mismatch(path: str, value: Json, forms: tuple[Form, ...], model: str) -> str:
    """Return why a model does not accept a value, and what it accepts.

    path: the field, such as `image_size.width` or `images[2]`.
    """
    types = _JSON_TYPES.get(type(value), frozenset())
    candidates = [form for form in forms if form.type in types]
    if not candidates:
        return _type_mismatch(path, value, forms, model)
    pair = split_wxh(value) if isinstance(value, str) else None
    wxh = next((form for form in candidates if form.type is ValueType.WXH), None)
    if pair and wxh:
        return _wxh_mismatch(path, pair, wxh, model)
    if candidates[0].enum:
        return _enum_mismatch(path, value, forms, model)
    match candidates[0].type:
        case ValueType.SIDES:
            return _sides_mismatch(path, value, candidates[0], model)
        case ValueType.LIST | ValueType.RECORD:
            return _inner_mismatch(path, value, candidates[0], model)
        case _:
            return _limit_mismatch(path, value, candidates[0], forms, model)


def _describe_form(form: Form) -> str:  # noqa: PLR0911 - one return per type
    if form.enum:
        return format_values(form.enum)
    match form.type:
        case ValueType.BOOLEAN:
            return "true or false"
        case ValueType.INTEGER | ValueType.NUMBER:
            return _number_range(form) or (
                "a whole number" if form.type is ValueType.INTEGER else "a number"
            )
        case ValueType.TEXT:
            return _describe_text(form)
        case ValueType.SIDES:
            return f"{{width, height}}{_size_limits(form)}"
        case ValueType.WXH:
            return f"WIDTHxHEIGHT{_size_limits(form)}"
        case ValueType.LIST:
            items = f" {_item_kind(form.items)}" if form.items and is_input(form.items) else ""
            return f"a list of {_item_range(form)}{items}"
        case ValueType.RECORD:
            return f"{{{', '.join(form.fields)}}}"
        case ValueType.ANY:
            return "any value"


def _describe_file(form: Form) -> str:
    if not form.media:
        return "the path of a file" + (", or the id of an upload" if form.ids else "")
    subtypes = "/".join(mime.rpartition("/")[2] for mime in form.media)
    return f"a file ({subtypes}, at most {show_bytes(form.max_bytes or 0)})"


def _item_kind(form: Form) -> str:
    return "files" if form.file else "URLs or files"


def _describe_text(form: Form) -> str:
    if form.file:
        return _describe_file(form)
    if form.uri:
        return "a URL or a file"
    length = _range(form.min_chars or None, form.max_chars)
    return f"text of {length} characters" if length else "text"


def _side_limits(form: Form) -> str:
    step = f"multiples of {form.multiple_of}" if form.multiple_of else ""
    span = _range(form.minimum, form.maximum)
    return ", ".join(part for part in (span, step) if part) or "whole numbers"


def _size_limits(form: Form) -> str:
    ratio = f", at most {form.max_ratio:g}:1" if form.max_ratio else ""
    area = f", at most {form.max_pixels} pixels" if form.max_pixels else ""
    return f" ({_side_limits(form)}{ratio}{area})"


def _item_range(form: Form) -> str:
    return _range(form.min_items or None, form.max_items) or "any number"


def _number_range(form: Form) -> str:
    span = _range(form.minimum, form.maximum)
    is_range = form.type is ValueType.INTEGER and span and form.minimum != form.maximum
    return f"a whole number, {span}" if is_range else span


def _range(low: float | None, high: float | None) -> str:
    if high is None:
        return f"{low:.10g} or more" if low is not None else ""
    if low is None:
        return f"at most {high:.10g}"
    return f"{low:.10g}" if low == high else f"{low:.10g} to {high:.10g}"


def _type_mismatch(path: str, value: Json, forms: tuple[Form, ...], model: str) -> str:
    if type(value) is int and any(str(value) in form.enum for form in forms):
        return f"`{path}` is the number {value}; {model} takes it as text: '{value}'"
    prefix = "the text " if isinstance(value, str) else ""
    return f"`{path}` is {prefix}{format_value(value)}; {model} takes {describe(forms)}"


def _enum_mismatch(path: str, value: Json, forms: tuple[Form, ...], model: str) -> str:
    allowed = [choice for form in forms for choice in form.enum]
    others = tuple(form for form in forms if not form.enum)
    if len(allowed) == 1:
        return f"`{path}` is {format_value(value)}; {model} takes {describe(forms)}"
    alternative = f" or {describe(others)}" if others else ""
    hint = suggestion(value, map(str, allowed)) if isinstance(value, str) else ""
    return (
        f"`{path}` {format_value(value)} is not one of {format_values(allowed)}{alternative}{hint}"
    )


def _limit_mismatch(path: str, value: Json, form: Form, forms: tuple[Form, ...], model: str) -> str:
    if isinstance(value, str) and (form.max_chars is not None or form.min_chars):
        span = _range(form.min_chars or None, form.max_chars)
        return f"`{path}` is {len(value)} characters; {model} takes {span}"
    if isinstance(value, str) and form.file:
        accepted = describe(forms)
        return (
            f"`{path}` {format_value(value)} is a URL; {model} takes {accepted}; download it first"
        )
    span = _range(form.minimum, form.maximum)
    if isinstance(value, (int, float)) and span and _is_outside(value, form):
        return f"`{path}` is {format_value(value)}; {model} takes {span}"
    return f"`{path}` is {format_value(value)}; {model} takes {describe(forms)}"


def _is_outside(value: float, form: Form) -> bool:
    low, high = form.minimum, form.maximum
    return (low is not None and value < low) or (high is not None and value > high)


def _wxh_mismatch(path: str, pair: tuple[int, int], form: Form, model: str) -> str:
    for name, number in zip(SIDES, pair, strict=True):
        if not acceptor(side(form))(number):
            return _side_mismatch(path, name, number, form=form, model=model)
    size = f"{pair[0]}x{pair[1]}"
    return f"`{path}` {size} has a wrong aspect ratio or area; {model} takes {describe((form,))}"


def _sides_mismatch(path: str, value: Json, form: Form, model: str) -> str:
    sides = value if isinstance(value, dict) else {}
    fits = acceptor(side(form))
    for name, number in sides.items():
        if name in SIDES and not fits(number):
            return _side_mismatch(path, name, number, form=form, model=model)
    return f"`{path}` is {format_value(value)}; {model} takes {describe((form,))}"


def _side_mismatch(path: str, name: str, value: Json, *, form: Form, model: str) -> str:
    if type(value) is int and not _is_outside(value, form):
        multiples = " or ".join(map(str, _nearest_multiples(value, form)))
        step = form.multiple_of
        return f"`{path}` {name} {value} is not a multiple of {step}; use {multiples}"
    return f"`{path}` {name} is {format_value(value)}; {model} takes {_side_limits(form)}"


def _nearest_multiples(value: int, form: Form) -> list[int]:
    step = form.multiple_of or 1
    below = value - value % step
    return [number for number in (below, below + step) if not _is_outside(number, form)]


def _inner_mismatch(path: str, value: Json, form: Form, model: str) -> str:
    parts = _list_items(path, value, form) if isinstance(value, list) else []
    if isinstance(value, dict):
        parts = [
            (f"{path}.{name}", item, (form.fields[name],))
            for name, item in value.items()
            if name in form.fields
        ]
    for inner_path, item, forms in parts:
        if not any_of(forms)(item):
            return describe_mismatch(inner_path, item, forms, model)
    if isinstance(value, list):
        return f"`{path}` has {len(value)} items; {model} takes {_item_range(form)}"
    return _field_mismatch(path, value, form, model)


def _list_items(
    path: str, value: list[Json], form: Form
) -> list[tuple[str, Json, tuple[Form, ...]]]:
    if form.items is None:
        return []
    return [(f"{path}[{index}]", item, (form.items,)) for index, item in enumerate(value)]


def _field_mismatch(path: str, value: Json, form: Form, model: str) -> str:
    names = value.keys() if isinstance(value, dict) else set()
    missing = [name for name in form.needs if name not in names]
    if missing:
        return f"`{path}` has no `{missing[0]}`; {model} takes {describe((form,))}"
    extra = next((name for name in names if name not in form.fields), "")
    return f"`{path}.{format_value(extra)}` is unknown; {model} takes {describe((form,))}"
