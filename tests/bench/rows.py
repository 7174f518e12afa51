"""Long manifests: check them, and run them again after all tasks are done."""

import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.bench.table import MEGABYTE, markdown, megabytes
from tests.bench.usage import Usage, run
from tests.bench.workspace import Workspace, command, environment, write_manifest

_FEW = 10_000
_LARGE_GROUP = 2000  # tasks whose commits are awaited together, to fill a ledger quickly
_IN_FLIGHT = 64
_CLOSED_PORT = "http://127.0.0.1:9"  # a request would fail the run


def rows(workspace: Workspace) -> Iterator[str]:
    """Measure `plan`, and a second `run`, with many rows and with few."""
    many = workspace.settings.rows
    yield f"CSV of {many:,} rows compared with {_FEW:,}"
    few_runs, many_runs = (_measured(count, workspace) for count in (_FEW, many))
    yield markdown(
        ("command", f"{_FEW:,} rows", f"{many:,} rows", "peak RSS", "difference of peak RSS"),
        [
            _row(name, *both)
            for name, *both in zip(("plan", "run, all done"), few_runs, many_runs, strict=True)
        ],
    )


def ledger(workspace: Workspace) -> Iterator[str]:
    """Measure the ledger alone: intent and outcome of each task, in groups as in a run."""
    few, many = (_committed(count, workspace) for count in (_FEW // 10, _FEW))
    cpu_ms = 1000 * (many.cpu_s - few.cpu_s) / (_FEW - _FEW // 10)
    yield f"intent, outcome and artifact of one task: {cpu_ms:.2f} CPU ms"


def _committed(count: int, workspace: Workspace) -> Usage:
    manifest = workspace.folder / "rows.csv"
    write_manifest(manifest, count)
    with workspace.output("ledger") as output:
        return _fill(manifest, output, workspace, group=_IN_FLIGHT)


def _measured(count: int, workspace: Workspace) -> tuple[list[Usage], list[Usage]]:
    manifest = workspace.folder / "rows.csv"
    write_manifest(manifest, count)
    planned = _repeated(command("plan", manifest, *_FLAGS), workspace)
    with workspace.output("rows") as output:
        _fill(manifest, output, workspace, group=_LARGE_GROUP)
        words = command("run", manifest, *_FLAGS, "--no-progress", "-o", output)
        run(
            words, environment=environment(), log=workspace.log
        )  # this run writes the results manifest
        again = _repeated(words, workspace)
    return planned, again


_FLAGS = ("--model", "dall-e-2", "--base-url", _CLOSED_PORT)


def _repeated(words: Sequence[str], workspace: Workspace) -> list[Usage]:
    rounds = range(workspace.settings.rounds)
    return [run(words, environment=environment(), log=workspace.log) for _ in rounds]


def _fill(manifest: Path, output: Path, workspace: Workspace, *, group: int) -> Usage:
    arguments = map(str, (manifest, output, group))
    words = (sys.executable, "-m", "tests.bench.filled_ledger", *arguments)
    return run(words, environment=environment(), log=workspace.log)


def _row(name: str, few: list[Usage], many: list[Usage]) -> tuple[str, ...]:
    median = statistics.median
    peaks = [median(usage.peak_bytes for usage in runs) for runs in (few, many)]
    return (
        name,
        *(f"{median(usage.wall_s for usage in runs):.1f} s" for runs in (few, many)),
        megabytes(peaks[1]),
        f"{(peaks[1] - peaks[0]) / MEGABYTE:+,.0f} MB",
    )
