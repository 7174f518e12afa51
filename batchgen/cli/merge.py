"""`batchgen merge`: the output directories of shards in one."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from batchgen.cli.arguments import check_ledger
from batchgen.engine.clock import SystemClock
from batchgen.errors import Exit, UsageError
from batchgen.storage.directory import ledger_path, locked
from batchgen.storage.merge import Merge, MergeCounts, write_results
from batchgen.storage.results import FILE_NAME
from batchgen.text import show_count


def merge_command(arguments: argparse.Namespace) -> int:
    """`batchgen merge`."""
    out: Path = arguments.out
    directories = _apart(out, arguments.directories)
    for directory in directories:
        check_ledger(directory)
    if not ledger_path(out).is_file() and (out / FILE_NAME).exists():
        raise UsageError(f"{out} has a {FILE_NAME} and no ledger: name a new directory")
    with ExitStack() as stack:
        for place in (out, *directories):
            stack.enter_context(locked(place))
        merge = Merge(out, _tell)
        merge.take(directories)
        code = Exit.SOME_FAILED if merge.counts.damaged else Exit.OK
        command = ("batchgen", "merge", str(out), *map(str, directories))
        write_results(out, command, now=SystemClock().now(), exit_code=code)
    for line in _lines(out, len(directories), merge.counts):
        sys.stderr.write(f"{line}\n")
    return code


def _apart(out: Path, directories: list[Path]) -> list[Path]:
    """The directories, each once; raises UsageError when `out` is one of them."""
    found = {directory.resolve(): directory for directory in directories}
    if out.resolve() in found:
        raise UsageError(f"{out} cannot be merged into itself: OUT comes first, then the others")
    return list(found.values())


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _lines(out: Path, directories: int, counts: MergeCounts) -> Iterator[str]:
    files = counts.linked + counts.copied
    yield (
        f"{show_count(counts.taken)} new tasks of {directories} directories are in {out} now, with"
        f" {show_count(files)} artifacts ({show_count(counts.copied)} copied, the rest linked)"
    )
    if counts.same:
        yield f"{show_count(counts.same)} tasks were there already"
    if counts.older:
        yield f"{show_count(counts.older)} tasks were left out: {out} has better ones"
    if counts.damaged:
        yield (
            f"{show_count(counts.damaged)} files are missing or cut: `batchgen verify DIR --fix`,"
            " run it again, and merge again"
        )
