"""The file inputs of a model, and an example row that passes its checks."""

from functools import cache

from batchgen.provider.catalog.load import OPENAI, models
from batchgen.provider.catalog.model import Model
from batchgen.provider.catalog.parameter import (
    SIDES,
    Form,
    Parameter,
    ValueType,
    is_id,
    is_input,
)
from batchgen.types import Json

IMAGE_URL = "https://example.com/photo.png"
_FILE = "input.wav"
_PROMPT = "A lighthouse at dawn"


def inputs(model: Model) -> tuple[str, ...]:
    """Return the parameters that accept images and other files, by URL or path."""
    parameters = model.parameters if model.edit is None else model.edit.parameters
    return tuple(
        name
        for name, parameter in parameters.items()
        if any(_is_input(form) for form in parameter.all_forms)
    )


def upload_form(model: Model, name: str) -> Form | None:
    """Return the form with the limits of the files under that name; None if it has no limits."""
    forms = model.parameters[name].all_forms
    with_items = [each for form in forms for each in (form, form.items) if each is not None]
    return next((form for form in with_items if form.file or form.media), None)


def is_upload_id(model: Model, name: str, text: str) -> bool:
    """Return whether a parameter accepts ids of uploads and the text is one."""
    parameter = model.parameters.get(name)
    return parameter is not None and any(is_id(form, text) for form in parameter.forms)


@cache
def input_names() -> frozenset[str]:
    """Return the names of all parameters, of any model, that accept files."""
    return frozenset(
        name for table in (models(), models(OPENAI)) for model in table for name in inputs(model)
    )


def example(model: Model) -> dict[str, Json]:
    """Return a small row: the model, its prompt if it takes one, required parameters, the size."""
    row: dict[str, Json] = {"model": model.id}
    if model.prompt is not None:
        row["prompt"] = _PROMPT
    for name, parameter in model.parameters.items():
        if parameter.required:
            row[name] = _value(parameter)
    if model.one_of:
        name = model.one_of[0]
        row.setdefault(name, _value(model.parameters[name]))
    if size := next((key for key in model.size_keys if model.parameters[key].forms), None):
        row.setdefault(size, _value(model.parameters[size]))
    return row


def _value(parameter: Parameter) -> Json:
    if parameter.default is not None:
        return parameter.default
    return _form_value((parameter.forms or parameter.all_forms)[0])


def _form_value(form: Form) -> Json:  # noqa: PLR0911 - one return per type
    minimum = int(form.minimum or 1)
    if form.enum:
        return form.enum[0]
    match form.type:
        case ValueType.BOOLEAN:
            return True
        case ValueType.INTEGER | ValueType.NUMBER:
            return minimum
        case ValueType.LIST:
            return [_form_value(form.items)] * max(1, form.min_items) if form.items else []
        case ValueType.RECORD:
            return {name: _form_value(form.fields[name]) for name in form.needs}
        case ValueType.SIDES:
            return dict.fromkeys(SIDES, minimum)
        case ValueType.WXH:
            return f"{minimum}x{minimum}"
        case ValueType.TEXT:
            return _FILE if form.file else IMAGE_URL if form.uri else _text(form)
        case ValueType.ANY:
            return {}


def _text(form: Form) -> str:
    return "text" if form.min_chars <= len("text") else _PROMPT[: form.max_chars]


def _is_input(form: Form) -> bool:
    return is_input(form) or (form.items is not None and is_input(form.items))
