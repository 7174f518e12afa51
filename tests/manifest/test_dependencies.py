"""References to files of other rows, and the problems that the check finds in them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batchgen.cli.plan_text import plan_lines
from batchgen.job import Flags
from batchgen.manifest.dependencies import FAMILY_OUTPUTS, References, references_of
from batchgen.manifest.open import Manifest
from batchgen.manifest.plan import check
from batchgen.provider.endpoints import ENDPOINTS
from batchgen.types import Reference, Task
from tests.given import a_task
from tests.manifest.test_plan import manifest, messages, plan, tasks

VIDEO = "kling-video/v1.6/standard/image-to-video"
HERO: dict[str, Any] = {"id": "hero", "prompt": "A lighthouse", "model": "flux/schnell"}


def clip(source: object, task_id: str = "clip", **more: Any) -> dict[str, Any]:
    row = {"id": task_id, "prompt": "The camera moves in", "model": VIDEO, "duration": 5}
    return {**row, "image_url": source, **more}


def job(*rows: object, **settings: Any) -> str:
    """A job with each row on a line of its own, the first one on line 3."""
    head = json.dumps(settings)[1:-1]
    listed = ",\n".join(json.dumps(row) for row in rows)
    return '{\n"prompts": [\n' + listed + "\n]" + (f",\n{head}" if head else "") + "}"


def check_rows(path: Path, *rows: object, **settings: Any) -> list[str]:
    return messages(plan(path, job(*rows, **settings)))


def references_by_id(path: Path, text: str) -> dict[str, list[tuple[str, Reference]]]:
    """The references of each task that has any, by the task's id."""
    opened = manifest(path, text)
    assert messages(check(opened, select=iter)) == []
    return {task.id: list(references_of(task)) for task in tasks(opened) if task.inputs}


def test_the_files_of_every_family_are_known() -> None:
    assert FAMILY_OUTPUTS.keys() == ENDPOINTS.keys()


def test_a_source_may_be_before_or_after_its_dependents(tmp_path: Path) -> None:
    rows = [clip({"from": "hero"}, "before"), HERO, clip({"from": "hero", "n": 1}, "after")]
    references = references_by_id(tmp_path, job(*rows))

    wanted = Reference("hero", 1, ("image",))
    assert references == {"before": [("image_url", wanted)], "after": [("image_url", wanted)]}


def test_references_may_name_ids_that_a_matrix_makes(tmp_path: Path) -> None:
    rows = [{**HERO, "prompt": "A fox, {style}"}, clip({"from": "hero-{style}"}, "clip")]
    references = references_by_id(tmp_path, job(*rows, matrix={"style": ["ink", "oil"]}))

    assert {task_id: refs[0][1].source for task_id, refs in references.items()} == {
        "clip-ink": "hero-ink",
        "clip-oil": "hero-oil",
    }


def test_a_row_without_an_id_is_named_by_its_generated_id(tmp_path: Path) -> None:
    bare = {"prompt": "A fox", "model": "flux/schnell"}
    (made,) = tasks(manifest(tmp_path, job(bare)))
    assert list(references_by_id(tmp_path, job(bare, clip({"from": made.id})))) == ["clip"]


def test_references_may_be_in_lists_and_in_nested_mappings(tmp_path: Path) -> None:
    several = {
        "id": "two", "prompt": "Both", "model": "flux/kontext-max/image-to-image",
        "image_url": [{"from": "hero"}, "https://x.test/a.png"],
    }  # fmt: skip
    page = {
        "id": "page", "model": "mistral/mistral-ocr-latest",
        "document": {"type": "image_url", "image_url": {"from": "hero"}},
    }  # fmt: skip
    references = references_by_id(tmp_path, job(HERO, several, page))
    assert {
        task_id: [reference.source for _, reference in refs] for task_id, refs in references.items()
    } == {
        "two": ["hero"],
        "page": ["hero"],
    }


def test_a_transcript_takes_the_audio_as_a_file_under_any_name(tmp_path: Path) -> None:
    spoken = {"id": "spoken", "prompt": "A fox.", "model": "openai/tts-1", "voice": "alloy"}
    transcript = {"id": "transcript", "model": "nova-3-medical", "url": {"from": "spoken"}}
    opened = manifest(tmp_path, job(spoken, transcript))
    assert messages(check(opened, select=iter)) == []
    (task,) = [task for task in tasks(opened) if task.inputs]
    assert task.params == {"audio": {"from": "spoken"}}


def test_rows_of_jsonl_may_have_references(tmp_path: Path) -> None:
    lines = [HERO, clip({"from": "hero"})]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    opened = manifest(tmp_path, text, "rows.jsonl")
    assert messages(check(opened, select=iter)) == []
    assert [task.id for task in tasks(opened) if task.inputs] == ["clip"]


def test_a_column_may_name_the_source(tmp_path: Path) -> None:
    (tmp_path / "clips.csv").write_text("id,prompt,picture\nc1,It moves,hero\n")
    file = {"from": "clips.csv", "model": VIDEO, "image_url": {"from": "{picture}"}}
    assert list(references_by_id(tmp_path, job(HERO, file))) == ["c1"]


def test_a_cell_may_be_the_mapping(tmp_path: Path) -> None:
    cell = '"{""from"":""hero""}"'
    rows = f"id,prompt,model,image_url\nhero,A fox,flux/schnell,\nc1,Go,{VIDEO},{cell}\n"
    opened = manifest(tmp_path, rows, "rows.csv")
    assert messages(check(opened, select=iter)) == []
    assert [task.id for task in tasks(opened) if task.inputs] == ["c1"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"from": "hreo"}, "no row has the id 'hreo'; did you mean 'hero'?"),
        (
            {"from": "zzz"},
            (
                "no row has the id 'zzz'; ids made by a matrix or `repeat` have a suffix, such as"
                " hero-ink or hero-r1"
            ),
        ),
        ({"from": "clip"}, "'clip' is this row itself; give the id of another row"),
        ({"from": "hero", "n": 2}, "'hero' produces one file; file 2 does not exist"),
        (
            {"from": "talk"},
            (
                f"'talk' is a row of the family tts, which produces audio files; {VIDEO} takes"
                " image files here"
            ),
        ),
        ({"from": ["hero"]}, "`from` is ['hero']; it must be the id of another row"),
        (
            {"from": "hero", "n": 0},
            "`n` is 0; it must be the number of a file of hero, from 1",
        ),
        (
            {"from": "{hero}"},
            (
                "template variable `{hero}` is not defined; the variables here are: duration,"
                " image_url, model; write {{hero}} for literal braces"
            ),
        ),
    ],
)
def test_errors_of_a_reference_are_reported_with_its_line(
    tmp_path: Path, source: object, message: str
) -> None:
    talk = {"id": "talk", "prompt": "Hello", "model": "openai/tts-1", "voice": "alloy"}
    assert check_rows(tmp_path, HERO, talk, clip(source)) == [f"job.yaml:5: `image_url`: {message}"]


def test_an_unknown_key_in_a_reference_is_an_error(tmp_path: Path) -> None:
    (problem,) = check_rows(tmp_path, HERO, clip({"from": "hero", "nr": 2}))
    assert problem.startswith('job.yaml:4: `image_url` is {"from": "hero", "nr": 2}; ')


def test_a_parameter_that_takes_no_file_takes_no_reference(tmp_path: Path) -> None:
    (problem,) = check_rows(tmp_path, HERO, clip("https://x.test/a.png", duration={"from": "hero"}))
    assert problem.startswith("job.yaml:4: `duration`")


def test_a_cycle_is_reported_once_at_its_first_row(tmp_path: Path) -> None:
    ring = [
        {"id": name, "prompt": "A fox", "model": "flux/dev/image-to-image",
         "image_url": {"from": source}}
        for name, source in (("a", "b"), ("b", "c"), ("c", "a"), ("outside", "a"))
    ]  # fmt: skip
    assert check_rows(tmp_path, *ring) == [
        ("job.yaml:3: circular references: a -> b -> c -> a; remove one of them")
    ]


def test_a_long_chain_of_rows_is_not_a_cycle(tmp_path: Path) -> None:
    line = [
        {"id": f"f{n}", "prompt": "A fox", "model": "flux/dev/image-to-image",
         "image_url": {"from": f"f{n - 1}"} if n else "https://x.test/a.png"}
        for n in range(3000)
    ]  # fmt: skip
    assert check_rows(tmp_path, *reversed(line)) == []


def test_a_default_reference_is_an_error_for_the_row_that_it_names(tmp_path: Path) -> None:
    hero = {"id": "hero", "prompt": "A fox", "model": "flux/dev/image-to-image"}
    rows = [hero, {**hero, "id": "other"}]
    (problem,) = check_rows(tmp_path, *rows, defaults={"image_url": {"from": "hero"}})
    assert (
        problem == "job.yaml:3: `image_url`: 'hero' is this row itself; give the id of another row"
    )


def test_a_source_with_an_error_is_not_reported_as_missing(tmp_path: Path) -> None:
    (problem,) = check_rows(tmp_path, {**HERO, "image_size": "huge"}, clip({"from": "hero"}))
    assert problem.startswith("job.yaml:3: `image_size`")


def test_an_unknown_model_takes_references_in_any_parameter(tmp_path: Path) -> None:
    row = {"id": "odd", "prompt": "A fox", "model": "lab/new", "first": {"from": "hero"}}
    flags = Flags(provider="lab")
    lab = {"lab": {"base_url": "http://127.0.0.1:1/v1"}}
    opened = manifest(tmp_path, job(HERO, row, providers=lab), flags=flags)
    assert [list(references_of(task)) for task in tasks(opened) if task.inputs] == [
        [("first", Reference("hero", 1, ("image",)))]
    ]


def test_the_source_changes_the_digest_and_not_the_key(tmp_path: Path) -> None:
    def made(text: str) -> Task:
        return next(task for task in tasks(manifest(tmp_path, text)) if task.id == "clip")

    original = made(job(HERO, clip({"from": "hero"})))
    same = made(job({**HERO, "prompt": "Another"}, clip({"from": "hero", "n": 1})))
    other = made(job(HERO, clip({"from": "other"})))
    assert original.key == same.key == other.key
    assert original.digest == same.digest != other.digest


def test_a_plan_counts_dependent_rows(tmp_path: Path) -> None:
    text = job(HERO, clip({"from": "hero"}, "c1"), clip({"from": "hero"}, "c2"))
    opened = manifest(tmp_path, text)
    result = check(opened, select=iter)

    report = result.to_json()
    assert (report["tasks"], report["fed"], report["unpriced"]) == (3, 2, 0)
    assert [request["body"].get("image_url") for request in result.to_json()["requests"]] == [  # type: ignore[union-attr,index,call-overload]
        None, "<file 1 of hero>", "<file 1 of hero>",
    ]  # fmt: skip
    lines = list(plan_lines(opened, result, None, None))
    assert "inputs    2 tasks wait for files of 1 other tasks" in lines


def test_only_a_manifest_with_references_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = []
    whole = Manifest.tasks

    def counting(self: Manifest, *, check: bool = True, **options: Any) -> Iterator[Any]:
        readings.append(check)
        return whole(self, check=check, **options)

    monkeypatch.setattr(Manifest, "tasks", counting)
    plan(tmp_path, job(HERO, clip("https://x.test/a.png")))
    assert readings == [True]
    plan(tmp_path, job(HERO, clip({"from": "hero"})))
    assert readings == [True, True, False]


def test_references_take_less_than_seventy_bytes_each() -> None:
    count = 20_000
    references = References()
    for number in range(count):
        inputs = {"image_url": Reference(f"hero-{number}", 1, ("image",))}
        references.add(a_task(number, id=f"clip-{number}", inputs=inputs))
    references.find_sources(a_task(number, id=f"hero-{number}") for number in range(count))

    assert references.source_count == count
    assert references.key(references.number("hero-7") or 0) == f"{7:032x}"
    size_bytes = sum(
        field.buffer_info()[1] * field.itemsize if hasattr(field, "buffer_info") else len(field)
        for field in (getattr(references, name) for name in vars(references))
        if isinstance(field, bytearray) or hasattr(field, "buffer_info")
    )
    assert size_bytes / count < 70


def test_lines_of_a_batch_file_may_have_references_in_their_body(tmp_path: Path) -> None:
    body = {"model": "openai/gpt-image-1", "prompt": "A fox"}
    lines = [
        {"custom_id": "hero", "url": "/v1/images/generations", "body": body},
        {"custom_id": "again", "url": "/v1/images/edits", "body": {
            **body, "image": {"from": "hero"},
        }},
    ]  # fmt: skip
    text = "".join(json.dumps(line) + "\n" for line in lines)
    opened = manifest(tmp_path, text, "rows.jsonl")
    assert messages(check(opened, select=iter)) == []
    (task,) = [task for task in tasks(opened) if task.inputs]
    assert task.inputs == {
        "image": Reference(
            "hero", 1, ("image",), ("image/png", "image/webp", "image/jpeg"), 50 * 2**20
        )
    }


def test_an_image_in_the_messages_of_a_chat_may_be_a_reference(tmp_path: Path) -> None:
    part = {"type": "image_url", "image_url": {"url": {"from": "hero"}}}
    asked = {"id": "asked", "model": "openai/gpt-4o", "prompt": "What is it?"}
    row = {**asked, "messages": [{"role": "user", "content": [part]}]}

    references = references_by_id(tmp_path, job(HERO, row))

    assert [reference.source for _, reference in references["asked"]] == ["hero"]
    assert references["asked"][0][1].families == ("image",)
    missing = {**row, "messages": [{"role": "user", "content": [{"url": {"from": "hera"}}]}]}
    (problem,) = check_rows(tmp_path, HERO, missing)
    assert "hera" in problem


def test_a_voice_is_not_an_image(tmp_path: Path) -> None:
    song = {"id": "song", "prompt": "la", "model": "music-01", "refer_voice": {"from": "hero"}}
    (problem,) = check_rows(tmp_path, HERO, song)
    assert "'hero' is a row of the family images" in problem
