"""`batchgen report`: one offline page of a job's results, and `run --report`."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

from batchgen.cli.arguments import open_ledger
from batchgen.engine.clock import SystemClock
from batchgen.errors import Exit
from batchgen.storage.directory import is_locked
from batchgen.text import show_bytes, show_count
from batchgen.types import Record


def report_command(arguments: argparse.Namespace) -> int:
    """`batchgen report`."""
    directory: Path = arguments.directory
    told = make_report(directory, arguments.output)
    if arguments.contact_sheet is not None:
        told += f"\n{_contact_sheet(directory, arguments.contact_sheet)}"
    sys.stderr.write(f"{told}\n")
    return Exit.OK


def make_report(directory: Path, target: Path | None = None) -> str:
    """Write the report and say so; `target` is DIR/report.html unless given."""
    from batchgen.report import FILE_NAME, Report  # noqa: PLC0415  # draws: heavy

    target = target or directory / FILE_NAME
    report = Report(
        directory, target, SystemClock().now(), running=is_locked(directory), watch=_watch
    )
    with open_ledger(directory) as ledger:
        made = report.write(ledger)
    rest = made.tasks - made.shown
    hidden = f"; {show_count(rest)} more are in the results manifest only" if rest else ""
    return f"{target}: {show_count(made.shown)} tasks, {show_bytes(made.size_bytes)}{hidden}"


def _watch(records: Iterable[Record]) -> Iterable[Record]:
    """A bar on a terminal: the first report of a large job makes thumbnails for a while."""
    return tqdm(records, desc="report", unit=" tasks", leave=False, disable=None)


def _contact_sheet(directory: Path, target: Path) -> str:
    from batchgen.report.contact_sheet import MOST, write_contact_sheet  # noqa: PLC0415  # as above

    with open_ledger(directory) as ledger:
        shown, pictures = write_contact_sheet(ledger.records(), directory, target)
    most = f" of {show_count(pictures)}; {show_count(MOST)} fit" if pictures > shown else ""
    return f"{target}: {show_count(shown)} pictures{most}"
