"""The tasks that are left, by their rows in the ledger."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.engine.worklist.positions import Positions
from batchgen.engine.worklist.selection import OnUnknown, Selection, parse_shard
from batchgen.engine.worklist.worklist import Worklist
from batchgen.errors import UsageError
from batchgen.manifest.problems import RejectedError
from batchgen.storage.ledger import Ledger
from batchgen.types import Outcome, Prior, Problem, Severity, Status, Task, WorkItem
from tests.given import NOW, a_task, succeeded

if TYPE_CHECKING:
    from batchgen.manifest.open import Manifest

RESEND, HOLD, FAIL = OnUnknown
LEFT = (Status.PENDING, Status.RECEIVED, Status.SUBMITTED)
UNSURE = (Status.UNKNOWN, Status.SENT)
TERMINAL = (Status.SUCCEEDED, Status.FAILED, Status.REFUSED)


@dataclass
class Listed:
    """A manifest that has only tasks and problems."""

    items: list[Task | Problem]

    def tasks(self, *, check: bool = True) -> Iterator[Task | Problem]:
        assert not check
        yield from self.items


def worklist(ledger: Ledger, items: Iterable[Task | Problem], selection: Selection) -> Worklist:
    return Worklist(cast("Manifest", Listed(list(items))), ledger, selection)


def prior(status: Status, *, generation: int = 3, attempts: int = 1, kind: str = "") -> Prior:
    return Prior(status, "d" * 32, generation, attempts, kind or None)


def decided(selection: Selection, before: Prior) -> int | None:
    """Return the generation to make; None if there is nothing to do."""
    work = selection.decide(a_task(), before)
    return None if work is None else work.generation


def test_a_new_task_is_generation_1() -> None:
    assert Selection().decide(a_task(), None) == WorkItem(a_task(), 1)


@pytest.mark.parametrize(
    ("status", "selection", "generation"),
    [
        *((status, Selection(), None) for status in TERMINAL),
        *((status, Selection(), 3) for status in LEFT),
        *((status, Selection(on_unknown=HOLD, retry_failed="*"), 3) for status in LEFT),
        *((status, Selection(on_unknown=RESEND), 3) for status in UNSURE),
        *((status, Selection(on_unknown=HOLD), None) for status in UNSURE),
        *((status, Selection(on_unknown=FAIL), None) for status in UNSURE),
        *((status, Selection(on_unknown=HOLD, retry_failed="*"), None) for status in UNSURE),
        (Status.SUCCEEDED, Selection(retry_failed="*"), None),
        (Status.FAILED, Selection(retry_failed="*"), 4),
        (Status.FAILED, Selection(retry_failed="server"), 4),
        (Status.FAILED, Selection(retry_failed="expired"), None),
        (Status.REFUSED, Selection(retry_failed="*"), None),  # refused again, and paid again
        (Status.REFUSED, Selection(retry_failed="server"), 4),
        (Status.REFUSED, Selection(retry_failed="refused"), 4),
    ],
)
def test_an_unchanged_task_is_handled_by_its_status_and_the_options(
    status: Status, selection: Selection, generation: int | None
) -> None:
    assert decided(selection, prior(status, kind="server")) == generation


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("on_unknown", OnUnknown)
def test_an_edited_row_is_a_new_generation_for_any_status(
    status: Status, on_unknown: OnUnknown
) -> None:
    edited = a_task(digest="e" * 32)
    work = Selection(on_unknown=on_unknown).decide(edited, prior(status))
    assert work is not None
    assert work.generation == 4


def test_an_edited_row_without_requests_keeps_its_generation() -> None:
    before = prior(Status.PENDING, generation=1, attempts=0)
    work = Selection().decide(a_task(digest="e" * 32), before)
    assert work is not None
    assert work.generation == 1


@given(of=st.integers(1, 9))
def test_shards_cover_every_task_exactly_once(of: int) -> None:
    tasks = [a_task(n, key=f"{n * 2654435761 % 2**32:08x}" + "0" * 24) for n in range(60)]
    covered = [
        task
        for number in range(1, of + 1)
        for task in Selection(shard=(number, of)).narrow(tasks, to_the_end=True)
    ]
    assert sorted(covered, key=lambda task: task.ordinal) == tasks  # type: ignore[union-attr]  # no problems


@pytest.mark.parametrize("text", ["", "1", "0/4", "5/4", "1/0", "-1/4", "a/b", "1/4/2", "²/4"])
def test_an_invalid_shard_is_an_error(text: str) -> None:
    with pytest.raises(UsageError, match="is not I/N"):
        parse_shard(text)


def test_a_limit_counts_selected_tasks_and_keeps_every_problem() -> None:
    problem = Problem("a.csv", 9, "empty prompt")
    items: list[Task | Problem] = [
        a_task(0),
        a_task(1, id="hare"),
        a_task(2),
        a_task(3),
        problem,
        a_task(4),
    ]
    selection = Selection(limit=2, only="fox-*")

    assert list(selection.narrow(items, to_the_end=True)) == [a_task(0), a_task(2), problem]
    assert list(selection.narrow(items, to_the_end=False)) == [a_task(0), a_task(2)]


async def test_tasks_that_are_left_are_listed_and_the_others_counted(ledger: Ledger) -> None:
    for number, status in enumerate((Status.SUCCEEDED, Status.FAILED, Status.UNKNOWN)):
        await ledger.record_sent(a_task(number), 1, attempts=1, now=NOW)
        await ledger.record_outcome(a_task(number), 1, Outcome(status, attempts=1))
    tasks_left = worklist(ledger, map(a_task, range(1200)), Selection())

    items = [work for work in tasks_left.items() if work is not None]

    assert [work.task.ordinal for work in items] == list(range(2, 1200))
    assert tasks_left.untouched == {Status.SUCCEEDED: 1, Status.FAILED: 1}


def test_control_is_yielded_after_each_chunk(ledger: Ledger) -> None:
    tasks_left = worklist(ledger, map(a_task, range(1200)), Selection())
    assert sum(work is None for work in tasks_left.items()) == 3


def test_an_error_that_the_check_did_not_find_is_raised(ledger: Ledger) -> None:
    warning = Problem("a.csv", 2, "odd", Severity.WARNING)
    error = Problem("a.csv", 3, "empty prompt")
    tasks_left = worklist(ledger, [warning, a_task(0), error], Selection())
    with pytest.raises(RejectedError, match=r"a\.csv:3: empty prompt"):
        list(tasks_left.items())


async def record_successes(ledger: Ledger, keys: Iterable[int]) -> None:
    for ordinal, key in enumerate(keys):
        task = a_task_at(key, ordinal)
        await ledger.record_sent(task, 1, attempts=1, now=NOW)
        await ledger.record_outcome(task, 1, succeeded())


def a_task_at(key: int, ordinal: int) -> Task:
    return a_task(key, ordinal=ordinal, line=ordinal + 2)


def read(ledger: Ledger, keys: Iterable[int], selection: Selection | None = None) -> list[str]:
    """Read a manifest with these tasks; return the ids of the records afterwards."""
    positions = Positions(ledger)
    items = positions.watch(a_task_at(key, ordinal) for ordinal, key in enumerate(keys))
    for _ in (selection or Selection()).narrow(items, to_the_end=True):
        pass
    positions.close()
    return [record.task.id.removeprefix("fox-") for record in ledger.records()]


async def test_records_follow_rows_that_are_reordered_inserted_removed_and_restored(
    ledger: Ledger,
) -> None:
    await record_successes(ledger, [0, 1, 2, 3])

    assert read(ledger, [3, 1, 0, 2]) == ["3", "1", "0", "2"]
    assert read(ledger, [9, 3, 1, 8, 0, 2]) == ["3", "1", "0", "2"]
    assert [record.task.line for record in ledger.records()] == [3, 4, 6, 7]
    assert read(ledger, [3, 0]) == ["3", "0"]
    assert read(ledger, [0, 1, 2, 3]) == ["0", "1", "2", "3"]
    assert read(ledger, []) == []
    assert [record.task.id for record in ledger.records(every=True)] == [
        f"fox-{number}" for number in range(4)
    ]


async def test_tasks_beyond_the_limit_are_still_listed(ledger: Ledger) -> None:
    await record_successes(ledger, [0, 1, 2, 3])
    assert read(ledger, [2, 3, 1], Selection(limit=1)) == ["2", "3", "1"]


async def test_thousands_of_moves_end_in_the_new_order(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchgen.engine.worklist.positions._MOVES_PER_COMMIT", 1000)
    await ledger.record_pending(a_task_at(number, number) for number in range(2300))

    ids = read(ledger, [*range(2299, 100, -1), 5000])

    assert ids == [str(number) for number in range(2299, 100, -1)]


def test_positions_count_tasks_without_a_ledger() -> None:
    positions = Positions()
    assert len(list(positions.watch(map(a_task, range(7))))) == 7
    positions.close()
    assert positions.count == 7
