"""The ledger: one SQLite file in DIR/.batchgen, the source of truth about every task.

Write order, and the state after a crash:

1. `sent` is committed before the first byte of a paid request is sent, with its price in
   `at_risk_usd`. After a crash, the task is `unknown` when the next run starts; the price counts.
2. `submitted` or `received` is committed as soon as a remote id or URLs are known. After a crash,
   polling or the download continues; nothing is generated again.
3. The artifact is stored: temporary file, fsync, hard link, fsync of the folder. A crash before
   the link leaves a temporary file, which the next run removes; a crash after it leaves an orphan,
   which the next artifact for that path replaces. If a task takes several requests, each result is
   committed before the next request; after a crash only the missing ones are sent.
4. The outcome is committed. This is the only commit point of a task.
5. The line of results.jsonl is written. After a crash before that, the next run writes it when it
   ends, because the mark that the file is up to date is deleted before step 1.

Reads use a separate connection in the caller's thread; all writes of a run go through the
group-commit writer (`writer.py`).
"""

import os
import sqlite3
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import TypeVar

from batchgen.errors import StorageError
from batchgen.storage.ledger import rows, sql
from batchgen.storage.ledger.connection import (
    LedgerFile,
    connect,
    ensure_not_lost,
    tuples,
)
from batchgen.storage.ledger.states import BEHIND, RESULTS
from batchgen.storage.ledger.values import Reconciliation, RunRow, Totals
from batchgen.storage.ledger.writer import Statement, Writer
from batchgen.types import Decision, Finished, Outcome, Prior, Record, Status, Task, TaskError

T = TypeVar("T")


class Ledger(LedgerFile):
    """The open ledger file; use it as a context manager."""

    def __init__(self, path: Path, *, create: bool = True) -> None:
        """Open and migrate the file. Raises StorageError if it is lost or not a ledger.

        create: create the file if it is missing; otherwise that is a StorageError too.
        """
        self.run = 0
        if not create and not path.exists():
            raise StorageError(f"{path.parent.parent} is not an output directory: no {path}")
        ensure_not_lost(path)
        super().__init__(path)
        self._writer: Writer | None = None
        self._file: os.stat_result | None = None  # when the run began

    def close(self) -> None:
        """Commit the writes that wait and close the file; harmless when repeated."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        super().close()

    # Writes of a run.

    def begin_run(self, *, pid: int, total: int, now: datetime) -> int:
        """Record a new run and start the writer; return the number of `unknown` tasks.

        Tasks that an interrupted run left as `sent` become `unknown`.
        """
        with self.changing() as db:
            db.execute(sql.SENT_TO_UNKNOWN)
            unknown = int(db.execute(sql.COUNT_UNKNOWN).fetchone()["count"])
            cursor = db.execute(sql.INSERT_RUN, (pid, now.isoformat(), total, unknown))
            self.run = int(cursor.lastrowid or 0)
        self._writer = Writer(connect(self.path), str(self.path))
        self._file = os.lstat(self.path)
        return unknown

    def reconcile(self, entries: Iterable[Reconciliation]) -> None:
        """Record entries of the provider's usage log: tasks without a charge become pending."""
        with self.changing() as db:
            for entry in entries:
                if entry.charged:
                    values = (entry.request_id, entry.cost_usd, entry.idempotency_key)
                    db.execute(sql.RECONCILE_CHARGED, values)
                else:
                    db.execute(sql.RECONCILE_FREE, (entry.request_id, entry.idempotency_key))

    def kept_replies(self) -> Iterator[Record]:
        """Yield the tasks without a result that have a paid reply in a file, without artifacts."""
        return (rows.record(row) for row in self._read(sql.KEPT_REPLIES))

    def unknown_of(self, key: str, generation: int) -> Record | None:
        """Return the task if this generation of it was sent and has no outcome, else None."""
        row = self._first_row(sql.UNKNOWN_OF, key, generation)
        return None if row is None else rows.record(row)

    def mark_readable(self, key: str, reply: str) -> None:
        """Record that a kept reply has a result, which the run reads again; `reply` is its path."""
        with self.changing() as db:
            db.execute(sql.READABLE, (reply, key))

    def fail_unread(self, key: str, error: TaskError, reply: str) -> None:
        """Make an unknown task failed: its reply is at this path, and has no result."""
        with self.changing() as db:
            db.execute(sql.UNREAD, (error.kind, error.code, error.message, reply, key))

    def fail_unknown(self) -> None:
        """Make unknown tasks failed (`--on-unknown fail`)."""
        with self.changing() as db:
            db.execute(sql.UNKNOWN_TO_FAILED)

    def end_run(self, *, reason: str, now: datetime, settled: int = 0, resent: int = 0) -> None:
        """Record the end of the run.

        reason: why it ended. settled, resent: as in RunRow.
        Raises StorageError if the file was removed or replaced during the run: its records are
        lost then.
        """
        if not self._is_in_place():
            raise StorageError(
                f"the ledger {self.path} was removed or replaced during the run: rebuild it with"
                f" `batchgen verify {self.path.parent.parent} --rebuild` before you run the job"
                " again"
            )
        with self.changing() as db:
            db.execute(sql.END_RUN, (now.isoformat(), reason, settled, resent, self.run))

    def _is_in_place(self) -> bool:
        try:
            status = os.lstat(self.path)
        except OSError:
            return False
        return self._file is None or os.path.samestat(status, self._file)

    async def record_sent(  # noqa: PLR0913  # all but two are keyword-only
        self,
        task: Task,
        generation: int,
        *,
        attempts: int,
        now: datetime,
        idempotency_key: str | None = None,
        spent_usd: float = 0.0,
    ) -> None:
        """Commit the intent to send attempt number `attempts` of a generation.

        spent_usd: what the generation has cost or may have cost, this attempt included.
        """
        intent = rows.sent(
            task, generation, run=self.run, attempts=attempts, now=now,
            idempotency_key=idempotency_key, spent_usd=spent_usd,
        )  # fmt: skip
        await self._write(intent)

    async def record_submitted(self, task: Task, remote_id: str, decision: Decision) -> None:
        """Commit the id of a remote job before it is polled."""
        await self._write((rows.submitted(task, remote_id, decision),))

    async def record_received(self, task: Task, finished: Finished, outcome: Outcome) -> None:
        """Commit the URLs of a result before the first one is fetched."""
        await self._write((rows.received(task, finished, outcome),))

    async def record_part(self, task: Task, generation: int, parts: Sequence[Outcome]) -> None:
        """Commit the result of a task's latest request, before the next one is sent.

        parts: the outcomes of all its requests so far.
        """
        await self._write(rows.part_done(task, generation, parts))

    async def record_outcome(self, task: Task, generation: int, outcome: Outcome) -> None:
        """Commit the outcome of a task that was sent."""
        await self._write(rows.outcome(task, generation, outcome))

    async def record_unsent(
        self, task: Task, generation: int, outcome: Outcome, *, now: datetime
    ) -> None:
        """Commit the outcome of a task without any request, such as a skipped one."""
        await self._write(rows.unsent(task, generation, outcome, run=self.run, now=now))

    async def record_pending(self, tasks: Iterable[Task]) -> None:
        """Record tasks that the run will not start, so that the results show them.

        Tasks that are in the ledger stay unchanged.
        """
        await self._write(rows.pending(task, run=self.run) for task in tasks)

    async def _write(self, statements: Iterable[Statement]) -> None:
        if self._writer is None:
            raise RuntimeError("write before begin_run")
        await self._writer.write(statements)

    def mark_results_stale(self) -> None:
        """Delete the mark that the results manifest is up to date.

        Call it before the first change, so that the mark is right after a crash too.
        """
        with self.changing() as db:
            db.execute(sql.DELETE_META, (RESULTS,))

    def mark_results_corrected(self) -> None:
        """Record that results.jsonl will be behind what is corrected now, until it is written."""
        self.set_meta(BEHIND, "1")

    def mark_results_written(self, fingerprint: str) -> None:
        """Record that the results manifest with this fingerprint is up to date."""
        with self.changing() as db:
            db.execute(sql.DELETE_META, (BEHIND,))
            db.execute(sql.SET_META, (RESULTS, fingerprint))

    # Reads.

    def is_empty(self) -> bool:
        """Return whether the ledger has no tasks."""
        return self._first_row("SELECT 1 FROM tasks LIMIT 1") is None

    def priors(self, keys: list[str]) -> dict[str, Prior]:
        """Return the state before this run of the tasks with these keys, by key."""
        wanted = rows.text(keys)
        parts = rows.parts_of(self._read(sql.PARTS, wanted))
        tasks = self._read(sql.PRIORS, wanted)
        return {row["key"]: rows.prior(row, parts.get(row["key"], ())) for row in tasks}

    def with_priors(
        self, items: Iterable[T], key: Callable[[T], str]
    ) -> Iterator[list[tuple[T, Prior | None]]]:
        """Yield items with the state of their tasks before this run, in chunks of one query each.

        key: returns the key of an item's task.
        """
        items = iter(items)
        while chunk := list(islice(items, sql.TASKS_PER_QUERY)):
            priors = self.priors([key(item) for item in chunk])
            yield [(item, priors.get(key(item))) for item in chunk]

    def positions(self) -> Generator[rows.Position, None, None]:
        """Yield the positions of all tasks, in the order of their first start.

        That is mostly the order of the manifest. It is a snapshot from the first `next`.
        """
        with closing(connect(self.path)) as db:
            yield from tuples(db, self.path, sql.POSITIONS)

    def positions_of(self, keys: list[str]) -> Iterator[rows.Position]:
        """Yield the positions of those of these tasks that are in the ledger."""
        return tuples(self._db, self.path, sql.POSITIONS_OF, rows.text(keys))

    def reposition(
        self, moved: Iterable[tuple[int, str, int, int]], dropped: Iterable[int]
    ) -> None:
        """Update positions, and unlist tasks that the manifest no longer has.

        moved: (ordinal, file, line, row number) of tasks. dropped: row numbers of tasks.
        """
        with self.changing() as db:
            db.executemany(sql.REPOSITION, moved)
            db.executemany(sql.UNLIST, ((task,) for task in dropped))
            db.execute(sql.DELETE_META, (RESULTS,))

    def count_listed(self) -> int:
        """Return the number of tasks of the last manifest."""
        return int(self._row(sql.COUNT_LISTED)["count"])

    def listed(self) -> Iterator[int]:
        """Yield the row numbers of the tasks of the last manifest."""
        return (row["task"] for row in self._read(sql.LISTED))

    def owner_of(self, path: str) -> str | None:
        """Return the key of the task that has an artifact at this path."""
        row = self._first_row(sql.OWNER, path)
        return None if row is None else str(row["key"])

    def records(self, *, every: bool = False) -> Generator[Record, None, None]:
        """Yield tasks in manifest order; `every` adds those that the manifest no longer has."""
        for wanted in self._in_order(0 if every else 1):
            yield from rows.records(self._read(sql.RECORDS, wanted))

    def records_by_key(self, keys: list[str]) -> dict[str, Record]:
        """Return the tasks with these keys and their newest artifacts, by key."""
        records = rows.records(self._read(sql.RECORDS_BY_KEY, rows.text(keys)))
        return {record.task.key: record for record in records}

    def find_by_hash(self, sha256: str) -> Record | None:
        """Return the first task in manifest order that has a newest artifact with this hash."""
        row = self._first_row(sql.FIND_BY_HASH, sha256)
        wanted = rows.text([] if row is None else [row["task"]])
        return next(rows.records(self._read(sql.RECORDS, wanted)), None)

    def variable_names(self, *, every: bool = False) -> list[str]:
        """Return the names of all variables of tasks."""
        return [row["name"] for row in self._read(sql.VARIABLE_NAMES, 0 if every else 1)]

    def unsuccessful(self) -> Iterator[Record]:
        """Yield listed tasks that are failed, refused, skipped or unknown, without artifacts."""
        return (rows.record(row) for row in self._read(sql.UNSUCCESSFUL))

    def possibly_charged(self) -> Iterator[Record]:
        """Yield tasks whose outcome is not known and that may be charged, without artifacts.

        Tasks that failed with `--on-unknown fail` are among them.
        """
        return (rows.record(row) for row in self._read(sql.POSSIBLY_CHARGED))

    def spent_usd(self) -> float:
        """Return the sum of the known costs of all tasks and their earlier generations."""
        return float(self._row(sql.SPENT)["cost_usd"])

    def at_risk_usd(self) -> float:
        """Return what may have been charged besides, for attempts that brought no result."""
        return float(self._row(sql.SPENT)["at_risk_usd"])

    def totals(self) -> Totals:
        """Return sums over the tasks of the last manifest."""
        counts = {Status(row["status"]): int(row["count"]) for row in self._read(sql.COUNTS)}
        row = self._row(sql.SUMS)
        files = self._row(sql.ARTIFACT_SUMS)
        return Totals(
            counts, files["count"], files["size_bytes"], row["cost_usd"], row["unpriced"],
            row["attempts"],
        )  # fmt: skip

    def last_run(self) -> RunRow | None:
        """Return the newest run."""
        row = self._first_row(sql.LAST_RUN)
        if row is None:
            return None
        return RunRow(
            row["run"], row["pid"], datetime.fromisoformat(row["started_at"]),
            row["finished_at"] and datetime.fromisoformat(row["finished_at"]), row["total"],
            row["reason"], row["unknown"], row["settled"], row["resent"],
        )  # fmt: skip

    def unknown_sent_at(self) -> dict[str, datetime]:
        """Return when each unknown task was first sent, by its idempotency key."""
        return {
            row["idempotency_key"]: datetime.fromisoformat(row["started_at"])
            for row in self._read(sql.UNKNOWN_SENT_AT)
        }

    def finished_since(self, moment: datetime) -> int:
        """Return how many tasks ended at or after `moment`."""
        return int(self._row(sql.FINISHED_SINCE, moment.isoformat())["count"])

    def mean_duration_s(self) -> float | None:
        """Return the mean duration of the newest 1000 successes in seconds; None if none."""
        duration_s = self._row(sql.MEAN_DURATION)["duration_s"]
        return None if duration_s is None else float(duration_s)

    def meta(self, name: str) -> str | None:
        """Return a stored fact about the job, such as its provider; None if it is not stored."""
        row = self._first_row("SELECT value FROM meta WHERE name = ?", name)
        return None if row is None else str(row["value"])

    def set_meta(self, name: str, value: str) -> None:
        """Store a fact about the job."""
        with self.changing() as db:
            db.execute(sql.SET_META, (name, value))

    def result_rows(self) -> Iterator[list[rows.ResultRow]]:
        """Yield the rows of each task in manifest order: one per artifact, at least one."""
        for wanted in self._in_order(listed=1):
            result_rows = tuples(self._db, self.path, sql.RESULT_ROWS, wanted)
            yield from (list(group) for _, group in groupby(result_rows, key=itemgetter(0)))

    def _in_order(self, listed: int) -> Iterator[str]:
        """Yield row numbers of tasks in manifest order, as JSON lists of TASKS_PER_QUERY."""
        # Only the numbers are sorted; whole rows would fill temporary files.
        ordered = (row["task"] for row in self._read(sql.IN_ORDER, listed))
        while wanted := list(islice(ordered, sql.TASKS_PER_QUERY)):
            yield rows.text(wanted)

    def _first_row(self, statement: str, *values: object) -> sqlite3.Row | None:
        return next(iter(self._execute(statement, *values)), None)

    def _row(self, statement: str, *values: object) -> sqlite3.Row:
        (row,) = self._execute(statement, *values)
        return row
