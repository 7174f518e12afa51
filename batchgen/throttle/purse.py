"""A budget that several jobs share: one SQLite file, a row for each day and one for each run.

Spending and reservations change in one IMMEDIATE transaction, so that no two processes take the
same money. What a run has reserved when its process dies is freed by whoever looks next: its
requests in flight may still be charged, and are counted when that job runs again.
"""

import os
import socket
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Self, TypeVar

from batchgen.errors import StorageError
from batchgen.job import Period, SharedBudget

_SCHEMA = """
CREATE TABLE IF NOT EXISTS spending (day TEXT PRIMARY KEY, usd REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reservations (
    run TEXT PRIMARY KEY,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    born TEXT NOT NULL,          -- tells a process from a later one with the same number
    usd REAL NOT NULL
) WITHOUT ROWID;
"""
_SPENT = "SELECT coalesce(sum(usd), 0.0) FROM spending WHERE day LIKE ?"
_RESERVED = "SELECT coalesce(sum(usd), 0.0) FROM reservations"
_RESERVE = """
INSERT INTO reservations (run, host, pid, born, usd) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (run) DO UPDATE SET usd = usd + excluded.usd
"""
_SPEND = """
INSERT INTO spending (day, usd) VALUES (?, ?)
ON CONFLICT (day) DO UPDATE SET usd = usd + excluded.usd
"""
_DAYS = MappingProxyType({Period.DAY: "%Y-%m-%d", Period.MONTH: "%Y-%m-%%", Period.TOTAL: "%%"})
T = TypeVar("T")
_ROUNDING = 1e-9
_WAIT_S = 30.0


class Purse:
    """The money of a shared budget, for one run; use it as a context manager.

    now: aware UTC. Every method raises StorageError where the file fails.
    """

    def __init__(self, budget: SharedBudget, now: Callable[[], datetime]) -> None:
        self.budget = budget
        self._now = now
        self._run = uuid.uuid4().hex
        self._host = socket.gethostname()
        self._db = self._try(self._open)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._try(lambda: self._db.execute("DELETE FROM reservations WHERE run = ?", (self._run,)))
        self._db.close()

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

    def _reserve(self, usd: float) -> bool:
        with _immediate(self._db):
            self._free_the_dead()
            (spent,) = self._db.execute(_SPENT, (self._period(),)).fetchone()
            (reserved,) = self._db.execute(_RESERVED).fetchone()
            over = spent + reserved + usd > self.budget.usd + _ROUNDING
            if over or spent >= self.budget.usd:
                return False
            own = (self._run, self._host, os.getpid(), _born(os.getpid()), usd)
            self._db.execute(_RESERVE, own)
            return True

    def _settle(self, reserved_usd: float, actual_usd: float) -> None:
        with _immediate(self._db):
            self._db.execute(
                "UPDATE reservations SET usd = max(0.0, usd - ?) WHERE run = ?",
                (reserved_usd, self._run),
            )
            self._db.execute(_SPEND, (f"{self._now():%Y-%m-%d}", actual_usd))

    def _free_the_dead(self) -> None:
        rows = self._db.execute(
            "SELECT run, pid, born FROM reservations WHERE host = ? AND run <> ?",
            (self._host, self._run),
        ).fetchall()
        dead = [(run,) for run, pid, born in rows if _born(pid) != born]
        self._db.executemany("DELETE FROM reservations WHERE run = ?", dead)

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


@contextmanager
def _immediate(db: sqlite3.Connection) -> Iterator[None]:
    """BEGIN IMMEDIATE to COMMIT, or ROLLBACK."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def _born(pid: int) -> str:
    """When a process began, in ticks since the machine's start; empty where there is none.

    Where that cannot be told, "?" stands for every living process.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:  # it lives, and is somebody else's
        pass
    try:
        # proc(5): the 22nd field; the second, in brackets, may hold blanks
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "?"
