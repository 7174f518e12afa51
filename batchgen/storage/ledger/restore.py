"""Fills a new ledger from what results.jsonl tells of tasks that have ended."""

import os
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import structs

from batchgen.storage.ledger import rows, sql
from batchgen.storage.ledger.connection import LedgerFile
from batchgen.types import Record, Task

_ORDINAL = "SELECT ordinal FROM tasks WHERE key = ?"

# A later line of the same task stands for it alone.
_FORGET_ARTIFACTS = """
DELETE FROM artifacts WHERE (task, generation) = (SELECT task, ? FROM tasks WHERE key = ?)
"""

_COUNT = "SELECT count(*) AS count FROM tasks"

_REMEMBER = "INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)"

_FACTS = "SELECT name, value FROM meta"


class RestoredTask(msgspec.Struct, frozen=True):
    """A task as a line of results.jsonl tells it, and the generation that its files are of."""

    record: Record
    generation: int


class LedgerBuilder(LedgerFile):
    """A ledger that is being made; a context manager."""

    def __init__(self, path: Path, now: datetime) -> None:
        """Make the file. Raises StorageError."""
        super().__init__(path)
        self._now = now

    def add(self, tasks: Iterable[RestoredTask]) -> None:
        """Put tasks in, in one transaction; a later one of the same key stands for it."""
        with self.changing() as db:
            for restored in tasks:
                self._put(db, restored)

    def finish(self, facts: Mapping[str, str]) -> int:
        """Note what is remembered of the job, and the rebuilding as a run; count the tasks."""
        with self.changing() as db:
            total = int(db.execute(_COUNT).fetchone()["count"])
            db.executemany(_REMEMBER, facts.items())
            moment = self._now.isoformat()
            run = db.execute(sql.INSERT_RUN, (os.getpid(), moment, total, 0)).lastrowid
            db.execute(sql.END_RUN, (moment, "rebuilt", 0, 0, run))
        return total

    def _put(self, db: sqlite3.Connection, restored: RestoredTask) -> None:
        outcome, generation = restored.record.outcome, restored.generation
        task = _placed(db, restored.record.task)
        began = outcome.started_at or self._now
        statements = (
            *rows.sent(task, generation, run=1, attempts=1, now=began, idempotency_key=None),
            (_FORGET_ARTIFACTS, (generation, task.key)),
            *rows.outcome(task, generation, outcome),
        )
        for statement, values in statements:
            db.execute(statement, values)


def facts_of(path: Path) -> dict[str, str]:
    """What a ledger remembers of its job; nothing where it cannot be read."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            return {str(name): str(value) for name, value in db.execute(_FACTS)}
    except sqlite3.Error:
        return {}


def _placed(db: sqlite3.Connection, task: Task) -> Task:
    """A task that a later line tells again keeps the place of its first line."""
    row = db.execute(_ORDINAL, (task.key,)).fetchone()
    return task if row is None else structs.replace(task, ordinal=row["ordinal"])
