"""Runs with lanes, by the installed command: the same results, and whatever dies."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command import COMMAND, batchgen, begun, environment, results
from tests.e2e.simulated import simulate, stats
from tests.lanes.processes import assert_gone, children_of, watched

TASKS = 60
WITH_LANES = {"AIMLAPI_API_KEY": "sk-canary-7731", "BATCHGEN_LANES": "2"}
WORDS = ("--model", "dall-e-2", "--set", "size=256x256", "--concurrency", "8", "-o", "out")


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[str]:
    prompts = "".join(f"picture {number}\n" for number in range(TASKS))
    (tmp_path / "m.csv").write_text("prompt\n" + prompts)
    with simulate("--latency", "100ms", cwd=tmp_path) as base_url:
        yield base_url


def words(base_url: str, *more: str) -> list[str]:
    return ["run", "m.csv", "--base-url", base_url, *WORDS, *more]


def begin(base_url: str, cwd: Path) -> "subprocess.Popen[str]":
    """A run whose first results are on their way, in a process group of its own."""
    words_of_it = words(base_url, "--log-format", "json")
    return begun(*words_of_it, cwd=cwd, extra=WITH_LANES, process_group=0)


def lanes_of(process: "subprocess.Popen[str]") -> list[int]:
    """The process that a run has started, and those that this one has made of itself."""
    first = children_of(process.pid)
    return [*first, *(one for number in first for one in children_of(number))]


def assert_complete(cwd: Path, base_url: str) -> None:
    lines = results(cwd / "out")
    assert {line["status"] for line in lines} == {"succeeded"}
    paths = {artifact["path"] for line in lines for artifact in line["artifacts"]}
    assert paths == {path.name for path in (cwd / "out").glob("*.png")}
    assert len(paths) == TASKS
    assert list((cwd / "out" / ".batchgen" / "tmp").iterdir()) == []
    assert stats(base_url)["double_generations"] == 0


def test_results_are_those_of_a_run_without_lanes(slow: str, tmp_path: Path) -> None:
    assert batchgen(*words(slow), cwd=tmp_path, **WITH_LANES).code == 0
    assert_complete(tmp_path, slow)
    by_lanes = [(line["id"], line["artifacts"]) for line in results(tmp_path / "out")]
    alone = batchgen(
        *words(slow, "-o", "alone"), cwd=tmp_path, **{**WITH_LANES, "BATCHGEN_LANES": "0"}
    )
    assert alone.code == 0
    assert by_lanes == [(line["id"], line["artifacts"]) for line in results(tmp_path / "alone")]
    assert batchgen("verify", "out", cwd=tmp_path).code == 0


def test_linux_takes_a_run_and_its_lanes_for_batch_work(slow: str, tmp_path: Path) -> None:
    process = begin(slow, tmp_path)
    numbers = [process.pid, *lanes_of(process)]
    assert {os.sched_getscheduler(number) for number in numbers} == {os.SCHED_BATCH}
    process.kill()
    process.communicate(timeout=60)


def test_a_signal_to_the_whole_group_drains_the_run_and_spares_its_lanes(
    slow: str, tmp_path: Path
) -> None:
    process = begin(slow, tmp_path)
    for lane in lanes_of(process):
        os.kill(lane, signal.SIGINT)
        os.kill(lane, signal.SIGTERM)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 130, err
    done = sum(line["status"] == "succeeded" for line in results(tmp_path / "out"))
    assert stats(slow)["generations"] == done
    assert batchgen(*words(slow), cwd=tmp_path, **WITH_LANES).code == 0
    assert_complete(tmp_path, slow)


def test_lanes_end_with_a_run_that_is_killed_and_the_next_one_goes_on(
    slow: str, tmp_path: Path
) -> None:
    for _ in range(3):
        process = begin(slow, tmp_path)
        going = watched(lanes_of(process))
        assert len(going) == 2
        process.kill()
        process.communicate(timeout=60)
        assert_gone(going)

    assert batchgen(*words(slow), cwd=tmp_path, **WITH_LANES).code == 0
    assert_complete(tmp_path, slow)


@pytest.mark.parametrize("number", [0, 1])
def test_a_run_whose_lane_is_killed_says_so_and_the_next_one_goes_on(
    slow: str, tmp_path: Path, number: int
) -> None:
    process = begin(slow, tmp_path)
    lane = lanes_of(process)[number]
    os.kill(lane, signal.SIGKILL)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 4
    assert f"the process {lane} that sent requests for this run was ended" in err
    assert "Traceback" not in err
    assert batchgen(*words(slow), cwd=tmp_path, **WITH_LANES).code == 0
    assert_complete(tmp_path, slow)


def test_lanes_end_where_nobody_hears_of_the_end_of_processes(slow: str, tmp_path: Path) -> None:
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN);"
        " os.execv(sys.argv[1], sys.argv[1:])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", ignoring, str(COMMAND), *words(slow)],
        check=False,
        cwd=tmp_path,
        env=environment(**WITH_LANES),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    assert_complete(tmp_path, slow)


def test_a_second_signal_ends_a_run_with_lanes_at_once(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("prompt\n" + "".join(f"p {n}\n" for n in range(TASKS)))
    with simulate("--latency", "60s", cwd=tmp_path) as never:
        process = subprocess.Popen(
            [COMMAND, *words(never)],
            cwd=tmp_path,
            env=environment(**WITH_LANES),
            stderr=subprocess.PIPE,
            text=True,
        )
        while stats(never)["in_flight"] < 8:
            pass
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        for line in process.stderr:
            if "once more ends at once" in line:
                process.send_signal(signal.SIGINT)
                break
        process.communicate(timeout=60)
    assert process.returncode == 130
    statuses = [line["status"] for line in results(tmp_path / "out")]
    assert statuses.count("unknown") <= 8


def test_files_of_the_user_that_have_names_of_modules_do_no_harm(slow: str, tmp_path: Path) -> None:
    for name in ("random.py", "types.py", "batchgen.py"):
        (tmp_path / name).write_text("raise RuntimeError('not yours')\n")
    assert batchgen(*words(slow), cwd=tmp_path, **WITH_LANES).code == 0
    assert_complete(tmp_path, slow)


def test_a_number_of_lanes_that_is_none_is_told(slow: str, tmp_path: Path) -> None:
    ended = batchgen(*words(slow), cwd=tmp_path, **{**WITH_LANES, "BATCHGEN_LANES": "many"})
    assert ended.code == 2
    assert "BATCHGEN_LANES is 'many': give a number up to 64; 0 is none" in ended.err
