"""Rows become tasks: precedence of settings, columns, prompts, copies."""

import pytest

from batchgen.provider import catalog
from batchgen.provider.endpoints import ENDPOINTS
from batchgen.types import Json, Problem, Severity, Task
from tests.manifest.expand.expanding import (
    DALLE2,
    LAB,
    Fields,
    expand,
    job_of,
    problems,
    task,
    tasks,
)


def test_a_flag_overrides_the_row_the_row_its_entry_and_the_entry_the_defaults() -> None:
    values: Fields = {**LAB, "defaults": {"model": "own", "size": "d", "n": 1, "user": "d"}}
    entry: Fields = {"size": "item", "n": 2, "user": "item"}
    made = task(
        job_of(values, provider=None, parameters={"user": "flag"}),
        {"prompt": "x", "n": "3", "user": "row"},
        entry=entry,
        textual=True,
    )
    assert made.params == {"size": "item", "n": 3, "user": "flag"}


def test_the_model_of_a_flag_overrides_rows_and_a_model_axis() -> None:
    values: Fields = {"matrix": {"model": ["dall-e-2", "dall-e-3"]}}
    job = job_of(values, model="flux/schnell")
    assert [task.model for task in tasks(job, {"prompt": "x", "model": "dall-e-2"})] == [
        "flux/schnell"
    ]


def test_a_parameter_that_a_flag_sets_is_no_axis() -> None:
    values: Fields = {
        "defaults": {"model": "dall-e-2"},
        "matrix": {"size": ["256x256", "512x512"]},
    }
    job = job_of(values, parameters={"size": "1024x1024"})
    assert [task.params for task in tasks(job, {"prompt": "x"})] == [{"size": "1024x1024"}]


def test_variables_of_the_row_override_those_of_its_entry_and_of_the_defaults() -> None:
    job = job_of({"defaults": {"model": "dall-e-2", "vars": {"a": "d", "b": "d", "c": "d"}}})
    made = task(
        job, {"prompt": "{a}{b}{c}", "vars": {"a": "r"}}, entry={"vars": {"a": "i", "b": "i"}}
    )
    assert (made.prompt, made.vars) == ("rid", {"a": "r", "b": "i", "c": "d"})


def test_a_null_removes_a_default_parameter() -> None:
    job = job_of({"defaults": {"model": "dall-e-2", "size": "256x256"}})
    assert task(job, {"prompt": "x", "size": None}).params == {}


@pytest.mark.parametrize("name", ["id", "model", "filename", "vars", "repeat"])
def test_a_null_under_a_built_in_key_counts_as_not_given(name: str) -> None:
    assert task(DALLE2, {"prompt": "x", name: None}) == task(DALLE2, {"prompt": "x"})


def test_defaults_that_another_model_does_not_have_are_dropped() -> None:
    job = job_of({"defaults": {"model": "flux/schnell", "image_size": "square", "num_images": 1}})
    assert task(job, {"prompt": "x", "model": "dall-e-3"}).params == {"n": 1}


def test_a_typing_error_in_the_defaults_is_reported() -> None:
    job = job_of({"defaults": {"model": "flux/schnell", "image_sizes": "square"}})
    (message,) = problems(job, {"prompt": "x", "model": "dall-e-3"})
    assert "`image_sizes` is not a parameter of dall-e-3" in message


def test_a_default_that_its_own_model_does_not_have_is_reported() -> None:
    job = job_of({"defaults": {"model": "dall-e-2", "image_size": "square"}})
    assert "`image_size` is not a parameter of dall-e-2" in problems(job, {"prompt": "x"})[0]


def test_a_row_without_a_model_is_an_error_except_with_the_simulator() -> None:
    assert "no model" in problems(job_of(), {"prompt": "x"})[0]
    assert task(job_of(provider="simulator"), {"prompt": "x"}).model == "flux/schnell"


def test_columns_take_the_type_of_the_models_parameter_and_others_are_variables() -> None:
    fields: Fields = {"prompt": "x", "n": "2", "size": "512x512", "sku": "007", "category": "a"}
    made = task(DALLE2, fields, entry={}, textual=True)
    assert made.params == {"n": 2, "size": "512x512"}
    assert made.vars == {"sku": "007", "category": "a"}


def test_other_keys_of_a_json_row_are_variables_with_their_type() -> None:
    made = task(DALLE2, {"prompt": "{sku}", "n": 2, "sku": 7, "tags": ["a"]}, entry={})
    assert (made.prompt, made.params, made.vars) == ("7", {"n": 2}, {"sku": 7, "tags": ["a"]})


def test_an_unknown_key_of_a_row_in_the_job_is_reported() -> None:
    (message,) = problems(DALLE2, {"prompt": "x", "sise": "512x512"})
    assert message.startswith("m.csv:1: `sise` is not a parameter of dall-e-2")


@pytest.mark.parametrize(
    ("prompt", "lead"), [(" ", "no prompt"), ("{sku}", "template variable `{sku}`")]
)
def test_an_error_of_the_prompt_does_not_hide_errors_of_the_parameters(
    prompt: str, lead: str
) -> None:
    fields: Fields = {"prompt": prompt, "size": "1x1", "n": "many"}
    (message,) = problems(DALLE2, fields, entry={}, textual=True)
    assert message.startswith(f"m.csv:1: {lead}")
    assert "; `size` 1x1 is not one of" in message
    assert "; `n` is the text many" in message


def test_bad_templates_in_a_parameter_and_in_the_prompt_are_both_reported() -> None:
    (message,) = problems(DALLE2, {"prompt": "{a}", "user": "{b}"})
    assert "template variable `{a}`" in message
    assert "; `user`: template variable `{b}`" in message


def test_the_model_of_a_row_decides_which_columns_are_parameters() -> None:
    rows: list[Fields] = [
        {"prompt": "x", "model": "dall-e-3", "style": "vivid"},
        {"prompt": "x", "model": "flux/schnell", "style": "vivid"},
    ]
    three, flux = tasks(job_of(), *rows, entry={}, textual=True)
    assert (three.params, three.vars) == ({"style": "vivid"}, {})
    assert (flux.params, flux.vars) == ({}, {"style": "vivid"})


def test_parameters_of_an_unknown_model_are_sent_unchanged() -> None:
    made = task(
        job_of(LAB, provider=None), {"prompt": "x", "glow": {"by": [1, None]}, "size": "odd"}
    )
    assert made.params == {"glow": {"by": [1, None]}, "size": "odd"}


def test_columns_for_an_unknown_model_are_sent_if_any_model_has_such_a_parameter() -> None:
    made = task(
        job_of(LAB, provider=None), {"prompt": "x", "n": "2", "sku": "7"}, entry={}, textual=True
    )
    assert (made.params, made.vars) == ({"n": 2}, {"sku": "7"})


def test_a_model_id_with_a_typing_error_is_sent_with_a_warning() -> None:
    warning, made = expand(job_of(model="flux/schnel"), [{"prompt": "x"}])
    assert isinstance(made, Task)
    assert isinstance(warning, Problem)
    assert warning.severity is Severity.WARNING
    assert "did you mean `flux/schnell`?" in warning.message


def test_flags_get_the_type_of_the_models_parameter() -> None:
    job = job_of(model="dall-e-2", parameters={"n": "2", "size": "256x256"})
    assert task(job, {"prompt": "x"}).params == {"n": 2, "size": "256x256"}


@pytest.mark.parametrize("prompt", [None, "", "  \n"])
def test_a_row_without_a_prompt_is_an_error(prompt: str | None) -> None:
    assert problems(DALLE2, {"prompt": prompt}) == ["m.csv:1: no prompt; every row needs one"]


@pytest.mark.parametrize("model", ["topaz-labs/sharpen", "beeble/switchx-image-to-image"])
def test_a_model_that_needs_no_prompt_is_used_without_one(model: str) -> None:
    made = task(job_of(model=model, check=False), {"image_url": "https://host/a.png"})
    assert made.prompt == ""
    assert made.id.startswith("task-")


def test_a_prompt_for_a_model_that_takes_none_is_an_error() -> None:
    fields: Fields = {"prompt": "x", "image_url": "https://host/a.png"}
    assert "takes no prompt" in problems(job_of(model="topaz-labs/sharpen"), fields)[0]


def test_the_prompt_of_an_entry_is_a_template_over_the_rows_own() -> None:
    made = task(
        DALLE2, {"prompt": "a {raw} cup", "sku": "A"}, entry={"prompt": "Photo: {prompt}, {sku}"}
    )
    assert made.prompt == "Photo: a {raw} cup, A"


def test_braces_in_the_values_of_variables_are_unchanged() -> None:
    made = task(DALLE2, {"prompt": "{a} {{b}}", "vars": {"a": "{b}", "b": "no"}})
    assert made.prompt == "{b} {b}"


def test_an_undefined_variable_is_reported_with_its_row_and_a_suggestion() -> None:
    rows: list[Fields] = [{"prompt": "ok"}, {"prompt": "a {colour}", "vars": {"color": "red"}}]
    assert problems(DALLE2, *rows) == [
        "m.csv:2: template variable `{colour}` is not defined; did you mean `{color}`?"
    ]


def test_a_template_in_a_parameter_is_rendered_and_its_errors_name_the_parameter() -> None:
    job = job_of({"defaults": {"model": "flux/srpo", "acceleration": "{pace}"}}, check=False)
    made = task(job, {"prompt": "x", "vars": {"pace": "high"}})
    assert made.params == {"acceleration": "high"}
    assert "`acceleration`: template variable `{pace}`" in problems(job, {"prompt": "x"})[0]


def test_errors_of_a_request_are_reported_at_its_row() -> None:
    rows: list[Fields] = [{"prompt": "x", "n": 0}, {"prompt": "y" * 4001}, {"prompt": "z"}]
    first, second = problems(DALLE2, *rows)
    assert first.startswith("m.csv:1: `n`")
    assert second == "m.csv:2: prompt is 4001 characters; dall-e-2 takes at most 4000"


def test_without_the_check_anything_is_sent() -> None:
    job = job_of(model="dall-e-2", check=False)
    assert task(job, {"prompt": "x", "n": 11, "sise": 1}).params == {"n": 11, "sise": 1}


def test_copies_have_different_seeds_that_stay_the_same() -> None:
    job = job_of(model="flux/schnell")
    first = tasks(job, {"prompt": "x", "repeat": 3})
    assert len({task.params["seed"] for task in first}) == 3
    assert first == tasks(job, {"prompt": "x", "repeat": 3})


def test_copies_count_on_from_a_given_seed() -> None:
    made = tasks(job_of(model="flux/schnell"), {"prompt": "x", "id": "fox", "repeat": 3, "seed": 7})
    assert [(task.id, task.params["seed"]) for task in made] == [
        ("fox-r1", 7),
        ("fox-r2", 8),
        ("fox-r3", 9),
    ]


def test_copies_of_a_model_without_seeds_differ_in_their_number() -> None:
    made = tasks(DALLE2, {"prompt": "x", "repeat": 3})
    assert [task.params for task in made] == [{}, {}, {}]
    assert len({task.key for task in made}) == len({task.id for task in made}) == 3


@pytest.mark.parametrize("repeat", [0, -1, 10_001, True, 1.5, "two", [], {}, 10**4000, "9" * 5000])
def test_a_repeat_that_is_not_a_valid_number_is_an_error(repeat: Json) -> None:
    (message,) = problems(DALLE2, {"prompt": "x", "repeat": repeat})
    assert "`repeat`" in message


def test_a_model_of_an_unsupported_family_is_refused() -> None:
    lacking = {model.family: model for model in catalog.models() if model.family not in ENDPOINTS}
    for family, model in lacking.items():
        row = catalog.example(model)
        (message,) = problems(job_of(), row)
        assert f"{model.id} is a model of the family {family}, which batchgen" in message
        assert problems(job_of(check=False), row) == [message]
