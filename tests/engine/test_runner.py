"""Producer, queue, workers and stop, with a real ledger and a scripted provider."""

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from batchgen.engine.admission import Admission
from batchgen.engine.circuit_breaker import CircuitBreaker, Trip
from batchgen.engine.kept_replies import KeptReplies
from batchgen.engine.perform import Performer
from batchgen.engine.runner import Runner
from batchgen.engine.stop import Stop, StopReason
from batchgen.engine.throttle import Bounds, Budget, Throttle
from batchgen.errors import StorageError
from batchgen.job import PROVIDERS
from batchgen.job import Job as BareJob
from batchgen.manifest.problems import RejectedError
from batchgen.progress import NoProgress
from batchgen.provider.adapter import Adapter
from batchgen.storage.counts import RunCounts
from batchgen.storage.ledger import Ledger
from batchgen.storage.results import ResultsFile
from batchgen.types import (
    Artifact,
    GeneratedPayload,
    HttpRequest,
    HttpResponse,
    Outcome,
    PayloadSink,
    Prior,
    Problem,
    Reply,
    RetrySettings,
    Spooled,
    Status,
    Task,
    TaskError,
    WorkItem,
)
from tests.given import NOW, FakeClock, a_png, a_task, run_pending, succeeded, until

IMAGE = Spooled("1.part", 99, "a" * 64, a_png())
GOOD = HttpResponse(200, {}, b'{"data": [{"b64_json": "batchgen-payload:0"}]}', (IMAGE,))
BAD = HttpResponse(400, {}, b'{"error": {"message": "no such size"}}')


@dataclass
class Provider:
    """Replies with `answer`, counts requests, and is also the store."""

    answer: Callable[[int], Awaitable[Reply]]
    requests: int = 0
    in_flight: int = 0
    max_in_flight: int = 0

    async def send(self, request: HttpRequest, idempotency_key: str) -> Reply:
        assert request.path.endswith("/images/generations")
        assert idempotency_key
        self.requests += 1
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            return await self.answer(self.requests)
        finally:
            self.in_flight -= 1

    async def fetch(self, url: str) -> Reply:
        raise NotImplementedError(url)

    async def publish(self, payload: Spooled | GeneratedPayload, filename: str, n: int) -> Artifact:
        assert isinstance(payload, Spooled)
        return Artifact(filename, payload.size_bytes, payload.sha256, f"image/{n}", 64, 32)

    def confirm(self, paths: Iterable[str]) -> None:
        """Nothing was written."""

    def discard(self, spooled: Spooled) -> None:
        raise NotImplementedError(spooled)


async def succeed(_: int) -> Reply:
    await asyncio.sleep(0)
    return GOOD


@dataclass
class Priced:
    usd: float | None = None

    def of(self, task: Task) -> float | None:
        assert task.key
        return self.usd


@dataclass
class Rows:
    """The tasks that are left; `read` counts those that the producer has read."""

    count: int
    prior: Prior | None = None
    error: Exception | None = None
    read: int = 0
    ended: Outcome | None = None
    done: list[tuple[str, Status | None]] = field(default_factory=list)

    def items(self) -> Iterator[WorkItem | None]:
        for number in range(self.count):
            self.read += 1
            generation = 1 if self.prior is None else self.prior.generation + 1
            yield WorkItem(a_task(number), generation, self.prior, self.ended)
            if number % 10 == 9:
                yield None
        if self.error is not None:
            raise self.error

    def mark_done(self, work: WorkItem, outcome: Outcome | None) -> None:
        self.done.append((work.task.id, None if outcome is None else outcome.status))

    async def yield_control(self) -> None:
        await asyncio.sleep(0)


def no_sink() -> PayloadSink:
    raise AssertionError("no reply is read from a file")


@dataclass
class Job:
    """A run with all its parts."""

    ledger: Ledger
    provider: Provider = field(default_factory=lambda: Provider(succeed))
    clock: FakeClock = field(default_factory=FakeClock)
    price_usd: float | None = None
    max_cost_usd: float | None = None
    max_requests: int | None = None
    rpm: float | None = None
    halt_after: int = 1000
    pending: int = 2000

    def __post_init__(self) -> None:
        self.stop = Stop(self.clock)
        self.counts = RunCounts(NOW, NOW)
        self.results = ResultsFile(self.ledger.path.parent.parent)

    def runner(self) -> Runner:
        stop, clock = self.stop, self.clock
        budget = Budget(
            max_cost_usd=self.max_cost_usd, max_requests=self.max_requests,
            spent_usd=self.ledger.spent_usd(), at_risk_usd=self.ledger.at_risk_usd(),
        )  # fmt: skip
        throttle = Throttle(
            bounds=lambda _: Bounds(1000, self.rpm), monotonic=clock.monotonic,
            sleep=stop.sleep_until_stop, stopping=stop.is_set,
        )  # fmt: skip
        progress = NoProgress()
        bare = BareJob("j", PROVIDERS["aimlapi"], Path("out"))
        performer = Performer(
            adapter=Adapter(bare), transport=self.provider, store=self.provider, ledger=self.ledger,
            replies=KeptReplies(self.ledger.path.parent.parent, no_sink),
            admission=Admission(throttle, budget, stop, progress, self.counts),
            retry=RetrySettings(attempts=2, jitter=False), clock=clock, identity="this-ledger",
            sleep=stop.sleep_until_stop, wait_for_remote=stop.wait_for_remote, random=lambda: 0.5,
        )  # fmt: skip
        return Runner(
            performer, self.ledger, self.results, progress,
            cast("Any", Priced(self.price_usd)), budget, stop, clock, self.counts,
            CircuitBreaker(self.halt_after), asyncio.Semaphore(self.pending),
        )  # fmt: skip

    async def run(
        self, rows: Rows, *, workers: int = 4, deadline_s: float | None = None
    ) -> list[str]:
        """Run to the end; return the status of every task in the ledger."""
        try:
            async with asyncio.timeout(20):
                await self.runner().run(rows, workers=workers, deadline_s=deadline_s)
        finally:
            self.results.close()
        return [str(record.outcome.status) for record in self.ledger.records()]

    def lines(self) -> list[str]:
        path = self.ledger.path.parent.parent / "results.jsonl"
        return [json.loads(line)["id"] for line in path.read_text().splitlines()]


async def test_every_task_is_sent_once(ledger: Ledger) -> None:
    job = Job(ledger, price_usd=0.02)

    statuses = await job.run(Rows(50))

    assert statuses == ["succeeded"] * 50
    assert job.provider.requests == job.counts.requests == job.counts.succeeded == 50
    assert job.counts.cost_usd == pytest.approx(1.0)
    assert sorted(job.lines()) == sorted(f"fox-{number}" for number in range(50))
    assert not job.stop.is_set()


async def test_a_manifest_without_tasks_ends_without_requests(ledger: Ledger) -> None:
    assert await Job(ledger).run(Rows(0)) == []


async def test_n_workers_send_in_parallel_and_the_producer_reads_no_more_than_the_queue_holds(
    ledger: Ledger,
) -> None:
    released = asyncio.Event()

    async def wait(_: int) -> Reply:
        await released.wait()
        return GOOD

    job, rows = Job(ledger, Provider(wait)), Rows(100)
    running = asyncio.create_task(job.run(rows, workers=3))
    await until(lambda: job.provider.in_flight >= 3)
    await run_pending()

    assert job.provider.in_flight == 3
    assert rows.read <= 3 + 2 * 3 + 1
    released.set()
    assert await running == ["succeeded"] * 100
    assert job.provider.max_in_flight == 3


async def test_a_stop_finishes_requests_in_flight_and_records_the_rest_as_pending(
    ledger: Ledger,
) -> None:
    async def stop_at_5(number: int) -> Reply:
        if number == 5:
            job.stop.set(StopReason.SIGNAL, "SIGINT was received")
        await asyncio.sleep(0)
        return GOOD

    job = Job(ledger, Provider(stop_at_5))

    statuses = await job.run(Rows(2000))

    assert 5 <= job.provider.requests <= 8
    assert statuses.count("succeeded") == job.provider.requests == len(job.lines())
    assert statuses.count("pending") == 2000 - job.provider.requests


async def test_a_stop_before_the_first_request_keeps_the_earlier_generation(
    ledger: Ledger,
) -> None:
    failed = Outcome(Status.FAILED, error=TaskError("server", None, "busy"), cost_usd=0.01)
    for number in range(3):
        await ledger.record_sent(a_task(number), 1, attempts=1, now=NOW)
        await ledger.record_outcome(a_task(number), 1, failed)
    before = list(ledger.records())
    job = Job(ledger, rpm=0.001)
    prior = ledger.priors([a_task(0).key])[a_task(0).key]
    runner = asyncio.create_task(job.run(Rows(3, prior), workers=4))
    await until(lambda: job.provider.requests >= 1)
    await run_pending()
    job.stop.set(StopReason.SIGNAL, "")
    await runner

    assert job.provider.requests == 1
    after = list(ledger.records())
    assert after[0].outcome.status is Status.SUCCEEDED
    assert after[1:] == before[1:]


async def test_a_stop_while_workers_wait_for_the_rate_limit_leaves_tasks_pending(
    ledger: Ledger,
) -> None:
    job = Job(ledger, rpm=0.001)
    running = asyncio.create_task(job.run(Rows(20), workers=4))
    await until(lambda: job.provider.requests >= 1)
    await run_pending()
    job.stop.set(StopReason.SIGNAL, "")

    statuses = await running

    assert statuses == ["succeeded"] + ["pending"] * 19
    assert job.lines() == ["fox-0"]


async def test_a_failing_store_stops_the_run_and_other_workers_finish_their_tasks(
    ledger: Ledger,
) -> None:
    released = asyncio.Event()

    async def full_at_2(number: int) -> Reply:
        if number == 2:
            raise StorageError("cannot write: no space left")
        await released.wait()
        return GOOD

    job = Job(ledger, Provider(full_at_2))
    running = asyncio.create_task(job.run(Rows(100)))
    await until(job.stop.is_set)
    released.set()

    statuses = await running

    assert job.stop.reason is StopReason.STORAGE
    assert str(job.stop.error) == "cannot write: no space left"
    assert statuses.count("succeeded") == 3
    assert statuses.count("sent") == 1


async def test_a_failing_ledger_stops_the_run(ledger: Ledger) -> None:
    async def full_at_8(number: int) -> Reply:
        if number == 8:
            other.execute(
                "CREATE TRIGGER full BEFORE INSERT ON artifacts"
                " BEGIN SELECT raise(ABORT, 'disk is full'); END"
            )
        return GOOD

    other = sqlite3.connect(ledger.path, isolation_level=None)
    job = Job(ledger, Provider(full_at_8))
    try:
        statuses = await job.run(Rows(100), workers=2)
    finally:
        other.close()

    assert job.stop.reason is StopReason.STORAGE
    assert "cannot be written (disk is full)" in str(job.stop.error)
    assert job.provider.requests <= 10
    assert statuses.count("succeeded") == len(job.lines())
    assert statuses.count("sent") >= 1


async def test_a_manifest_that_changes_during_the_run_stops_it_and_keeps_results(
    ledger: Ledger,
) -> None:
    error = RejectedError([Problem("a.csv", 9, "empty prompt")])
    job = Job(ledger)

    statuses = await job.run(Rows(20, error=error))

    assert job.stop.error is None
    assert job.stop.reason is StopReason.MANIFEST
    assert job.stop.message == f"the manifest was changed during the run: {error}"
    assert set(statuses) <= {"succeeded", "pending"}
    assert len(statuses) == 20


async def test_an_unexpected_exception_is_raised_unchanged(ledger: Ledger) -> None:
    async def bug(number: int) -> Reply:
        if number == 3:
            raise ZeroDivisionError("a bug")
        return await succeed(number)

    job = Job(ledger, Provider(bug))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        await job.run(Rows(50))

    before = [record.outcome.status for record in ledger.records()]
    assert before.count(Status.SENT) >= 1, "the next run finds it unknown"


async def test_failures_in_a_row_of_one_kind_halt_the_run(ledger: Ledger) -> None:
    async def bad(_: int) -> Reply:
        return BAD

    job = Job(ledger, Provider(bad), halt_after=5)

    statuses = await job.run(Rows(100), workers=1)

    assert job.stop.reason is StopReason.HALT
    assert job.stop.message == "5 failures in a row: invalid_request (no such size)"
    assert statuses == ["failed"] * 5 + ["pending"] * 95


def test_a_success_or_another_kind_restarts_the_count_of_failures() -> None:
    def failed(kind: str) -> Outcome:
        return Outcome(Status.FAILED, error=TaskError(kind, None, "busy"))

    breaker = CircuitBreaker(2)
    others = (failed("server"), succeeded(), failed("server"), failed("timeout"))
    assert [breaker.add(outcome) for outcome in others] == [None] * 4
    trip = breaker.add(failed("timeout"))
    assert trip == Trip("2 failures in a row: timeout (busy)", "timeout")


async def test_a_rejected_key_halts_the_run_and_all_tasks_stay_pending(ledger: Ledger) -> None:
    async def rejecting(_: int) -> Reply:
        return HttpResponse(401, {}, b'{"error": {"message": "Invalid API key"}}')

    job = Job(ledger, Provider(rejecting))

    statuses = await job.run(Rows(100))

    assert (job.stop.reason, job.stop.message) == (StopReason.HALT, "auth (401): Invalid API key")
    assert job.provider.requests <= 4
    assert statuses == ["pending"] * 100


async def test_a_spent_budget_stops_the_run_before_it_is_exceeded(ledger: Ledger) -> None:
    job = Job(ledger, price_usd=0.25, max_cost_usd=2.0)

    statuses = await job.run(Rows(100), workers=16)

    assert (job.stop.reason, job.stop.message) == (
        StopReason.BUDGET,
        "max_cost of $2.00 is reached",
    )
    assert statuses.count("succeeded") == job.provider.requests == 8
    assert statuses.count("pending") == 92
    assert ledger.spent_usd() == 2.0


async def test_a_limit_on_requests_stops_the_run(ledger: Ledger) -> None:
    job = Job(ledger, max_requests=10)
    statuses = await job.run(Rows(30))
    assert job.stop.reason is StopReason.BUDGET
    assert statuses.count("succeeded") == job.provider.requests == 10
    assert statuses.count("pending") == 20


async def test_a_deadline_stops_the_run_and_requests_in_flight_are_finished(
    ledger: Ledger,
) -> None:
    async def after_10_s(_: int) -> Reply:
        await job.clock.sleep(10)
        return GOOD

    job = Job(ledger, Provider(after_10_s))
    running = asyncio.create_task(job.run(Rows(30), deadline_s=15))
    await until(lambda: job.provider.in_flight == 4)
    await job.clock.advance(10)
    await until(lambda: job.provider.requests == 8)
    await job.clock.advance(6)
    assert job.stop.reason is StopReason.DEADLINE
    await job.clock.advance(4)

    statuses = await running

    assert statuses == ["succeeded"] * 8 + ["pending"] * 22


async def test_a_sleep_ends_early_when_the_run_stops_and_leaves_nothing_behind() -> None:
    clock = FakeClock()
    stop = Stop(clock)
    sleeping = [asyncio.create_task(stop.sleep_until_stop(3600)) for _ in range(64)]
    cancelled = asyncio.create_task(stop.sleep_until_stop(3600))
    await run_pending()
    cancelled.cancel()
    stop.set(StopReason.SIGNAL, "first")
    stop.set(StopReason.HALT, "second")
    await asyncio.gather(*sleeping)
    await stop.sleep_until_stop(3600)
    await run_pending()

    assert cancelled.cancelled()
    assert (stop.reason, stop.message) == (StopReason.SIGNAL, "first")
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_cancelling_a_run_keeps_committed_results(ledger: Ledger) -> None:
    async def never(number: int) -> Reply:
        if number > 4:
            await asyncio.Event().wait()
        return GOOD

    job = Job(ledger, Provider(never))
    running = asyncio.create_task(job.run(Rows(50)))
    await until(lambda: job.provider.in_flight >= 4)
    await run_pending()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    statuses = [str(record.outcome.status) for record in ledger.records()]
    assert (statuses.count("succeeded"), statuses.count("sent")) == (4, 4)


# Tasks that an earlier run sent, and tasks that end without a request.


@dataclass
class UnknownRows(Rows):
    """Tasks that an earlier run sent, with unknown outcomes."""

    def items(self) -> Iterator[WorkItem | None]:
        prior = Prior(Status.UNKNOWN, "", 1, 1)
        return (WorkItem(a_task(number), 1, prior) for number in range(self.count))


async def test_resent_tasks_are_counted_without_those_that_a_stop_prevented(
    ledger: Ledger,
) -> None:
    async def stop_first(_: int) -> Reply:
        job.stop.set(StopReason.SIGNAL, "SIGINT was received")
        return GOOD

    for number in range(5):
        await ledger.record_sent(a_task(number), 1, attempts=1, now=NOW)
    job = Job(ledger, Provider(stop_first))
    await job.run(UnknownRows(5), workers=1)

    assert (job.provider.requests, job.counts.resent) == (1, 1)


async def test_a_task_with_an_outcome_is_recorded_and_not_sent(ledger: Ledger) -> None:
    skipped = Outcome(Status.SKIPPED, error=TaskError("source", None, "hero failed"))
    job = Job(ledger, price_usd=1.0, max_cost_usd=0.5)
    rows = Rows(3, ended=skipped)

    assert await job.run(rows) == ["skipped"] * 3
    assert (job.provider.requests, job.counts.skipped, job.counts.cost_usd) == (0, 3, 0.0)
    assert len(job.lines()) == 3
    assert sorted(rows.done) == [(f"fox-{n}", Status.SKIPPED) for n in range(3)]
    assert not job.stop.is_set()


async def test_a_task_left_to_a_later_run_is_recorded_as_pending(ledger: Ledger) -> None:
    job = Job(ledger)
    rows = Rows(3, ended=Outcome(Status.PENDING))
    assert await job.run(rows) == ["pending"] * 3
    assert (job.provider.requests, job.counts.pending, job.lines()) == (0, 3, [])


async def test_a_task_is_marked_done_after_its_commit(ledger: Ledger) -> None:
    committed = []

    @dataclass
    class Reading(Rows):
        def mark_done(self, work: WorkItem, outcome: Outcome | None) -> None:
            super().mark_done(work, outcome)
            committed.append(ledger.priors([work.task.key])[work.task.key].status)

    rows = Reading(20)
    await Job(ledger).run(rows)
    assert committed == [Status.SUCCEEDED] * 20
    assert {status for _, status in rows.done} == {Status.SUCCEEDED}


async def test_every_task_is_marked_done_although_the_run_stops(ledger: Ledger) -> None:
    async def stop_at_5(number: int) -> Reply:
        if number == 5:
            job.stop.set(StopReason.SIGNAL, "SIGINT was received")
        await asyncio.sleep(0)
        return GOOD

    job, rows = Job(ledger, Provider(stop_at_5)), Rows(100)
    await job.run(rows)
    assert len({task_id for task_id, _ in rows.done}) == len(rows.done) == 100
    assert {status for _, status in rows.done} == {None, Status.SUCCEEDED}
