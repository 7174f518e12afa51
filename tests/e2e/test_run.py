"""The main job, end to end: the installed command against the simulator over real HTTP."""

import csv
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.e2e.command import batchgen, environment, results
from tests.shared import shared_path

JOB = """\
name: small
defaults: {model: dall-e-2, size: 256x256}
matrix: {colour: [red, blue]}
prompts:
  - "A {colour} kite"
  - {id: hero, prompt: "A lighthouse", n: 2, vars: {sku: A-17}}
  - {id: inline, prompt: "A bridge", response_format: b64_json}
"""


@pytest.fixture
def job(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(JOB)
    return path


def test_a_job_produces_images_and_a_results_manifest(job: Path, tmp_path: Path) -> None:
    ended = batchgen("run", job, "--provider", "simulator", cwd=tmp_path)

    assert (ended.code, ended.out) == (0, ""), ended.err
    lines = results(tmp_path / "out" / "small")
    assert [line["status"] for line in lines] == ["succeeded"] * 4
    assert [line["prompt"] for line in lines][:2] == ["A red kite", "A blue kite"]
    assert [len(line["artifacts"]) for line in lines] == [1, 1, 2, 1]
    assert lines[2]["vars"] == {"sku": "A-17"}
    for line in lines:
        for artifact in line["artifacts"]:
            path = tmp_path / "out" / "small" / artifact["path"]
            data = path.read_bytes()
            assert hashlib.sha256(data).hexdigest() == artifact["sha256"]
            assert len(data) == artifact["bytes"]
            with Image.open(path) as image:
                image.load()
                assert image.size == (256, 256) == (artifact["width"], artifact["height"])


def test_a_second_run_does_only_what_is_left(job: Path, tmp_path: Path) -> None:
    batchgen("run", job, "--provider", "simulator", cwd=tmp_path)
    before = results(tmp_path / "out" / "small")
    job.write_text(JOB.replace("prompts:\n", 'prompts:\n  - "A new first row"\n'))

    ended = batchgen("run", job, "--provider", "simulator", cwd=tmp_path)

    summary = json.loads((tmp_path / "out" / "small" / "summary.json").read_text())
    after = results(tmp_path / "out" / "small")
    assert ended.code == 0
    assert summary["run"]["requests"] == 1
    assert [line["key"] for line in after[1:]] == [line["key"] for line in before]
    assert [line["artifacts"] for line in after[1:]] == [line["artifacts"] for line in before]


def test_a_run_that_finds_everything_done_does_not_import_aiohttp(
    job: Path, tmp_path: Path
) -> None:
    program = (
        "import sys; from batchgen.cli.main import main as cli_main;"
        " code = cli_main(sys.argv[1:]); print(code, 'aiohttp' in sys.modules)"
    )
    words = [sys.executable, "-c", program, "run", str(job), "--provider", "simulator", "--quiet"]
    printed = [
        subprocess.run(
            words, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True, check=True
        ).stdout
        for _ in range(2)
    ]

    assert printed == ["0 True\n", "0 False\n"]


def test_a_variable_of_earlier_versions_is_reported_once_as_without_effect(
    job: Path, tmp_path: Path
) -> None:
    ended = batchgen("run", job, "--provider", "simulator", cwd=tmp_path, BATCHGEN_LANES="2")

    assert ended.code == 0
    assert ended.err.count("BATCHGEN_LANES has no effect") == 1


def test_an_edited_row_is_generated_again_and_its_old_artifact_stays(
    job: Path, tmp_path: Path
) -> None:
    batchgen("run", job, "--provider", "simulator", cwd=tmp_path)
    job.write_text(JOB.replace("A bridge", "A stone bridge"))

    ended = batchgen("run", job, "--provider", "simulator", cwd=tmp_path)

    directory = tmp_path / "out" / "small"
    assert ended.code == 0
    assert json.loads((directory / "summary.json").read_text())["run"]["requests"] == 1
    assert results(directory)[3]["artifacts"][0]["path"] == "inline-1.v2.png"
    assert (directory / "inline-1.png").exists()


def test_without_a_key_nothing_is_sent_and_the_message_says_what_to_do(
    job: Path, tmp_path: Path
) -> None:
    ended = batchgen("run", job, cwd=tmp_path)

    assert ended.code == 2
    assert "AIMLAPI_API_KEY" in ended.err
    assert "--provider simulator" in ended.err
    assert not (tmp_path / "out").exists()


def test_errors_are_reported_with_file_and_line_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("prompt,size,n\na fox,300x300,1\na hare,256x256,0\n")

    ended = batchgen(
        "run", "bad.csv", "--provider", "simulator", "--model", "dall-e-2", cwd=tmp_path
    )

    assert ended.code == 2
    assert "bad.csv:2: " in ended.err
    assert "256x256" in ended.err
    assert "bad.csv:3: " in ended.err
    assert not (tmp_path / "out").exists()


def test_plan_json_has_every_problem(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("prompt,size\n" + "a fox,300x300\n" * 30)

    ended = batchgen("plan", "bad.csv", "--model", "dall-e-2", "--json", cwd=tmp_path)

    plan = json.loads(ended.out)
    assert ended.code == 2
    assert [problem["line"] for problem in plan["problems"]] == list(range(2, 32))
    assert set(plan["problems"][0]) == {"file", "line", "severity", "message"}


def test_standard_input_is_a_manifest(tmp_path: Path) -> None:
    ended = batchgen(
        *("run", "-", "--format", "txt", "--provider", "simulator", "--model", "dall-e-2"),
        *("--set", "size=256x256", "-o", "piped"),
        cwd=tmp_path,
        stdin="# two prompts\na fox\nan owl\n",
    )

    assert ended.code == 0, ended.err
    assert [line["prompt"] for line in results(tmp_path / "piped")] == ["a fox", "an owl"]


def test_an_openai_batch_file_runs_unchanged(tmp_path: Path) -> None:
    body = {"model": "dall-e-2", "prompt": "a cat", "n": 1, "size": "256x256"}
    line = {"custom_id": "row-1", "method": "POST", "url": "/v1/images/generations", "body": body}
    (tmp_path / "batch.jsonl").write_text(json.dumps(line) + "\n")

    ended = batchgen("run", "batch.jsonl", "--provider", "simulator", "-o", "out", cwd=tmp_path)

    assert ended.code == 0, ended.err
    assert results(tmp_path / "out")[0]["id"] == "row-1"


def test_status_and_results_are_read_from_the_directory(job: Path, tmp_path: Path) -> None:
    batchgen("run", job, "--provider", "simulator", cwd=tmp_path)

    status = json.loads(batchgen("status", "out/small", "--json", cwd=tmp_path).out)
    listed = batchgen("results", "out/small", cwd=tmp_path).out
    table = batchgen("results", "out/small", "--format", "csv", cwd=tmp_path).out

    assert status["succeeded"] == 4
    assert status["pending"] == 0
    assert listed == (tmp_path / "out" / "small" / "results.jsonl").read_text()
    assert table.splitlines()[0].startswith("id,key,line,status")
    assert len(table.splitlines()) == 5


def test_results_of_real_prompts_are_in_order_and_have_their_columns(tmp_path: Path) -> None:
    source = shared_path("data", "PartiPrompts.tsv").read_text().splitlines()
    rows = [source[0], *source[1::68]]
    (tmp_path / "parti.tsv").write_text("\n".join(rows) + "\n")

    ended = batchgen(
        *("run", "parti.tsv", "--provider", "simulator", "--model", "dall-e-2"),
        *("--set", "size=256x256", "-o", "out"),
        cwd=tmp_path,
    )

    lines = results(tmp_path / "out")
    assert ended.code == 0, ended.err
    assert [line["prompt"] for line in lines] == [row.split("\t")[0] for row in rows[1:]]
    assert [line["vars"]["Category"] for line in lines] == [r.split("\t")[1] for r in rows[1:]]
    for line in lines:
        with Image.open(tmp_path / "out" / line["artifacts"][0]["path"]) as image:
            image.load()
            assert image.size == (256, 256)


def test_csv_results_have_the_columns_of_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("sku,prompt,status\nA-17,a pot,new\nA-18,a bowl,old\n")
    batchgen(*("run", "m.csv", "--provider", "simulator", "--model", "dall-e-2"), cwd=tmp_path)

    table = batchgen("results", "out/m", "--format", "csv", cwd=tmp_path).out
    rows = list(csv.DictReader(table.splitlines()))

    assert [(row["sku"], row["vars.status"], row["status"]) for row in rows] == [
        ("A-17", "new", "succeeded"),
        ("A-18", "old", "succeeded"),
    ]


@pytest.mark.parametrize("job", sorted(Path("jobs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_job_of_the_project_plans(job: Path) -> None:
    ended = batchgen("plan", job, "--json", cwd=Path.cwd())

    assert ended.code == 0, ended.out
    assert json.loads(ended.out)["problems"] == []


def test_a_quiet_run_prints_reason_and_advice_only_if_it_does_not_succeed(
    tmp_path: Path,
) -> None:
    (tmp_path / "m.csv").write_text("prompt\na pot\na bowl\na cup\n")
    typed = ("run", "m.csv", "--provider", "simulator", "--model", "dall-e-2", "--quiet")

    bounds = ("--max-cost=0.03", "--retry-failed")
    halted = batchgen(*typed, *bounds, cwd=tmp_path)
    events = batchgen(*typed, *bounds, "--log-format", "json", cwd=tmp_path)
    loud = batchgen(*typed[:-1], *bounds, cwd=tmp_path)
    whole = batchgen(*typed, "--limit", "1", cwd=tmp_path)

    assert halted.code == 3, halted.err
    assert halted.err.startswith("batchgen: m: halted after")
    assert "max_cost of $0.03 is reached" in halted.err
    assert "first: raise max_cost" in halted.err
    assert json.loads(events.err)["summary"]["exit_code"] == 3
    assert f"continue   batchgen {' '.join(typed[:-1])} --max-cost=0.03\n" in loud.err
    assert (whole.code, whole.err) == (0, "")


def test_a_finished_selection_gets_no_advice_to_continue(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("prompt\na pot\na bowl\n")
    typed = ("run", "m.csv", "--provider", "simulator", "--model", "dall-e-2", "--limit", "1")

    ended = batchgen(*typed, cwd=tmp_path)

    assert ended.code == 0, ended.err
    assert "continue" not in ended.err


def test_an_env_file_that_is_not_utf8_is_reported(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("prompt\na pot\n")
    (tmp_path / "keys.env").write_bytes(b"NAME=\xe9t\xe9\n")

    ended = batchgen("run", "m.csv", "--env-file", "keys.env", cwd=tmp_path)

    assert ended.code == 2
    assert "keys.env: the file is not UTF-8" in ended.err
