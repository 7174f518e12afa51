"""A budget that several jobs share, in a real file and between real processes."""

import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from batchgen.engine.throttle.shared_budget import SharedBudget
from batchgen.errors import StorageError
from batchgen.job import Period, SharedBudgetSettings
from tests.given import NOW


class Day:
    """A clock that stands until it is moved on."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def day() -> Day:
    return Day()


def a_budget(folder: Path, usd: float = 1.0, per: Period = Period.DAY) -> SharedBudgetSettings:
    return SharedBudgetSettings(usd=usd, per=per, path=folder / "budget.sqlite3")


def test_two_jobs_never_hold_more_than_there_is(tmp_path: Path, day: Day) -> None:
    budget = a_budget(tmp_path)
    with (
        SharedBudget(budget, day, "spring") as spring,
        SharedBudget(budget, day, "autumn") as autumn,
    ):
        assert spring.reserve(0.7)
        assert not autumn.reserve(0.4)
        spring.settle(0.7, 0.5)
        assert autumn.reserve(0.4)
        autumn.settle(0.4, 0.4)
        assert spring.spent_usd() == autumn.spent_usd() == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("per", "after_days", "left"),
    [
        (Period.DAY, 1, True),
        (Period.MONTH, 1, False),
        (Period.MONTH, 30, True),
        (Period.TOTAL, 900, False),
    ],
)
def test_a_new_period_begins_with_the_whole_budget(
    per: Period, after_days: int, *, left: bool, tmp_path: Path, day: Day
) -> None:
    with SharedBudget(a_budget(tmp_path, per=per), day, "spring") as shared_budget:
        assert shared_budget.reserve(1.0)
        shared_budget.settle(1.0, 1.0)
        assert not shared_budget.reserve(0.0)
        day.now += timedelta(days=after_days)
        assert shared_budget.reserve(1.0) is left


def test_what_a_dead_run_held_is_nobodys_until_its_job_has_looked(tmp_path: Path, day: Day) -> None:
    budget = a_budget(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        break_off(budget, day)
    with SharedBudget(budget, day, "autumn") as autumn:
        assert not autumn.reserve(0.3)
        with SharedBudget(budget, day, "spring") as again:
            again.take_over(doubtful_usd=0.2)
            assert again.spent_usd() == pytest.approx(0.2)
        assert autumn.reserve(0.3)


def break_off(budget: SharedBudgetSettings, day: Day) -> None:
    with SharedBudget(budget, day, "spring") as spring:
        spring.reserve(0.8)
        raise KeyboardInterrupt


def test_what_counted_as_spent_before_is_not_taken_over_twice(tmp_path: Path, day: Day) -> None:
    with SharedBudget(a_budget(tmp_path), day, "spring") as shared_budget:
        shared_budget.reserve(0.2)
        shared_budget.settle(0.2, 0.2)
    with SharedBudget(a_budget(tmp_path), day, "spring") as shared_budget:
        shared_budget.take_over(doubtful_usd=0.2)
        assert shared_budget.spent_usd() == pytest.approx(0.2)


def test_a_file_that_is_no_budget_is_told(tmp_path: Path, day: Day) -> None:
    budget = a_budget(tmp_path)
    budget.path.write_text("not a database, but a text that is longer than its header would be\n")
    with pytest.raises(StorageError, match=r"budget\.sqlite3 cannot be used"):
        SharedBudget(budget, day, "spring")


SPENDER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from batchgen.job import Period, SharedBudgetSettings
from batchgen.engine.throttle.shared_budget import SharedBudget

taken = 0
budget = SharedBudgetSettings(usd=1.0, per=Period.TOTAL, path=Path(sys.argv[1]))
with SharedBudget(budget, lambda: datetime.now(UTC), sys.argv[2]) as shared_budget:
    while shared_budget.reserve(0.01):
        shared_budget.settle(0.01, 0.01)
        taken += 1
print(taken)
"""


def test_processes_that_spend_at_once_spend_the_budget_and_no_more(tmp_path: Path) -> None:
    path = str(tmp_path / "budget.sqlite3")
    spenders = [
        subprocess.Popen([sys.executable, "-c", SPENDER, path, job], stdout=subprocess.PIPE)
        for job in ("spring", "summer", "autumn")
    ]
    taken = [int(spender.communicate(timeout=60)[0]) for spender in spenders]
    assert sum(taken) == 100
