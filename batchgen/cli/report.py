"""`batchgen report` and `run --report`: write the HTML page of a job's results."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

from batchgen.cli.arguments import open_ledger
from batchgen.cli.streams import raw
from batchgen.engine.clock import SystemClock
from batchgen.errors import Exit
from batchgen.storage.directory import is_locked
from batchgen.text import show_bytes, show_count
from batchgen.types import Record


def report_command(arguments: argparse.Namespace) -> int:
    """Write the page, and the contact sheet if `--contact-sheet` is given."""
    directory: Path = arguments.directory
    message = write_report(directory, arguments.output)
    if arguments.contact_sheet is not None:
        message += f"\n{_write_contact_sheet(directory, arguments.contact_sheet)}"
    sys.stderr.write(f"{message}\n")
    return Exit.OK


def write_report(directory: Path, target: Path | None = None) -> str:
    """Write the page to `target` (default DIR/report.html); return the message about it."""
    from batchgen.report import FILE_NAME, Report  # noqa: PLC0415  # imports Pillow: slow

    target = target or directory / FILE_NAME
    report = Report(
        directory, target, SystemClock().now(), running=is_locked(directory), watch=_watch
    )
    with open_ledger(directory) as ledger:
        written = report.write(ledger)
    rest = written.tasks - written.listed
    hidden = f"; {show_count(rest)} more are only in results.jsonl" if rest else ""
    heavy = written.without_preview
    large = f"; {show_count(heavy)} images are too large for a preview" if heavy else ""
    size = show_bytes(written.size_bytes)
    return f"{target}: {show_count(written.listed)} tasks, {size}{hidden}{large}"


def _watch(records: Iterable[Record]) -> Iterable[Record]:
    """Show a progress bar on a terminal: the thumbnails of a large job take a while."""
    stream = raw(sys.stderr)
    return tqdm(records, desc="report", unit=" tasks", leave=False, disable=None, file=stream)


def _write_contact_sheet(directory: Path, target: Path) -> str:
    from batchgen.report.contact_sheet import MAX_IMAGES, write_contact_sheet  # noqa: PLC0415  # as above

    with open_ledger(directory) as ledger:
        drawn, total = write_contact_sheet(ledger.records(), directory, target)
    limit = f" of {show_count(total)} (the limit is {show_count(MAX_IMAGES)})"
    return f"{target}: {show_count(drawn)} images{limit if total > drawn else ''}"
