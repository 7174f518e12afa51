"""A budget that several jobs share: one SQLite file, a row for each day and one for each job.

Spending and reservations change in one IMMEDIATE transaction, so that no two processes take the
same money. What a run has reserved when its process dies stays reserved until the period ends or
that job runs again: its ledger knows then what was in flight, and that counts as spent.
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
_HELD = "SELECT coalesce(sum(usd), 0.0) FROM held WHERE day LIKE ?"
_HELD_BY = "SELECT coalesce(sum(usd), 0.0) FROM held WHERE job = ?"
_HOLD = """
INSERT INTO held (job, day, usd) VALUES (?, ?, ?)
ON CONFLICT (job) DO UPDATE SET usd = usd + excluded.usd, day = excluded.day
"""
_RELEASE = "UPDATE held SET usd = max(0.0, usd - ?) WHERE job = ?"
_RELEASE_ALL = "DELETE FROM held WHERE job = ?"
_SPEND = """
INSERT INTO spending (day, usd) VALUES (?, ?)
ON CONFLICT (day) DO UPDATE SET usd = usd + excluded.usd
"""
_DAYS = MappingProxyType({Period.DAY: "%Y-%m-%d", Period.MONTH: "%Y-%m-%%", Period.TOTAL: "%%"})
T = TypeVar("T")
_ROUNDING = 1e-9
_WAIT_S = 30.0


class SharedBudget:
    """The money of a shared budget, for one run of a job; use it as a context manager.

    now: aware UTC. job: names the job among those that share the file; one run of it at a time.
    Every method raises StorageError where the file fails.
    """

    def __init__(self, budget: SharedBudgetSettings, now: Callable[[], datetime], job: str) -> None:
        self.budget = budget
        self._now = now
        self._job = job
        self._db = self._try(self._open)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # What a second interrupt leaves in flight is the next run's to find out, as after a crash.
        if kind is None:
            self._try(lambda: self._db.execute(_RELEASE_ALL, (self._job,)))
        self._db.close()

    def take_over(self, doubtful_usd: float) -> None:
        """Settle what a run that broke off has left: what was in flight counts as spent.

        doubtful_usd: the prices of all tasks of the job that may have been charged.
        """
        self._try(lambda: self._take_over(doubtful_usd))

    def reserve(self, usd: float) -> bool:
        """Set money aside; False where what is left of the period does not hold it."""
        return self._try(lambda: self._reserve(usd))

    def settle(self, reserved_usd: float, actual_usd: float) -> None:
        """Turn a reservation into what was charged."""
        self._try(lambda: self._settle(reserved_usd, actual_usd))

    def spent_usd(self) -> float:
        """What all jobs have spent in the period that it is now."""
        row = self._try(lambda: self._db.execute(_SPENT, (self._period(),)).fetchone())
        return float(row[0])

    def _take_over(self, doubtful_usd: float) -> None:
        with transaction(self._db):
            (left,) = self._db.execute(_HELD_BY, (self._job,)).fetchone()
            self._db.execute(_RELEASE_ALL, (self._job,))
            self._db.execute(_SPEND, (self._day(), min(left, doubtful_usd)))

    def _reserve(self, usd: float) -> bool:
        with transaction(self._db):
            (spent,) = self._db.execute(_SPENT, (self._period(),)).fetchone()
            (held,) = self._db.execute(_HELD, (self._period(),)).fetchone()
            over = spent + held + usd > self.budget.usd + _ROUNDING
            if over or spent >= self.budget.usd:
                return False
            self._db.execute(_HOLD, (self._job, self._day(), usd))
            return True

    def _settle(self, reserved_usd: float, actual_usd: float) -> None:
        with transaction(self._db):
            self._db.execute(_RELEASE, (reserved_usd, self._job))
            self._db.execute(_SPEND, (self._day(), actual_usd))

    def _day(self) -> str:
        return f"{self._now():%Y-%m-%d}"

    def _period(self) -> str:
        return self._now().strftime(_DAYS[self.budget.per])

    def _open(self) -> sqlite3.Connection:
        self.budget.path.parent.mkdir(parents=True, exist_ok=True)
        # The event loop's thread opens it, a thread of its own uses it, one at a time.
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

    def _try(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except (sqlite3.Error, OSError) as error:
            raise StorageError(
                f"the budget's ledger {self.budget.path} cannot be used ({error}): mend it, or"
                " name another file in `budget.ledger`"
            ) from error
