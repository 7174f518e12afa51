"""What a model's inputs are, and a row for it that passes its checks."""

from functools import cache

from batchgen.provider.catalog.load import OPENAI, models
from batchgen.provider.catalog.model import Model
from batchgen.provider.catalog.parameter import SIDES, Form, Kind, Parameter, is_id, is_input
from batchgen.types import Json

PICTURE = "https://example.com/photo.png"
_FILE = "input.wav"
_PROMPT = "A lighthouse at dawn"


def inputs(model: Model) -> tuple[str, ...]:
    """The parameters that take pictures and other files, by their URL or their path."""
    parameters = model.parameters if model.edit is None else model.edit.parameters
    return tuple(
        name
        for name, parameter in parameters.items()
        if any(_is_input(form) for form in parameter.all_forms)
    )


def upload_form(model: Model, name: str) -> Form | None:
    """The form of a file under that name, where not every URL or file will do; else None."""
    forms = model.parameters[name].all_forms
    flat = [one for form in forms for one in (form, form.items) if one is not None]
    return next((form for form in flat if form.file or form.media), None)


def is_upload_id(model: Model, name: str, text: str) -> bool:
    """Whether a text is the id of an upload, where the parameter takes such besides files."""
    parameter = model.parameters.get(name)
    return parameter is not None and any(is_id(form, text) for form in parameter.forms)


@cache
def input_names() -> frozenset[str]:
    """The parameters of any model that take pictures."""
    return frozenset(
        name for table in (models(), models(OPENAI)) for model in table for name in inputs(model)
    )


def example(model: Model) -> dict[str, Json]:
    """A small row: the model, a prompt where it takes one, what it needs, and its size."""
    row: dict[str, Json] = {"model": model.id}
    if model.prompt is not None:
        row["prompt"] = _PROMPT
    for name, parameter in model.parameters.items():
        if parameter.required:
            row[name] = _value(parameter)
    if model.one_of:
        first = model.one_of[0]
        row.setdefault(first, _value(model.parameters[first]))
    if size := next((key for key in model.size_keys if model.parameters[key].forms), None):
        row.setdefault(size, _value(model.parameters[size]))
    return row


def _value(parameter: Parameter) -> Json:
    if parameter.default is not None:
        return parameter.default
    return _of_form((parameter.forms or parameter.all_forms)[0])


def _of_form(form: Form) -> Json:  # noqa: PLR0911 - a return for each kind
    least = int(form.minimum or 1)
    if form.enum:
        return form.enum[0]
    match form.type:
        case Kind.FLAG:
            return True
        case Kind.WHOLE | Kind.NUMBER:
            return least
        case Kind.LIST:
            return [_of_form(form.items)] * max(1, form.min_items) if form.items else []
        case Kind.RECORD:
            return {name: _of_form(form.fields[name]) for name in form.needs}
        case Kind.SIDES:
            return dict.fromkeys(SIDES, least)
        case Kind.WXH:
            return f"{least}x{least}"
        case Kind.TEXT:
            return _FILE if form.file else PICTURE if form.uri else _text(form)
        case Kind.ANY:
            return {}


def _text(form: Form) -> str:
    return "text" if form.min_chars <= len("text") else _PROMPT[: form.max_chars]


def _is_input(form: Form) -> bool:
    return is_input(form) or (form.items is not None and is_input(form.items))
