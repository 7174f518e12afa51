"""`batchgen models`: the catalogue, held against what the provider has where that is asked for."""

import argparse
import asyncio
import os
import sys
from collections.abc import Iterator, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from batchgen.errors import Exit, UsageError
from batchgen.job import PROVIDERS, SIMULATOR, Provider, access_of
from batchgen.job.providers import bad_base_url
from batchgen.provider import catalog
from batchgen.provider.catalog.describe import describe, format_value
from batchgen.text import show_money
from batchgen.types import Json

_HEAD = ("family", "model", "price", "images", "size", "inputs")
_DRAWS = "images"
_MOST_NAMED = 8
_GONE, _NEW = "not at the provider", "not in the catalogue"


def models_command(arguments: argparse.Namespace) -> int:
    """`batchgen models`: the catalogue."""
    provider = _provider(arguments)
    if arguments.id is not None:
        return _show_one(arguments, provider)
    found = catalog.search(arguments.search or "", provider.catalog)
    live = _live(provider) if arguments.live else None
    if arguments.json:
        listed = [_model(one, live) for one in found] + _unlisted(live, provider, arguments.search)
        sys.stdout.write(msgspec.json.encode(listed).decode() + "\n")
        return Exit.OK
    rows = [_row(one, live) for one in found]
    rows += [
        (_DRAWS, str(new["id"]), "", "", "", _NEW)
        for new in _unlisted(live, provider, arguments.search)
    ]
    if not rows:
        raise UsageError(
            f"no model has {arguments.search!r} in its id; `batchgen models` lists all"
        )
    sys.stdout.writelines(_table(rows))
    return Exit.OK


def _provider(arguments: argparse.Namespace) -> Provider:
    provider = PROVIDERS.get(arguments.provider)
    if provider is None:
        raise UsageError(f"--provider {arguments.provider}: the catalogue has aimlapi and openai")
    if arguments.base_url:
        if problem := bad_base_url(arguments.base_url):
            raise UsageError(f"--base-url: {problem}")
        return replace(provider, base_url=arguments.base_url)
    if arguments.live and provider.name == SIMULATOR:
        raise UsageError("--live --provider simulator needs the --base-url of `batchgen simulate`")
    return provider


def _show_one(arguments: argparse.Namespace, provider: Provider) -> int:
    named = catalog.search(arguments.id, provider.catalog)
    model = catalog.find(arguments.id, provider.catalog) or (named[0] if len(named) == 1 else None)
    if model is None and named:
        ids = ", ".join(one.id for one in named[:_MOST_NAMED])
        raise UsageError(f"{arguments.id!r} names several models: {ids}")
    if model is None:
        hint = catalog.suggest(arguments.id, provider.catalog)
        raise UsageError(
            f"the catalogue has no model {arguments.id!r}"
            + (f"; did you mean {hint}?" if hint else "; `batchgen models` lists them")
        )
    live = _live(provider) if arguments.live else None
    if arguments.json:
        sys.stdout.write(msgspec.json.encode(_model(model, live)).decode() + "\n")
        return Exit.OK
    sys.stdout.writelines(f"{line}\n" for line in _lines(model, live))
    return Exit.OK


def _live(provider: Provider) -> Mapping[str, bool]:
    """Every id and alias that the provider lists now, and whether it is an image model's id."""
    from batchgen.http.service import Service  # noqa: PLC0415
    from batchgen.provider.live_models import live_models  # noqa: PLC0415  # brings aiohttp

    access = access_of(replace(provider, needs_key=False), os.environ)
    service = Service(
        provider.base_url, access.key, timeout_s=60, secrets=access.secrets, proxies=access.proxies
    )
    listed = asyncio.run(live_models(service))
    aliases = {alias: False for one in listed for alias in one.aliases}
    return aliases | {one.id: one.makes_images for one in listed}


def _unlisted(
    live: Mapping[str, bool] | None, provider: Provider, search: str | None
) -> list[dict[str, Json]]:
    """The image models of the provider that the catalogue does not know."""
    drawing = sorted(name for name, draws in (live or {}).items() if draws)
    return [
        {"id": name, "known": False, "live": True}
        for name in drawing
        if catalog.find(name, provider.catalog) is None
        and (search or "").casefold() in name.casefold()
    ]


def _is_live(model: catalog.Model, live: Mapping[str, bool]) -> bool:
    return any(name in live for name in (model.id, *model.aliases))


def _model(model: catalog.Model, live: Mapping[str, bool] | None) -> dict[str, Json]:
    told: dict[str, Json] = {
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
        "parameters": _described(model),
        "edit_parameters": None if model.edit is None else _described(model.edit),
        "example": catalog.example(model),
        "known": True,
    }
    return told if live is None else {**told, "live": _is_live(model, live)}


def _described(model: catalog.Model) -> dict[str, Json]:
    return {name: describe(one.all_forms) for name, one in model.parameters.items()}


def _row(model: catalog.Model, live: Mapping[str, bool] | None) -> tuple[str, ...]:
    count = f"{model.count_key} 1-{model.count_max}" if model.count_key else "1"
    if model.family != _DRAWS:
        count = ""
    notes = [", ".join(catalog.inputs(model))]
    if live is not None and not _is_live(model, live):
        notes.append(_GONE)
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
        yield f"  {'provider':<24} {'has it' if _is_live(model, live) else 'does not list it now'}"
    yield f"  {'family':<24} {model.family}, {model.path}"
    price = model.price({})
    made = "an image" if model.family == _DRAWS else "a request"
    told = "unknown" if price is None else f"{show_money(price)} {made} ({model.price_source})"
    if price is None and model.token_price:
        tokens = model.token_price
        told = (
            f"${tokens.text_input:g} text, ${tokens.image_input:g} image, ${tokens.output:g} drawn"
            f" for a million tokens ({model.price_source})"
        )
    yield f"  {'price':<24} {told}"
    yield f"  {'prompt':<24} {_prompt(model)}"
    yield from _parameter_lines(model)
    if model.edit is not None:
        yield "where a row gives it a picture:"
        yield from _parameter_lines(model.edit)
    yield "a row for it:"
    yield f"  {msgspec.json.encode(catalog.example(model)).decode()}"


def _parameter_lines(model: catalog.Model) -> Iterator[str]:
    for name, parameter in model.parameters.items():
        needed = ", required" if parameter.required else ""
        default = (
            "" if parameter.default is None else f", default {format_value(parameter.default)}"
        )
        yield f"  {name:<24} {describe(parameter.all_forms)}{needed}{default}"


def _prompt(model: catalog.Model) -> str:
    if model.prompt is None:
        return "none"
    longest = "any length" if model.prompt_max is None else f"at most {model.prompt_max} characters"
    sent = "" if model.prompt.name == "prompt" else f", sent as `{model.prompt.name}`"
    return longest + sent + ("" if model.prompt.required else ", may be left out")
