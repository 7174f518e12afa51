"""The catalogue's data against the vendor's specs of both dates: each limit, both ways."""

import csv
import re
from functools import cache
from importlib import resources
from typing import Any

import pytest

from batchgen import catalog
from batchgen.catalog.translate import COUNT_KEYS
from batchgen.types import Severity
from tests.catalog.extract import (
    GENERATIONS,
    SEED_SUFFIX,
    Raw,
    catalogue,
    current_and_seed,
    schemas,
    written,
)
from tests.catalog.probes import allows, probes, sample
from tests.shared import shared_path

SEED_MODELS = [
    "flux-pro",
    "flux-pro/v1.1",
    "flux-pro/v1.1-ultra",
    "flux-realism",
    "flux/dev",
    "flux/dev/image-to-image",
    "flux/schnell",
    "imagen-3.0-generate-002",
    "dall-e-2",
    "dall-e-3",
    "recraft-v3",
    "stable-diffusion-v3-medium",
    "stable-diffusion-v35-large",
]
WORDED_LIMITS = {("bytedance/seedream-3.0", "size")}  # the schema has them in a sentence only


@cache
def specs() -> tuple[dict[str, Raw], dict[str, Raw]]:
    return current_and_seed(shared_path("api", "openapi", "image"))


def verdict(model: catalog.Model, name: str, value: Any, needed: dict[str, Any]) -> str:
    findings = model.check({**needed, name: value})
    return max((f.severity.value for f in findings), default="passes", key="warning".__ne__)


def expected(name: str, value: Any, known: list[Raw]) -> str:
    """What the specs of the dates that know the model say of the value together."""
    fits = [name in schema and allows(schema[name], value) for schema in known]
    if name in COUNT_KEYS:
        whole = isinstance(value, int) and value >= 1
        return "passes" if whole else "error"  # what is above the maximum is split
    if not any(fits):
        return "error"
    return "passes" if all(fits) else "warning"


@pytest.mark.parametrize("date", ["current", "seed"])
def test_every_documented_limit_holds_both_ways(date: str) -> None:
    probed, wrong = 0, []
    for model_id in specs()[date == "seed"]:
        known = [by_id[model_id] for by_id in specs() if model_id in by_id]
        model = catalog.find(model_id)
        assert model is not None
        needed = _needed(known[0])
        own = known[-1 if date == "seed" else 0]["properties"]
        for name, schema in own.items():
            if name in ("model", "prompt") or (model_id, name) in WORDED_LIMITS:
                continue
            for what, value in probes(schema):
                want = expected(name, value, [one["properties"] for one in known])
                got = verdict(model, name, value, needed)
                probed += 1
                if got != want:
                    wrong.append((model_id, name, what, value, want, got))
    assert wrong == []
    assert probed > (200 if date == "seed" else 2000)


def test_a_count_above_the_documented_maximum_takes_another_request() -> None:
    for model_id, schema in specs()[0].items():
        model = catalog.find(model_id)
        assert model is not None
        name = next((key for key in COUNT_KEYS if key in schema["properties"]), None)
        most = schema["properties"][name].get("maximum", 1) if name else 1
        key = name or "n"
        assert len(model.split({key: most})) == 1, model_id
        assert len(model.split({key: most + 1})) == 2, model_id


def _needed(schema: Raw) -> dict[str, Any]:
    names = [name for name in schema["required"] if name not in ("model", "prompt")]
    return {name: sample(schema["properties"][name]) for name in names}


def test_no_parameter_is_known_that_no_spec_has() -> None:
    for model in catalog.models():
        known = [by_id[model.id]["properties"] for by_id in specs() if model.id in by_id]
        names = {name for properties in known for name in properties} - {"model", "prompt"}
        assert set(model.parameters) == names, model.id


def test_defaults_are_the_current_specs() -> None:
    for model in catalog.models():
        properties = specs()[0][model.id]["properties"]
        for name, parameter in model.parameters.items():
            default = properties.get(name, {}).get("default")
            if default is not None and default != []:
                assert str(parameter.default) == str(default), (model.id, name)
            else:
                assert parameter.default is None, (model.id, name)


def test_leaving_out_a_required_input_is_an_error() -> None:
    for model_id, schema in specs()[0].items():
        model = catalog.find(model_id)
        assert model is not None
        for name in _needed(schema):
            given = {key: value for key, value in _needed(schema).items() if key != name}
            (finding,) = model.check(given)
            assert finding.severity is Severity.ERROR
            assert f"`{name}` is missing" in finding.message


def test_prompt_lengths_are_those_that_either_spec_allows() -> None:
    for model in catalog.models():
        raw = [
            by_id[model.id]["properties"].get("prompt") for by_id in specs() if model.id in by_id
        ]
        bounds = [prompt.get("maxLength") for prompt in raw if prompt]
        if not bounds:
            assert model.prompt_max == 0
            continue
        if None in bounds:
            assert model.check_prompt("x" * 100_000) is None
            continue
        assert model.check_prompt("x" * min(bounds)) is None
        too_long = model.check_prompt("x" * (max(bounds) + 1))
        assert too_long is not None
        assert too_long.severity is Severity.ERROR


def test_the_data_file_is_what_the_specs_make_it() -> None:
    data = resources.files("batchgen.catalog").joinpath("image.json").read_text("utf-8")
    assert data == written(catalogue(shared_path("api", "openapi", "image")))
    assert len(data) < 60_000


def test_every_image_model_of_the_index_is_found() -> None:
    with shared_path("api", "openapi", "INDEX.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["family"] == "image"]
    generating = {row["model_id"] for row in rows if row["path"] == GENERATIONS}
    assert {model_id for model_id in generating if catalog.find(model_id) is None} == set()
    assert len(generating) > 80


def test_ids_that_share_a_current_spec_are_one_model() -> None:
    shared = [
        ids
        for stem, ids, _ in schemas(shared_path("api", "openapi", "image"))
        if len(ids) > 1 and not stem.endswith(SEED_SUFFIX)
    ]
    assert shared
    for first, *others in shared:
        assert all(catalog.find(other) is catalog.find(first) for other in others)


@pytest.mark.parametrize("model_id", SEED_MODELS)
def test_the_models_that_the_seed_page_names_are_there(model_id: str) -> None:
    model = catalog.find(model_id)
    assert model is not None
    assert model.in_seed
    assert (model.family, model.path) == ("images", GENERATIONS)


def test_prices_are_those_of_the_facts() -> None:
    text = shared_path("api", "FACTS.md").read_text("utf-8")
    first, second = text.split("(a) LiteLLM")[1].split("(b) credits in")
    for model_id, usd in re.findall(r"^\| `([^`*]+)` \| ([0-9.]+) \|$", first, re.MULTILINE):
        model = catalog.find(model_id)
        assert model is not None
        assert model.price({}) == float(usd), model_id
        assert model.price_source == "LiteLLM 1.106.2 price map, undated"
    single = re.findall(r"^\| `([^`*]+)` \| (\d+) \|", second.split("###")[0], re.MULTILINE)
    assert len(single) > 10
    for model_id, credit in single:
        model = catalog.find(model_id)
        if model is not None and "LiteLLM" not in (model.price_source or ""):
            assert model.price({}) == pytest.approx(int(credit) / 2_000_000), model_id
