"""`python -m tests.bench [NAME ...]`: run the named measurements, or all, and print tables."""

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from tests.bench.comparison import large, memory, small
from tests.bench.parti import parti
from tests.bench.rows import ledger, rows
from tests.bench.scaling import scaling, waiting
from tests.bench.served import server_name
from tests.bench.start import start
from tests.bench.usage import RunError
from tests.bench.videos import videos
from tests.bench.workspace import Settings, Workspace, fsync_ms

MEASUREMENTS: Mapping[str, Callable[[Workspace], Iterator[str]]] = {
    "small-b64": partial(small, "b64_json"),
    "small-url": partial(small, "url"),
    "large-b64": large,
    "memory": memory,
    "waiting": waiting,
    "videos": videos,
    "ledger": ledger,
    "rows": rows,
    "scaling": scaling,
    "parti": parti,
    "start": start,
}


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print; return 1 if a measured program failed."""
    parser = _parser()
    options = parser.parse_args(words)
    if unknown := set(options.names) - set(MEASUREMENTS):
        parser.error(f"{', '.join(sorted(unknown))} is not one of {', '.join(MEASUREMENTS)}")
    settings = Settings(options.rounds, options.items, options.large_items, options.rows)
    with tempfile.TemporaryDirectory(prefix="batchgen-bench-", dir=options.dir) as folder:
        workspace = Workspace(settings, Path(folder))
        _print(_conditions(workspace))
        for name in options.names or MEASUREMENTS:
            _print(f"## {name}")
            try:
                for paragraph in MEASUREMENTS[name](workspace):
                    _print(paragraph)
            except RunError as error:
                _print(f"failed: {error}")
                return 1
    return 0


def _conditions(workspace: Workspace) -> str:
    return (
        f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()};"
        f" server on the same machine: {server_name()}; batchgen with fsync, which takes"
        f" {fsync_ms(workspace.folder):.2f} ms for 12 KB on this disk. Whole processes from start"
        " to end; medians of alternating runs."
    )


def _print(paragraph: str) -> None:
    sys.stdout.write(f"{paragraph}\n\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    default = Settings()
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MEASUREMENTS))
    parser.add_argument("--rounds", type=int, default=default.rounds)
    parser.add_argument("--items", type=int, default=default.items, help="number of small images")
    parser.add_argument("--large-items", type=int, default=default.large_items)
    parser.add_argument("--rows", type=int, default=default.rows, help="rows of the long manifest")
    parser.add_argument("--dir", type=Path, help="a folder on the disk to measure")
    return parser


if __name__ == "__main__":
    sys.exit(main())
