"""Reads the catalogue's data files, once and when first asked, and finds models in them.

There is a file a family, made from the vendor's specs of two dates (`tests/catalog/extract.py`
writes them); `openai.json` and `prices.json` are kept by hand. A model lists the parameters whose
definition it shares under `common`, the others under `own`; `seed` holds what was otherwise in
2025-05; `edits` has what a model takes where pictures are uploaded to it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from typing import TypeAlias

import msgspec

from batchgen.provider.catalog.model import Model, Price, Prompt, TokenPrice
from batchgen.provider.catalog.parameter import Form, Parameter, Scalar

OPENAI = "openai"
# In this order an id is looked for; a family's file is read when the search comes to it.
_IMAGES = "image"
_OTHERS = ("video", "music", "tts", "stt", "3d", "ocr", "embeddings", "chat", "moderation")
_EDITS = "/v1/images/edits"
_Raw: TypeAlias = dict[str, object]


class _Definition(msgspec.Struct):
    """A parameter as the data files have it: a form's fields, or several forms in `any_of`."""

    any_of: list[Form]
    default: Scalar | None = None
    required: bool = False


class _Seed(msgspec.Struct, forbid_unknown_fields=True):
    """What differs in the spec of 2025-05; a null is a parameter that it did not have."""

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
    seed: _Seed | None = None
    token_price: TokenPrice | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    family: str
    path: str
    enums: dict[str, list[Scalar]]
    common: dict[str, _Raw]
    models: dict[str, _Entry]
    edits: dict[str, _Entry] = {}


class _Ours(msgspec.Struct, forbid_unknown_fields=True):
    """What rows may give to models beyond the vendor's specs; the ids are patterns."""

    family: str
    models: tuple[str, ...]
    parameters: dict[str, _Raw]
    one_of: tuple[str, ...] = ()


class _Source(msgspec.Struct, forbid_unknown_fields=True):
    source: str
    date: str | None
    per: str | None = None
    usd: dict[str, float] = {}


def find(model_id: str, provider: str = "aimlapi") -> Model | None:
    """The model of that id or alias; None where the catalogue does not know it.

    The provider `openai` has a table of its own, every other one has the AI/ML API's.
    """
    tables = (_by_name(table) for table in _tables(provider))
    return next((found[model_id] for found in tables if model_id in found), None)


def models(provider: str = "aimlapi") -> Sequence[Model]:
    """Every model that the catalogue knows of the provider, by family and id."""
    return tuple(model for table in _tables(provider) for model in _load(table).values())


def suggest(model_id: str, provider: str = "aimlapi") -> str | None:
    """The id that was probably meant, for "did you mean ...?"."""
    known = tuple(name for table in _tables(provider) for name in _by_name(table))
    word = model_id.casefold()
    tail = word.rpartition("/")[2]
    same = [name for name in known if name == word or name.endswith(f"/{tail}")]
    found = search(model_id, provider) if _letters(model_id) else ()
    named = sorted((one.id for one in found), key=len)
    return next(iter(same or named or get_close_matches(word, known, n=1, cutoff=0.6)), None)


def search(text: str, provider: str = "aimlapi") -> Sequence[Model]:
    """The models whose id or alias has every word of a text, as people write their names.

    Only letters and digits count: "DALL·E 2" finds dall-e-2, "v3.5 large" the one with v35-large.
    """
    words = [_letters(word) for word in text.split()]
    return tuple(
        model
        for model in models(provider)
        if any(all(word in _letters(name) for word in words) for name in (model.id, *model.aliases))
    )


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))


@cache
def parameter_names() -> frozenset[str]:
    """The name of every parameter of any model of any family."""
    tables = (*models(), *models(OPENAI))
    edits = (model.edit for model in tables if model.edit is not None)
    return frozenset(name for model in (*tables, *edits) for name in model.parameters)


@cache
def image_parameter_names() -> frozenset[str]:
    """The name of every parameter of an image model: CSV columns that are not variables."""
    tables = [model for table in (_IMAGES, OPENAI) for model in _load(table).values()]
    return frozenset(name for model in tables for name in model.parameters)


def _tables(provider: str) -> Sequence[str]:
    return (OPENAI,) if provider == OPENAI else (_IMAGES, *_OTHERS)


@cache
def _by_name(table: str) -> Mapping[str, Model]:
    known = _load(table)
    by_alias = {alias: model for model in known.values() for alias in model.aliases}
    return {**by_alias, **known}


@cache
def _load(table: str) -> Mapping[str, Model]:
    raw: _Raw = msgspec.json.decode(_read(f"{table}.json"))
    file = msgspec.convert(_expanded(raw, raw["enums"]), _File)
    prices = {} if table == OPENAI else _prices()
    ours = () if table == OPENAI else _ours(file.family)
    found = {}
    for model_id in sorted(file.models):
        model = _with_ours(_model(model_id, file, prices), ours)
        if model_id in file.edits:
            model = replace(model, edit=_edit(model_id, file))
        found[model_id] = model
    return found


def _edit(model_id: str, file: _File) -> Model:
    """A model where pictures are uploaded to it; tokens cost the same there."""
    entry = file.edits[model_id]
    entry.token_price = file.models[model_id].token_price
    edits = msgspec.structs.replace(file, models=file.edits)
    return replace(_model(model_id, edits, {}), family="edits", path=_EDITS)


@cache
def _ours(family: str) -> tuple[_Ours, ...]:
    groups = msgspec.json.decode(_read("ours.json"), type=list[_Ours])
    return tuple(group for group in groups if group.family == family)


def _with_ours(model: Model, groups: Sequence[_Ours]) -> Model:
    """A model with what batchgen itself takes for it, and puts into the vendor's words."""
    groups = [one for one in groups if any(fnmatchcase(model.id, p) for p in one.models)]
    own = {name: raw for group in groups for name, raw in group.parameters.items()}
    if not own:
        return model
    parameters = {name: _parameter(name, raw, {}) for name, raw in own.items()}
    one_of = tuple(name for group in groups for name in group.one_of)
    return replace(
        model,
        parameters={**model.parameters, **parameters},
        one_of=(*model.one_of, *one_of),
        ours=frozenset(own),
    )


def _read(name: str) -> bytes:
    return resources.files("batchgen.provider.catalog").joinpath(name).read_bytes()


def _expanded(node: object, enums: object) -> object:
    """The tree with the shared enums in their places."""
    if isinstance(node, list):
        return [_expanded(item, enums) for item in node]
    if not isinstance(node, dict):
        return node
    tree = {name: _expanded(item, enums) for name, item in node.items()}
    if isinstance(enum := tree.get("enum"), str) and isinstance(enums, dict):
        tree["enum"] = enums[enum]
    return tree


def _definition(raw: _Raw) -> _Definition:
    facts = ("default", "required")
    form = {name: value for name, value in raw.items() if name not in facts}
    forms = form.get("any_of", [form])
    return msgspec.convert({**raw, "any_of": forms}, _Definition)


def _prices() -> dict[str, Price]:
    sources = msgspec.json.decode(_read("prices.json"), type=list[_Source])
    return {
        model_id: Price(usd, source.source, source.date, source.per)
        for source in reversed(sources)  # the first source that has a price wins
        for model_id, usd in source.usd.items()
    }


def _model(model_id: str, file: _File, prices: Mapping[str, Price]) -> Model:
    entry = file.models[model_id]
    shared = {name: file.common[name] for name in entry.common}
    current: dict[str, _Raw] = {**shared, **entry.own}
    before = entry.seed.parameters if entry.seed else {}
    names = [*current, *(name for name in before if name not in current)]
    return Model(
        id=model_id,
        parameters={name: _parameter(name, current.get(name), before) for name in names},
        prompt=entry.prompt,
        seed_prompt=entry.seed.prompt if entry.seed else None,
        aliases=entry.aliases,
        fixed_price=next((prices[i] for i in (model_id, *entry.aliases) if i in prices), None),
        token_price=entry.token_price,
        in_seed=entry.seed is not None,
        family=file.family,
        path=entry.path or file.path,
        seed_path=entry.seed.path if entry.seed else None,
        one_of=entry.one_of,
    )


def _parameter(name: str, now: _Raw | None, before: Mapping[str, _Raw | None]) -> Parameter:
    current = _definition(now) if now else None
    then = before.get(name)
    seed_forms = tuple(_definition(then).any_of) if then else ()
    return Parameter(
        name=name,
        forms=tuple(current.any_of) if current else (),
        seed_forms=seed_forms if name in before else None,
        default=current.default if current else None,
        required=current is not None and current.required,
    )
