"""Ids, keys and file names: stable, unique, and inside the output directory."""

import random
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.job import Job
from batchgen.manifest.expand import names
from batchgen.manifest.expand.identity import key_of_request
from batchgen.types import Json, Task
from tests.manifest.expand.expanding import DALLE2, Fields, job_of, problems, task, tasks

prompts = st.lists(st.text("ab \u00e9", min_size=1).filter(str.strip), min_size=1, max_size=12)


def files(pattern: str, model: str = "dall-e-2") -> Job:
    return job_of({"defaults": {"model": model}, "output": {"filename": pattern}})


def test_an_id_is_a_slug_of_the_prompt_and_eight_digits_of_the_key() -> None:
    made = task(DALLE2, {"prompt": "A fox, ink (front)!"})
    assert made.id == f"a-fox-ink-front-{made.key[:8]}"
    assert made.filename == f"{made.id}-{{n}}.{{ext}}"


def test_a_prompt_without_letters_still_gives_an_id() -> None:
    assert task(DALLE2, {"prompt": "?!"}).id.startswith("task-")


def test_the_key_depends_on_the_whole_request_and_on_nothing_else() -> None:
    def key(**fields: Json) -> str:
        return task(DALLE2, {"prompt": "x", **fields}).key

    assert key(n=2, size="256x256") == key(size="256x256", n=2) == key(n=2.0, size="256x256")
    assert key(vars={"sku": 1}) == key(filename="other") == key()
    assert len({key(), key(n=2), key(size="256x256"), key(model="dall-e-3"), key(prompt="y")}) == 5


@given(prompts, st.randoms(use_true_random=False))
def test_keys_and_ids_survive_inserted_and_reordered_rows(
    texts: list[str], order: random.Random
) -> None:
    before = [(task.prompt, task.key, task.id) for task in made_of(texts)]
    changed = [*texts, "inserted"]
    order.shuffle(changed)
    after = [(task.prompt, task.key, task.id) for task in made_of(changed)]
    assert sorted(row for row in after if row[0] != "inserted") == sorted(before)


def made_of(texts: list[str]) -> list[Task]:
    return tasks(DALLE2, *({"prompt": text} for text in texts))


@given(prompts)
def test_equal_rows_have_different_keys_and_file_names(texts: list[str]) -> None:
    made = made_of(texts * 2)
    assert len({task.key for task in made}) == len({task.filename for task in made}) == len(made)


def test_ids_with_equal_hash_digits_get_more_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    def agreeing(digest: str, occurrence: int) -> str:
        return "0" * 8 + key_of_request(digest, occurrence)[8:]

    monkeypatch.setattr(names, "key_of_request", agreeing)
    # Forty equal letters: the slug ends before the difference of the prompts.
    first, second = made_of(["a" * 40 + " 1", "a" * 40 + " 2"])
    assert first.id == "a" * 32 + "-00000000"
    assert second.id == "a" * 32 + f"-{second.key[:16]}"


def test_a_duplicate_id_is_reported_with_file_and_line() -> None:
    messages = problems(DALLE2, {"id": "a", "prompt": "x"}, {"id": "a", "prompt": "y"})
    assert messages == ["m.csv:2: duplicate id 'a'; ids must be unique in a manifest"]


def test_an_id_may_be_a_number_a_template_or_have_folders() -> None:
    rows: list[Fields] = [
        {"id": 7, "prompt": "x"},
        {"id": "{sku}/{size}", "prompt": "x", "size": "256x256", "vars": {"sku": "A"}},
        {"id": "cats/001", "prompt": "x"},
    ]
    made = tasks(DALLE2, *rows)
    assert [task.id for task in made] == ["7", "A/256x256", "cats/001"]
    assert made[2].filename == "cats/001-{n}.{ext}"


def test_an_id_in_a_matrix_gets_the_values_that_it_does_not_name() -> None:
    values: Fields = {
        "defaults": {"model": "dall-e-2"},
        "matrix": {"mood": ["calm", "wild"], "angle": ["Side view"]},
    }
    made = tasks(job_of(values), {"id": "fox-{mood}", "prompt": "{mood} {angle}"})
    assert [task.id for task in made] == ["fox-calm-side-view", "fox-wild-side-view"]


@pytest.mark.parametrize("task_id", [True, [], {}, ""])
def test_an_id_that_is_not_a_text_is_an_error(task_id: Json) -> None:
    assert "`id`" in problems(DALLE2, {"id": task_id, "prompt": "x"})[0]


@pytest.mark.parametrize(
    "task_id", ["../x", "/etc/x", "a//b", "C:\\x", "a\\..\\..\\b", "x" * 5000, "a\nb"]
)
def test_an_id_that_cannot_be_a_file_name_is_an_error(task_id: str) -> None:
    assert problems(DALLE2, {"id": task_id, "prompt": "x"})


def test_a_file_name_may_name_variables_parameters_and_the_task() -> None:
    job = files("{sku}/{size}-{model}-{ordinal}-{hash}-{slug}.{ext}")
    made = task(job, {"prompt": "A fox", "size": "256x256", "vars": {"sku": "a/b"}})
    assert made.filename == f"a-b/256x256-dall-e-2-1-{made.key[:8]}-a-fox.{{ext}}"


def test_equal_file_names_are_an_error() -> None:
    messages = problems(files("{slug}.{ext}"), {"prompt": "A fox"}, {"prompt": "a fox!"})
    assert len(messages) == 1
    assert messages[0].startswith("m.csv:2: file name 'a-fox.{ext}' is used by an earlier row")


@pytest.mark.parametrize(
    "rows",
    [
        [{"id": "a-b", "prompt": "x"}, {"id": "a?b", "prompt": "y"}],
        [{"id": "a?b", "prompt": "x"}, {"id": "a-b", "prompt": "y"}],
        [{"id": "a", "prompt": "x"}, {"filename": "a-{n}.{ext}", "prompt": "y"}],
        [{"filename": "a-{n}.{ext}", "prompt": "y"}, {"id": "a", "prompt": "x"}],
        [{"filename": "a.png", "prompt": "y"}, {"filename": "a.jpg", "prompt": "x"}],
    ],
)
def test_equal_file_names_are_an_error_wherever_they_come_from(rows: list[Fields]) -> None:
    (message,) = problems(DALLE2, *rows)
    assert "is used by an earlier row" in message


@pytest.mark.parametrize("name", ["../x.png", "/x.png", "a/../../x", ".batchgen/x", "~/x", "a//b"])
def test_a_file_name_outside_the_output_directory_is_an_error(name: str) -> None:
    assert problems(DALLE2, {"prompt": "x", "filename": name})


def test_the_value_of_a_variable_makes_no_folders() -> None:
    fields: Fields = {"prompt": "x", "filename": "{sku}.{ext}", "vars": {"sku": "../../etc/x"}}
    assert len(PurePosixPath(task(DALLE2, fields).filename).parts) == 1


def test_a_written_extension_is_replaced_by_that_of_the_bytes() -> None:
    assert task(DALLE2, {"prompt": "x", "filename": "cat.PNG"}).filename == "cat.{ext}"
    assert task(DALLE2, {"prompt": "x", "filename": "v1.2"}).filename == "v1.2.{ext}"


def test_several_images_get_a_number_if_the_file_name_has_none() -> None:
    made = task(DALLE2, {"prompt": "x", "n": 2, "filename": "cat.png"})
    assert made.filename == "cat-{n}.{ext}"


@given(st.text("x\u00e9\u5c71", min_size=200, max_size=255))
def test_long_names_are_shortened_to_255_bytes_per_part_and_stay_distinct(text: str) -> None:
    made = tasks(DALLE2, {"id": text + "1", "prompt": "x"}, {"id": text + "2", "prompt": "x"})
    for long_named in made:
        opened = long_named.filename.format(n=12, ext="v2.jpeg")
        assert len(opened.encode()) <= 255


def test_a_file_name_that_is_too_long_for_a_path_is_an_error_before_anything_is_sent() -> None:
    (message,) = problems(files("d/" * 3000 + "x"), {"prompt": "A fox"})
    assert "is too long for a path below the output directory" in message
    assert problems(files("d/" * 300 + "x"), {"prompt": "A fox"}) == []
