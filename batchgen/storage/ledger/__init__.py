"""The ledger: one SQLite file in DIR/.batchgen that is the truth about every task.

Write order, and what a crash leaves:

1. `sent` is committed before the first byte of a paid request leaves. A crash after it: the task
   is `unknown` at the next start.
2. `submitted` or `received` is committed as soon as a remote id or URLs are known. A crash after
   it: polling or the download goes on, nothing is generated again.
3. The artifact: temporary file, fsync, rename, fsync of the folder. A crash inside leaves a
   temporary file, swept at the next start; after it, an orphan that the same task takes over.
   Of a task that takes several requests, what one of them brought is committed before the next
   intent: a crash between two leaves only the missing ones to do.
4. The outcome is committed: the only commit point of a task.
5. A line of results.jsonl. A crash before it: the line is written when the next run ends, since
   what tells that the file is up to date was forgotten before 1.

Reading happens on a connection of its own in the caller's thread; all writes of a run go through
the group-commit writer (`writer.py`).
"""

import sqlite3
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from batchgen.errors import StorageError
from batchgen.storage.ledger import rows, sql
from batchgen.storage.ledger.connection import LedgerFile, connect, ensure_not_lost, unusable
from batchgen.storage.ledger.writer import Statement, Writer
from batchgen.types import Decision, Finished, Outcome, Prior, Record, Status, Task

RESULTS = "results"  # the fact that tells which results manifest shows what is here

T = TypeVar("T")


class Totals(msgspec.Struct, frozen=True):
    """What the ledger adds up over the tasks that the manifest lists.

    unpriced: paid results whose cost nobody told.
    """

    counts: Mapping[Status, int]
    artifacts: int
    size_bytes: int
    cost_usd: float
    unpriced: int
    attempts: int


class RunRow(msgspec.Struct, frozen=True):
    """A run as the ledger remembers it; `reason` is None while it goes on or after a crash.

    unknown: tasks whose outcome nobody knew when it began. settled: those of them that the
    provider's usage log told of. resent: those that were sent again.
    """

    run: int
    pid: int
    started_at: datetime
    finished_at: datetime | None
    total: int
    reason: str | None
    unknown: int = 0
    settled: int = 0
    resent: int = 0


class Reconciliation(msgspec.Struct, frozen=True):
    """What a usage log tells of an unknown task: `cost_usd` where it was charged, else None."""

    idempotency_key: str
    request_id: str | None
    charged: bool
    cost_usd: float | None = None


class Ledger(LedgerFile):
    """The open ledger file; use it as a context manager."""

    def __init__(self, path: Path, *, create: bool = True) -> None:
        """Open and migrate the file; raise StorageError where it is missing or not a ledger."""
        self.run = 0
        if not create and not path.exists():
            raise StorageError(f"{path.parent.parent} is not an output directory: no {path}")
        ensure_not_lost(path)
        super().__init__(path)
        self._writer: Writer | None = None

    def close(self) -> None:
        """Commit what waits, fold the write-ahead log into the file and close it."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        super().close()

    # What a run writes.

    def begin_run(self, *, pid: int, total: int, now: datetime) -> int:
        """Note a new run and start the writer; return how many tasks are `unknown`.

        What an earlier run had sent when it broke off is among them.
        """
        with self.changing() as db:
            db.execute(sql.SENT_TO_UNKNOWN)
            unknown = int(db.execute(sql.COUNT_UNKNOWN).fetchone()["count"])
            cursor = db.execute(sql.INSERT_RUN, (pid, now.isoformat(), total, unknown))
            self.run = int(cursor.lastrowid or 0)
        self._writer = Writer(connect(self.path), str(self.path))
        return unknown

    def reconcile(self, entries: Iterable[Reconciliation]) -> None:
        """Put down what the provider's usage log told of unknown tasks."""
        with self.changing() as db:
            for one in entries:
                if one.charged:
                    values = (one.request_id, one.cost_usd, one.idempotency_key)
                    db.execute(sql.SETTLE_CHARGED, values)
                else:
                    db.execute(sql.SETTLE_FREE, (one.request_id, one.idempotency_key))

    def fail_unknown(self) -> None:
        """What is unknown becomes failed."""
        with self.changing() as db:
            db.execute(sql.UNKNOWN_TO_FAILED)

    def end_run(self, *, reason: str, now: datetime, settled: int = 0, resent: int = 0) -> None:
        """Note why the run ended, and what became of the unknown tasks that it found.

        Raises StorageError where somebody removed the file meanwhile: the next run would know
        nothing of this one.
        """
        if not self.path.exists():
            raise StorageError(
                f"the ledger {self.path} was removed during the run: have `batchgen verify"
                f" {self.path.parent.parent} --rebuild` make a new one before you run again"
            )
        with self.changing() as db:
            db.execute(sql.END_RUN, (now.isoformat(), reason, settled, resent, self.run))

    async def record_sent(
        self,
        task: Task,
        generation: int,
        *,
        attempts: int,
        now: datetime,
        idempotency_key: str | None = None,
    ) -> None:
        """Commit the intent to send attempt number `attempts` of a generation, with its key."""
        intent = rows.sent(
            task, generation, run=self.run, attempts=attempts, now=now,
            idempotency_key=idempotency_key,
        )  # fmt: skip
        await self._write(intent)

    async def record_submitted(self, task: Task, remote_id: str, decision: Decision) -> None:
        """Commit the id of a remote job before it is first asked for."""
        await self._write((rows.submitted(task, remote_id, decision),))

    async def record_received(self, task: Task, finished: Finished, outcome: Outcome) -> None:
        """Commit the URLs of a result before the first of them is fetched."""
        await self._write((rows.received(task, finished, outcome),))

    async def record_part(self, task: Task, generation: int, parts: Sequence[Outcome]) -> None:
        """Commit what the newest of a task's requests brought, before the next one is sent."""
        await self._write(rows.part_done(task, generation, parts))

    async def record_outcome(self, task: Task, generation: int, outcome: Outcome) -> None:
        """Commit the outcome of a task whose intent was committed; returns after COMMIT."""
        await self._write(rows.outcome(task, generation, outcome))

    async def record_unsent(
        self, task: Task, generation: int, outcome: Outcome, *, now: datetime
    ) -> None:
        """Commit the outcome of a task that nothing was sent for."""
        await self._write(rows.unsent(task, generation, outcome, run=self.run, now=now))

    async def record_pending(self, tasks: Iterable[Task]) -> None:
        """Put down tasks that the run will not come to, so that the results show them.

        A task that the ledger knows stays as it is.
        """
        await self._write(rows.pending(task, run=self.run) for task in tasks)

    async def _write(self, statements: Iterable[Statement]) -> None:
        if self._writer is None:
            raise RuntimeError("begin_run comes before the first write")
        await self._writer.write(statements)

    def mark_results_stale(self) -> None:
        """Tasks are about to change: no results manifest shows what is here until one is written.

        It comes before the first change, so that a crash leaves no mark of what is out of date.
        """
        with self.changing() as db:
            db.execute(sql.DELETE_META, (RESULTS,))

    # What is read.

    def is_empty(self) -> bool:
        """Whether no task has ever been begun."""
        return self._first("SELECT 1 FROM tasks LIMIT 1") is None

    def priors(self, keys: list[str]) -> dict[str, Prior]:
        """What is known of the tasks with these keys."""
        wanted = rows.text(keys)
        parts = rows.parts_of(self._read(sql.PARTS, wanted))
        found = self._read(sql.PRIORS, wanted)
        return {row["key"]: rows.prior(row, parts.get(row["key"], ())) for row in found}

    def with_priors(
        self, items: Iterable[T], key: Callable[[T], str]
    ) -> Iterator[list[tuple[T, Prior | None]]]:
        """Return items with what is known of their tasks, in chunks of one query each.

        key: returns the key of an item's task.
        """
        items = iter(items)
        while chunk := list(islice(items, sql.TASKS_AT_ONCE)):
            priors = self.priors([key(item) for item in chunk])
            yield [(item, priors.get(key(item))) for item in chunk]

    def positions(self) -> Generator[rows.Position, None, None]:
        """Where all tasks stand, in the order in which they were begun: much like a manifest's.

        It is what the ledger held when the first of them is asked for.
        """
        with closing(connect(self.path)) as db:
            yield from _tuples(db, self.path, sql.POSITIONS)

    def positions_of(self, keys: list[str]) -> Iterator[rows.Position]:
        """Where these tasks stand, as far as they are known."""
        return _tuples(self._db, self.path, sql.POSITIONS_OF, rows.text(keys))

    def reposition(
        self, moved: Iterable[tuple[int, str, int, int]], dropped: Iterable[int]
    ) -> None:
        """Give tasks their new (ordinal, file, line); unlist those the manifest no longer has."""
        with self.changing() as db:
            db.executemany(sql.REPOSITION, moved)
            db.executemany(sql.UNLIST, ((task,) for task in dropped))
            db.execute(sql.DELETE_META, (RESULTS,))

    def count_listed(self) -> int:
        """How many tasks the last manifest had."""
        return int(self._one(sql.COUNT_LISTED)["count"])

    def listed(self) -> Iterator[int]:
        """Row numbers of the tasks that the last manifest had."""
        return (row["task"] for row in self._read(sql.LISTED))

    def owner_of(self, path: str) -> str | None:
        """The key of the task that owns the artifact at this path."""
        row = self._first(sql.OWNER, path)
        return None if row is None else str(row["key"])

    def records(self, *, every: bool = False) -> Generator[Record, None, None]:
        """Tasks in manifest order; `every` adds those that the manifest no longer has."""
        for wanted in self._in_order(0 if every else 1):
            yield from rows.records(self._read(sql.RECORDS, wanted))

    def records_by_key(self, keys: list[str]) -> dict[str, Record]:
        """The tasks with these keys, with their newest artifacts."""
        found = rows.records(self._read(sql.RECORDS_BY_KEY, rows.text(keys)))
        return {record.task.key: record for record in found}

    def find_by_hash(self, sha256: str) -> Record | None:
        """The first task, in manifest order, whose newest artifacts have one with this hash."""
        row = self._first(sql.FIND_BY_HASH, sha256)
        wanted = rows.text([] if row is None else [row["task"]])
        return next(rows.records(self._read(sql.RECORDS, wanted)), None)

    def variable_names(self, *, every: bool = False) -> list[str]:
        """The names of all variables that tasks have."""
        return [row["name"] for row in self._read(sql.VARIABLE_NAMES, 0 if every else 1)]

    def unsuccessful(self) -> Iterator[Record]:
        """Listed tasks that failed, were refused, skipped or are unknown, without artifacts."""
        return (rows.record(row) for row in self._read(sql.UNSUCCESSFUL))

    def possibly_charged(self) -> Iterator[Record]:
        """Tasks that were sent and of which nobody knows what came of it, without artifacts."""
        return (rows.record(row) for row in self._read(sql.POSSIBLY_CHARGED))

    def spent_usd(self) -> float:
        """What all tasks and their earlier generations have cost, as far as it is known."""
        return float(self._one(sql.SPENT)["cost_usd"])

    def totals(self) -> Totals:
        """Sums over the tasks that the manifest lists."""
        counts = {Status(row["status"]): int(row["count"]) for row in self._read(sql.COUNTS)}
        row = self._one(sql.SUMS)
        files = self._one(sql.ARTIFACT_SUMS)
        return Totals(
            counts, files["count"], files["size_bytes"], row["cost_usd"], row["unpriced"],
            row["attempts"],
        )  # fmt: skip

    def last_run(self) -> RunRow | None:
        """The newest run."""
        row = self._first(sql.LAST_RUN)
        if row is None:
            return None
        return RunRow(
            row["run"], row["pid"], datetime.fromisoformat(row["started_at"]),
            row["finished_at"] and datetime.fromisoformat(row["finished_at"]), row["total"],
            row["reason"], row["unknown"], row["settled"], row["resent"],
        )  # fmt: skip

    def unknown_sent_at(self) -> dict[str, datetime]:
        """When each unknown task was first sent, by the idempotency key that it had."""
        return {
            row["idempotency_key"]: datetime.fromisoformat(row["started_at"])
            for row in self._read(sql.UNKNOWN_SENT_AT)
        }

    def finished_since(self, moment: datetime) -> int:
        """How many tasks ended at or after `moment`: the rate that `status` shows."""
        return int(self._one(sql.FINISHED_SINCE, moment.isoformat())["count"])

    def mean_duration_s(self) -> float | None:
        """How long the newest successes took on average; None where there are none."""
        found = self._one(sql.MEAN_DURATION)["duration_s"]
        return None if found is None else float(found)

    def meta(self, name: str) -> str | None:
        """A remembered fact about the job."""
        row = self._first("SELECT value FROM meta WHERE name = ?", name)
        return None if row is None else str(row["value"])

    def set_meta(self, name: str, value: str) -> None:
        """Remember a fact about the job."""
        with self.changing() as db:
            db.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (name, value))

    def result_rows(self) -> Iterator[list[rows.ResultRow]]:
        """The tasks of the manifest in its order, as rows of STORED: one an artifact, or one."""
        for wanted in self._in_order(listed=1):
            rows_found = _tuples(self._db, self.path, sql.RESULT_ROWS, wanted)
            yield from (list(group) for _, group in groupby(rows_found, key=itemgetter(0)))

    def _in_order(self, listed: int) -> Iterator[str]:
        """Numbers of tasks in manifest order, some hundred at a time, as JSON."""
        # Only the numbers are sorted: whole rows would fill temporary files.
        ordered = (row["task"] for row in self._read(sql.IN_ORDER, listed))
        while wanted := list(islice(ordered, sql.TASKS_AT_ONCE)):
            yield rows.text(wanted)

    def _first(self, statement: str, *values: object) -> sqlite3.Row | None:
        return next(iter(self._execute(statement, *values)), None)

    def _one(self, statement: str, *values: object) -> sqlite3.Row:
        (row,) = self._execute(statement, *values)
        return row


def _tuples(
    db: sqlite3.Connection, path: Path, statement: str, *values: object
) -> Iterator[tuple[Any, ...]]:
    """Bare tuples: a million rows by name take seconds more."""
    cursor = db.cursor()
    cursor.row_factory = None
    try:
        yield from cursor.execute(statement, values)
    except sqlite3.Error as error:
        raise unusable(path, error) from error
