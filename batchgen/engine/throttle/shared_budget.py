"""A budget that several jobs share: one SQLite file with a row per day and a row per job.

Spending and reservations change in one IMMEDIATE transaction, so two processes never reserve the
same money. If a run is killed, its reservations stay until the period ends or that job runs again.
Then what its ledger has spent is compared with what it has booked here: the difference was in
flight, or committed in the ledger and not booked yet, and is booked.
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
CREATE TABLE IF NOT EXISTS booked (job TEXT PRIMARY KEY, usd REAL NOT NULL) WITHOUT ROWID;
"""
_SPENT = "SELECT coalesce(sum(usd), 0.0) FROM spending WHERE day LIKE ?"
_RESERVED = "SELECT coalesce(sum(usd), 0.0) FROM held WHERE day LIKE ?"
_RESERVED_BY_JOB = "SELECT day, usd FROM held WHERE job = ?"
_BOOKED_BY_JOB = "SELECT usd FROM booked WHERE job = ?"
_SET_BOOKED = "INSERT OR REPLACE INTO booked (job, usd) VALUES (?, ?)"
_ADD_BOOKED = """
INSERT INTO booked (job, usd) VALUES (?, ?)
ON CONFLICT (job) DO UPDATE SET usd = usd + excluded.usd
"""
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

    def recover(self, spent_usd: float, at_risk_usd: float) -> None:
        """Book what earlier runs of the job have spent and not booked, and free their reservations.

        spent_usd: the costs in the job's ledger. at_risk_usd: what may have been charged besides.
        """
        self._try(lambda: self._recover(spent_usd, at_risk_usd))

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

    def _recover(self, spent_usd: float, at_risk_usd: float) -> None:
        total = spent_usd + at_risk_usd
        with transaction(self._db):
            held = self._db.execute(_RESERVED_BY_JOB, (self._job,)).fetchone()
            day, reserved = held or (self._day(), 0.0)
            booked = self._db.execute(_BOOKED_BY_JOB, (self._job,)).fetchone()
            # The job is new to this file, or version 0.1 wrote it, which did not keep what a job
            # has booked: at most what was in flight is missing.
            missing = min(reserved, at_risk_usd) if booked is None else total - booked[0]
            self._db.execute(_RELEASE_ALL, (self._job,))
            self._db.execute(_SET_BOOKED, (self._job, total))
            if missing > _ROUNDING:
                self._db.execute(_SPEND, (day, missing))

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
            self._db.execute(_ADD_BOOKED, (self._job, actual_usd))

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
