"""Remote jobs: they occupy no worker while they wait, and a later run fetches their results."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

import pytest

from batchgen.engine.stop import StopReason
from batchgen.storage.ledger import Ledger
from batchgen.types import (
    Artifact,
    GeneratedPayload,
    HttpRequest,
    HttpResponse,
    Outcome,
    Reply,
    Spooled,
    Status,
    WorkItem,
)
from tests.engine.test_runner import Job
from tests.given import FakeClock, a_ledger, a_task, run_pending, until

JOB_S = 40.0
FILE = Spooled("1.part", 99, "a" * 64, b"\0\0\0\x18ftypmp42\0\0\0\0")


@dataclass
class VideoProvider:
    """A provider whose remote jobs take 40 seconds; also the store."""

    clock: FakeClock
    submitted: dict[str, float] = field(default_factory=dict)
    polls: list[str] = field(default_factory=list)

    async def send(self, request: HttpRequest, idempotency_key: str) -> Reply:
        if request.method == "POST":
            assert idempotency_key not in self.submitted, "submitted twice"
            self.submitted[idempotency_key] = self.clock.seconds
            return _json({"id": idempotency_key, "status": "queued"})
        remote_id = unquote(request.path.partition("generation_id=")[2])
        self.polls.append(remote_id)
        if self.clock.seconds < self.submitted[remote_id] + JOB_S:
            return _json({"id": remote_id, "status": "generating"})
        return _json({"status": "completed", "video": {"url": f"https://cdn/{remote_id}.mp4"}})

    async def fetch(self, url: str) -> Reply:
        assert url.startswith("https://cdn/")
        return HttpResponse(200, {}, b"", (FILE,))

    async def publish(self, payload: Spooled | GeneratedPayload, filename: str, n: int) -> Artifact:
        assert isinstance(payload, Spooled)
        return Artifact(filename, payload.size_bytes, payload.sha256, "video/mp4", None, n)

    def confirm(self, artifacts: Iterable[Artifact]) -> None:
        """Nothing was written."""

    def discard(self, spooled: Spooled) -> None:
        raise NotImplementedError(spooled)


@dataclass
class Videos:
    """Video tasks with their rows in the ledger."""

    count: int
    ledger: Ledger

    def items(self) -> Iterator[WorkItem | None]:
        for number in range(self.count):
            task = a_task(number, endpoint="video", model="veo2", params={})
            yield WorkItem(task, 1, self.ledger.priors([task.key]).get(task.key))

    def mark_done(self, work: WorkItem, outcome: Outcome | None) -> None:
        """No other task depends on it."""


def videos(count: int, job: Job) -> Any:
    return Videos(count, job.ledger)


def _json(body: object) -> HttpResponse:
    return HttpResponse(200, {}, json.dumps(body).encode())


@pytest.fixture
async def job(tmp_path: Path) -> AsyncIterator[Job]:
    with a_ledger(tmp_path) as ledger:
        clock = FakeClock()
        yield Job(ledger, cast("Any", VideoProvider(clock)), clock)


def video_provider(job: Job) -> VideoProvider:
    provider: object = job.provider
    assert isinstance(provider, VideoProvider)
    return provider


def next_run(job: Job) -> Job:
    return Job(job.ledger, job.provider, job.clock, price_usd=job.price_usd)


async def started(job: Job, count: int, *, submitted: int) -> "asyncio.Task[list[str]]":
    running = asyncio.create_task(job.run(videos(count, job)))
    await until(lambda: len(video_provider(job).submitted) >= submitted)
    await run_pending()
    return running


async def finished(job: Job, running: "asyncio.Task[list[str]]") -> list[str]:
    """Advance the clock until the run has ended, and let the ledger's thread commit."""
    while not running.done():
        await job.clock.advance(1)
        await asyncio.sleep(0.001)
    return await running


async def test_many_more_jobs_wait_than_there_are_workers(job: Job) -> None:
    running = await started(job, 100, submitted=100)
    await job.clock.advance(30)
    assert len(video_provider(job).submitted) == 100, "by four workers, while no job is done"
    assert await finished(job, running) == ["succeeded"] * 100


async def test_no_more_jobs_wait_than_there_are_slots(job: Job) -> None:
    job.pending = 3
    running = await started(job, 7, submitted=3)
    await job.clock.advance(30)
    assert len(video_provider(job).submitted) == 3
    assert await finished(job, running) == ["succeeded"] * 7
    assert sorted(video_provider(job).submitted.values())[3] >= JOB_S


async def test_a_signal_abandons_jobs_and_the_next_run_fetches_without_sending(job: Job) -> None:
    running = await started(job, 20, submitted=20)
    job.stop.set(StopReason.SIGNAL, "SIGINT was received")

    assert await running == ["submitted"] * 20
    assert job.counts.submitted == 20
    assert job.lines() == []

    job.clock.seconds += JOB_S
    assert await next_run(job).run(videos(20, job)) == ["succeeded"] * 20
    assert len(video_provider(job).submitted) == 20


async def test_a_spent_budget_still_waits_for_paid_jobs(job: Job) -> None:
    job.price_usd, job.max_cost_usd = 1.0, 3.0
    running = await started(job, 5, submitted=3)
    statuses = await finished(job, running)
    assert job.stop.reason is StopReason.BUDGET
    assert statuses == ["succeeded"] * 3 + ["pending"] * 2


async def test_submitted_jobs_are_fetched_although_the_budget_is_spent(job: Job) -> None:
    job.price_usd = 1.0
    running = await started(job, 4, submitted=4)
    job.stop.set(StopReason.SIGNAL, "")
    await running
    job.clock.seconds += JOB_S
    limited = next_run(job)
    limited.max_cost_usd = 1.0

    await limited.run(videos(6, job))

    assert len(video_provider(job).submitted) == 4
    assert job.ledger.totals().counts[Status.SUCCEEDED] == 4
