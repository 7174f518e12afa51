"""From a row's fields to a draft of its request: the model, the parameters, the variables."""

from collections.abc import Mapping
from enum import Enum, auto
from typing import TypeAlias

import msgspec

from batchgen.job import OWN_KEYS, SIMULATOR, Job, template
from batchgen.job.canonical import as_text
from batchgen.manifest.expand.fields import Fields, RowError
from batchgen.manifest.expand.references import map_references, read_reference
from batchgen.provider import catalog
from batchgen.types import Json

COUNT_KEYS = frozenset({"n", "count", "num_images"})
_SIMULATOR_MODEL = "flux/schnell"  # the simulator's default
_MAX_CACHED = 4096
_MAX_CACHED_CHARACTERS = 100  # per cell


class Draft(msgspec.Struct, frozen=True):
    """A request whose texts may still be templates, and the variables for them."""

    model_id: str
    model: catalog.Model | None
    params: dict[str, Json]
    variables: dict[str, Json]

    def scope(self) -> dict[str, str]:
        """Return the values that templates may use, as text: parameters, variables, the model."""
        scope = {name: as_text(value) for name, value in self.params.items()}
        scope.update((name, as_text(value)) for name, value in self.variables.items())
        scope["model"] = self.model_id
        return scope

    def rendered(self) -> dict[str, Json]:
        """Return the parameters with rendered templates.

        Raise RowError, which names the parameter, for a template that cannot be rendered.
        """
        return {name: self._rendered(name, value) for name, value in self.params.items()}

    def _rendered(self, name: str, value: Json) -> Json:
        if isinstance(value, list):
            return [self._rendered(name, item) for item in value]
        if isinstance(value, dict):
            return map_references(value, lambda reference: self._reference(name, reference))
        if not isinstance(value, str):
            return value
        try:
            return template.render(value, self.scope)
        except template.TemplateError as error:
            raise RowError(f"`{name}`: {error}") from error

    def _reference(self, name: str, value: dict[str, Json]) -> Json:
        task_id = self._rendered(name, read_reference(name, value).source)
        return {**value, "from": task_id}


class _Origin(Enum):
    """Where a field comes from; it decides how the field may be used."""

    AXIS = auto()
    CELL = auto()  # of CSV or TSV: a text, converted to the parameter's type
    JSONL = auto()  # a value that has its type; a variable if the model has no such parameter
    JOB = auto()  # a row or a `from` entry in the job file
    DEFAULT = auto()


class _Use(Enum):
    """How a field is used."""

    PARAMETER = auto()
    TEXT_PARAMETER = auto()  # converted from text to the parameter's type
    VARIABLE = auto()
    IGNORED = auto()


# The fields that a request uses: name, whether it is a variable, whether it is a TEXT_PARAMETER.
_Layout: TypeAlias = tuple[tuple[str, bool, bool], ...]


class Drafts:
    """Divides the fields of rows into parameters and variables; flags override parameters.

    referenced: the variables that prompts in the job file name.
    """

    def __init__(self, job: Job, referenced: frozenset[str]) -> None:
        self._job = job
        self._referenced = referenced
        self._flags = {name: text for name, text in job.overrides.items() if name != "model"}
        self._models: dict[str, catalog.Model | None] = {}
        self._layouts: dict[tuple[object, ...], _Layout] = {}
        self._cells: dict[tuple[str, str, str], Json] = {}

    def draft(self, fields: Fields, axes: Mapping[str, Json]) -> Draft:
        """Return the draft of a row for one combination. Raise RowError if it has no model.

        axes: the values of the combination.
        """
        model_id = self._model_id(fields, axes)
        values = {**fields.merged, **axes} if axes else fields.merged
        model = self._model_for(model_id, values)
        draft = Draft(model_id, model, {}, dict(fields.variables))
        for name, is_variable, is_text in self._layout(model_id, model, values, fields, axes):
            value = values[name]
            if value is None:
                if name in axes:  # a null on an axis leaves the parameter out
                    draft.variables[name] = None
            elif is_variable:
                draft.variables[name] = value
            elif is_text:
                draft.params[name] = self._from_text(model, model_id, name, str(value))
            else:
                draft.params[name] = value
        for name, text in self._flags.items():
            draft.params[name] = self._from_text(model, model_id, name, text)
        return draft

    def unchanged(self, endpoint: str, model_id: str | None, params: Mapping[str, Json]) -> Draft:
        """Return the draft of a request that is sent unchanged, except for flags.

        Raise RowError if it has no model.
        """
        model_id = self._job.overrides.get("model") or model_id
        if not model_id:
            raise RowError("no model; set --model, or `model` in the `body`")
        model = self.find_model(model_id)
        if model is not None:
            model = model.for_family(endpoint)
        flagged = {name: from_text(model, name, text) for name, text in self._flags.items()}
        return Draft(model_id, model, {**params, **flagged}, {})

    def find_model(self, model_id: str) -> catalog.Model | None:
        """Return the model from the provider's catalogue, or None if it is not in it."""
        if model_id not in self._models:
            if len(self._models) >= _MAX_CACHED:
                self._models.clear()
            self._models[model_id] = catalog.find(model_id, self._job.provider.catalog)
        return self._models[model_id]

    def _model_for(self, model_id: str, values: Mapping[str, Json]) -> catalog.Model | None:
        """Return the model for these fields: with input images it may use another endpoint."""
        model = self.find_model(model_id)
        if model is None or model.edit is None:
            return model
        names = {name for name, value in values.items() if value is not None}
        return model.for_parameters(names | self._flags.keys())

    def _model_id(self, fields: Fields, axes: Mapping[str, Json]) -> str:
        model_id = self._job.overrides.get("model") or axes.get("model") or fields.text("model")
        if not model_id and self._job.provider.name == SIMULATOR:
            return _SIMULATOR_MODEL
        if not isinstance(model_id, str) or not model_id:
            raise RowError("no model; set --model, `defaults: {model: …}` or a `model` column")
        return model_id

    def _layout(
        self,
        model_id: str,
        model: catalog.Model | None,
        values: Mapping[str, Json],
        fields: Fields,
        axes: Mapping[str, Json],
    ) -> _Layout:
        """Return how each field is used; cached, because most rows of a list have one layout."""
        names = tuple(values)
        origins = (tuple(fields.own), tuple(fields.row.fields), tuple(axes), fields.from_file)
        shape = (model_id, model and model.family, names, origins, fields.row.textual)
        layout = self._layouts.get(shape)
        if layout is None:
            if len(self._layouts) >= _MAX_CACHED:
                self._layouts.clear()
            uses = {
                name: self._use_of(name, model_id, model, _origin(name, fields, axes))
                for name in names
                if name not in OWN_KEYS
            }
            layout = self._layouts[shape] = tuple(
                (name, use is _Use.VARIABLE, use is _Use.TEXT_PARAMETER)
                for name, use in uses.items()
                if use is not _Use.IGNORED
            )
        return layout

    def _from_text(self, model: catalog.Model | None, model_id: str, name: str, text: str) -> Json:
        """Return the result of `from_text`, from a cache if possible."""
        if len(text) > _MAX_CACHED_CHARACTERS:
            return from_text(model, name, text)
        cell = (f"{model_id} {model and model.family}", name, text)
        if cell in self._cells:
            return self._cells[cell]
        value = from_text(model, name, text)
        if not isinstance(value, dict | list):  # mutable values are not shared
            if len(self._cells) >= _MAX_CACHED:
                self._cells.clear()
            self._cells[cell] = value
        return value

    def _use_of(
        self, name: str, model_id: str, model: catalog.Model | None, origin: _Origin
    ) -> _Use:
        if model is not None and accepts(model, name):
            return _Use.TEXT_PARAMETER if origin is _Origin.CELL else _Use.PARAMETER
        match origin:
            case _Origin.AXIS:
                is_variable = model is not None or name in self._referenced
                return _Use.VARIABLE if is_variable else _Use.PARAMETER
            case _Origin.CELL:
                is_sent = model is None and name in catalog.image_parameter_names()
                return _Use.TEXT_PARAMETER if is_sent else _Use.VARIABLE
            case _Origin.JSONL:
                return _Use.PARAMETER if model is None else _Use.VARIABLE
            case _Origin.DEFAULT:
                is_foreign = model is not None and self._is_for_others(name, model_id)
                return _Use.IGNORED if is_foreign else _Use.PARAMETER
            case _Origin.JOB:
                return _Use.PARAMETER

    def _is_for_others(self, name: str, model_id: str) -> bool:
        """Return whether a default is for other models than this one, and not a typing error."""
        return name in catalog.parameter_names() and self._job.defaults.get("model") != model_id


def accepts(model: catalog.Model, name: str) -> bool:
    """Return whether the model has a parameter of this name, its own or a common one."""
    if name in model.parameters or name in COUNT_KEYS:
        return True
    if name in catalog.IMAGE_KEYS:
        return model.edit is not None or not catalog.IMAGE_KEYS.isdisjoint(model.parameters)
    return name == "size" and "image_size" in model.parameters


def from_text(model: catalog.Model | None, name: str, text: str) -> Json:
    """Return the text of a cell or flag in the type of the model's parameter."""
    return catalog.text_value(text) if model is None else model.from_text(name, text)


def _origin(name: str, fields: Fields, axes: Mapping[str, Json]) -> _Origin:
    if name in axes:
        return _Origin.AXIS
    if name not in fields.own:
        return _Origin.DEFAULT
    if fields.from_file and name in fields.row.fields:
        return _Origin.CELL if fields.row.textual else _Origin.JSONL
    return _Origin.JOB
