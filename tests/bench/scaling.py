"""How the cost grows with rows, requests in flight, image size and latency."""

import json
import statistics
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from tests.bench.comparison import ENDPOINT, SMALL_SIDE, Comparison, compare
from tests.bench.images import b64_reply, noise_png
from tests.bench.served import listen, served
from tests.bench.table import markdown, megabytes
from tests.bench.usage import Usage, run
from tests.bench.workspace import Workspace, command, environment, write_manifest

_ROWS = (1_000, 10_000, 100_000, 1_000_000)
_RUN_ROWS = (1_000, 10_000)
_IN_FLIGHT = (1, 4, 16, 64, 256)
_SIDES = ((64, "12 KB", 1000), (200, "120 KB", 500), (620, "1.2 MB", 200), (1850, "10 MB", 30))
_ALONE = ("batchgen",)
_MANY, _LATENCY_S, _WAVES = 5000, 10.0, 3


def scaling(workspace: Workspace) -> Iterator[str]:
    """Measure batchgen alone: rows, requests in flight, image size."""
    yield "`plan` over a CSV"
    plans = [(f"{rows:,} rows", _planned(rows, workspace)) for rows in _ROWS]
    yield markdown(
        ("manifest", "seconds", "CPU seconds", "peak RSS"),
        [
            (name, f"{_wall_s(used):.1f}", f"{_cpu_s(used):.1f}", megabytes(_peak(used)))
            for name, used in plans
        ],
    )
    yield "`run`, images of 12 KB, 64 in flight"
    comparisons = [
        (f"{rows:,} rows", Comparison(64, rows, 64, programs=_ALONE)) for rows in _RUN_ROWS
    ]
    yield _rates("manifest", comparisons, workspace)
    yield "`run`, 1,000 images of 12 KB"
    comparisons = [
        (f"{many} in flight", Comparison(64, 1000, many, programs=_ALONE)) for many in _IN_FLIGHT
    ]
    yield _rates("requests", comparisons, workspace)
    yield "`run`, 16 in flight"
    comparisons = [
        (name, Comparison(side, items, 16, programs=_ALONE)) for side, name, items in _SIDES
    ]
    yield _rates("image", comparisons, workspace)


def waiting(workspace: Workspace) -> Iterator[str]:
    """Measure thousands of requests in flight with a slow server."""
    yield f"{_MANY:,} in flight, {_LATENCY_S:g} s before each reply (a plain server), 12 KB"
    manifest = workspace.folder / "prompts.csv"
    write_manifest(manifest, (_WAVES + 1) * _MANY)
    replies = {ENDPOINT: b64_reply(noise_png(SMALL_SIDE))}
    with workspace.output("server") as folder, workspace.output("images", kept=True) as output:
        with listen() as listener, served(folder, listener, replies, latency_s=_LATENCY_S) as url:
            words = command(
                "run", manifest, "--base-url", url, "--model", "dall-e-2", "--set",
                "response_format=b64_json", "--concurrency", str(_MANY), "--no-progress", "-o",
                output,
            )  # fmt: skip
            used = run(words, environment=environment(), log=workspace.log)
        moments = _finished(output / "results.jsonl")
    ended = bisect_left(moments, moments[0] + _WAVES * _LATENCY_S)
    rate = ended / (_WAVES * _LATENCY_S)
    yield markdown(
        ("images/s after the first", "of the maximum by latency", "whole run", "peak RSS"),
        [
            (
                f"{rate:,.0f}",
                f"{rate * _LATENCY_S / _MANY:.0%}",
                f"{used.wall_s:.1f} s for {(_WAVES + 1) * _MANY:,}",
                megabytes(used.peak_bytes),
            )
        ],
    )


def _finished(results: Path) -> list[float]:
    with results.open(encoding="utf-8") as lines:
        ends = (json.loads(line)["finished_at"] for line in lines)
        return sorted(datetime.fromisoformat(end).timestamp() for end in ends)


def _planned(rows: int, workspace: Workspace) -> list[Usage]:
    manifest = workspace.folder / "rows.csv"
    write_manifest(manifest, rows)
    words = command("plan", manifest, "--model", "dall-e-2")
    rounds = range(workspace.settings.rounds)
    return [run(words, environment=environment(), log=workspace.log) for _ in rounds]


def _rates(label: str, comparisons: Sequence[tuple[str, Comparison]], workspace: Workspace) -> str:
    measured = [
        (name, comparison.items, compare(comparison, workspace)["batchgen"])
        for name, comparison in comparisons
    ]
    return markdown(
        (label, "images/s", "CPU ms per image", "peak RSS"),
        [
            (
                name,
                f"{items / _wall_s(used):,.0f}",
                f"{1000 * _cpu_s(used) / items:.2f}",
                megabytes(_peak(used)),
            )
            for name, items, used in measured
        ],
    )


def _wall_s(used: Sequence[Usage]) -> float:
    return statistics.median(usage.wall_s for usage in used)


def _cpu_s(used: Sequence[Usage]) -> float:
    return statistics.median(usage.cpu_s for usage in used)


def _peak(used: Sequence[Usage]) -> float:
    return statistics.median(usage.peak_bytes for usage in used)
