"""The report: one offline HTML page that is derived from the ledger.

The page holds its data, styles and scripts; pictures are referenced by relative paths. Thumbnails
stand in DIR/.batchgen/thumbs, are made once, and can be deleted at any time.
"""

import os
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import msgspec

from batchgen.errors import StorageError
from batchgen.report.data import MOST_SHOWN, Collector, Heading
from batchgen.report.excerpts import Excerpts
from batchgen.report.page import render
from batchgen.report.thumbnails import FOLDER, with_previews
from batchgen.storage.artifacts import write_atomically
from batchgen.storage.ledger import Ledger
from batchgen.types import Record

FILE_NAME = "report.html"


class Made(msgspec.Struct, frozen=True):
    """What a report came to; `shown`: of its tasks, those that the gallery has."""

    tasks: int
    shown: int
    size_bytes: int


class Report(msgspec.Struct, frozen=True):
    """A report about to be made.

    running: a run holds the directory, so that what is sent is not yet unknown.
    watch: what the records pass through while thumbnails are made, to show how far it is.
    """

    directory: Path
    target: Path
    now: datetime
    running: bool = False
    watch: Callable[[Iterable[Record]], Iterable[Record]] = iter

    def write(self, ledger: Ledger) -> Made:
        """Make thumbnails where they are missing, and write the page, atomically.

        Raises StorageError.
        """
        if not self.target.parent.is_dir():
            raise StorageError(f"cannot write {self.target}: {self.target.parent} is no folder")
        collector = Collector(running=self.running)
        excerpts = Excerpts(self.directory)
        records = self.watch(ledger.records())
        for record, previews in with_previews(records, self.directory, most=MOST_SHOWN):
            texts = excerpts.of(record.outcome.artifacts) if previews else ()
            collector.add(record, previews, texts)
        page = render(self._heading(ledger), collector)
        write_atomically(self.target, page, self.target.with_name(f".{self.target.name}.part"))
        return Made(collector.count, collector.shown, sum(map(len, page)))

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


def _root(directory: Path, target: Path) -> str:
    """What leads from the page to the output directory, as the beginning of a relative URL."""
    relative = os.path.relpath(directory.resolve(), target.resolve().parent)
    path = Path(relative).as_posix()
    return "" if path == "." else quote(path) + "/"
