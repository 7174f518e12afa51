"""A shared budget, in a real file and with real processes."""

import subprocess
import sys
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from batchgen.engine.throttle.shared_budget import SharedBudget
from batchgen.errors import StorageError
from batchgen.job import Period, SharedBudgetSettings
from tests.given import NOW


class ManualClock:
    """A clock that moves only when a test sets it."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def a_budget(folder: Path, usd: float = 1.0, per: Period = Period.DAY) -> SharedBudgetSettings:
    return SharedBudgetSettings(usd=usd, per=per, path=folder / "budget.sqlite3")


def test_two_jobs_never_reserve_more_than_the_budget(tmp_path: Path, clock: ManualClock) -> None:
    budget = a_budget(tmp_path)
    with (
        SharedBudget(budget, clock, "spring") as spring,
        SharedBudget(budget, clock, "autumn") as autumn,
    ):
        assert spring.reserve(0.7)
        assert not autumn.reserve(0.4)
        spring.book(0.7, 0.5)
        assert autumn.reserve(0.4)
        autumn.book(0.4, 0.4)
        assert spring.spent_usd() == autumn.spent_usd() == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("per", "after_days", "is_free"),
    [
        (Period.DAY, 1, True),
        (Period.MONTH, 1, False),
        (Period.MONTH, 30, True),
        (Period.TOTAL, 900, False),
    ],
)
def test_a_new_period_begins_with_the_whole_budget(
    per: Period, after_days: int, *, is_free: bool, tmp_path: Path, clock: ManualClock
) -> None:
    with SharedBudget(a_budget(tmp_path, per=per), clock, "spring") as shared_budget:
        assert shared_budget.reserve(1.0)
        shared_budget.book(1.0, 1.0)
        assert not shared_budget.reserve(0.0)
        clock.now += timedelta(days=after_days)
        assert shared_budget.reserve(1.0) is is_free


def test_reservations_of_a_killed_run_stay_until_its_job_recovers(
    tmp_path: Path, clock: ManualClock
) -> None:
    budget = a_budget(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        interrupt_run(budget, clock)
    with SharedBudget(budget, clock, "autumn") as autumn:
        assert not autumn.reserve(0.3)
        with SharedBudget(budget, clock, "spring") as again:
            again.recover(spent_usd=0.0, at_risk_usd=0.2)
            assert again.spent_usd() == pytest.approx(0.2)
        assert autumn.reserve(0.3)


def interrupt_run(budget: SharedBudgetSettings, clock: ManualClock) -> None:
    with SharedBudget(budget, clock, "spring") as spring:
        spring.reserve(0.8)
        raise KeyboardInterrupt


def test_recovery_does_not_book_spent_money_twice(tmp_path: Path, clock: ManualClock) -> None:
    with SharedBudget(a_budget(tmp_path), clock, "spring") as shared_budget:
        shared_budget.recover(spent_usd=0.0, at_risk_usd=0.0)
        shared_budget.reserve(0.2)
        shared_budget.book(0.2, 0.2)
    with SharedBudget(a_budget(tmp_path), clock, "spring") as shared_budget:
        shared_budget.recover(spent_usd=0.1, at_risk_usd=0.1)
        assert shared_budget.spent_usd() == pytest.approx(0.2)


def test_what_a_killed_run_committed_and_did_not_book_is_booked_by_the_next_one(
    tmp_path: Path, clock: ManualClock
) -> None:
    budget = a_budget(tmp_path)
    with suppress(KeyboardInterrupt), SharedBudget(budget, clock, "spring") as killed:
        killed.recover(spent_usd=3.0, at_risk_usd=0.0)  # of runs before the budget
        assert killed.reserve(0.6)
        killed.book(0.2, 0.2)
        raise KeyboardInterrupt  # 0.4 is in flight, or in the ledger and not booked
    with SharedBudget(budget, clock, "spring") as again:
        again.recover(spent_usd=3.3, at_risk_usd=0.1)
        assert again.spent_usd() == pytest.approx(0.4)
        assert again.reserve(0.6)


def test_a_ledger_that_counts_less_than_before_frees_nothing_and_hides_nothing(
    tmp_path: Path, clock: ManualClock
) -> None:
    with SharedBudget(a_budget(tmp_path), clock, "spring") as shared_budget:
        shared_budget.recover(0.0, 0.0)
        shared_budget.reserve(0.5)
        shared_budget.book(0.5, 0.5)
        shared_budget.recover(0.3, 0.0)  # the usage log lists a request as free
        assert shared_budget.spent_usd() == pytest.approx(0.5)
        shared_budget.recover(0.3, 0.2)
        assert shared_budget.spent_usd() == pytest.approx(0.7)


def test_a_file_that_is_no_budget_is_reported(tmp_path: Path, clock: ManualClock) -> None:
    budget = a_budget(tmp_path)
    budget.path.write_text("not a database, but a text that is longer than its header would be\n")
    with pytest.raises(StorageError, match=r"budget\.sqlite3 cannot be used"):
        SharedBudget(budget, clock, "spring")


SPENDER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from batchgen.job import Period, SharedBudgetSettings
from batchgen.engine.throttle.shared_budget import SharedBudget

reserved = 0
budget = SharedBudgetSettings(usd=1.0, per=Period.TOTAL, path=Path(sys.argv[1]))
with SharedBudget(budget, lambda: datetime.now(UTC), sys.argv[2]) as shared_budget:
    while shared_budget.reserve(0.01):
        shared_budget.book(0.01, 0.01)
        reserved += 1
print(reserved)
"""


def test_processes_that_spend_in_parallel_spend_exactly_the_budget(tmp_path: Path) -> None:
    path = str(tmp_path / "budget.sqlite3")
    spenders = [
        subprocess.Popen([sys.executable, "-c", SPENDER, path, job], stdout=subprocess.PIPE)
        for job in ("spring", "summer", "autumn")
    ]
    reserved = [int(spender.communicate(timeout=60)[0]) for spender in spenders]
    assert sum(reserved) == 100
