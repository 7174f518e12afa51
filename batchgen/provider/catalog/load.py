"""The catalogue's data files, loaded on first use, and the search for models.

There is one file per family, generated from the vendor's specs of two dates by
`tests/provider/catalog/extract.py`; `openai.json`, `prices.json` and `extensions.json` are edited
by hand. A model lists the parameters whose definition it shares under `common` and all others
under `own`. `old_spec` holds what differed in 2025-05; `edits` holds the parameters of the
endpoint to which images are uploaded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from typing import TypeAlias

import msgspec

from batchgen.provider.catalog.model import Model, Prompt
from batchgen.provider.catalog.parameter import Form, Parameter, Scalar
from batchgen.provider.catalog.prices import Price, TokenPrice

OPENAI = "openai"
# In the order in which an id is looked up; a family's file is read when the search reaches it.
_IMAGE_TABLE = "image"
_OTHER_TABLES = ("video", "music", "tts", "stt", "3d", "ocr", "embeddings", "chat", "moderation")
_EDITS = "/v1/images/edits"
_Raw: TypeAlias = dict[str, object]


class _Definition(msgspec.Struct):
    """A parameter in a data file: the fields of one form, or several forms in `any_of`."""

    any_of: list[Form]
    default: Scalar | None = None
    required: bool = False


class _OldSpec(msgspec.Struct, forbid_unknown_fields=True):
    """What differs in the spec of 2025-05; null marks a parameter that it did not have."""

    path: str | None = None
    prompt: Prompt | None = None
    parameters: dict[str, _Raw | None] = {}


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    prompt: Prompt | None = None
    aliases: tuple[str, ...] = ()
    path: str | None = None
    one_of: tuple[str, ...] = ()
    common: tuple[str, ...] = ()
    own: dict[str, _Raw] = {}
    old_spec: _OldSpec | None = None
    token_price: TokenPrice | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    family: str
    path: str
    enums: dict[str, list[Scalar]]
    common: dict[str, _Raw]
    models: dict[str, _Entry]
    edits: dict[str, _Entry] = {}


class _Extension(msgspec.Struct, forbid_unknown_fields=True):
    """Parameters that batchgen adds to the vendor's specs; `models` are patterns of ids."""

    family: str
    models: tuple[str, ...]
    parameters: dict[str, _Raw]
    one_of: tuple[str, ...] = ()


class _PriceSource(msgspec.Struct, forbid_unknown_fields=True):
    source: str
    date: str | None
    per: str | None = None
    usd: dict[str, float] = {}


def find(model_id: str, provider: str = "aimlapi") -> Model | None:
    """Return the model with that id or alias; None if the catalogue does not have it.

    provider: `openai` for its own table, anything else for the AI/ML API's.
    """
    tables = (_by_name(table) for table in _tables(provider))
    return next((by_name[model_id] for by_name in tables if model_id in by_name), None)


def models(provider: str = "aimlapi") -> Sequence[Model]:
    """Return all models of the provider, ordered by family and id."""
    return tuple(model for table in _tables(provider) for model in _load(table).values())


def suggest(model_id: str, provider: str = "aimlapi") -> str | None:
    """Return the id that was probably meant, for "did you mean ...?"; None if none is similar."""
    known = tuple(name for table in _tables(provider) for name in _by_name(table))
    word = model_id.casefold()
    tail = word.rpartition("/")[2]
    exact = [name for name in known if name == word or name.endswith(f"/{tail}")]
    matches = search(model_id, provider) if _letters_and_digits(model_id) else ()
    matching = sorted((model.id for model in matches), key=len)
    return next(iter(exact or matching or get_close_matches(word, known, n=1, cutoff=0.6)), None)


def search(text: str, provider: str = "aimlapi") -> Sequence[Model]:
    """Return the models whose id or alias contains every word of a text.

    Only letters and digits count: "DALL·E 2" finds dall-e-2, "v3.5 large" finds v35-large.
    """
    words = [_letters_and_digits(word) for word in text.split()]
    return tuple(
        model
        for model in models(provider)
        if any(
            all(word in _letters_and_digits(name) for word in words)
            for name in (model.id, *model.aliases)
        )
    )


def _letters_and_digits(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))


@cache
def parameter_names() -> frozenset[str]:
    """Return the names of all parameters of all models."""
    tables = (*models(), *models(OPENAI))
    edits = (model.edit for model in tables if model.edit is not None)
    return frozenset(name for model in (*tables, *edits) for name in model.parameters)


@cache
def image_parameter_names() -> frozenset[str]:
    """Return the parameter names of all image models: CSV columns that are not variables."""
    tables = [model for table in (_IMAGE_TABLE, OPENAI) for model in _load(table).values()]
    return frozenset(name for model in tables for name in model.parameters)


def _tables(provider: str) -> Sequence[str]:
    return (OPENAI,) if provider == OPENAI else (_IMAGE_TABLE, *_OTHER_TABLES)


@cache
def _by_name(table: str) -> Mapping[str, Model]:
    by_id = _load(table)
    by_alias = {alias: model for model in by_id.values() for alias in model.aliases}
    return {**by_alias, **by_id}


@cache
def _load(table: str) -> Mapping[str, Model]:
    raw: _Raw = msgspec.json.decode(_read(f"{table}.json"))
    file = msgspec.convert(_with_enums(raw, raw["enums"]), _File)
    prices = {} if table == OPENAI else _prices()
    extensions = () if table == OPENAI else _extensions(file.family)
    loaded = {}
    for model_id in sorted(file.models):
        model = _extended(_model(model_id, file, prices), extensions)
        if model_id in file.edits:
            model = replace(model, edit=_edit(model_id, file))
        loaded[model_id] = model
    return loaded


def _edit(model_id: str, file: _File) -> Model:
    """Return the model with its parameters at the edits endpoint; its token prices are the same."""
    entry = file.edits[model_id]
    entry.token_price = file.models[model_id].token_price
    edits = msgspec.structs.replace(file, models=file.edits)
    return replace(_model(model_id, edits, {}), family="edits", path=_EDITS)


@cache
def _extensions(family: str) -> tuple[_Extension, ...]:
    groups = msgspec.json.decode(_read("extensions.json"), type=list[_Extension])
    return tuple(group for group in groups if group.family == family)


def _extended(model: Model, groups: Sequence[_Extension]) -> Model:
    """Return the model with the parameters that batchgen adds to it."""
    groups = [g for g in groups if any(fnmatchcase(model.id, pattern) for pattern in g.models)]
    added = {name: raw for group in groups for name, raw in group.parameters.items()}
    if not added:
        return model
    parameters = {name: _parameter(name, raw, {}) for name, raw in added.items()}
    one_of = tuple(name for group in groups for name in group.one_of)
    return replace(
        model,
        parameters={**model.parameters, **parameters},
        one_of=(*model.one_of, *one_of),
        extensions=frozenset(added),
    )


def _read(name: str) -> bytes:
    return resources.files("batchgen.provider.catalog").joinpath(name).read_bytes()


def _with_enums(node: object, enums: object) -> object:
    """Return the tree with names of shared enums replaced by their values."""
    if isinstance(node, list):
        return [_with_enums(item, enums) for item in node]
    if not isinstance(node, dict):
        return node
    tree = {name: _with_enums(item, enums) for name, item in node.items()}
    if isinstance(enum := tree.get("enum"), str) and isinstance(enums, dict):
        tree["enum"] = enums[enum]
    return tree


def _definition(raw: _Raw) -> _Definition:
    form = {name: value for name, value in raw.items() if name not in ("default", "required")}
    forms = form.get("any_of", [form])
    return msgspec.convert({**raw, "any_of": forms}, _Definition)


def _prices() -> dict[str, Price]:
    sources = msgspec.json.decode(_read("prices.json"), type=list[_PriceSource])
    return {
        model_id: Price(usd, source.source, source.date, source.per)
        for source in reversed(sources)  # the first source that has a price wins
        for model_id, usd in source.usd.items()
    }


def _model(model_id: str, file: _File, prices: Mapping[str, Price]) -> Model:
    entry = file.models[model_id]
    shared = {name: file.common[name] for name in entry.common}
    current: dict[str, _Raw] = {**shared, **entry.own}
    old = entry.old_spec.parameters if entry.old_spec else {}
    names = [*current, *(name for name in old if name not in current)]
    return Model(
        id=model_id,
        parameters={name: _parameter(name, current.get(name), old) for name in names},
        prompt=entry.prompt,
        old_prompt=entry.old_spec.prompt if entry.old_spec else None,
        aliases=entry.aliases,
        fixed_price=next((prices[i] for i in (model_id, *entry.aliases) if i in prices), None),
        token_price=entry.token_price,
        in_old_spec=entry.old_spec is not None,
        family=file.family,
        path=entry.path or file.path,
        old_path=entry.old_spec.path if entry.old_spec else None,
        one_of=entry.one_of,
    )


def _parameter(name: str, raw: _Raw | None, old: Mapping[str, _Raw | None]) -> Parameter:
    current = _definition(raw) if raw else None
    raw_old = old.get(name)
    old_forms = tuple(_definition(raw_old).any_of) if raw_old else ()
    return Parameter(
        name=name,
        forms=tuple(current.any_of) if current else (),
        old_forms=old_forms if name in old else None,
        default=current.default if current else None,
        required=current is not None and current.required,
    )
