"""Which lines of results.jsonl a ledger does not know."""

from datetime import timedelta
from pathlib import Path

import pytest

from batchgen.errors import StorageError
from batchgen.storage.comparison import (
    ResultState,
    ensure_not_behind,
    find_surplus,
    is_ahead,
)
from batchgen.storage.directory import ledger_path
from batchgen.storage.ledger import Ledger
from batchgen.storage.ledger.inventory import Inventory
from batchgen.storage.ledger.states import State
from batchgen.storage.merge import Merge
from batchgen.storage.results import FILE_NAME
from batchgen.storage.verify import Verification
from batchgen.types import Outcome, Status, TaskError
from tests.given import NOW, a_task, succeeded
from tests.outputs import a_named_task, a_new_ledger, an_image, an_output, end_run, record_task

T1, T2, T3 = (f"2026-11-20T12:00:0{second}.000" for second in (1, 2, 3))


def a_line(
    status: str, started: str | None, finished: str | None, attempts: int = 1
) -> ResultState:
    def full(moment: str | None) -> str | None:
        return moment and f"{moment}+00:00"

    return ResultState("k", status, attempts, full(started), full(finished))


def a_state(  # one per column
    status: str,
    started: str | None,
    finished: str | None,
    *,
    attempts: int = 1,
    generation: int = 1,
    earlier: tuple[str, ...] = (),
) -> State:
    def full(moment: str | None) -> str | None:
        return moment and f"{moment}456+00:00"

    ends = frozenset(f"{moment}456+00:00" for moment in earlier)
    return State(
        status, generation, attempts, full(started), full(finished), has_artifacts=False,
        earlier=ends,
    )  # fmt: skip


DONE = a_line("succeeded", T1, T2)
FAILED = a_line("failed", T1, T2)
AHEAD = {
    "a task that the ledger lacks": (DONE, None),
    "a failed task that the ledger lacks": (FAILED, None),
    "a remote job that the ledger lacks": (a_line("pending", T1, None), None),
    "a success of what is in flight": (DONE, a_state("sent", T1, None)),
    "a success of what is unknown": (DONE, a_state("unknown", T1, None)),
    "a success of what was not sent": (DONE, a_state("pending", None, None, attempts=0)),
    "a remote job of what was not sent": (
        a_line("pending", T1, None),
        a_state("pending", None, None, attempts=0),
    ),
    "a success where the ledger has a failure": (
        DONE,
        a_state("failed", T1, T2.replace("2.", "1.")),
    ),
    "a later version": (a_line("succeeded", T2, T3), a_state("succeeded", T1, T2)),
    "a later failure": (a_line("failed", T2, T3), a_state("succeeded", T1, T2)),
}
KNOWN = {
    "the same": (DONE, a_state("succeeded", T1, T2)),
    "a version that the ledger keeps": (DONE, a_state("sent", T3, None, earlier=(T2,))),
    "a version that the ledger keeps, after the clock was set back": (
        a_line("succeeded", T2, T3),
        a_state("sent", T1, None, generation=2, earlier=(T3,)),
    ),
    "an earlier failure": (FAILED, a_state("succeeded", T2, T3)),
    "a failure whose reply is read again": (FAILED, a_state("received", T1, T2)),
    "a failure that is polled again": (FAILED, a_state("submitted", T1, None)),
    "a task that is not started": (a_line("pending", None, None, 0), None),
    "a skipped task that is sent": (a_line("skipped", T1, T2), a_state("sent", T3, None)),
    "an unknown task that is sent again": (a_line("unknown", T1, None), a_state("sent", T2, None)),
    "a pending task that has ended": (a_line("pending", T1, None), a_state("succeeded", T1, T2)),
}


@pytest.mark.parametrize(("line", "state"), AHEAD.values(), ids=AHEAD)
def test_the_ledger_is_behind(line: ResultState, state: State | None) -> None:
    assert is_ahead(line, state)


@pytest.mark.parametrize(("line", "state"), KNOWN.values(), ids=KNOWN)
def test_the_ledger_is_not_behind(line: ResultState, state: State | None) -> None:
    assert not is_ahead(line, state)


async def test_the_message_counts_the_results_and_names_the_first(tmp_path: Path) -> None:
    await an_output(tmp_path, 0, 1, 2)
    lines = (tmp_path / FILE_NAME).read_bytes()
    for path in (tmp_path / FILE_NAME, *(tmp_path / ".batchgen").glob("ledger*")):
        path.unlink()
    with a_new_ledger(tmp_path) as ledger:
        await record_task(ledger, a_named_task(0), succeeded(an_image(tmp_path, 0)))
    (tmp_path / FILE_NAME).write_bytes(lines)
    with pytest.raises(StorageError, match=r"lacks 2 results.*'fox-1'.*--rebuild"):
        ensure_not_behind(tmp_path)


async def test_lines_that_are_not_results_are_ignored(tmp_path: Path) -> None:
    await an_output(tmp_path, 0)
    with (tmp_path / FILE_NAME).open("ab") as file:
        file.write(b'\n[]\n{"id": 3}\n\xff\n' + b"[" * 100_000 + b'\n{"key":"x"')
    assert find_surplus(tmp_path) is None


async def test_a_repair_that_was_killed_before_the_results_were_written_is_no_surplus(
    tmp_path: Path,
) -> None:
    await an_output(tmp_path, 0, 1)
    (tmp_path / "fox-0-1.png").write_bytes(b"damaged")
    with Inventory(ledger_path(tmp_path)) as inventory:
        assert len(list(Verification(tmp_path, inventory, fix=True).findings())) == 1
    (tmp_path / FILE_NAME).touch()

    assert find_surplus(tmp_path) is None
    with Ledger(ledger_path(tmp_path)) as ledger:
        end_run(tmp_path, ledger)


async def test_a_merge_that_was_killed_before_the_results_were_written_is_no_surplus(
    tmp_path: Path,
) -> None:
    await an_output(tmp_path / "a", 0)
    with a_new_ledger(tmp_path / "out") as ledger:
        failed = Outcome(
            Status.FAILED,
            error=TaskError("server", None, "no"),
            attempts=1,
            started_at=NOW + timedelta(hours=1),
            finished_at=NOW + timedelta(hours=2),
        )
        await record_task(ledger, a_named_task(0), failed)
        end_run(tmp_path / "out", ledger)
    Merge(tmp_path / "out", lambda _: None).take([tmp_path / "a"])

    assert find_surplus(tmp_path / "out") is None


async def test_a_task_that_is_retried_is_no_surplus(tmp_path: Path) -> None:
    failed = Outcome(
        Status.FAILED,
        error=TaskError("server", None, "no"),
        attempts=1,
        started_at=NOW,
        finished_at=NOW + timedelta(seconds=1),
    )
    with a_new_ledger(tmp_path) as ledger:
        await record_task(ledger, a_task(), failed)
        end_run(tmp_path, ledger)
        await ledger.record_sent(a_task(), 2, attempts=1, now=NOW - timedelta(days=1))
    assert find_surplus(tmp_path) is None
