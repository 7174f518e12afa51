"""Rows that use the files of other rows, also if the run is killed in between."""

import json
import os
import re
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import COMMAND, Ended, batchgen, environment, results
from tests.e2e.provider import FamilyProvider, serving

KEY = {"AIMLAPI_API_KEY": "sk-canary-4410"}
IMAGE_URL: dict[str, Any] = {"prompt": "A lighthouse", "model": "flux/schnell"}
VIDEO: dict[str, Any] = {"prompt": "It moves", "model": "google/veo-3.1-i2v-fast"}
PAIRS = 6


def video(source: str, **more: Any) -> dict[str, Any]:
    return {**VIDEO, "image_url": {"from": source}, **more}


def write_job(folder: Path, rows: dict[str, dict[str, Any]], **more: Any) -> None:
    job = {
        "output": {"dir": "out", "filename": "{id}.{ext}"},
        "limits": {"polling": {"first": "20ms", "interval": "20ms"}, "concurrency": 2},
        "prompts": [{"id": task_id, **row} for task_id, row in rows.items()],
        **more,
    }
    (folder / "job.yaml").write_text(json.dumps(job))


def run(folder: Path, *words: str) -> Ended:
    return batchgen("run", "job.yaml", "--provider", "simulator", *words, cwd=folder)


def statuses(folder: Path) -> dict[str, str]:
    return {line["id"]: line["status"] for line in results(folder / "out")}


def sent(folder: Path) -> set[str]:
    """Return the idempotency keys that the ledger of a killed run has as in flight."""
    with closing(sqlite3.connect(folder / "out/.batchgen/ledger.sqlite3")) as ledger:
        rows = ledger.execute("SELECT idempotency_key FROM tasks WHERE status = 'sent'")
        return {key for (key,) in rows}


def pairs() -> dict[str, dict[str, Any]]:
    """Return videos before the images that they depend on, so that each has to wait."""
    videos = {f"video-{n}": video(f"hero-{n}") for n in range(PAIRS)}
    return videos | {f"hero-{n}": {**IMAGE_URL, "prompt": f"Fox {n}"} for n in range(PAIRS)}


def test_each_video_is_sent_with_the_image_of_its_row(tmp_path: Path) -> None:
    heroes = {name: {**IMAGE_URL, "prompt": name} for name in ("ink", "oil")}
    write_job(tmp_path, {"a": video("ink"), "b": video("oil"), "c": video("ink"), **heroes})
    assert run(tmp_path).code == 0
    videos = {name: (tmp_path / f"out/{name}.webm").read_bytes() for name in "abc"}
    assert videos["a"] == videos["c"] != videos["b"]

    again = run(tmp_path)
    assert (again.code, "0 in this run" in again.err) == (0, True)
    write_job(tmp_path, {"a": video("ink"), "b": video("oil"), "c": video("ink"), **heroes, "oil": {
        **IMAGE_URL, "prompt": "oil on canvas",
    }})  # fmt: skip
    assert run(tmp_path).code == 0
    assert {line["id"]: line["artifacts"][0]["path"] for line in results(tmp_path / "out")} == {
        "a": "a.webm", "b": "b.v2.webm", "c": "c.webm", "ink": "ink.jpg", "oil": "oil.v2.jpg",
    }  # fmt: skip


def test_a_refused_image_skips_its_video_until_the_row_is_edited(tmp_path: Path) -> None:
    write_job(
        tmp_path, {"video": video("hero"), "hero": {**IMAGE_URL, "prompt": "A forbidden-word"}}
    )
    ended = run(tmp_path)
    assert ended.code == 1
    assert "  skipped    1 (a row they depend on did not succeed)\n" in ended.err
    assert statuses(tmp_path) == {"video": "skipped", "hero": "refused"}
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert (summary["tasks"]["skipped"], summary["run"]["skipped"]) == (1, 1)
    assert summary["run"]["requests"] == 1

    status = batchgen("status", "out", "--json", cwd=tmp_path)
    assert {"skipped": 1, "refused": 1, "pending": 0}.items() <= json.loads(status.out).items()
    chosen = batchgen("results", "out", "--status", "skipped", cwd=tmp_path)
    (line,) = map(json.loads, chosen.out.splitlines())
    assert (line["id"], line["attempts"], line["cost_usd"]) == ("video", 0, None)
    assert line["error"]["message"].startswith("`image_url` needs a file of 'hero', which was")
    assert batchgen("report", "out", cwd=tmp_path).code == 0
    assert '"skipped":1' in (tmp_path / "out/report.html").read_text()
    assert run(tmp_path).code == 1

    write_job(tmp_path, {"video": video("hero"), "hero": IMAGE_URL})
    assert run(tmp_path).code == 0
    assert statuses(tmp_path) == {"video": "succeeded", "hero": "succeeded"}


def test_a_missing_or_changed_image_fails_its_video_until_it_is_repaired(tmp_path: Path) -> None:
    write_job(tmp_path, {"hero": IMAGE_URL})
    assert run(tmp_path).code == 0
    hero = tmp_path / "out/hero.jpg"
    write_job(tmp_path, {"hero": IMAGE_URL, "video": video("hero")})
    whole = hero.read_bytes()
    hero.write_bytes(whole[:-1] + b"?")
    ended = run(tmp_path)
    assert ended.code == 1
    assert statuses(tmp_path) == {"hero": "succeeded", "video": "failed"}
    (error,) = [line["error"] for line in results(tmp_path / "out") if line["error"]]
    assert error["kind"] == "input_file"
    assert re.search(r"hero\.jpg has changed since .*`batchgen verify out --fix`", error["message"])
    hero.unlink()
    assert run(tmp_path, "--retry-failed", "input_file").code == 1

    assert batchgen("verify", "out", "--fix", cwd=tmp_path).code == 1
    assert run(tmp_path, "--retry-failed", "input_file").code == 0
    assert hero.read_bytes() == whole
    assert statuses(tmp_path) == {"hero": "succeeded", "video": "succeeded"}


def test_a_task_selected_without_its_source_stays_pending_and_is_reported(tmp_path: Path) -> None:
    write_job(tmp_path, {"hero": IMAGE_URL, "video": video("hero")})
    alone = run(tmp_path, "--only", "video")
    assert alone.code == 1
    assert "1 tasks stay pending: the rows they depend on have not" in alone.err
    assert statuses(tmp_path) == {"video": "pending"}
    assert run(tmp_path, "--limit", "1").code == 0
    assert run(tmp_path, "--only", "video").code == 0
    assert statuses(tmp_path) == {"hero": "succeeded", "video": "succeeded"}


def test_a_spent_budget_leaves_dependent_tasks_pending(tmp_path: Path) -> None:
    write_job(tmp_path, pairs())
    ended = run(tmp_path, "--max-requests", "3")
    assert ended.code == 3
    assert sorted(statuses(tmp_path).values()) == ["pending"] * 9 + ["succeeded"] * 3
    assert run(tmp_path).code == 0


def test_plan_counts_what_is_left_of_dependent_tasks(tmp_path: Path) -> None:
    write_job(tmp_path, pairs())
    assert run(tmp_path, "--only", "hero-*").code == 0

    def left() -> int:
        plan = batchgen("plan", "job.yaml", "--provider", "simulator", "--json", cwd=tmp_path)
        count: int = json.loads(plan.out)["left"]
        return count

    assert left() == PAIRS
    assert run(tmp_path).code == 0
    assert left() == 0


@pytest.mark.parametrize("number", range(1, 2 * PAIRS + 1))
def test_a_run_killed_at_any_request_continues_and_generates_nothing_twice(
    tmp_path: Path, number: int
) -> None:
    write_job(tmp_path, pairs())
    with serving() as provider:
        provider.release()
        killed = start(tmp_path, provider)
        provider.on_request = number, lambda: os.kill(killed.pid, signal.SIGKILL)
        assert killed.stdin is not None
        killed.stdin.write(b"\n")
        killed.communicate(timeout=60)
        assert killed.returncode == -signal.SIGKILL
        in_flight = sent(tmp_path)
        ended = batchgen("run", "job.yaml", "--base-url", provider.base_url, cwd=tmp_path, **KEY)

    assert ended.code == 0, ended.err
    assert set(statuses(tmp_path).values()) == {"succeeded"}
    assert len(provider.submitted) == 2 * PAIRS, "each task keeps its idempotency key"
    again = [key for key, count in provider.submitted.items() if count > 1]
    assert len(again) <= 2, "only what was in flight is sent again"
    assert set(again) <= in_flight
    videos = [body for body in provider.bodies if "image_url" in body]
    assert {body["image_url"][:22] for body in videos} == {"data:image/png;base64,"}


def start(folder: Path, provider: FamilyProvider) -> subprocess.Popen[bytes]:
    """Start a run that waits for a line, so that its process is known before its requests."""
    shell = ["sh", "-c", 'read line; exec "$@"', "sh", str(COMMAND)]
    return subprocess.Popen(
        [*shell, "run", "job.yaml", "--base-url", provider.base_url],
        cwd=folder,
        env=environment(**KEY),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
