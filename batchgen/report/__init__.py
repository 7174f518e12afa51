"""The report: one HTML page of a job's results, derived from the ledger.

The page contains its data, styles and scripts, and refers to images by relative paths. Thumbnails
are written once to DIR/.batchgen/thumbs and can be deleted at any time.
"""

import os
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from batchgen.errors import StorageError, write_error
from batchgen.report.data import MAX_LISTED, Collector, Heading
from batchgen.report.excerpts import Excerpts
from batchgen.report.page import render
from batchgen.report.thumbnails import FOLDER, with_previews
from batchgen.storage.files import open_target, stays_inside
from batchgen.storage.ledger import Ledger
from batchgen.types import Record

FILE_NAME = "report.html"


class WrittenReport(msgspec.Struct, frozen=True):
    """The size of a report: its tasks, those that its gallery lists, and the bytes of the page.

    without_preview: images that take too much memory to make a thumbnail.
    """

    tasks: int
    listed: int
    size_bytes: int
    without_preview: int = 0


class Report(msgspec.Struct, frozen=True):
    """Writes the report of an output directory.

    running: a run is using the directory, so tasks in flight count as pending, not as unknown.
    watch: receives the records and passes them on, to show progress while thumbnails are made.
    """

    directory: Path
    target: Path
    now: datetime
    running: bool = False
    watch: Callable[[Iterable[Record]], Iterable[Record]] = iter

    def write(self, ledger: Ledger) -> WrittenReport:
        """Create missing thumbnails and write the page atomically. Raise StorageError."""
        if not self.target.parent.is_dir():
            raise StorageError(f"cannot write {self.target}: {self.target.parent} is not a folder")
        collector = Collector(running=self.running)
        excerpts = Excerpts(self.directory)
        records = self.watch(map(_without_outside, ledger.records()))
        for record, previews in with_previews(records, self.directory, limit=MAX_LISTED):
            texts = excerpts.of(record.outcome.artifacts) if previews else ()
            collector.add(record, previews, texts)
        page = render(self._heading(ledger), collector)
        try:
            with open_target(self.target, self.directory) as file:
                file.writelines(page)
        except OSError as error:
            raise write_error(self.target, error) from error
        size_bytes = sum(map(len, page))
        return WrittenReport(
            collector.count, collector.listed, size_bytes, collector.without_preview
        )

    def _heading(self, ledger: Ledger) -> Heading:
        run = ledger.last_run()
        root = _root(self.directory, self.target)
        return Heading(
            name=self.directory.resolve().name,
            made_at=self.now,
            total=run.total if run else 0,
            spent_usd=ledger.spent_usd(),
            root=root,
            thumbs=f"{root}{FOLDER}/",
        )


def _without_outside(record: Record) -> Record:
    """Return a record without artifacts whose path, in a ledger of unknown origin, leaves DIR."""
    artifacts = record.outcome.artifacts
    if all(stays_inside(artifact.path) for artifact in artifacts):
        return record
    inside = tuple(artifact for artifact in artifacts if stays_inside(artifact.path))
    return replace(record, outcome=replace(record.outcome, artifacts=inside))


def _root(directory: Path, target: Path) -> str:
    """Return the relative URL from the page to the output directory, empty or with a slash."""
    relative = os.path.relpath(directory.resolve(), target.resolve().parent)
    path = Path(relative).as_posix()
    return "" if path == "." else quote(path) + "/"
