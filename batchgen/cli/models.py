"""`batchgen models`: the catalogue, compared with the provider's own list if `--live` is given."""

import argparse
import asyncio
import os
import sys
from collections.abc import Iterator, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from batchgen.errors import Exit, UsageError
from batchgen.job import PROVIDERS, SIMULATOR, Provider, access_of
from batchgen.job.providers import base_url_problem
from batchgen.provider import catalog
from batchgen.provider.catalog.describe import describe, format_value
from batchgen.provider.catalog.model import OLD_DATE
from batchgen.text import show_money
from batchgen.types import Json

_HEAD = ("family", "model", "price", "images", "size", "inputs")
_IMAGES = "images"
_MAX_SUGGESTIONS = 8
_NOT_LISTED, _NOT_KNOWN = "not at the provider", "not in the catalogue"


def models_command(arguments: argparse.Namespace) -> int:
    """List the models of the catalogue, or show one."""
    provider = _provider(arguments)
    if arguments.id is not None:
        return _show_one(arguments, provider)
    models = catalog.search(arguments.search or "", provider.catalog)
    live = _live(provider) if arguments.live else None
    unknown = _unknown(live, provider, arguments.search or "")
    if arguments.json:
        listed = [*(_to_json(model, live) for model in models), *map(_unknown_to_json, unknown)]
        sys.stdout.write(msgspec.json.encode(listed).decode() + "\n")
        return Exit.OK
    rows = [_row(model, live) for model in models]
    rows += [(_IMAGES, model_id, "", "", "", _NOT_KNOWN) for model_id in unknown]
    if not rows:
        raise UsageError(
            f"no model has {arguments.search!r} in its id; `batchgen models` lists all"
        )
    sys.stdout.writelines(_table(rows))
    return Exit.OK


def _provider(arguments: argparse.Namespace) -> Provider:
    provider = PROVIDERS.get(arguments.provider)
    if provider is None:
        raise UsageError(
            f"--provider {arguments.provider}: only aimlapi and openai have a catalogue"
        )
    if arguments.base_url:
        if problem := base_url_problem(arguments.base_url):
            raise UsageError(f"--base-url: {problem}")
        return replace(provider, base_url=arguments.base_url)
    if arguments.live and provider.name == SIMULATOR:
        raise UsageError("--live --provider simulator needs the --base-url of `batchgen simulate`")
    return provider


def _show_one(arguments: argparse.Namespace, provider: Provider) -> int:
    matches = catalog.search(arguments.id, provider.catalog)
    model = catalog.find(arguments.id, provider.catalog)
    if model is None and len(matches) == 1:
        model = matches[0]
    if model is None and matches:
        ids = ", ".join(match.id for match in matches[:_MAX_SUGGESTIONS])
        raise UsageError(f"{arguments.id!r} matches several models: {ids}")
    if model is None:
        hint = catalog.suggest(arguments.id, provider.catalog)
        raise UsageError(
            f"the catalogue has no model {arguments.id!r}"
            + (f"; did you mean {hint}?" if hint else "; `batchgen models` lists them")
        )
    live = _live(provider) if arguments.live else None
    if arguments.json:
        sys.stdout.write(msgspec.json.encode(_to_json(model, live)).decode() + "\n")
        return Exit.OK
    sys.stdout.writelines(f"{line}\n" for line in _lines(model, live))
    return Exit.OK


def _live(provider: Provider) -> Mapping[str, bool]:
    """Return all ids and aliases that the provider lists; true for the ids of image models."""
    from batchgen.http.service import Service  # noqa: PLC0415
    from batchgen.provider.live_models import live_models  # noqa: PLC0415  # brings aiohttp

    access = access_of(replace(provider, needs_key=False), os.environ)
    service = Service(
        provider.base_url,
        access.key,
        timeout_s=60,
        secrets=access.secrets,
        proxies=access.proxies,
        ca_bundles=access.ca_bundles,
    )
    listed = asyncio.run(live_models(service))
    aliases = {alias: False for model in listed for alias in model.aliases}
    return aliases | {model.id: model.makes_images for model in listed}


def _unknown(live: Mapping[str, bool] | None, provider: Provider, search: str) -> list[str]:
    """Return the ids of the provider's image models that the catalogue does not have."""
    return [
        model_id
        for model_id, is_image in sorted((live or {}).items())
        if is_image
        and catalog.find(model_id, provider.catalog) is None
        and search.casefold() in model_id.casefold()
    ]


def _unknown_to_json(model_id: str) -> dict[str, Json]:
    return {"id": model_id, "known": False, "live": True}


def _is_live(model: catalog.Model, live: Mapping[str, bool]) -> bool:
    return any(name in live for name in (model.id, *model.aliases))


def _to_json(model: catalog.Model, live: Mapping[str, bool] | None) -> dict[str, Json]:
    fields: dict[str, Json] = {
        "family": model.family,
        "id": model.id,
        "aliases": list(model.aliases),
        "price_usd": model.price({}),
        "price_source": model.price_source,
        "prompt_name": model.prompt.name if model.prompt else None,
        "prompt_max": model.prompt_max,
        "count_key": model.count_key,
        "count_max": model.count_max,
        "inputs": list(catalog.inputs(model)),
        "parameters": _parameters(model),
        "edit_parameters": None if model.edit is None else _parameters(model.edit),
        "example": catalog.example(model),
        "known": True,
    }
    return fields if live is None else {**fields, "live": _is_live(model, live)}


def _parameters(model: catalog.Model) -> dict[str, Json]:
    return {name: describe(parameter.all_forms) for name, parameter in model.parameters.items()}


def _row(model: catalog.Model, live: Mapping[str, bool] | None) -> tuple[str, ...]:
    count = f"{model.count_key} 1-{model.count_max}" if model.count_key else "1"
    if model.family != _IMAGES:
        count = ""
    notes = [", ".join(catalog.inputs(model))]
    if live is not None and not _is_live(model, live):
        notes.append(_NOT_LISTED)
    price = model.price({})
    return (
        model.family,
        model.id,
        "" if price is None else show_money(price),
        count,
        ", ".join(model.size_keys),
        "; ".join(note for note in notes if note),
    )


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    lines = [_HEAD, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        yield "  ".join(cells).rstrip() + "\n"


def _lines(model: catalog.Model, live: Mapping[str, bool] | None) -> Iterator[str]:
    yield model.id + (f" (also {', '.join(model.aliases)})" if model.aliases else "")
    if live is not None:
        listed = "lists it" if _is_live(model, live) else "does not list it"
        yield f"  {'provider':<24} {listed} now"
    yield f"  {'family':<24} {model.family}, {model.path}"
    yield f"  {'price':<24} {_price(model)}"
    yield f"  {'prompt':<24} {_prompt(model)}"
    yield from _parameter_lines(model)
    if model.edit is not None:
        yield "parameters if a row has an input image:"
        yield from _parameter_lines(model.edit)
    yield "example row:"
    yield f"  {msgspec.json.encode(catalog.example(model)).decode()}"


def _price(model: catalog.Model) -> str:
    price = model.price({})
    if price is not None:
        unit = "image" if model.family == _IMAGES else "request"
        return f"{show_money(price)} per {unit} ({model.price_source})"
    if tokens := model.token_price:
        return (
            f"per million tokens: ${tokens.text_input:g} text, ${tokens.image_input:g} image,"
            f" ${tokens.output:g} output ({model.price_source})"
        )
    return "unknown"


def _parameter_lines(model: catalog.Model) -> Iterator[str]:
    for name, parameter in model.parameters.items():
        needed = ", required" if parameter.required else ""
        default = (
            "" if parameter.default is None else f", default {format_value(parameter.default)}"
        )
        current = describe(parameter.forms or parameter.all_forms)
        yield f"  {name:<24} {current}{needed}{default}{_old_values(parameter)}"


def _old_values(parameter: catalog.Parameter) -> str:
    """Return the values of the spec of 2025-05 in brackets; empty if the current one has them."""
    if not parameter.forms:
        return f" (spec of {OLD_DATE} only)"
    if parameter.all_forms == parameter.forms:
        return ""
    return f" (spec of {OLD_DATE}: {describe(parameter.old_forms or ())})"


def _prompt(model: catalog.Model) -> str:
    if model.prompt is None:
        return "none"
    longest = "any length" if model.prompt_max is None else f"at most {model.prompt_max} characters"
    sent = "" if model.prompt.name == "prompt" else f", sent as `{model.prompt.name}`"
    return longest + sent + ("" if model.prompt.required else ", optional")
