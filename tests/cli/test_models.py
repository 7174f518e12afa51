"""`batchgen models`: the table, one model, and the comparison with the provider's list."""

import json
from pathlib import Path

import pytest

from batchgen.provider import catalog
from batchgen.types import Severity
from tests.e2e.command import batchgen
from tests.e2e.simulated import simulate

TABLES = [*catalog.models(), *catalog.models("openai")]


@pytest.mark.parametrize("model", TABLES, ids=[model.id for model in TABLES])
def test_the_example_row_of_a_model_passes_its_checks(model: catalog.Model) -> None:
    row = catalog.example(model)
    params = {name: value for name, value in row.items() if name not in ("model", "prompt")}
    findings = model.check(model.normalise(params))
    assert [finding.message for finding in findings if finding.severity is Severity.ERROR] == []
    assert model.check_prompt(str(row.get("prompt", ""))) is None


def test_the_table_has_price_count_size_and_inputs(tmp_path: Path) -> None:
    ended = batchgen("models", "--search", "KONTEXT-PRO", cwd=tmp_path)
    lines = [line.split() for line in ended.out.splitlines()]
    assert lines == [
        ["family", "model", "price", "images", "size", "inputs"],
        [
            "images",
            "flux/kontext-pro/image-to-image",
            "num_images",
            "1-4",
            "aspect_ratio",
            "image_url",
        ],
        ["images", "flux/kontext-pro/text-to-image", "$0.052", "num_images", "1-4", "aspect_ratio"],
    ]


@pytest.mark.parametrize(
    ("name", "model_id"),
    [
        ("Flux Pro v1.1 Ultra", "flux-pro/v1.1-ultra"),
        ("FLUX Realism", "flux-realism"),
        ("Flux Schnell", "flux/schnell"),
        ("Flux dev image-to-image", "flux/dev/image-to-image"),
        ("Imagen 3", "imagen-3.0-generate-002"),
        ("Imagen 3.0", "imagen-3.0-generate-002"),
        ("DALL·E 2", "dall-e-2"),
        ("DALL-E 3", "dall-e-3"),
        ("Recraft v3", "recraft-v3"),
        ("Stable Diffusion v3 medium", "stable-diffusion-v3-medium"),
        ("Stable Diffusion v3.5 large", "stable-diffusion-v35-large"),
    ],
)
def test_models_are_found_by_their_common_names(name: str, model_id: str) -> None:
    assert model_id in [model.id for model in catalog.search(name)]
    assert catalog.suggest(name) == model_id


def test_a_name_shows_the_only_model_that_matches_or_lists_several(
    tmp_path: Path,
) -> None:
    assert batchgen("models", "Imagen 3", cwd=tmp_path).out.startswith("imagen-3.0-generate-002")
    ended = batchgen("models", "gpt image", cwd=tmp_path)
    assert ended.code == 2
    assert "openai/gpt-image-1, openai/gpt-image-1-5" in ended.err


def test_a_search_without_a_match_is_an_error(tmp_path: Path) -> None:
    ended = batchgen("models", "--search", "zzz", cwd=tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert "'zzz'" in ended.err


def test_the_example_row_of_a_model_plans(tmp_path: Path) -> None:
    ended = batchgen("models", "flux/schnell", cwd=tmp_path)
    assert "1 to 4" in ended.out
    (tmp_path / "row.jsonl").write_text(ended.out.splitlines()[-1])
    assert batchgen("plan", "row.jsonl", cwd=tmp_path).code == 0


def test_a_model_of_openai_is_priced_by_its_tokens(tmp_path: Path) -> None:
    ended = batchgen("models", "gpt-image-1", "--provider", "openai", cwd=tmp_path)
    assert "per million tokens" in ended.out
    assert "response_format" not in ended.out
    assert "parameters if a row has an input image:" in ended.out


def test_json_has_the_fields_of_a_model(tmp_path: Path) -> None:
    (model,) = json.loads(batchgen("models", "--search", "reve/edit", "--json", cwd=tmp_path).out)
    assert (model["id"], model["count_key"], model["inputs"]) == (
        "reve/edit-image",
        None,
        ["image_url"],
    )


def test_live_asks_the_provider_and_needs_no_key(tmp_path: Path) -> None:
    with simulate(cwd=tmp_path) as base_url:
        words = ("models", "--live", "--base-url", base_url)
        listed = json.loads(batchgen(*words, "--json", cwd=tmp_path).out)
        other = batchgen(*words, "--provider", "openai", cwd=tmp_path)
        single = batchgen(*words, "flux/dev", cwd=tmp_path)

    assert len(listed) >= len(catalog.models())
    assert all(model["live"] for model in listed)
    assert "lists it now" in single.out
    assert any(
        line.split()[1] == "flux/dev" and line.endswith("not in the catalogue")
        for line in other.out.splitlines()
    )


def test_a_provider_that_does_not_answer_is_reported(tmp_path: Path) -> None:
    ended = batchgen("models", "--live", "--base-url", "http://127.0.0.1:9", cwd=tmp_path)
    assert ended.code == 2
    assert "http://127.0.0.1:9/v1/models returned no list of models" in ended.err
    public = batchgen("models", "--live", "--base-url", "http://example.com", cwd=tmp_path)
    assert "use https://" in public.err


def test_live_marks_models_that_only_one_side_has(tmp_path: Path) -> None:
    with simulate(cwd=tmp_path) as base_url:
        ended = batchgen(
            *("models", "--live", "--base-url", base_url, "--provider", "openai", "--json"),
            cwd=tmp_path,
        )
    by_id = {model["id"]: model for model in json.loads(ended.out)}
    assert by_id["dall-e-3"] == {**by_id["dall-e-3"], "live": True, "known": True}
    assert by_id["flux/dev"] == {"id": "flux/dev", "known": False, "live": True}
