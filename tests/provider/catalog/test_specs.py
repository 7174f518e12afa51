"""The catalogue's data compared with the vendor's specs of both dates, at each limit."""

import csv
import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

import pytest

from batchgen.provider import catalog
from batchgen.provider.catalog.translate import COUNT_KEYS
from batchgen.types import Severity
from tests.provider.catalog.extract import (
    LEFT_OUT,
    PAGE_IDS,
    PROSE_ONLY,
    catalogue,
    data_file,
    file_name,
    is_upload,
    prompt_name,
)
from tests.provider.catalog.probes import allows, is_open, probes, sample
from tests.provider.catalog.specs import (
    EDITS,
    FAMILIES,
    GENERATIONS,
    Raw,
    Spec,
    by_date,
    read_specs,
)
from tests.shared import shared_path

OLD_MODELS = [
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
WITHOUT_MODEL = ("", "google-ocr")  # their pages have requests without a `model`
LIMITS_IN_PROSE = {("bytedance/seedream-3.0", "size")}  # the schema only describes them


EVERY_FAMILY = pytest.mark.parametrize("family", FAMILIES)


@cache
def specs(family: str = "images") -> tuple[dict[str, Spec], dict[str, Spec]]:
    return by_date(shared_path("api", "openapi"), FAMILIES[family])


def dated(family: str, model_id: str) -> list[Spec]:
    """Return the specs of the model, the current one first."""
    return [by_id[model_id] for by_id in specs(family) if model_id in by_id]


def listed(family: str) -> list[catalog.Model]:
    return [model for model in catalog.models() if model.family == family]


def fields(family: str, spec: Spec) -> Iterator[tuple[str, Raw]]:
    """Return the properties without the prompt."""
    prompt = prompt_name(spec.schema, FAMILIES[family])
    return ((name, raw) for name, raw in spec.schema["properties"].items() if name != prompt)


def verdict(model: catalog.Model, name: str, value: Any, needed: dict[str, Any]) -> str:
    findings = model.check({**needed, name: value})
    severities = [f.severity.value for f in findings if f.message.startswith(f"`{name}")]
    return max(severities, default="passes", key="warning".__ne__)


def expected(name: str, value: Any, known: list[Raw]) -> str:
    """Return the verdict that follows from all specs that have the model."""
    fits = [name in schema and allows(schema[name], value) for schema in known]
    if name in COUNT_KEYS:
        is_count = isinstance(value, int) and value >= 1
        return "passes" if is_count else "error"  # a count above the maximum is split
    if not any(fits):
        return "error"
    return "passes" if all(fits) else "warning"


@EVERY_FAMILY
def test_every_documented_limit_is_checked_on_both_sides(family: str) -> None:
    probed, wrong = 0, []
    for model in listed(family):
        known = dated(family, model.id)
        needed = _needed(family, known[0])
        properties = [spec.schema["properties"] for spec in known]
        for spec in known:
            for name, schema in fields(family, spec):
                differs = name in model.extensions or (model.id, name) in LIMITS_IN_PROSE
                if differs or any(is_open(dated[name]) for dated in properties if name in dated):
                    continue
                is_prose = name in PROSE_ONLY and name in FAMILIES[family].one_of
                for limit, value in probes(schema):
                    want = expected(name, value, properties[:1] if is_prose else properties)
                    got = verdict(model, name, value, needed)
                    probed += 1
                    if got != want:
                        wrong.append((model.id, name, limit, value, want, got))
    assert wrong == []
    assert probed > {"images": 2200, "video": 3000}.get(family, 15)


def test_every_limit_of_the_edits_is_checked_on_both_sides() -> None:
    probed = 0
    for model_id, spec in by_date(shared_path("api", "openapi"), EDITS)[0].items():
        model = catalog.find(model_id)
        assert model is not None
        assert model.edit is not None
        properties = {
            name: schema for name, schema in spec.schema["properties"].items() if name != "prompt"
        }
        files = [name for name, schema in properties.items() if is_upload(schema)]
        assert (files, model.edit.path) == (["image", "mask"], spec.path)
        assert set(model.edit.parameters) == set(properties)
        for name in properties.keys() - set(files):
            for limit, value in probes(properties[name]):
                want = expected(name, value, [properties])
                probed += 1
                assert verdict(model.edit, name, value, {"image": "a.png"}) == want, (name, limit)
    assert probed > 60


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"image": "a.png"}, ""),
        ({"image": ["a.png"] * 16, "mask": "file:m.png"}, ""),
        ({"image": ["a.png"] * 17}, "`image` has 17 items; openai/gpt-image-1 takes 1 to 16"),
        ({}, "`image` is missing"),
        ({"image": "https://a.test/b.png"}, "`image` https://a.test/b.png is a URL;"),
        ({"image": "a.png", "mask": "data:image/png;base64,AA"}, "is a URL;"),
        ({"image": "a.png", "moderation": "low"}, "`moderation` is not a parameter"),
    ],
)
def test_images_to_edit_are_files(params: dict[str, Any], message: str) -> None:
    model = catalog.find("openai/gpt-image-1")
    assert model is not None
    assert model.edit is not None
    messages = "; ".join(finding.message for finding in model.edit.check(params))
    assert messages.startswith(message) or message in messages
    assert bool(messages) == bool(message)


def test_a_count_above_the_documented_maximum_takes_another_request() -> None:
    for model_id, spec in specs()[0].items():
        model = catalog.find(model_id)
        assert model is not None
        properties = spec.schema["properties"]
        name = next((key for key in COUNT_KEYS if key in properties), None)
        maximum = properties[name].get("maximum", 1) if name else 1
        key = name or "n"
        assert len(model.split({key: maximum})) == 1, model_id
        assert len(model.split({key: maximum + 1})) == 2, model_id


def _needed(family: str, spec: Spec) -> dict[str, Any]:
    properties = dict(fields(family, spec))
    names = [name for name in spec.schema["required"] if name in properties]
    names += [name for name in FAMILIES[family].one_of if name in properties][:1]
    return {name: _sample(properties[name]) for name in names}


def _sample(schema: Raw) -> Any:
    return "a.wav" if schema.get("format") == "binary" else sample(schema)


@EVERY_FAMILY
def test_every_parameter_is_in_a_spec(family: str) -> None:
    for model in listed(family):
        names = {name for spec in dated(family, model.id) for name, _ in fields(family, spec)}
        assert set(model.parameters) - (model.extensions - names) == names, model.id


@EVERY_FAMILY
def test_defaults_are_those_of_the_current_spec(family: str) -> None:
    for model in listed(family):
        properties = dated(family, model.id)[0].schema["properties"]
        for name, parameter in model.parameters.items():
            if name in model.extensions:
                continue
            default = properties.get(name, {}).get("default")
            if default is None or isinstance(default, list | dict):
                assert parameter.default is None, (model.id, name)
            else:
                assert str(parameter.default) == str(default), (model.id, name)


@EVERY_FAMILY
def test_a_missing_required_parameter_is_an_error(family: str) -> None:
    for model in listed(family):
        needed = _needed(family, dated(family, model.id)[0])
        for name in needed:
            incomplete = {key: value for key, value in needed.items() if key != name}
            missing = [f for f in model.check(incomplete) if "is missing" in f.message]
            assert [f.severity for f in missing] == [Severity.ERROR]
            assert f"`{name}`" in missing[0].message


@EVERY_FAMILY
def test_prompt_lengths_are_those_that_either_spec_allows(family: str) -> None:
    for model in listed(family):
        raw = [_prompt(family, spec) for spec in dated(family, model.id)]
        bounds = [prompt.get("maxLength") for prompt in raw if prompt is not None]
        if not bounds:
            assert model.prompt_max == 0
            continue
        known = [bound for bound in bounds if bound is not None]
        assert model.check_prompt("x" * min(known, default=1_000_000)) is None
        too_long = model.check_prompt("x" * (max(known, default=0) + 1))
        if len(known) < len(bounds):
            assert too_long is None or too_long.severity is Severity.WARNING
            continue
        assert too_long is not None
        assert too_long.severity is Severity.ERROR


def _prompt(family: str, spec: Spec) -> Raw | None:
    """Return the schema of the prompt; of several forms, the text."""
    name = prompt_name(spec.schema, FAMILIES[family])
    if name is None:
        return None
    raw = spec.schema["properties"][name]
    return next((one for one in raw.get("anyOf", [raw]) if one["type"] == "string"), {})


@EVERY_FAMILY
def test_the_data_file_is_generated_from_the_specs(family: str) -> None:
    data = (
        resources.files("batchgen.provider.catalog").joinpath(file_name(family)).read_text("utf-8")
    )
    assert data == data_file(catalogue(shared_path("api", "openapi"), family))
    assert len(data) < 80_000


def test_every_model_of_the_index_is_found_in_its_family() -> None:
    names = {family.folder: name for name, family in FAMILIES.items()}
    paths = {path for family in FAMILIES.values() for path in family.paths}
    with shared_path("api", "openapi", "INDEX.csv").open(encoding="utf-8") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if row["model_id"] not in (*WITHOUT_MODEL, *LEFT_OUT)
            and row["method"] == "POST"
            and row["path"] in paths
        ]
    by_id = {row["model_id"]: catalog.find(row["model_id"]) for row in rows}
    wrong = [
        row["model_id"]
        for row in rows
        if (model := by_id[row["model_id"]]) is None or model.family != names[row["family"]]
    ]
    assert wrong == []
    assert len(by_id) > 300


@EVERY_FAMILY
def test_ids_that_share_a_current_spec_are_one_model(family: str) -> None:
    for spec in read_specs(shared_path("api", "openapi"), FAMILIES[family]):
        if not spec.is_old:
            first, *others = (catalog.find(name) for name in spec.ids)
            assert all(other is first for other in others), spec.ids
    assert all(
        catalog.find(page) is catalog.find(name) for name in PAGE_IDS for page in PAGE_IDS[name]
    )


@EVERY_FAMILY
def test_a_model_has_the_path_of_its_latest_spec(family: str) -> None:
    for model in listed(family):
        model_specs = dated(family, model.id)
        assert model.path == model_specs[0].path
        assert model.in_old_spec == any(spec.is_old for spec in model_specs)


@pytest.mark.parametrize("model_id", OLD_MODELS)
def test_the_models_of_2025_05_are_in_the_catalogue(model_id: str) -> None:
    model = catalog.find(model_id)
    assert model is not None
    assert model.in_old_spec
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
