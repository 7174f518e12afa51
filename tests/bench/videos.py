"""Thousands of video jobs in progress together, and a kill -9 in the middle of them."""

import json
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tests.bench.served import listen
from tests.bench.table import markdown, megabytes
from tests.bench.usage import RunError, Usage, run
from tests.bench.video_server import Statistics
from tests.bench.workspace import Workspace, command, environment, write_manifest

_MANY = 2000
_MIN_S, _MAX_S = 30.0, 120.0  # duration of a job
_LONGEST_S = 300.0
_POLL_S = 0.5
_MODEL = "google/veo-3.0-fast"


def videos(workspace: Workspace) -> Iterator[str]:
    """Run 2,000 jobs together; then 2,000 more, with a kill -9 when half of them are fetched."""
    job = _job(workspace.folder)
    yield f"{_MANY:,} videos in progress together, {_MIN_S:g} to {_MAX_S:g} s each, default polling"
    with workspace.output("videos") as output, _video_server() as url:
        words = _words(job, url, output)
        used = run(words, environment=environment(), log=workspace.log)
        served = _server_statistics(url)
    _require(
        served.jobs == served.submissions == served.files == _MANY, f"not one job each: {served}"
    )
    yield markdown(
        ("whole run", "CPU seconds", "peak RSS", "maximum in progress", "polls"),
        [
            (
                f"{used.wall_s:.0f} s",
                f"{used.cpu_s:.1f}",
                megabytes(used.peak_bytes),
                f"{served.max_open:,}",
                f"{len(served.first_s) + len(served.gaps_s):,}",
            )
        ],
    )
    yield _table_of_waits(served)
    yield "killed (SIGKILL) when half of the videos were fetched, then run again"
    with workspace.output("videos") as output, _video_server() as url:
        words = _words(job, url, output)
        killed = _killed(words, workspace, lambda: _server_statistics(url).files >= _MANY / 2)
        used = run(words, environment=environment(), log=workspace.log)
        yield _table_of_kill(killed, used, _server_statistics(url), output)


def _table_of_waits(served: Statistics) -> str:
    rows = (
        ("from submission to the first poll", "10 s", served.first_s),
        ("from a poll to the next", "15 s", served.gaps_s),
    )
    return markdown(
        ("wait, measured by the server", "expected", "minimum", "median", "99 %", "maximum"),
        [(name, expected, *map(_format_s, _spread(waits))) for name, expected, waits in rows],
    )


def _table_of_kill(killed_after_s: float, used: Usage, served: Statistics, output: Path) -> str:
    done = sum(1 for _ in (output / "results.jsonl").open())
    again = served.submissions - served.jobs
    _require(served.jobs == done == _MANY, f"{done} done, {served.jobs} jobs")
    return markdown(
        (
            "killed after",
            "jobs started",
            "submitted twice",
            "fetched twice",
            "done",
            "peak RSS of the second run",
        ),
        [
            (
                f"{killed_after_s:.0f} s",
                f"{served.jobs:,}",
                f"{again:,}",
                f"{served.files - served.jobs:,}",
                f"{done:,}",
                megabytes(used.peak_bytes),
            )
        ],
    )


def _spread(waits: Sequence[float]) -> tuple[float, ...]:
    ordered = sorted(waits)
    late = ordered[int(len(ordered) * 0.99)]
    return ordered[0], statistics.median(ordered), late, ordered[-1]


def _format_s(seconds: float) -> str:
    return f"{seconds:.2f} s"


def _job(folder: Path) -> Path:
    write_manifest(folder / "videos.csv", _MANY)
    job = folder / "videos.yaml"
    content = {
        "provider": "aimlapi",
        "defaults": {"model": _MODEL},
        "limits": {"concurrency": 64, "pending": _MANY},
        "prompts": [{"from": "videos.csv"}],
    }
    job.write_text(json.dumps(content))
    return job


def _words(job: Path, url: str, output: Path) -> list[str]:
    return command("run", job, "--base-url", url, "--no-progress", "-o", output)


def _killed(words: Sequence[str], workspace: Workspace, is_time: Callable[[], bool]) -> float:
    """Start a command and kill it when `is_time()`; return the seconds until then."""
    started = time.monotonic()
    with (
        workspace.log.open("wb") as log,
        subprocess.Popen(
            words, env=environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        ) as process,
    ):
        while not is_time():
            _require(process.poll() is None, f"it ended with exit code {process.returncode}")
            _require(time.monotonic() - started < _LONGEST_S, "too few videos were fetched in time")
            time.sleep(_POLL_S)
        process.send_signal(signal.SIGKILL)
    return time.monotonic() - started


def _require(condition: object, message: str) -> None:
    if not condition:
        raise RunError(message[:500])


@contextmanager
def _video_server() -> Iterator[str]:
    with listen() as listener:
        port = listener.getsockname()[1]
        arguments = (listener.fileno(), _MIN_S, _MAX_S)
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.video_server", *map(str, arguments)],
            pass_fds=(listener.fileno(),),
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def _server_statistics(url: str) -> Statistics:
    with urllib.request.urlopen(f"{url}/statistics") as reply:  # noqa: S310  # loopback
        return msgspec.json.decode(reply.read(), type=Statistics)
