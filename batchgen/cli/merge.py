"""`batchgen merge`: merge the output directories of shards into one."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from batchgen.cli.arguments import check_ledger
from batchgen.engine.clock import SystemClock
from batchgen.errors import Exit, UsageError
from batchgen.storage.comparison import ensure_not_behind
from batchgen.storage.directory import ledger_path, locked
from batchgen.storage.merge import Merge, MergeCounts, write_results
from batchgen.storage.results import FILE_NAME
from batchgen.text import show_count


def merge_command(arguments: argparse.Namespace) -> int:
    """Merge directories into OUT; return SOME_FAILED if files are missing or truncated."""
    out: Path = arguments.out
    directories = _distinct(out, arguments.directories)
    for directory in directories:
        check_ledger(directory)
    if not ledger_path(out).is_file() and (out / FILE_NAME).exists():
        raise UsageError(f"{out} has a {FILE_NAME} but no ledger: choose a new directory")
    with ExitStack() as stack:
        for directory in (out, *directories):
            stack.enter_context(locked(directory))
        for directory in directories:
            ensure_not_behind(directory)
        if ledger_path(out).is_file():
            ensure_not_behind(out)
        merge = Merge(out, _print)
        merge.take(directories)
        code = Exit.SOME_FAILED if merge.counts.damaged else Exit.OK
        command = ("batchgen", "merge", str(out), *map(str, directories))
        write_results(out, command, now=SystemClock().now(), exit_code=code)
    for line in _lines(out, len(directories), merge.counts):
        sys.stderr.write(f"{line}\n")
    return code


def _distinct(out: Path, directories: list[Path]) -> list[Path]:
    """Return each directory once. Raise UsageError if `out` is one of them."""
    by_path = {directory.resolve(): directory for directory in directories}
    if out.resolve() in by_path:
        raise UsageError(
            f"{out} cannot be merged into itself: name OUT first, then the shard directories"
        )
    return list(by_path.values())


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _lines(out: Path, directories: int, counts: MergeCounts) -> Iterator[str]:
    files = counts.linked + counts.copied
    yield (
        f"{out}: {show_count(counts.taken)} tasks added from {directories} directories, with"
        f" {show_count(files)} files ({show_count(counts.linked)} linked,"
        f" {show_count(counts.copied)} copied)"
    )
    if counts.same:
        yield f"{show_count(counts.same)} tasks were already there"
    if counts.older:
        yield f"{show_count(counts.older)} tasks were left out: {out} has better or newer results"
    if counts.damaged:
        yield (
            f"{show_count(counts.damaged)} files are missing or truncated: run"
            " `batchgen verify DIR --fix`, run the shard again, and merge again"
        )
