"""How the cost grows: with rows, with requests in flight, with the size of images, with waiting."""

import statistics
from collections.abc import Iterator, Sequence

from tests.bench.races import Race, raced
from tests.bench.scene import Scene, command, environment, write_manifest
from tests.bench.table import markdown, megabytes
from tests.bench.usage import Usage, run

_ROWS = (1_000, 10_000, 100_000, 1_000_000)
_RUN_ROWS = (1_000, 10_000)
_IN_FLIGHT = (1, 4, 16, 64, 256)
_SIDES = ((64, "12 KB", 1000), (200, "120 KB", 500), (620, "1.2 MB", 200), (1850, "10 MB", 30))
_ALONE = ("batchgen",)
_MANY, _LATENCY_S, _SHOULD_BE = 5000, 10.0, 500.0


def scaling(scene: Scene) -> Iterator[str]:
    """Tables of batchgen alone: rows, in flight, size of images."""
    yield "`plan` over a CSV"
    plans = [(f"{rows:,} rows", _planned(rows, scene)) for rows in _ROWS]
    yield markdown(
        ("manifest", "seconds", "CPU seconds", "peak RSS"),
        [
            (name, f"{_wall_s(used):.1f}", f"{_cpu_s(used):.1f}", megabytes(_peak(used)))
            for name, used in plans
        ],
    )
    yield "`run`, images of 12 KB, 64 in flight"
    races = [(f"{rows:,} rows", Race(64, rows, 64, programs=_ALONE)) for rows in _RUN_ROWS]
    yield _rates("manifest", races, scene)
    yield "`run`, 1,000 images of 12 KB"
    races = [(f"{many} in flight", Race(64, 1000, many, programs=_ALONE)) for many in _IN_FLIGHT]
    yield _rates("requests", races, scene)
    yield "`run`, 16 in flight"
    races = [(name, Race(side, items, 16, programs=_ALONE)) for side, name, items in _SIDES]
    yield _rates("image", races, scene)


def waiting(scene: Scene) -> Iterator[str]:
    """Thousands in flight at a server that takes its time.

    Two runs of different length: what the longer one takes more is free of start and end.
    """
    yield f"{_MANY:,} in flight, {_LATENCY_S:g} s before each reply (a plain server), 12 KB"
    short, long = (
        Race(64, waves * _MANY, _MANY, latency_s=_LATENCY_S, programs=_ALONE) for waves in (4, 8)
    )
    (first,), (second,) = (raced(race, scene)["batchgen"][:1] for race in (short, long))
    rate = (long.items - short.items) / (second.wall_s - first.wall_s)
    yield markdown(
        ("images/s, once under way", "of what the latency allows", "peak RSS"),
        [(f"{rate:,.0f}", f"{rate / _SHOULD_BE:.0%}", megabytes(second.peak_bytes))],
    )


def _planned(rows: int, scene: Scene) -> list[Usage]:
    manifest = scene.folder / "rows.csv"
    write_manifest(manifest, rows)
    words = command("plan", manifest, "--model", "dall-e-2")
    rounds = range(scene.settings.rounds)
    return [run(words, environment=environment(), log=scene.log) for _ in rounds]


def _rates(what: str, races: Sequence[tuple[str, Race]], scene: Scene) -> str:
    measured = [(name, race.items, raced(race, scene)["batchgen"]) for name, race in races]
    return markdown(
        (what, "images/s", "CPU ms an image", "peak RSS"),
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
    return statistics.median(one.wall_s for one in used)


def _cpu_s(used: Sequence[Usage]) -> float:
    return statistics.median(one.cpu_s for one in used)


def _peak(used: Sequence[Usage]) -> float:
    return statistics.median(one.peak_bytes for one in used)
