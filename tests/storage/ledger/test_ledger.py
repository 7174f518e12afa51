"""What the ledger commits, and what it returns afterwards; with a real SQLite file."""

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.errors import StorageError
from batchgen.storage.ledger import Ledger
from batchgen.storage.ledger.values import Reconciliation
from batchgen.types import Finished, Outcome, Prior, RemotePayload, Status, Task, TaskError
from tests.given import NOW, a_ledger, a_task, an_artifact, succeeded

FAILED = Outcome(
    Status.FAILED,
    error=TaskError("invalid_request", "bad_size", "size 1000 is not a multiple of 32"),
    attempts=1,
    http_status=400,
)


@pytest.fixture
def other(ledger: Ledger) -> Iterator[sqlite3.Connection]:
    """Another connection, which sees what is committed and nothing else."""
    db = sqlite3.connect(ledger.path)
    yield db
    db.close()


async def carry(ledger: Ledger, task: Task, outcome: Outcome, generation: int = 1) -> None:
    await ledger.record_sent(task, generation, attempts=1, now=NOW)
    await ledger.record_outcome(task, generation, outcome)


async def test_each_step_is_committed_when_its_method_returns(
    ledger: Ledger, other: sqlite3.Connection
) -> None:
    def status() -> list[tuple[str]]:
        return other.execute("SELECT status FROM tasks").fetchall()

    await ledger.record_sent(a_task(), 1, attempts=1, now=NOW)
    assert status() == [("sent",)]
    await ledger.record_received(
        a_task(), Finished((RemotePayload("https://a/b?c=d"),)), succeeded()
    )
    assert status() == [("received",)]
    await ledger.record_outcome(a_task(), 1, succeeded(an_artifact()))
    assert status() == [("succeeded",)]
    assert other.execute("SELECT path FROM artifacts").fetchall() == [("fox-0-1.png",)]


async def test_a_record_is_read_back_unchanged(ledger: Ledger) -> None:
    outcome = succeeded(an_artifact(), an_artifact("fox-0-2.svg", width=None, height=None))
    await carry(ledger, a_task(), outcome)

    (record,) = ledger.records()

    assert record.outcome == outcome
    assert record.task == a_task(filename="")


async def test_records_are_in_manifest_order_and_not_in_the_order_they_ended(
    ledger: Ledger,
) -> None:
    for ordinal in (3, 0, 2, 1):
        artifacts = [an_artifact(f"{ordinal}-{n}.png") for n in range(1, 12)]
        await carry(ledger, a_task(ordinal), succeeded(*artifacts))

    records = list(ledger.records())

    assert [record.task.ordinal for record in records] == [0, 1, 2, 3]
    for record in records:
        paths = [artifact.path for artifact in record.outcome.artifacts]
        assert paths == [f"{record.task.ordinal}-{n}.png" for n in range(1, 12)]


async def test_records_of_many_tasks_keep_their_order_and_number(ledger: Ledger) -> None:
    await ledger.record_pending(a_task(ordinal) for ordinal in reversed(range(1201)))
    assert [record.task.ordinal for record in ledger.records()] == list(range(1201))


async def test_tasks_that_left_the_manifest_are_last_and_only_on_demand(ledger: Ledger) -> None:
    for ordinal in range(3):
        await carry(ledger, a_task(ordinal), succeeded())
    row_numbers = [position[1] for position in ledger.positions_of([a_task(0).key])]

    ledger.reposition((), row_numbers)

    assert [record.task.ordinal for record in ledger.records()] == [1, 2]
    assert [record.task.ordinal for record in ledger.records(every=True)] == [1, 2, 0]
    assert ledger.totals().counts == {Status.SUCCEEDED: 2}


async def test_priors_hold_the_results_of_earlier_runs(ledger: Ledger) -> None:
    await carry(ledger, a_task(0), FAILED)
    await ledger.record_sent(a_task(1), 1, attempts=1, now=NOW)
    finished = Finished(
        (RemotePayload("https://a/b?c=d"), RemotePayload("https://a/e")), "A fox", 2**70, 0.5
    )
    await ledger.record_received(a_task(1), finished, succeeded(cost_usd=0.5, at_risk_usd=0.25))

    priors = ledger.priors([a_task(0).key, a_task(1).key, a_task(2).key])

    digest = a_task().digest
    assert priors == {
        a_task(0).key: Prior(Status.FAILED, digest, 1, 1, "invalid_request"),
        a_task(1).key: Prior(
            Status.RECEIVED, digest, 1, 1, received=finished, cost_usd=0.5, at_risk_usd=0.25
        ),
    }


async def test_urls_are_deleted_when_their_task_has_ended(ledger: Ledger) -> None:
    await ledger.record_sent(a_task(), 1, attempts=1, now=NOW)
    await ledger.record_received(a_task(), Finished((RemotePayload("https://a/b"),)), succeeded())
    await ledger.record_outcome(a_task(), 1, succeeded(status=Status.RECEIVED))
    assert ledger.priors([a_task().key])[a_task().key].received is not None

    await ledger.record_outcome(a_task(), 1, succeeded(an_artifact()))
    assert ledger.priors([a_task().key])[a_task().key].received is None


async def test_a_download_in_a_later_run_keeps_the_request_id_of_the_reply(ledger: Ledger) -> None:
    await ledger.record_sent(a_task(), 1, attempts=1, now=NOW)
    await ledger.record_received(a_task(), Finished((RemotePayload("https://a/b"),)), succeeded())

    await ledger.record_outcome(
        a_task(), 1, succeeded(an_artifact(), request_id=None, http_status=None)
    )

    (record,) = ledger.records()
    assert (record.outcome.request_id, record.outcome.http_status) == ("req-1", 200)


async def test_a_later_generation_keeps_the_earlier_one_as_a_version(
    ledger: Ledger, other: sqlite3.Connection
) -> None:
    await carry(ledger, a_task(), succeeded(an_artifact()))
    edited = a_task(digest="e" * 32, prompt="A hare")
    await carry(ledger, edited, succeeded(an_artifact("fox-0-1.v2.png")), generation=2)

    (record,) = ledger.records()
    versions = other.execute("SELECT generation, prompt, status, cost_usd FROM versions").fetchall()
    assert record.task.prompt == "A hare"
    assert [artifact.path for artifact in record.outcome.artifacts] == ["fox-0-1.v2.png"]
    assert versions == [(1, "A fox, number 0", "succeeded", 0.02)]
    assert ledger.owner_of("fox-0-1.png") == a_task().key
    assert ledger.spent_usd() == pytest.approx(0.04)


async def test_totals_are_those_of_the_newest_generation(ledger: Ledger) -> None:
    await carry(ledger, a_task(0), succeeded(an_artifact()))
    await carry(ledger, a_task(0), succeeded(an_artifact("x.png", size_bytes=1)), generation=2)
    await carry(ledger, a_task(1), succeeded(cost_usd=None))
    await carry(ledger, a_task(2), FAILED)

    totals = ledger.totals()

    assert totals.counts == {Status.SUCCEEDED: 2, Status.FAILED: 1}
    assert (totals.artifacts, totals.size_bytes) == (1, 1)
    assert (totals.cost_usd, totals.unpriced, totals.attempts) == (0.02, 1, 3)


async def test_recording_pending_tasks_leaves_known_ones_unchanged(ledger: Ledger) -> None:
    await carry(ledger, a_task(0), succeeded())

    await ledger.record_pending([a_task(0), a_task(1)])

    assert [record.outcome.status for record in ledger.records()] == ["succeeded", "pending"]


@pytest.mark.parametrize("give_up", [False, True])
async def test_tasks_in_flight_at_a_crash_are_unknown_in_the_next_run(
    tmp_path: Path,
    give_up: bool,  # noqa: FBT001  pytest passes it
) -> None:
    with a_ledger(tmp_path) as crashed:
        for ordinal in range(3):
            await crashed.record_sent(a_task(ordinal), 1, attempts=1, now=NOW)
        await crashed.record_outcome(a_task(0), 1, succeeded())
        await crashed.record_received(
            a_task(1), Finished((RemotePayload("https://a/b"),)), succeeded()
        )

    with Ledger(crashed.path) as ledger:
        unknown = ledger.begin_run(pid=2, total=3, now=NOW)
        if give_up:
            ledger.fail_unknown()
        statuses = [record.outcome.status for record in ledger.records()]

    assert unknown == 1
    assert statuses == ["succeeded", "received", "failed" if give_up else "unknown"]


async def test_entries_of_the_usage_log_reconcile_unknown_tasks(tmp_path: Path) -> None:
    with a_ledger(tmp_path) as crashed:
        for number in range(3):
            key = f"key-{number}"
            await crashed.record_sent(a_task(number), 1, attempts=1, now=NOW, idempotency_key=key)
    with Ledger(crashed.path) as ledger:
        ledger.begin_run(pid=2, total=3, now=NOW)
        assert ledger.unknown_sent_at() == {f"key-{number}": NOW for number in range(3)}

        charged = Reconciliation("key-0", "inf-0", charged=True, cost_usd=0.02)
        ledger.reconcile([charged, Reconciliation("key-1", "inf-1", charged=False)])
        outcomes = [
            (record.outcome.status, record.outcome.request_id, record.outcome.cost_usd)
            for record in ledger.records()
        ]

    assert outcomes == [
        ("unknown", "inf-0", 0.02),
        ("pending", "inf-1", None),
        ("unknown", None, None),
    ]


async def test_a_repeated_attempt_keeps_the_rest_of_the_row(ledger: Ledger) -> None:
    await ledger.record_sent(a_task(), 1, attempts=1, now=NOW)
    await ledger.record_sent(a_task(), 1, attempts=2, now=NOW + timedelta(seconds=9))

    (record,) = ledger.records()

    assert (record.outcome.attempts, record.outcome.started_at) == (2, NOW)


async def test_the_price_of_an_attempt_counts_from_before_it_is_sent(ledger: Ledger) -> None:
    task = a_task()
    await ledger.record_sent(task, 1, attempts=1, now=NOW, spent_usd=0.02)
    assert (ledger.spent_usd(), ledger.at_risk_usd()) == (0.0, 0.02)
    await ledger.record_sent(task, 1, attempts=2, now=NOW, spent_usd=0.04)
    assert ledger.at_risk_usd() == 0.04

    await ledger.record_outcome(task, 1, succeeded(cost_usd=0.02, at_risk_usd=0.02))

    assert (ledger.spent_usd(), ledger.at_risk_usd()) == (0.02, 0.02)
    (record,) = ledger.records()
    assert record.outcome.at_risk_usd == 0.02


async def test_a_later_generation_keeps_what_the_earlier_one_may_have_cost(ledger: Ledger) -> None:
    await ledger.record_sent(a_task(), 1, attempts=1, now=NOW, spent_usd=0.02)
    await ledger.record_sent(a_task(), 2, attempts=1, now=NOW, spent_usd=0.02)

    assert ledger.at_risk_usd() == 0.04


async def test_the_usage_log_moves_a_charge_from_the_risk_to_the_cost(tmp_path: Path) -> None:
    with a_ledger(tmp_path) as crashed:
        for number in range(3):
            await crashed.record_sent(
                a_task(number), 1, attempts=1, now=NOW, idempotency_key=f"key-{number}",
                spent_usd=0.03,
            )  # fmt: skip
        await crashed.record_sent(
            a_task(2), 1, attempts=2, now=NOW, idempotency_key="key-2", spent_usd=0.06
        )
    with Ledger(crashed.path) as ledger:
        ledger.begin_run(pid=2, total=3, now=NOW)
        free = (Reconciliation(f"key-{number}", None, charged=False) for number in (1, 2))
        ledger.reconcile([Reconciliation("key-0", "inf-0", charged=True, cost_usd=0.02), *free])

        costs = [(r.outcome.cost_usd, r.outcome.at_risk_usd) for r in ledger.records()]
    assert costs == [(0.02, pytest.approx(0.01)), (None, 0.0), (None, 0.06)]


async def test_closing_merges_the_write_ahead_log_into_the_file(tmp_path: Path) -> None:
    with a_ledger(tmp_path) as ledger:
        await carry(ledger, a_task(), succeeded())
    assert [path.name for path in ledger.path.parent.iterdir()] == ["ledger.sqlite3"]


def test_runs_are_recorded_with_their_reason(ledger: Ledger) -> None:
    before = ledger.last_run()
    ledger.end_run(reason="deadline", now=NOW)
    after = ledger.last_run()

    assert before is not None
    assert after is not None
    assert (before.pid, before.reason, before.finished_at) == (1, None, None)
    assert (after.reason, after.finished_at) == ("deadline", NOW)


def test_a_run_whose_ledger_was_removed_ends_with_an_error(ledger: Ledger) -> None:
    ledger.path.unlink()
    with pytest.raises(StorageError, match=r"was removed or replaced during the run: .* --rebuild"):
        ledger.end_run(reason="complete", now=NOW)


def test_facts_about_the_job_are_stored(ledger: Ledger) -> None:
    assert ledger.meta("identity") is None
    ledger.set_meta("identity", "one")
    ledger.set_meta("identity", "two")
    assert ledger.meta("identity") == "two"


async def test_another_connection_reads_while_a_run_writes(ledger: Ledger) -> None:
    await carry(ledger, a_task(0), succeeded())
    with Ledger(ledger.path, create=False) as status:
        reading = status.records()
        first = next(reading)
        await carry(ledger, a_task(1), succeeded())
        assert (first.task.ordinal, list(reading)) == (0, [])
        assert status.totals().counts == {Status.SUCCEEDED: 2}


async def test_a_write_while_another_process_writes_waits_or_fails(ledger: Ledger) -> None:
    ledger._db.execute("PRAGMA busy_timeout = 0")
    blocker = sqlite3.connect(ledger.path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")

    with pytest.raises(StorageError, match="locked"):
        ledger.set_meta("identity", "one")

    blocker.execute("ROLLBACK")
    blocker.close()
    ledger.set_meta("identity", "two")
    assert ledger.meta("identity") == "two"


def test_a_failed_write_is_rolled_back(ledger: Ledger) -> None:
    with pytest.raises(StorageError, match="NOT NULL"):
        ledger.set_meta("identity", None)  # type: ignore[arg-type]  # SQLite refuses it
    assert ledger.meta("identity") is None


@given(st.dictionaries(st.text(max_size=9), st.text(max_size=9) | st.integers() | st.none()))
def test_parameters_of_any_type_are_read_back(params: dict[str, str | int | None]) -> None:
    from batchgen.storage.ledger import rows  # noqa: PLC0415  its text is the column's form

    assert rows._decode(rows.text(params)) == params
