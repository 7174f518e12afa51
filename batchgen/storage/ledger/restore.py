"""Writes a new ledger from the tasks in results.jsonl."""

import os
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import structs

from batchgen.storage.files import check_database
from batchgen.storage.ledger import rows, sql
from batchgen.storage.ledger.connection import connect, ledger_error
from batchgen.storage.ledger.states import RESULTS, StatesFile
from batchgen.types import Record, Task

_ORDINAL = "SELECT ordinal FROM tasks WHERE key = ?"

# A later line of a task replaces its earlier one.
_FORGET_ARTIFACTS = """
DELETE FROM artifacts WHERE (task, generation) = (SELECT task, ? FROM tasks WHERE key = ?)
"""

_COUNT = "SELECT count(*) AS count FROM tasks"

_READ_META = "SELECT name, value FROM meta"


class RestoredTask(msgspec.Struct, frozen=True):
    """A task from a line of results.jsonl, and the generation of its files."""

    record: Record
    generation: int


class LedgerBuilder(StatesFile):
    """A ledger that is being rebuilt; a context manager."""

    def __init__(self, path: Path, now: datetime) -> None:
        """Create the file. Raises StorageError."""
        super().__init__(path)
        self._now = now

    def add(self, tasks: Iterable[RestoredTask]) -> None:
        """Insert tasks in one transaction; a task replaces an earlier one with the same key."""
        with self.changing() as db:
            for restored in tasks:
                self._insert(db, restored)

    def finish(self, meta: Mapping[str, str]) -> int:
        """Store the facts about the job, record the rebuild as a run, and count the tasks."""
        with self.changing() as db:
            total = int(db.execute(_COUNT).fetchone()["count"])
            db.executemany(sql.SET_META, meta.items())
            db.execute(sql.DELETE_META, (RESULTS,))
            moment = self._now.isoformat()
            run = db.execute(sql.INSERT_RUN, (os.getpid(), moment, total, 0)).lastrowid
            db.execute(sql.END_RUN, (moment, "rebuilt", 0, 0, run))
        return total

    def _insert(self, db: sqlite3.Connection, restored: RestoredTask) -> None:
        outcome, generation = restored.record.outcome, restored.generation
        task = _with_first_ordinal(db, restored.record.task)
        started_at = outcome.started_at or self._now
        statements = (
            *rows.sent(task, generation, run=1, attempts=1, now=started_at, idempotency_key=None),
            (_FORGET_ARTIFACTS, (generation, task.key)),
            *rows.outcome(task, generation, outcome),
        )
        for statement, values in statements:
            db.execute(statement, values)


def copy_ledger(source: Path, target: Path) -> None:
    """Write a copy of a ledger, with what is in its write-ahead log. Raises StorageError."""
    with closing(connect(source)) as old, closing(sqlite3.connect(target)) as new:
        try:
            old.backup(new)
        except sqlite3.Error as error:
            raise ledger_error(source, error) from error


def read_meta(path: Path) -> dict[str, str]:
    """Return a ledger's facts about its job; none if it cannot be read."""
    check_database(path)
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            return {str(name): str(value) for name, value in db.execute(_READ_META)}
    except sqlite3.Error:
        return {}


def _with_first_ordinal(db: sqlite3.Connection, task: Task) -> Task:
    """Return the task with the ordinal of its first line, if an earlier line had it too."""
    row = db.execute(_ORDINAL, (task.key,)).fetchone()
    return task if row is None else structs.replace(task, ordinal=row["ordinal"])
