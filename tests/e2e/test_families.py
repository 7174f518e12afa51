"""Rows of every family in one manifest, also if the run is killed while it waits."""

import json
import signal
import subprocess
from pathlib import Path

import pytest

from batchgen.provider import catalog
from batchgen.provider.endpoints import ENDPOINTS
from batchgen.types import Json
from tests.e2e.command import COMMAND, batchgen, environment, results
from tests.e2e.provider import FamilyProvider, serving
from tests.given import a_png

KEY = {"AIMLAPI_API_KEY": "sk-canary-4410"}
JOBS = Path(__file__).parents[2] / "jobs" / "families"
DOCUMENT = {"type": "document_url", "document_url": "https://x.test/a.pdf"}
ROWS: dict[str, dict[str, object]] = {
    "picture": {"model": "flux/schnell", "prompt": "A fox"},
    "film": {"model": "veo2", "prompt": "A fox runs"},
    "song": {"model": "stable-audio", "prompt": "A fox sings"},
    "heard": {"model": "whisper-large", "url": "https://x.test/a.mp3"},
    "spoken": {"model": "openai/tts-1", "prompt": "A fox."},
    "mesh": {"model": "triposr", "image_url": "https://x.test/a.png"},
    "page": {"model": "mistral/mistral-ocr-latest", "document": DOCUMENT},
    "scan": {"model": "mistral/mistral-ocr-latest", "document": "scan.pdf"},
    "tune": {"model": "music-01", "prompt": "La la", "refer_voice": "lead.mp3"},
    "seen": {"model": "openai/gpt-4o", "prompt": "What is it?", "image": "cat.png"},
    "many": {"model": "text-embedding-3-small", "input": ["A fox", "A cat"]},
    "vector": {"model": "text-embedding-3-small", "prompt": "A fox"},
    "answer": {"model": "openai/gpt-4o", "prompt": "What is a fox?"},
    "verdict": {"model": "meta-llama/Llama-Guard-3-11B-Vision-Turbo", "prompt": "A fox"},
}
INPUTS = {
    "scan.pdf": b"%PDF-1.7\n%%EOF\n", "lead.mp3": b"ID3\x04" + bytes(99), "cat.png": a_png(),
}  # fmt: skip
FILES = {
    "picture-1.png", "film-1.mp4", "song-1.wav", "heard-1.txt", "heard-2.json", "heard-3.srt",
    "spoken-1.wav", "mesh-1.glb", "page-1.md", "vector-1.npy", "answer-1.txt", "verdict-1.json",
    "scan-1.md", "tune-1.wav", "seen-1.txt", "many-1.npy",
}  # fmt: skip


def write_job(folder: Path, rows: dict[str, dict[str, object]]) -> None:
    for name, data in INPUTS.items():
        (folder / name).write_bytes(data)
    job = {
        "output": {"dir": "out"},
        "limits": {"polling": {"first": "20ms", "interval": "20ms"}, "concurrency": 4},
        "prompts": [{"id": task_id, **row} for task_id, row in rows.items()],
    }
    (folder / "job.yaml").write_text(json.dumps(job))


def words(provider: FamilyProvider) -> list[str]:
    return ["run", "job.yaml", "--base-url", provider.base_url]


def test_one_manifest_mixes_all_families(tmp_path: Path) -> None:
    write_job(tmp_path, ROWS)
    with serving() as provider:
        provider.release()
        ended = batchgen(*words(provider), cwd=tmp_path, **KEY)

    assert ended.code == 0, ended.err
    lines = results(tmp_path / "out")
    assert {line["id"]: line["status"] for line in lines} == dict.fromkeys(ROWS, "succeeded")
    assert {artifact["path"] for line in lines for artifact in line["artifacts"]} == FILES
    assert (tmp_path / "out/heard-3.srt").read_text().startswith("1\n00:00:00,000 --> 00:00:01,500")
    assert json.loads((tmp_path / "out/verdict-1.json").read_text())["verdict"] == "safe"


@pytest.mark.parametrize("job", sorted(JOBS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_example_of_each_family_runs_without_a_key(tmp_path: Path, job: Path) -> None:
    ended = batchgen("run", job, "--provider", "simulator", "-o", "out", cwd=tmp_path)
    assert ended.code == 0, ended.err
    lines = results(tmp_path / "out")
    assert [line["status"] for line in lines] == ["succeeded"] * len(lines)
    assert len(lines) > 1
    assert all(line["artifacts"] for line in lines)


def test_every_family_has_an_example() -> None:
    models = "".join(path.read_text() for path in JOBS.glob("*.yaml"))
    used = {model.family for model in catalog.models() if f"model: {model.id}" in models}
    assert used == ENDPOINTS.keys() - {"edits"}


@pytest.mark.parametrize("family", ["film", "song", "heard"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_jobs_that_a_stopped_run_submitted_are_fetched_by_the_next(
    tmp_path: Path, family: str, number: signal.Signals
) -> None:
    count = 12
    write_job(tmp_path, {f"{family}-{n}": ROWS[family] for n in range(count)})
    with serving() as provider:
        process = subprocess.Popen(
            [COMMAND, *words(provider)],
            cwd=tmp_path,
            env=environment(**KEY),
            stderr=subprocess.PIPE,
            text=True,
        )
        provider.until_asked(count)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        assert "Traceback" not in err
        if number is signal.SIGINT:
            assert process.returncode == 130
            assert f"the provider still works on {count} tasks" in err
        assert batchgen("status", "out", "--json", cwd=tmp_path).code == 0
        provider.release()
        ended = batchgen(*words(provider), cwd=tmp_path, **KEY)

    assert ended.code == 0, ended.err
    assert {line["status"] for line in results(tmp_path / "out")} == {"succeeded"}
    assert len(provider.submitted) == count
    assert set(provider.submitted.values()) == {1}, "nothing is submitted twice"


def test_a_run_killed_between_an_upload_and_its_song_uploads_nothing_again(tmp_path: Path) -> None:
    write_job(tmp_path, {"tune": ROWS["tune"]})
    with serving() as provider:
        process = subprocess.Popen(
            [COMMAND, *words(provider)], cwd=tmp_path, env=environment(**KEY)
        )
        provider.until_asked(1)
        process.kill()
        process.wait(60)
        provider.release()
        ended = batchgen(*words(provider), cwd=tmp_path, **KEY)

    assert ended.code == 0, ended.err
    assert sorted(provider.submitted.values()) == [1, 2], (
        "the song was asked for under the same key"
    )


def test_rows_of_embeddings_share_requests_and_results_name_the_rows(tmp_path: Path) -> None:
    rows = "".join(f"r{n},text {n}\n" for n in range(7))
    (tmp_path / "rows.csv").write_text(f"id,prompt\n{rows}")
    words = ("run", "rows.csv", "--provider", "simulator", "-o", "out")
    flags = ("--model", "text-embedding-3-small", "--set", "batch_size=3")
    first = batchgen(*words, *flags, cwd=tmp_path)
    assert first.code == 0, first.err

    lines = results(tmp_path / "out")
    ids = [[row["id"] for row in line["vars"]["rows"]] for line in lines]
    assert ids == [["r0", "r1", "r2"], ["r3", "r4", "r5"], ["r6"]]
    assert [line["line"] for line in lines] == [2, 5, 8]

    again = batchgen(*words, *flags, cwd=tmp_path)
    assert "0 in this run" in again.err
    exported = batchgen("results", "out", "--format", "yaml", "-o", "again.yaml", cwd=tmp_path)
    assert exported.code == 0, exported.err
    same = batchgen("run", "again.yaml", "-o", "out", "--provider", "simulator", cwd=tmp_path)
    assert (same.code, "0 in this run" in same.err) == (0, True), same.err


def test_every_model_of_2025_05_runs_against_the_simulator(tmp_path: Path) -> None:
    models = [model for model in catalog.models() if model.in_old_spec]
    rows = {f"m{n}": catalog.example(model) for n, model in enumerate(models)}
    write_job(tmp_path, {name: _with_files(row) for name, row in rows.items()})
    ended = batchgen("run", "job.yaml", "--provider", "simulator", "--no-progress", cwd=tmp_path)
    assert ended.code == 0, ended.err
    lines = results(tmp_path / "out")
    assert {line["model"] for line in lines} == {model.id for model in models}
    assert len(models) > 60
    assert all(line["artifacts"] for line in lines)


def _with_files(row: dict[str, Json]) -> dict[str, object]:
    return {name: "lead.mp3" if value == "input.wav" else value for name, value in row.items()}
