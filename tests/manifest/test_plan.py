"""Plans of manifests: tasks, estimates, selections, and the messages for every problem."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from batchgen.engine.worklist.selection import Selection, parse_shard
from batchgen.errors import ManifestError
from batchgen.job import Flags
from batchgen.manifest.expand.identity import key_of_id
from batchgen.manifest.open import Manifest, open_manifest, source_of
from batchgen.manifest.plan import Plan, check
from batchgen.manifest.problems import RejectedError
from batchgen.types import Problem, Task

DALLE2 = Flags(model="dall-e-2")


def manifest(path: Path, text: str, name: str = "job.yaml", flags: Flags | None = None) -> Manifest:
    (path / name).write_text(text, encoding="utf-8")
    source = source_of(str(path / name), None, None)
    return open_manifest(replace(source, label=name), flags or Flags())


def plan(path: Path, text: str, name: str = "job.yaml", flags: Flags | None = None) -> Plan:
    return check(manifest(path, text, name, flags), select=iter)


def tasks(opened: Manifest) -> list[Task]:
    assert [str(problem) for problem in opened.problems] == []
    result = list(opened.tasks())
    assert [str(item) for item in result if isinstance(item, Problem)] == []
    return [task for task in result if isinstance(task, Task)]


def messages(result: Plan) -> list[str]:
    return [str(problem) for problem in result.problems]


# A job with most of the settings that a job file can have.

SPRING = """\
name: spring
provider: aimlapi
output: {dir: out/spring, filename: "{id}-{n}.{ext}"}
defaults: {model: flux/schnell, image_size: square_hd, n: 1}
limits: {concurrency: 16, rpm: 120, max_cost: 20.00, deadline: 2h}
retry:
  attempts: 6
  backoff: {initial: 1s, max: 60s, jitter: full}
  rules:
    - {status: 4xx, code: model_busy, then: retry, after: 10s}
matrix: {style: [ink, watercolour], angle: [front, side]}
prompts:
  - "A fox, {style}, {angle} view"
  - {id: hero, prompt: "A lighthouse at dawn", model: dall-e-3, size: 1792x1024, vars: {sku: A-17}}
  - {from: products.csv, prompt: "Studio photo of {name}"}
"""


def test_a_job_with_a_matrix_a_row_and_a_csv_file_gives_exactly_these_tasks(tmp_path: Path) -> None:
    (tmp_path / "products.csv").write_text("name,sku\nlamp,A\nstool,B\nbowl,C\n")
    opened = manifest(tmp_path, SPRING)

    made = tasks(opened)

    assert [task.prompt for task in made] == [
        "A fox, ink, front view",
        "A fox, ink, side view",
        "A fox, watercolour, front view",
        "A fox, watercolour, side view",
        "A lighthouse at dawn",
        "Studio photo of lamp",
        "Studio photo of stool",
        "Studio photo of bowl",
    ]
    hero = made[4]
    assert (hero.id, hero.model, hero.params) == ("hero", "dall-e-3", {"size": "1792x1024", "n": 1})
    assert (hero.vars, hero.key) == ({"sku": "A-17"}, key_of_id("hero"))
    assert made[0].id.startswith("a-fox-ink-front")
    assert made[0].params == {"image_size": "square_hd", "num_images": 1}
    assert made[5].vars == {"name": "lamp", "sku": "A"}
    assert (made[5].file, made[5].line) == ("products.csv", 2)
    assert {task.model for task in made} == {"flux/schnell", "dall-e-3"}
    assert opened.job.retry.rules[0].after_s == 10.0
    assert opened.job.limits.max_cost_usd == 20.0


@pytest.mark.parametrize(
    "model",
    ["o3-mini", "gpt-4o-audio-preview", "claude-3-7-sonnet-20250219", "deepseek/deepseek-r1"],
)
def test_a_chat_row_sends_its_prompt_as_messages_and_no_default(model: str, tmp_path: Path) -> None:
    result = plan(tmp_path, f'prompts: [{{model: {model}, prompt: "Name a colour"}}]')
    assert messages(result) == []
    (request,) = result.requests
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.body == {
        "model": model,
        "messages": [{"role": "user", "content": "Name a colour"}],
    }


# Sources of rows.


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.csv", "Prompt,n\na fox,2\nan owl,\n"),
        ("m.tsv", "prompt\tn\na fox\t2\nan owl\t\n"),
        ("m.jsonl", '{"prompt": "a fox", "n": 2}\n"an owl"\n'),
        ("m.yaml", "- {prompt: a fox, n: 2}\n- an owl\n"),
    ],
)
def test_the_same_rows_in_any_format_are_the_same_tasks(
    name: str, text: str, tmp_path: Path
) -> None:
    made = tasks(manifest(tmp_path, text, name, DALLE2))
    assert [(task.prompt, task.params) for task in made] == [("a fox", {"n": 2}), ("an owl", {})]


def test_a_compressed_manifest_is_read_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "m.txt.gz").write_bytes(gzip.compress(b"# comment\na fox\n"))
    source = source_of(str(tmp_path / "m.txt.gz"), None, None)
    (made,) = tasks(open_manifest(source, DALLE2))
    assert (made.prompt, made.line) == ("a fox", 2)


def test_rows_of_another_file_may_be_json_with_variables(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"name": "lamp", "sku": 7, "size": null}\n')
    text = "defaults: {model: dall-e-2}\nprompts: [{from: p.jsonl, prompt: 'A {name}'}]"
    (made,) = tasks(manifest(tmp_path, text))
    assert (made.prompt, made.vars, made.params) == ("A lamp", {"name": "lamp", "sku": 7}, {})


def test_rows_for_a_model_without_prompts_need_no_prompt_column(tmp_path: Path) -> None:
    text = "image_url,mode\nhttps://host/a.png,Standard\n"
    result = plan(tmp_path, text, "m.csv", Flags(model="topaz-labs/sharpen"))
    (request,) = result.requests
    assert request.body == {
        "model": "topaz-labs/sharpen",
        "image_url": "https://host/a.png",
        "mode": "Standard",
    }


def test_a_list_without_a_prompt_column_is_an_error(tmp_path: Path) -> None:
    (message,) = messages(plan(tmp_path, "text\nfox\n", "m.csv", DALLE2))
    assert message == 'm.csv:1: the header has no column "prompt", only "text"; add or rename one'


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("{from: missing.csv}", "job.yaml:3: `from`: missing.csv"),
        ("{from: other.yaml}", "is not a CSV, TSV, JSONL or TXT file"),
        ("{from: 7}", "`from` must be a file's path, relative to this file"),
        ("{from: p.csv, id: one}", "`id` beside `from` would be the same for every row"),
        ("{from: p.csv, sise: 512x512}", "p.csv:2: `sise` is not a parameter of dall-e-2"),
        ("{from: p.csv, prompt: 'A {nam}'}", "p.csv:2: template variable `{nam}` is not defined"),
        ("7", "job.yaml:3: a row must be a text or a mapping, not 7"),
        ("{prompt: [a]}", "job.yaml:3: `prompt` is ['a'], not a text; put it in quotes"),
        ("{prompt: x, vars: [a]}", "job.yaml:3: `vars` is ['a'], not a mapping of names to"),
    ],
)
def test_errors_of_an_item_are_reported(item: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("prompt,name\nfox,lamp\n")
    result = plan(tmp_path, f"defaults: {{model: dall-e-2}}\nprompts:\n  - {item}\n")
    assert expected in messages(result)[0]
    assert result.errors == 1


def test_a_from_file_of_batch_lines_takes_no_other_keys(tmp_path: Path) -> None:
    line = {"custom_id": "a", "method": "POST", "url": "/v1/images/generations"}
    body = {"model": "dall-e-2", "prompt": "a {fox}"}
    (tmp_path / "b.jsonl").write_text(json.dumps({**line, "body": body}) + "\n")
    assert tasks(manifest(tmp_path, "prompts: [{from: b.jsonl}]"))[0].prompt == "a {fox}"
    (message,) = messages(plan(tmp_path, "prompts: [{from: b.jsonl, n: 2}]"))
    assert message.startswith("b.jsonl:1: an OpenAI Batch line is sent unchanged")


def test_a_manifest_of_unknown_format_is_refused_with_a_suggestion() -> None:
    with pytest.raises(ManifestError, match=r"did you mean \.csv"):
        source_of("x.csvv", None, None)
    with pytest.raises(ManifestError, match="standard input needs --format"):
        source_of("-", None, None)


# The result of a plan.


def test_a_plan_counts_prices_and_shows_the_first_requests(tmp_path: Path) -> None:
    result = plan(tmp_path, "".join(f"fox {number}\n" for number in range(5)), "m.txt", DALLE2)
    report = result.to_json()
    assert (result.total.tasks, result.errors) == (5, 0)
    assert {model: estimate.tasks for model, estimate in result.models.items()} == {"dall-e-2": 5}
    assert result.total.cost_usd > 0
    assert result.total.unpriced == 0
    assert isinstance(report["requests"], list)
    assert report["requests"][0] == {
        "method": "POST",
        "path": "/v1/images/generations",
        "body": {"model": "dall-e-2", "prompt": "fox 0"},
    }
    assert len(report["requests"]) == 3


def test_an_unknown_price_is_null_and_not_zero(tmp_path: Path) -> None:
    result = plan(tmp_path, "fox\n", "m.txt", Flags(model="own", provider="openai"))
    assert result.to_json()["cost_usd"] is None
    assert result.total.unpriced == 1


def test_a_count_of_hundreds_of_digits_has_no_price(tmp_path: Path) -> None:
    text = f"- {{prompt: x, n: 1{'0' * 400}}}"
    result = plan(tmp_path, text, flags=Flags(model="dall-e-2", check=False))
    assert (result.total.tasks, result.total.unpriced) == (1, 1)


def test_only_the_first_of_equal_warnings_is_kept(tmp_path: Path) -> None:
    result = plan(tmp_path, "a\nb\nc\n", "m.txt", Flags(model="flux/schnel"))
    assert (result.warnings, len(result.problems), result.errors) == (3, 1, 0)
    result.raise_errors()


def test_all_errors_are_in_the_json_and_twenty_in_the_message(tmp_path: Path) -> None:
    rows = "".join(f"fox,{n}\n" for n in range(-24, 1))
    result = plan(tmp_path, "prompt,n\n" + rows, "m.csv", DALLE2)
    problems = result.to_json()["problems"]
    assert isinstance(problems, list)
    assert len(problems) == 25
    assert isinstance(problems[0], dict)
    assert (problems[0]["file"], problems[0]["line"]) == ("m.csv", 2)
    with pytest.raises(RejectedError) as caught:
        result.raise_errors()
    lines = str(caught.value).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "and 5 more: `batchgen plan --json` lists them"


def test_equal_errors_become_one_message_if_there_are_more_than_twenty(tmp_path: Path) -> None:
    rows = "fox,0\n" * 1000 + "owl,-1\n"
    with pytest.raises(RejectedError) as caught:
        plan(tmp_path, "prompt,n\n" + rows, "m.csv", DALLE2).raise_errors()
    first, second = str(caught.value).splitlines()
    assert first == "m.csv:2: `n` is 0; dall-e-2 takes 1 to 10 (also at 3, 4, 5 and 996 more)"
    assert second.startswith("m.csv:1002: `n` is -1")


def test_twenty_equal_errors_have_a_message_each(tmp_path: Path) -> None:
    with pytest.raises(RejectedError) as caught:
        plan(tmp_path, "prompt,n\n" + "fox,0\n" * 20, "m.csv", DALLE2).raise_errors()
    lines = [line.split(":")[1] for line in str(caught.value).splitlines()]
    assert lines == [str(line) for line in range(2, 22)]


def test_equal_warnings_are_counted(tmp_path: Path) -> None:
    result = plan(tmp_path, "a\n" * 1000, "m.txt", Flags(model="flux/schnel"))
    (message,) = result.lines()
    assert message.startswith("m.txt:1: warning: model `flux/schnel` is not in the catalogue")
    assert message.endswith("(also at 2, 3, 4 and 996 more)")


@pytest.mark.parametrize("text", ["prompts: []\n", "name: x\n", ""])
def test_a_job_without_prompts_is_an_error(text: str, tmp_path: Path) -> None:
    assert plan(tmp_path, text).errors == 1


def test_a_list_without_rows_is_an_error(tmp_path: Path) -> None:
    assert "there is nothing to do" in messages(plan(tmp_path, "prompt\n", "m.csv", DALLE2))[0]


def test_an_error_of_the_settings_is_reported_once(tmp_path: Path) -> None:
    result = plan(tmp_path, "nam: x\ndefaults: {model: dall-e-2}\nprompts: [x]\n")
    assert messages(result) == ["job.yaml:1: unknown key `nam`; did you mean `name`?"]


# Selections.


def a_task(key: str, task_id: str = "x") -> Task:
    return Task(key, "d", task_id, 0, "m", 1, "images", "m", "p", {}, {}, "f")


@given(st.lists(st.uuids(), unique=True, max_size=50), st.integers(1, 9))
def test_every_key_is_in_exactly_one_shard(keys: list[object], of: int) -> None:
    made = [a_task(str(key).replace("-", "")) for key in keys]
    shards = [
        list(Selection(shard=parse_shard(f"{number}/{of}")).narrow(made, to_the_end=True))
        for number in range(1, of + 1)
    ]
    flat = [task.key for shard in shards for task in shard if isinstance(task, Task)]
    assert sorted(flat) == sorted(task.key for task in made)


def test_only_and_limit_select_tasks_and_problems_are_reported_to_the_end() -> None:
    items: list[Task | Problem] = [
        a_task("1" * 32, "cat-1"),
        a_task("2" * 32, "dog-1"),
        a_task("3" * 32, "cat-2"),
        Problem("m", 4, "wrong"),
        a_task("4" * 32, "cat-3"),
    ]

    def ids(selection: Selection, *, to_the_end: bool) -> Iterator[str]:
        for item in selection.narrow(items, to_the_end=to_the_end):
            yield item.id if isinstance(item, Task) else "problem"

    assert list(ids(Selection(only="cat-*"), to_the_end=True)) == [
        "cat-1",
        "cat-2",
        "problem",
        "cat-3",
    ]
    assert list(ids(Selection(limit=1), to_the_end=True)) == ["cat-1", "problem"]
    assert list(ids(Selection(limit=1), to_the_end=False)) == ["cat-1"]


def test_many_rows_in_yaml_give_a_warning_to_use_csv(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("defaults: {model: dall-e-2}\nprompts:\n" + "- fox\n" * 20_000)

    plan = check(open_manifest(source_of(str(path), None, None), Flags()), select=iter)

    assert plan.total.tasks == 20_000
    assert [str(problem.severity) for problem in plan.problems] == ["warning"]
    assert "- from: rows.csv" in plan.problems[0].message
