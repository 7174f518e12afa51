"""Runs that are interrupted, killed, halted or locked out."""

import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.command import COMMAND, batchgen, begun, environment, results
from tests.e2e.simulated import simulate, stats

KEY = {"AIMLAPI_API_KEY": "sk-canary-7731"}
TASKS = 60


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "m.csv"
    path.write_text("prompt\n" + "".join(f"picture {number}\n" for number in range(TASKS)))
    return path


def words(base_url: str, *more: str) -> list[str]:
    options = ["--model", "dall-e-2", "--set", "size=256x256", "--concurrency", "4", "-o", "out"]
    return ["run", "m.csv", "--base-url", base_url, *options, *more]


def begin(base_url: str, cwd: Path) -> "subprocess.Popen[str]":
    """Start a run and wait for its first result."""
    return begun(*words(base_url, "--log-format", "json"), cwd=cwd, extra=KEY)


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[str]:
    with simulate("--latency", "100ms", cwd=tmp_path) as base_url:
        yield base_url


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)]
)
@pytest.mark.usefixtures("manifest")
def test_after_a_signal_requests_in_flight_finish_and_the_next_run_does_the_rest(
    slow: str, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    process = begin(slow, tmp_path)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err

    lines = results(tmp_path / "out")
    assert [line["line"] for line in lines] == list(range(2, TASKS + 2))
    assert {line["status"] for line in lines} == {"succeeded", "pending"}
    assert stats(slow)["generations"] == sum(line["status"] == "succeeded" for line in lines)

    assert batchgen(*words(slow), cwd=tmp_path, **KEY).code == 0
    assert {line["status"] for line in results(tmp_path / "out")} == {"succeeded"}
    assert stats(slow)["generations"] == TASKS


@pytest.mark.usefixtures("manifest")
def test_after_sigkill_nothing_is_lost_and_nothing_is_generated_twice(
    slow: str, tmp_path: Path
) -> None:
    for _ in range(3):
        process = begin(slow, tmp_path)
        process.kill()
        process.communicate(timeout=60)

    ended = batchgen(*words(slow), cwd=tmp_path, **KEY)

    assert ended.code == 0, ended.err
    lines = results(tmp_path / "out")
    assert [line["line"] for line in lines] == list(range(2, TASKS + 2))
    assert {line["status"] for line in lines} == {"succeeded"}
    paths = {artifact["path"] for line in lines for artifact in line["artifacts"]}
    assert paths == {path.name for path in (tmp_path / "out").glob("*.png")}
    assert list((tmp_path / "out" / ".batchgen" / "tmp").iterdir()) == []
    counts = stats(slow)
    assert (counts["generations"], counts["double_generations"]) == (TASKS, 0)


@pytest.mark.usefixtures("manifest")
def test_tasks_that_a_crash_left_unknown_can_be_held_or_failed(tmp_path: Path) -> None:
    with simulate("--latency", "60s", cwd=tmp_path) as never:
        process = subprocess.Popen([COMMAND, *words(never)], cwd=tmp_path, env=environment(**KEY))
        while stats(never)["in_flight"] < 4:
            pass
        process.kill()
        process.wait(60)
    with simulate(cwd=tmp_path) as base_url:
        held = batchgen(*words(base_url, "--on-unknown", "hold"), cwd=tmp_path, **KEY)
        statuses = [line["status"] for line in results(tmp_path / "out")]
        assert held.code == 1
        assert statuses == ["unknown"] * 4 + ["succeeded"] * (TASKS - 4)
        assert "4 tasks were sent by an earlier run" in held.err

        failed = batchgen(*words(base_url, "--on-unknown", "fail"), cwd=tmp_path, **KEY)
        kinds = [line["error"]["kind"] for line in results(tmp_path / "out")[:4]]
        assert failed.code == 1
        assert kinds == ["unknown"] * 4

        assert batchgen(*words(base_url, "--retry-failed"), cwd=tmp_path, **KEY).code == 0


@pytest.mark.usefixtures("manifest")
def test_a_second_run_in_the_same_directory_is_rejected(slow: str, tmp_path: Path) -> None:
    process = begin(slow, tmp_path)
    second = batchgen(*words(slow), cwd=tmp_path, **KEY)
    running = json.loads(batchgen("status", "out", "--json", cwd=tmp_path).out)
    process.terminate()
    process.communicate(timeout=60)

    assert second.code == 75
    assert str(process.pid) in second.err
    assert running["running"] is True
    assert running["total"] == TASKS
    assert running["pending"] + running["succeeded"] == TASKS


@pytest.mark.usefixtures("manifest")
def test_a_rejected_key_halts_immediately_and_leaves_all_tasks_pending(tmp_path: Path) -> None:
    with simulate("--faults", "401=1", cwd=tmp_path) as base_url:
        ended = batchgen(*words(base_url), cwd=tmp_path, **KEY)
        assert sum(stats(base_url)["requests"].values()) <= 4

    assert ended.code == 3
    assert {line["status"] for line in results(tmp_path / "out")} == {"pending"}
    assert len(results(tmp_path / "out")) == TASKS


@pytest.mark.usefixtures("manifest")
def test_the_budget_is_not_exceeded(slow: str, tmp_path: Path) -> None:
    ended = batchgen(*words(slow, "--max-cost", "0.27"), cwd=tmp_path, **KEY)

    assert ended.code == 3
    assert "max_cost" in ended.err
    assert stats(slow)["generations"] == 10  # at $0.026 each
    assert batchgen(*words(slow, "--max-requests", "7"), cwd=tmp_path, **KEY).code == 3
    assert stats(slow)["generations"] == 17


@pytest.mark.usefixtures("manifest")
def test_a_run_succeeds_despite_faults(tmp_path: Path) -> None:
    faults = "500=0.1,reset=0.05,lost=0.05,html=0.01,truncated=0.01,file500=0.1"
    with simulate("--faults", faults, "--seed", "5", cwd=tmp_path) as base_url:
        (tmp_path / "job.yaml").write_text(
            "retry: {attempts: 12, backoff: {initial: 10ms, max: 50ms}}\n"
            "prompts: [{from: m.csv, model: dall-e-2, size: 256x256}]\n"
        )
        ended = batchgen(
            *("run", "job.yaml", "--base-url", base_url, "-o", "out"), cwd=tmp_path, **KEY
        )
        counts = stats(base_url)

    assert ended.code == 0, ended.err
    assert (counts["generations"], counts["double_generations"]) == (TASKS, 0)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["run"]["requests"] > TASKS


@pytest.mark.usefixtures("manifest")
def test_the_key_is_in_no_file_and_no_message(slow: str, tmp_path: Path) -> None:
    ended = batchgen(
        *words(slow, "--log-format", "json", "--log-file", "log", "--limit", "5"),
        cwd=tmp_path,
        **KEY,
    )

    canary = KEY["AIMLAPI_API_KEY"].encode()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert ended.code == 0, ended.err
    assert canary.decode() not in ended.out + ended.err
    assert [path for path in files if canary in path.read_bytes()] == []
    assert stats(slow)["leaked_keys"] == 0


@pytest.mark.usefixtures("manifest")
def test_the_ledger_counts_the_requests_that_the_server_received(tmp_path: Path) -> None:
    with simulate("--faults", "500=0.2", "--seed", "2", cwd=tmp_path) as base_url:
        (tmp_path / "job.yaml").write_text(
            "retry: {attempts: 20, backoff: {initial: 10ms, max: 20ms}}\n"
            "prompts: [{from: m.csv, model: dall-e-2, size: 256x256}]\n"
        )
        batchgen("run", "job.yaml", "--base-url", base_url, "-o", "out", cwd=tmp_path, **KEY)
        count = sum(stats(base_url)["requests"].values())

    with closing(sqlite3.connect(tmp_path / "out" / ".batchgen" / "ledger.sqlite3")) as ledger:
        assert ledger.execute("SELECT sum(attempts) FROM tasks").fetchone() == (count,)


@pytest.mark.usefixtures("manifest")
def test_a_file_in_place_of_the_output_directory_is_reported(slow: str, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("not a folder")
    ended = batchgen(*words(slow), cwd=tmp_path, **KEY)
    assert ended.code == 4
    assert "out" in ended.err


@pytest.mark.skipif(
    os.geteuid() == 0,
    reason="needs a folder without write permission: run as another user than root",
)
@pytest.mark.usefixtures("manifest")
def test_a_directory_that_cannot_be_written_is_reported(slow: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o500)
    ended = batchgen(*words(slow), cwd=tmp_path, **KEY)
    assert ended.code == 4
    assert "out" in ended.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_ends_the_run_immediately_and_the_next_run_continues(
    tmp_path: Path, manifest: Path, number: signal.Signals, code: int
) -> None:
    assert manifest.exists()
    with simulate("--latency", "60s", cwd=tmp_path) as never:
        process = in_flight(never, tmp_path)
        process.send_signal(number)
        assert process.stderr is not None
        assert any("to stop now" in line for line in process.stderr)
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
        assert process.returncode == code, err
        assert "Traceback" not in err
    with simulate(cwd=tmp_path) as base_url:
        assert batchgen(*words(base_url), cwd=tmp_path, **KEY).code == 0
    assert {line["status"] for line in results(tmp_path / "out")} == {"succeeded"}


@pytest.mark.usefixtures("manifest")
def test_requests_in_flight_have_the_drain_timeout_to_finish(tmp_path: Path) -> None:
    with simulate("--latency", "60s", cwd=tmp_path) as never:
        process = in_flight(never, tmp_path, "--drain-timeout", "100ms")
        process.terminate()
        _, err = process.communicate(timeout=30)
    assert process.returncode == 143
    assert "still in flight after 0.1 s are recorded as unknown" in err
    assert "Traceback" not in err
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["tasks"]["unknown"] == 4


def in_flight(base_url: str, cwd: Path, *more: str) -> "subprocess.Popen[str]":
    """Start a run and wait until it has four requests in flight."""
    process = subprocess.Popen(
        [COMMAND, *words(base_url, *more)],
        cwd=cwd,
        env=environment(**KEY),
        stderr=subprocess.PIPE,
        text=True,
    )
    while stats(base_url)["in_flight"] < 4:
        assert process.poll() is None
    return process


@pytest.mark.usefixtures("manifest")
def test_unknown_tasks_are_reconciled_with_the_usage_log(tmp_path: Path) -> None:
    with simulate("--faults", "lost=1", cwd=tmp_path) as base_url:
        lost = batchgen(*words(base_url, "--attempts", "1", "--limit", "3"), cwd=tmp_path, **KEY)
        assert lost.code == 1
        assert [line["status"] for line in results(tmp_path / "out")] == ["unknown"] * 3

        held = words(base_url, "--attempts", "1", "--limit", "3", "--on-unknown", "hold")
        ended = batchgen(*held, cwd=tmp_path, **KEY)

        assert "usage log lists 3 of them" in ended.err
        lines = results(tmp_path / "out")
        assert [line["status"] for line in lines] == ["unknown"] * 3
        assert all(line["request_id"] and line["cost_usd"] for line in lines)
        assert stats(base_url)["generations"] == 3
    status = json.loads(batchgen("status", "out", "--json", cwd=tmp_path).out)
    assert (status["found_unknown"], status["settled"], status["resent"]) == (3, 3, 0)
