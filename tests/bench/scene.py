"""Where the measurements take place: settings, folders, manifests, commands."""

import csv
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"
_KEY = "AIMLAPI_API_KEY"
_PROBES = 50


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is measured.

    items: images of a small race. large_items: of 3.5 MB. rows: of the long manifest.
    """

    rounds: int = 3
    items: int = 10_000
    large_items: int = 600
    rows: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Scene:
    """folder: on the disk that is measured; each measurement leaves it as it was."""

    settings: Settings
    folder: Path

    @contextmanager
    def output(self, name: str, *, kept: bool = False) -> Iterator[Path]:
        """An empty folder for as long as the block lasts; `kept` leaves it until the bench ends.

        Many small files are kept: ext4 looks long for an inode where many were freed a moment ago,
        and whoever runs next would pay for it.
        """
        path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))
        yield path
        if not kept:
            shutil.rmtree(path)

    @property
    def log(self) -> Path:
        """What the last measured process said."""
        return self.folder / "last.log"


def command(*words: str | Path) -> list[str]:
    """The words that start batchgen from this source tree."""
    return [sys.executable, "-m", "batchgen", *map(str, words)]


def environment() -> dict[str, str]:
    """The environment of every measured process; modules are compiled once, as for any user."""
    kept = {name: value for name, value in os.environ.items() if name != _NO_BYTECODE}
    return {**kept, _KEY: "bench"}


def write_manifest(path: Path, rows: int) -> None:
    """A CSV of so many rows with ids of their own."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "prompt", "sku"))
        writer.writerows(
            (f"fox-{row}", f"A fox, study number {row}, in ink and wash", f"S-{row % 997}")
            for row in range(rows)
        )


def fsync_ms(folder: Path) -> float:
    """Milliseconds that the disk takes to make 12 KB durable: median of some files."""
    path = folder / "probe"
    took = []
    for _ in range(_PROBES):
        with path.open("wb") as file:
            file.write(bytes(12_000))
            file.flush()
            started = time.perf_counter()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - started)
        path.unlink()
    return 1000 * statistics.median(took)
