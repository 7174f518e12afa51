"""A budget that several jobs share: one SQLite file with a row per day and a row per job.

Spending and reservations change in one IMMEDIATE transaction, so two processes never reserve the
same money. If a run is killed, its reservations stay until the period ends or that job runs again:
then its ledger shows which requests were in flight, and these count as spent.
"""

import sqlite3
from collections.abc import Callable
from datetime import datetime
from types import MappingProxyType
from typing import Self, TypeVar

from batchgen.errors import StorageError
from batchgen.job import Period, SharedBudgetSettings
from batchgen.storage.ledger.connection import transaction

_SCHEMA = """
CREATE TABLE IF NOT EXISTS spending (day TEXT PRIMARY KEY, usd REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS held (job TEXT PRIMARY KEY, day TEXT NOT NULL, usd REAL NOT NULL)
    WITHOUT ROWID;
"""
_SPENT = "SELECT coalesce(sum(usd), 0.0) FROM spending WHERE day LIKE ?"
_RESERVED = "SELECT coalesce(sum(usd), 0.0) FROM held WHERE day LIKE ?"
_RESERVED_BY_JOB = "SELECT coalesce(sum(usd), 0.0) FROM held WHERE job = ?"
_RESERVE = """
INSERT INTO held (job, day, usd) VALUES (?, ?, ?)
ON CONFLICT (job) DO UPDATE SET usd = usd + excluded.usd, day = excluded.day
"""
_RELEASE = "UPDATE held SET usd = max(0.0, usd - ?) WHERE job = ?"
_RELEASE_ALL = "DELETE FROM held WHERE job = ?"
_SPEND = """
INSERT INTO spending (day, usd) VALUES (?, ?)
ON CONFLICT (day) DO UPDATE SET usd = usd + excluded.usd
"""
_DAY_PATTERNS = MappingProxyType(
    {Period.DAY: "%Y-%m-%d", Period.MONTH: "%Y-%m-%%", Period.TOTAL: "%%"}
)
T = TypeVar("T")
_ROUNDING = 1e-9
_WAIT_S = 30.0


class SharedBudget:
    """The connection of one run of a job to a shared budget; use it as a context manager.

    now: the aware time in UTC. job: the name of the job among those that share the file; it has one
    run at a time. Every method raises StorageError if the file cannot be used.
    """

    def __init__(self, budget: SharedBudgetSettings, now: Callable[[], datetime], job: str) -> None:
        self.budget = budget
        self._now = now
        self._job = job
        self._db = self._try(self._open)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # After a second interrupt, as after a crash, the next run books what was in flight.
        if kind is None:
            self._try(lambda: self._db.execute(_RELEASE_ALL, (self._job,)))
        self._db.close()

    def recover(self, unknown_usd: float) -> None:
        """Book the reservations of a run that was killed: requests in flight count as spent.

        unknown_usd: the prices of all tasks of the job that may have been charged.
        """
        self._try(lambda: self._recover(unknown_usd))

    def reserve(self, usd: float) -> bool:
        """Reserve US dollars; return False if the rest of the period's budget is too small."""
        return self._try(lambda: self._reserve(usd))

    def book(self, reserved_usd: float, actual_usd: float) -> None:
        """Replace a reservation by the amount charged."""
        self._try(lambda: self._book(reserved_usd, actual_usd))

    def spent_usd(self) -> float:
        """Return what all jobs have spent in the current period."""
        row = self._try(lambda: self._db.execute(_SPENT, (self._period(),)).fetchone())
        return float(row[0])

    def _recover(self, unknown_usd: float) -> None:
        with transaction(self._db):
            (reserved,) = self._db.execute(_RESERVED_BY_JOB, (self._job,)).fetchone()
            self._db.execute(_RELEASE_ALL, (self._job,))
            self._db.execute(_SPEND, (self._day(), min(reserved, unknown_usd)))

    def _reserve(self, usd: float) -> bool:
        with transaction(self._db):
            (spent,) = self._db.execute(_SPENT, (self._period(),)).fetchone()
            (reserved,) = self._db.execute(_RESERVED, (self._period(),)).fetchone()
            exceeds = spent + reserved + usd > self.budget.usd + _ROUNDING
            if exceeds or spent >= self.budget.usd:
                return False
            self._db.execute(_RESERVE, (self._job, self._day(), usd))
            return True

    def _book(self, reserved_usd: float, actual_usd: float) -> None:
        with transaction(self._db):
            self._db.execute(_RELEASE, (reserved_usd, self._job))
            self._db.execute(_SPEND, (self._day(), actual_usd))

    def _day(self) -> str:
        return f"{self._now():%Y-%m-%d}"

    def _period(self) -> str:
        return self._now().strftime(_DAY_PATTERNS[self.budget.per])

    def _open(self) -> sqlite3.Connection:
        self.budget.path.parent.mkdir(parents=True, exist_ok=True)
        # Opened in the event loop's thread, used in worker threads, one at a time.
        db = sqlite3.connect(
            self.budget.path, isolation_level=None, timeout=_WAIT_S, check_same_thread=False
        )
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.executescript(_SCHEMA)
        except BaseException:
            db.close()
            raise
        return db

    def _try(self, operation: Callable[[], T]) -> T:
        try:
            return operation()
        except (sqlite3.Error, OSError) as error:
            raise StorageError(
                f"the shared budget {self.budget.path} cannot be used ({error}); repair it, or name"
                " another file in `budget.ledger`"
            ) from error
