"""Videos by the thousand, waited for at once; and a kill -9 in the middle of them."""

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

from tests.bench.scene import Scene, command, environment, write_manifest
from tests.bench.served import listen
from tests.bench.table import markdown, megabytes
from tests.bench.usage import RunError, Usage, run
from tests.bench.video_server import Seen

_MANY = 2000
_LEAST_S, _MOST_S = 30.0, 120.0  # that a job takes
_LONGEST_S = 300.0
_LOOK_S = 0.5
_MODEL = "google/veo-3.0-fast"


def videos(scene: Scene) -> Iterator[str]:
    """2,000 jobs at a time; then as many again, with a kill -9 when half of them are there."""
    job = _job(scene.folder)
    yield f"{_MANY:,} videos at once, {_LEAST_S:g} to {_MOST_S:g} s each, asked for as is usual"
    with scene.output("videos") as output, _serving() as url:
        words = _words(job, url, output)
        used = run(words, environment=environment(), log=scene.log)
        seen = _seen(url)
    _demand(seen.jobs == seen.submissions == seen.files == _MANY, f"not one job each: {seen}")
    yield markdown(
        ("whole run", "CPU seconds", "peak RSS", "under way at once", "questions"),
        [
            (
                f"{used.wall_s:.0f} s",
                f"{used.cpu_s:.1f}",
                megabytes(used.peak_bytes),
                f"{seen.most:,}",
                f"{len(seen.first_s) + len(seen.gaps_s):,}",
            )
        ],
    )
    yield _table_of_waits(seen)
    yield "killed (SIGKILL) when half of the videos had been fetched, and run again"
    with scene.output("videos") as output, _serving() as url:
        words = _words(job, url, output)
        killed = _killed(words, scene, lambda: _seen(url).files >= _MANY / 2)
        used = run(words, environment=environment(), log=scene.log)
        yield _table_of_kill(killed, used, _seen(url), output)


def _table_of_waits(seen: Seen) -> str:
    rows = (
        ("from the submission to the first question", "10 s", seen.first_s),
        ("from a question to the next", "15 s", seen.gaps_s),
    )
    return markdown(
        ("wait, as the server saw it", "is to be", "least", "median", "99 %", "most"),
        [(name, usual, *map(_told_s, _spread(waits))) for name, usual, waits in rows],
    )


def _table_of_kill(killed_after_s: float, used: Usage, seen: Seen, output: Path) -> str:
    done = sum(1 for _ in (output / "results.jsonl").open())
    again = seen.submissions - seen.jobs
    _demand(seen.jobs == done == _MANY, f"{done} done, {seen.jobs} jobs")
    return markdown(
        ("killed after", "jobs begun", "submitted twice", "fetched twice", "done", "peak RSS then"),
        [
            (
                f"{killed_after_s:.0f} s",
                f"{seen.jobs:,}",
                f"{again:,}",
                f"{seen.files - seen.jobs:,}",
                f"{done:,}",
                megabytes(used.peak_bytes),
            )
        ],
    )


def _spread(waits: Sequence[float]) -> tuple[float, ...]:
    ordered = sorted(waits)
    late = ordered[int(len(ordered) * 0.99)]
    return ordered[0], statistics.median(ordered), late, ordered[-1]


def _told_s(seconds: float) -> str:
    return f"{seconds:.2f} s"


def _job(folder: Path) -> Path:
    write_manifest(folder / "videos.csv", _MANY)
    job = folder / "videos.yaml"
    told = {
        "provider": "aimlapi",
        "defaults": {"model": _MODEL},
        "limits": {"concurrency": 64, "pending": _MANY},
        "prompts": [{"from": "videos.csv"}],
    }
    job.write_text(json.dumps(told))
    return job


def _words(job: Path, url: str, output: Path) -> list[str]:
    return command("run", job, "--base-url", url, "--no-progress", "-o", output)


def _killed(words: Sequence[str], scene: Scene, is_time: Callable[[], bool]) -> float:
    """Start a command and kill it when it is time; return after how many seconds that was."""
    started = time.monotonic()
    with (
        scene.log.open("wb") as log,
        subprocess.Popen(
            words, env=environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        ) as process,
    ):
        while not is_time():
            _demand(process.poll() is None, f"it ended by itself with {process.returncode}")
            _demand(time.monotonic() - started < _LONGEST_S, "not all were asked for")
            time.sleep(_LOOK_S)
        process.send_signal(signal.SIGKILL)
    return time.monotonic() - started


def _demand(good: object, otherwise: str) -> None:
    if not good:
        raise RunError(otherwise[:500])


@contextmanager
def _serving() -> Iterator[str]:
    with listen() as listener:
        port = listener.getsockname()[1]
        told = (listener.fileno(), _LEAST_S, _MOST_S)
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.video_server", *map(str, told)],
            pass_fds=(listener.fileno(),),
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def _seen(url: str) -> Seen:
    with urllib.request.urlopen(f"{url}/seen") as reply:  # noqa: S310  # loopback
        return msgspec.json.decode(reply.read(), type=Seen)
