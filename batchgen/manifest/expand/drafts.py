"""From a row's fields to a draft of its request: the model, its parameters, the variables."""

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
_SIMULATED_MODEL = "flux/schnell"  # what the simulator draws with where no model is named
_MAX_CACHED = 4096
_MAX_CACHED_LENGTH = 100  # characters of a cell


class Draft(msgspec.Struct, frozen=True):
    """What would be sent and what only templates see; texts may still be templates."""

    model_id: str
    model: catalog.Model | None
    params: dict[str, Json]
    variables: dict[str, Json]

    def scope(self) -> dict[str, str]:
        """What templates see: parameters, variables and the model, as text."""
        scope = {name: as_text(value) for name, value in self.params.items()}
        scope.update((name, as_text(value)) for name, value in self.variables.items())
        scope["model"] = self.model_id
        return scope

    def rendered(self) -> dict[str, Json]:
        """The parameters with their templates filled in; raises RowError that names one."""
        return {name: self._rendered(name, value) for name, value in self.params.items()}

    def _rendered(self, name: str, value: Json) -> Json:
        if isinstance(value, list):
            return [self._rendered(name, one) for one in value]
        if isinstance(value, dict):
            return map_references(value, lambda one: self._reference(name, one))
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
    """Where a field comes from, which decides what may be made of it."""

    AXIS = auto()
    COLUMN = auto()  # of CSV or TSV: a text, to be typed
    LISTED = auto()  # of JSONL: a value, which may be a variable as a column may
    WRITTEN = auto()  # in the job
    DEFAULT = auto()


class _Use(Enum):
    """What is made of a field."""

    PARAMETER = auto()
    TYPED = auto()
    VARIABLE = auto()
    NOTHING = auto()


# The fields that a row's request is made of: name, is it a variable, is it a text to be typed.
_Layout: TypeAlias = tuple[tuple[str, bool, bool], ...]


class Drafts:
    """Sorts the fields of rows into parameters and variables, flags last.

    referenced: variables that the prompts of the job file name.
    """

    def __init__(self, job: Job, referenced: frozenset[str]) -> None:
        self._job = job
        self._referenced = referenced
        self._flags = {name: text for name, text in job.overrides.items() if name != "model"}
        self._models: dict[str, catalog.Model | None] = {}
        self._layouts: dict[tuple[object, ...], _Layout] = {}
        self._cells: dict[tuple[str, str, str], Json] = {}

    def draft(self, fields: Fields, axes: Mapping[str, Json]) -> Draft:
        """The draft of a row at a point of the matrix; raises RowError where it has no model."""
        model_id = self._model_id(fields, axes)
        given = {**fields.given, **axes} if axes else fields.given
        model = self._of(model_id, given)
        draft = Draft(model_id, model, {}, dict(fields.variables))
        for name, is_variable, is_text in self._layout(model_id, model, given, fields, axes):
            value = given[name]
            if value is None:
                if name in axes:  # a point of the matrix that leaves the parameter out
                    draft.variables[name] = None
            elif is_variable:
                draft.variables[name] = value
            elif is_text:
                draft.params[name] = self._typed(model, model_id, name, str(value))
            else:
                draft.params[name] = value
        for name, text in self._flags.items():
            draft.params[name] = self._typed(model, model_id, name, text)
        return draft

    def exact(self, endpoint: str, model_id: str | None, params: Mapping[str, Json]) -> Draft:
        """The draft of a request that is sent as it stands, but for what flags set."""
        model_id = self._job.overrides.get("model") or model_id
        if not model_id:
            raise RowError("no model: give --model, or a `model` in the `body`")
        model = self.find(model_id)
        if model is not None:
            model = model.of_family(endpoint)
        flagged = {name: typed(model, name, text) for name, text in self._flags.items()}
        return Draft(model_id, model, {**params, **flagged}, {})

    def find(self, model_id: str) -> catalog.Model | None:
        """The model as the provider's catalogue has it."""
        if model_id not in self._models:
            if len(self._models) >= _MAX_CACHED:
                self._models.clear()
            self._models[model_id] = catalog.find(model_id, self._job.provider.catalog)
        return self._models[model_id]

    def _of(self, model_id: str, given: Mapping[str, Json]) -> catalog.Model | None:
        """The model as it is for what is given: pictures may have an endpoint of their own."""
        model = self.find(model_id)
        if model is None or model.edit is None:
            return model
        names = {name for name, value in given.items() if value is not None}
        return model.given(names | self._flags.keys())

    def _model_id(self, fields: Fields, axes: Mapping[str, Json]) -> str:
        model_id = self._job.overrides.get("model") or axes.get("model") or fields.text("model")
        if not model_id and self._job.provider.name == SIMULATOR:
            return _SIMULATED_MODEL
        if not isinstance(model_id, str) or not model_id:
            raise RowError("no model: give --model, `defaults: {model: …}` or a `model` column")
        return model_id

    def _layout(
        self,
        model_id: str,
        model: catalog.Model | None,
        given: Mapping[str, Json],
        fields: Fields,
        axes: Mapping[str, Json],
    ) -> _Layout:
        """What is made of each given field; the rows of a list mostly agree in it."""
        names = tuple(given)
        origins = (tuple(fields.own), tuple(fields.row.fields), tuple(axes), fields.from_file)
        shape = (model_id, model and model.family, names, origins, fields.row.textual)
        layout = self._layouts.get(shape)
        if layout is None:
            if len(self._layouts) >= _MAX_CACHED:
                self._layouts.clear()
            uses = {
                name: self._decide(name, model_id, model, _origin(name, fields, axes))
                for name in names
                if name not in OWN_KEYS
            }
            layout = self._layouts[shape] = tuple(
                (name, use is _Use.VARIABLE, use is _Use.TYPED)
                for name, use in uses.items()
                if use is not _Use.NOTHING
            )
        return layout

    def _typed(self, model: catalog.Model | None, model_id: str, name: str, text: str) -> Json:
        """As `typed`; what is seen often is worked out once."""
        if len(text) > _MAX_CACHED_LENGTH:
            return typed(model, name, text)
        cell = (f"{model_id} {model and model.family}", name, text)
        if cell in self._cells:
            return self._cells[cell]
        value = typed(model, name, text)
        if not isinstance(value, dict | list):  # those could be changed by whoever takes them
            if len(self._cells) >= _MAX_CACHED:
                self._cells.clear()
            self._cells[cell] = value
        return value

    def _decide(
        self, name: str, model_id: str, model: catalog.Model | None, origin: _Origin
    ) -> _Use:
        if model is not None and accepts(model, name):
            return _Use.TYPED if origin is _Origin.COLUMN else _Use.PARAMETER
        match origin:
            case _Origin.AXIS:
                known = model is not None or name in self._referenced
                return _Use.VARIABLE if known else _Use.PARAMETER
            case _Origin.COLUMN:
                sent = model is None and name in catalog.image_parameter_names()
                return _Use.TYPED if sent else _Use.VARIABLE
            case _Origin.LISTED:
                return _Use.PARAMETER if model is None else _Use.VARIABLE
            case _Origin.DEFAULT:
                foreign = model is not None and self._is_for_others(name, model_id)
                return _Use.NOTHING if foreign else _Use.PARAMETER
            case _Origin.WRITTEN:
                return _Use.PARAMETER

    def _is_for_others(self, name: str, model_id: str) -> bool:
        """Whether a default is meant for other models than this one, and no slip of the pen."""
        return name in catalog.parameter_names() and self._job.defaults.get("model") != model_id


def accepts(model: catalog.Model, name: str) -> bool:
    """Whether a row's key is a parameter of the model, under its own or a common name."""
    if name in model.parameters or name in COUNT_KEYS:
        return True
    if name in catalog.IMAGE_KEYS:
        return model.edit is not None or not catalog.IMAGE_KEYS.isdisjoint(model.parameters)
    return name == "size" and "image_size" in model.parameters


def typed(model: catalog.Model | None, name: str, text: str) -> Json:
    """A cell or flag in the type that the model's parameter has."""
    return catalog.text_value(text) if model is None else model.from_text(name, text)


def _origin(name: str, fields: Fields, axes: Mapping[str, Json]) -> _Origin:
    if name in axes:
        return _Origin.AXIS
    if name not in fields.own:
        return _Origin.DEFAULT
    if fields.from_file and name in fields.row.fields:
        return _Origin.COLUMN if fields.row.textual else _Origin.LISTED
    return _Origin.WRITTEN
