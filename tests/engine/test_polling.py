"""Polling of remote jobs: intervals, back-off, deadline."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from batchgen.engine.polling import poll_until_done, send_unless_abandoned
from batchgen.errors import StorageError
from batchgen.types import (
    STOPPING,
    Decision,
    Finished,
    HttpResponse,
    Pending,
    Polling,
    RemotePayload,
    Reply,
    Verb,
)
from tests.given import FakeClock, run_pending

POLLING = Polling(first_s=10, interval_s=15, deadline_s=100)
UNFINISHED = Decision(Verb.ACCEPT, result=Pending("7"))
DONE = Decision(Verb.ACCEPT, result=Finished((RemotePayload("https://cdn/a.mp4"),)))
BUSY = Decision(Verb.RETRY, "server", message="busy")
MISSING = Decision(Verb.RETRY, "expired", attempts=3)


@dataclass
class Provider:
    """Replies with each decision in turn, then with the last one; waiting advances the clock."""

    decisions: Sequence[Decision]
    abandon_after: int | None = None
    polled_at: list[float] = field(default_factory=list)
    clock: FakeClock = field(default_factory=FakeClock)

    async def poll(self) -> Decision:
        self.polled_at.append(self.clock.seconds)
        return self.decisions[min(len(self.polled_at), len(self.decisions)) - 1]

    async def wait(self, seconds: float) -> None:
        self.clock.seconds += seconds

    def is_abandoned(self) -> bool:
        return self.abandon_after is not None and len(self.polled_at) >= self.abandon_after

    async def result(self, after_s: float = 10) -> Decision:
        return await poll_until_done(
            self.poll, POLLING, after_s=after_s, clock=self.clock, wait=self.wait,
            is_abandoned=self.is_abandoned,
        )  # fmt: skip


async def test_the_first_poll_has_its_own_delay_and_further_ones_the_interval() -> None:
    provider = Provider([UNFINISHED, UNFINISHED, DONE])
    assert await provider.result() is DONE
    assert provider.polled_at == [10, 25, 40]


async def test_a_delay_that_the_provider_names_replaces_the_interval() -> None:
    after_40 = Decision(Verb.ACCEPT, after_s=40, result=Pending("7"))
    provider = Provider([after_40, DONE])
    await provider.result(after_s=0)
    assert provider.polled_at == [0, 40]


async def test_failed_polls_double_the_interval_until_a_good_reply() -> None:
    provider = Provider([BUSY, BUSY, UNFINISHED, DONE])
    assert await provider.result(after_s=0) is DONE
    assert provider.polled_at == [0, 30, 90, 100]


async def test_a_job_that_is_not_found_is_left_to_the_next_run_after_some_polls() -> None:
    provider = Provider([MISSING])
    last_decision = await provider.result(after_s=0)
    assert (last_decision.verb, last_decision.kind) == (Verb.RETRY, "expired")
    assert "the next run asks for the job again" in last_decision.message
    assert len(provider.polled_at) == 3


@pytest.mark.parametrize("kind", ["auth", "quota", "blocked"])
async def test_an_account_that_is_refused_several_times_in_a_row_halts_the_run(kind: str) -> None:
    refused = Decision(Verb.RETRY, kind, after_s=1, attempts=5)
    busy = Decision(Verb.RETRY, "server", after_s=1)
    once = Provider([*[refused] * 4, busy, *[refused] * 4, DONE])
    assert (await once.result(after_s=0)).verb is Verb.ACCEPT
    always = Provider([refused])
    assert (await always.result(after_s=0)).verb is Verb.HALT
    assert len(always.polled_at) == 5


@pytest.mark.parametrize("last", [UNFINISHED, BUSY])
async def test_at_the_deadline_a_job_is_polled_once_more_and_left_to_the_next_run(
    last: Decision,
) -> None:
    provider = Provider([last])
    last_decision = await provider.result()
    assert (last_decision.verb, last_decision.kind, last_decision.result) == (
        Verb.RETRY,
        "timeout",
        None,
    )
    assert last_decision.message.startswith("no result after 100 s; the next run asks for it again")
    assert provider.polled_at[-1] == 100


async def test_a_run_that_abandons_remote_jobs_stops_polling() -> None:
    provider = Provider([UNFINISHED], abandon_after=2)
    last_decision = await provider.result()
    assert (last_decision.verb, last_decision.kind) == (Verb.HALT, STOPPING)
    assert len(provider.polled_at) == 2


@pytest.mark.parametrize("verb", [Verb.FAIL, Verb.REFUSE, Verb.HALT])
async def test_a_final_decision_is_returned_without_another_poll(verb: Verb) -> None:
    final = Decision(verb, "remote_failed")
    assert await Provider([final]).result() is final


async def test_a_long_poll_is_cancelled_when_the_run_abandons_remote_jobs() -> None:
    cancelled = asyncio.Event()
    abandoned = asyncio.Event()

    async def long_poll() -> Reply:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    async def wait(_: float) -> None:
        await abandoned.wait()

    sending = asyncio.create_task(send_unless_abandoned(long_poll(), wait))
    await run_pending()
    assert not sending.done()
    abandoned.set()
    assert await sending is None
    assert cancelled.is_set()


async def test_a_long_poll_returns_its_reply_and_raises_its_error_unchanged() -> None:
    response = HttpResponse(200, {}, b"{}")

    async def succeeds() -> Reply:
        return response

    async def fails() -> Reply:
        raise StorageError("the disk is full")

    clock = FakeClock()
    assert await send_unless_abandoned(succeeds(), clock.sleep) is response
    with pytest.raises(StorageError, match="the disk is full"):
        await send_unless_abandoned(fails(), clock.sleep)
