"""Settings, folders, manifests and commands of the measurements."""

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
    """The extent of the measurements.

    items: number of small images. large_items: number of images of 3.5 MB. rows: of the long
    manifest.
    """

    rounds: int = 3
    items: int = 10_000
    large_items: int = 600
    rows: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Workspace:
    """The settings, and a folder on the disk that is measured; measurements delete their files."""

    settings: Settings
    folder: Path

    @contextmanager
    def output(self, name: str, *, kept: bool = False) -> Iterator[Path]:
        """Yield an empty folder and delete it at the end of the block, unless it is `kept`.

        Many small files are kept until the benchmark ends: ext4 takes long to find an inode after
        many were freed, which would slow down the next measurement.
        """
        path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))
        yield path
        if not kept:
            shutil.rmtree(path)

    @property
    def log(self) -> Path:
        """The output of the last measured process."""
        return self.folder / "last.log"


def command(*words: str | Path) -> list[str]:
    """Return the command line that starts batchgen from this source tree."""
    return [sys.executable, "-m", "batchgen", *map(str, words)]


def environment() -> dict[str, str]:
    """Return the environment of a measured process; modules are compiled once, as for a user."""
    variables = {name: value for name, value in os.environ.items() if name != _NO_BYTECODE}
    return {**variables, _KEY: "bench"}


def write_manifest(path: Path, rows: int) -> None:
    """Write a CSV with this number of rows and unique ids."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "prompt", "sku"))
        writer.writerows(
            (f"fox-{row}", f"A fox, study number {row}, in ink and wash", f"S-{row % 997}")
            for row in range(rows)
        )


def fsync_ms(folder: Path) -> float:
    """Return the milliseconds of an fsync of 12 KB: the median of some files."""
    path = folder / "probe"
    times_s = []
    for _ in range(_PROBES):
        with path.open("wb") as file:
            file.write(bytes(12_000))
            file.flush()
            started = time.perf_counter()
            os.fsync(file.fileno())
            times_s.append(time.perf_counter() - started)
        path.unlink()
    return 1000 * statistics.median(times_s)
