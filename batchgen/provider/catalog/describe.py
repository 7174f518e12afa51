"""Messages about values: what is wrong, and what would be right."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from json import dumps

from batchgen.provider.catalog.parameter import (
    SIDES,
    Form,
    Kind,
    Scalar,
    acceptor,
    any_of,
    is_input,
    side,
    split_wxh,
)
from batchgen.text import show_bytes
from batchgen.types import Json

_LONGEST_VALUE = 48
_LONGEST_LIST = 14
_JSON_TYPES: dict[type, frozenset[Kind]] = {
    str: frozenset({Kind.TEXT, Kind.WXH}),
    bool: frozenset({Kind.FLAG}),
    int: frozenset({Kind.WHOLE, Kind.NUMBER}),
    float: frozenset({Kind.WHOLE, Kind.NUMBER}),
    list: frozenset({Kind.LIST}),
    dict: frozenset({Kind.RECORD, Kind.SIDES}),
}


def shown(value: Json) -> str:
    """The value as a person would write it, cut where it is long."""
    text = value if isinstance(value, str) else repr(value)
    if isinstance(value, (bool, list, dict)):
        text = dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def listed(values: Iterable[Scalar]) -> str:
    """The values in one line, the first dozen where there are many."""
    texts = [shown(value) for value in values]
    if len(texts) <= _LONGEST_LIST:
        return ", ".join(texts)
    return f"{', '.join(texts[: _LONGEST_LIST - 2])}, … ({len(texts)} values)"


def meant(word: str, words: Iterable[str]) -> str:
    """`; did you mean ...?` where one of the words is close, or else nothing."""
    by_fold = {known.casefold(): known for known in words}
    close = get_close_matches(word[:_LONGEST_VALUE].casefold(), by_fold, n=1, cutoff=0.7)
    return f"; did you mean `{by_fold[close[0]]}`?" if close else ""


def describe(forms: tuple[Form, ...]) -> str:
    """What the forms take, as the end of "it takes ..."."""
    return " or ".join(_described(form) for form in forms) or "nothing"


def size_advice(own: Mapping[str, tuple[Form, ...]], params: Mapping[str, Json]) -> str:
    """How a size is given; `own`: the model's own parameters for it, and what they take."""
    if not own:
        return "its size cannot be chosen"
    given = [key for key in own if params.get(key) is not None]
    if given:
        return f"`{given[0]}` sets its size already"
    width, height = (shown(params.get(name)) for name in SIDES)
    if params.keys() >= set(SIDES) and tuple(own) == ("image_size",):
        return f"its size is set by `image_size: {{width: {width}, height: {height}}}`"
    if params.keys() >= set(SIDES) and tuple(own) == ("size",):
        return f"its size is set by `size: {width}x{height}`"
    ways = [f"`{key}`: {describe(forms)}" for key, forms in own.items()]
    return f"its size is set by {' and '.join(ways)}"


def fault(path: str, value: Json, forms: tuple[Form, ...], model: str) -> str:
    """Why the value has none of the forms, and what would be right; `path` names the field."""
    kinds = _JSON_TYPES.get(type(value), frozenset())
    near = [form for form in forms if form.type in kinds]
    if not near:
        return _type_fault(path, value, forms, model)
    pair = split_wxh(value) if isinstance(value, str) else None
    wxh = next((form for form in near if form.type is Kind.WXH), None)
    if pair and wxh:
        return _pair_fault(path, pair, wxh, model)
    if near[0].enum:
        return _foreign(path, value, forms, model)
    match near[0].type:
        case Kind.SIDES:
            return _sides_fault(path, value, near[0], model)
        case Kind.LIST | Kind.RECORD:
            return _inner_fault(path, value, near[0], model)
        case _:
            return _plain_fault(path, value, near[0], forms, model)


def _described(form: Form) -> str:  # noqa: PLR0911 - a return for each kind
    if form.enum:
        return listed(form.enum)
    match form.type:
        case Kind.FLAG:
            return "true or false"
        case Kind.WHOLE | Kind.NUMBER:
            return _span(form) or ("a whole number" if form.type is Kind.WHOLE else "a number")
        case Kind.TEXT:
            return _text(form)
        case Kind.SIDES:
            return f"{{width, height}}{_in_brackets(form)}"
        case Kind.WXH:
            return f"WIDTHxHEIGHT{_in_brackets(form)}"
        case Kind.LIST:
            items = f" {_inputs(form.items)}" if form.items and is_input(form.items) else ""
            return f"a list of {_item_range(form)}{items}"
        case Kind.RECORD:
            return f"{{{', '.join(form.fields)}}}"
        case Kind.ANY:
            return "any value"


def _file(form: Form) -> str:
    if not form.media:
        return "the path of a file" + (", or the id of an upload" if form.ids else "")
    kinds = "/".join(one.rpartition("/")[2] for one in form.media)
    return f"a file ({kinds}, at most {show_bytes(form.max_bytes or 0)})"


def _inputs(form: Form) -> str:
    return "files" if form.file else "URLs or files"


def _text(form: Form) -> str:
    if form.file:
        return _file(form)
    if form.uri:
        return "a URL or a file"
    span = _range(form.min_chars or None, form.max_chars)
    return f"text of {span} characters" if span else "text"


def _each_side(form: Form) -> str:
    step = f"multiples of {form.multiple_of}" if form.multiple_of else ""
    span = _range(form.minimum, form.maximum)
    return ", ".join(part for part in (span, step) if part) or "whole numbers"


def _in_brackets(form: Form) -> str:
    ratio = f", at most {form.max_ratio:g}:1" if form.max_ratio else ""
    area = f", at most {form.max_pixels} pixels" if form.max_pixels else ""
    return f" ({_each_side(form)}{ratio}{area})"


def _item_range(form: Form) -> str:
    return _range(form.min_items or None, form.max_items) or "any number"


def _span(form: Form) -> str:
    span = _range(form.minimum, form.maximum)
    return f"a whole number, {span}" if form.type is Kind.WHOLE and span else span


def _range(low: float | None, high: float | None) -> str:
    if high is None:
        return f"{low:.10g} or more" if low is not None else ""
    if low is None:
        return f"at most {high:.10g}"
    return f"{low:.10g}" if low == high else f"{low:.10g} to {high:.10g}"


def _type_fault(path: str, value: Json, forms: tuple[Form, ...], model: str) -> str:
    if type(value) is int and any(str(value) in form.enum for form in forms):
        return f"`{path}` is the number {value}; {model} takes it as text: '{value}'"
    kind = "the text " if isinstance(value, str) else ""
    return f"`{path}` is {kind}{shown(value)}; {model} takes {describe(forms)}"


def _foreign(path: str, value: Json, forms: tuple[Form, ...], model: str) -> str:
    allowed = [choice for form in forms for choice in form.enum]
    others = tuple(form for form in forms if not form.enum)
    if len(allowed) == 1:
        return f"`{path}` is {shown(value)}; {model} takes {describe(forms)}"
    rest = f", nor {describe(others)}" if others else ""
    hint = meant(value, map(str, allowed)) if isinstance(value, str) else ""
    return f"`{path}` {shown(value)} is not one of {listed(allowed)}{rest}{hint}"


def _plain_fault(path: str, value: Json, form: Form, forms: tuple[Form, ...], model: str) -> str:
    if isinstance(value, str) and (form.max_chars is not None or form.min_chars):
        span = _range(form.min_chars or None, form.max_chars)
        return f"`{path}` is {len(value)} characters; {model} takes {span}"
    if isinstance(value, str) and form.file:
        return f"`{path}` {shown(value)} is a URL; {model} takes {describe(forms)}: download it"
    span = _range(form.minimum, form.maximum)
    if isinstance(value, (int, float)) and span and _is_outside(value, form):
        return f"`{path}` is {shown(value)}; {model} takes {span}"
    return f"`{path}` is {shown(value)}; {model} takes {describe(forms)}"


def _is_outside(value: float, form: Form) -> bool:
    low, high = form.minimum, form.maximum
    return (low is not None and value < low) or (high is not None and value > high)


def _pair_fault(path: str, pair: tuple[int, int], form: Form, model: str) -> str:
    for name, number in zip(SIDES, pair, strict=True):
        if not acceptor(side(form))(number):
            return _side_fault(path, name, number, form=form, model=model)
    size = f"{pair[0]}x{pair[1]}"
    return f"`{path}` {size} has the wrong shape; {model} takes {describe((form,))}"


def _sides_fault(path: str, value: Json, form: Form, model: str) -> str:
    sides = value if isinstance(value, dict) else {}
    fits = acceptor(side(form))
    for name, number in sides.items():
        if name in SIDES and not fits(number):
            return _side_fault(path, name, number, form=form, model=model)
    return f"`{path}` is {shown(value)}; {model} takes {describe((form,))}"


def _side_fault(path: str, name: str, value: Json, *, form: Form, model: str) -> str:
    if type(value) is int and not _is_outside(value, form):
        right = " or ".join(map(str, _neighbours(value, form)))
        step = form.multiple_of
        return f"`{path}` {name} {value} is not a multiple of {step}; {right} are"
    return f"`{path}` {name} is {shown(value)}; {model} takes {_each_side(form)}"


def _neighbours(value: int, form: Form) -> list[int]:
    step = form.multiple_of or 1
    below = value - value % step
    return [number for number in (below, below + step) if not _is_outside(number, form)]


def _inner_fault(path: str, value: Json, form: Form, model: str) -> str:
    inner = _list_items(path, value, form) if isinstance(value, list) else []
    if isinstance(value, dict):
        inner = [
            (f"{path}.{name}", item, (form.fields[name],))
            for name, item in value.items()
            if name in form.fields
        ]
    for inner_path, item, forms in inner:
        if not any_of(forms)(item):
            return fault(inner_path, item, forms, model)
    if isinstance(value, list):
        return f"`{path}` has {len(value)} items; {model} takes {_item_range(form)}"
    return _field_fault(path, value, form, model)


def _list_items(
    path: str, value: list[Json], form: Form
) -> list[tuple[str, Json, tuple[Form, ...]]]:
    if form.items is None:
        return []
    return [(f"{path}[{index}]", item, (form.items,)) for index, item in enumerate(value)]


def _field_fault(path: str, value: Json, form: Form, model: str) -> str:
    names = value.keys() if isinstance(value, dict) else set()
    missing = [name for name in form.needs if name not in names]
    if missing:
        return f"`{path}` has no `{missing[0]}`; {model} takes {describe((form,))}"
    extra = next((name for name in names if name not in form.fields), "")
    return f"`{path}.{shown(extra)}` is not known; {model} takes {describe((form,))}"
