"""Batches of embeddings: which rows share a request, and the identity of the batch."""

import importlib.util
from typing import Any

import pytest

from batchgen.types import Json, Task
from tests.manifest.expand.expanding import Fields, job_of, problems, task, tasks

SMALL: dict[str, Json] = {"model": "text-embedding-3-small", "batch_size": 3}
BATCHES = job_of({"defaults": SMALL})


def texts(batches: list[Task]) -> list[Any]:
    return [task.params["input"] for task in batches]


def numbered(*numbers: int) -> list[Fields]:
    return [{"id": f"r{n}", "prompt": f"text {n}"} for n in numbers]


def test_consecutive_rows_become_one_request_in_order() -> None:
    batches = tasks(BATCHES, *numbered(1, 2, 3, 4))

    assert texts(batches) == [["text 1", "text 2", "text 3"], ["text 4"]]
    assert [task.id for task in batches] == ["r1+2", "r4"]
    assert [task.filename for task in batches] == ["r1+2-{n}.{ext}", "r4-{n}.{ext}"]
    assert [(task.prompt, task.line, task.ordinal) for task in batches] == [("", 1, 0), ("", 4, 1)]
    assert all("batch_size" not in task.params for task in batches)


def test_a_batch_lists_the_rows_of_its_vectors() -> None:
    rows: list[Fields] = [
        {"id": "a", "prompt": "A {colour} fox", "vars": {"colour": "red", "lot": 7}},
        {"prompt": "A cat", "vars": {"lot": 7}},
    ]
    (batches,) = tasks(BATCHES, *rows)

    assert batches.params["input"] == ["A red fox", "A cat"]
    cat = task(job_of({"defaults": {"model": SMALL["model"]}}), {"prompt": "A cat"})
    assert batches.vars == {
        "lot": 7,
        "rows": [
            {"id": "a", "line": 1, "vars": {"colour": "red", "lot": 7}},
            {"id": cat.id, "line": 2, "vars": {"lot": 7}},
        ],
    }


@pytest.mark.parametrize(
    "other",
    [
        {"model": "text-embedding-3-large"},
        {"dimensions": 8},
        {"filename": "{id}.{ext}"},
        {"batch_size": 1},
        {"input": ["of its own"], "prompt": None},
        {"model": "flux/schnell"},
    ],
)
def test_a_row_with_other_settings_is_not_in_the_batch(other: dict[str, Json]) -> None:
    first, second, third, fourth = numbered(1, 2, 3, 4)
    row: dict[str, Json] = {**third, **other}
    batches = tasks(BATCHES, first, second, row, fourth)
    assert [task.id for task in batches] == ["r1+1", "r3", "r4"]


def test_appended_rows_do_not_change_complete_batches() -> None:
    before = tasks(BATCHES, *numbered(1, 2, 3, 4))
    after = tasks(BATCHES, *numbered(1, 2, 3, 4, 5))
    assert after[0] == before[0]
    assert after[1].key != before[1].key


def test_an_edited_text_changes_the_digest_of_its_batch_and_not_its_key() -> None:
    (before,) = tasks(BATCHES, *numbered(1, 2))
    first, _ = numbered(1, 2)
    (after,) = tasks(BATCHES, first, {"id": "r2", "prompt": "another text"})
    assert (after.key, after.id) == (before.key, before.id)
    assert after.digest != before.digest


def test_a_batch_is_the_same_task_as_the_row_it_is_exported_as() -> None:
    (batch,) = tasks(BATCHES, *numbered(1, 2))
    row: dict[str, Json] = {
        "id": batch.id,
        "model": batch.model,
        **batch.params,
        "vars": dict(batch.vars),
    }
    again = task(job_of(), row)
    assert (again.key, again.digest, again.vars) == (batch.key, batch.digest, batch.vars)


def test_a_row_may_be_a_list_of_texts() -> None:
    batches = task(job_of(), {"model": "text-embedding-3-small", "input": ["one", "two {n}"],
                            "vars": {"n": 2}})  # fmt: skip
    assert (batches.params["input"], batches.prompt) == (["one", "two 2"], "")


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"batch_size": 2049}, "`batch_size` is 2049; text-embedding-3-small takes 1 to 2048"),
        ({"batch_size": 0}, "`batch_size` is 0; text-embedding-3-small takes 1 to 2048"),
        ({"model": "alibaba/qwen-text-embedding-v4", "batch_size": 11}, "takes 1 to 10"),
        ({"model": "voyage-2", "batch_size": 129}, "takes 1 to 128"),
        (
            {"model": "voyage-2", "prompt": "x" * 801},
            "prompt is 801 characters; voyage-2 takes at most 800 per text in a batch",
        ),
        ({"model": "togethercomputer/m2-bert-80M-2k-retrieval"}, "`batch_size` is not a parameter"),
        ({"input": ["a"]}, "the row has both a prompt and `input`; remove one of them"),
        ({"input": [], "prompt": None}, "`input` has 0 items"),
        ({"prompt": None}, "no prompt; every row needs one"),
    ],
)
def test_errors_of_batches_are_reported(row: dict[str, Json], expected: str) -> None:
    batches = problems(job_of(), {"prompt": "A fox", **SMALL, **row})
    assert len(batches) == 1
    assert expected in batches[0]


def test_a_long_text_of_voyage_is_accepted_alone() -> None:
    row: Fields = {"prompt": "x" * 801, "model": "voyage-2", "batch_size": 1}
    assert task(job_of(), row).prompt == "x" * 801


def test_ids_are_unique_in_batches_too() -> None:
    (message,) = problems(BATCHES, *numbered(1, 1))
    assert message.startswith("m.csv:2: duplicate id 'r1'")


def test_the_file_name_of_a_batch_has_only_variables_that_its_rows_share() -> None:
    job = job_of({"defaults": SMALL, "output": {"filename": "{lang}/{id}.{ext}"}})
    same: list[Fields] = [{**row, "vars": {"lang": "de"}} for row in numbered(1, 2)]
    assert tasks(job, *same)[0].filename == "de/r1+1.{ext}"

    other: Fields = {**same[1], "vars": {"lang": "fr"}}
    (message,) = problems(job, same[0], other)
    assert message.startswith("m.csv:1: ")
    assert "lang" in message


def test_batch_size_has_no_effect_on_models_of_other_families() -> None:
    batches = tasks(BATCHES, {"model": "openai/gpt-4o", "prompt": "A"}, *numbered(1, 2))
    assert [task.endpoint for task in batches] == ["chat", "embeddings"]
    assert batches[0].params == {}


def test_parquet_without_pyarrow_is_an_error_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr("batchgen.manifest.expand.embedding_batches.find_spec", lambda _: None)
    row: Fields = {"prompt": "A fox", **SMALL, "vector_format": "parquet"}
    (message,) = problems(job_of(), row)
    assert "pip install pyarrow" in message
