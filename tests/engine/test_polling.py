"""Waiting for what the provider works on: intervals, back-off, deadline."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from batchgen.engine.polling import result_of, unless_leaving
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
from tests.given import FakeClock, settle

POLLING = Polling(first_s=10, interval_s=15, deadline_s=100)
GOES_ON = Decision(Verb.ACCEPT, result=Pending("7"))
DONE = Decision(Verb.ACCEPT, result=Finished((RemotePayload("https://cdn/a.mp4"),)))
BUSY = Decision(Verb.RETRY, "server", message="busy")
MISSING = Decision(Verb.RETRY, "expired", attempts=3)


@dataclass
class Provider:
    """Answers in turn, the last answer for ever; time passes while it is waited for."""

    answers: Sequence[Decision]
    leave_after: int | None = None
    asked_at: list[float] = field(default_factory=list)
    clock: FakeClock = field(default_factory=FakeClock)

    async def ask(self) -> Decision:
        self.asked_at.append(self.clock.seconds)
        return self.answers[min(len(self.asked_at), len(self.answers)) - 1]

    async def wait(self, seconds: float) -> None:
        self.clock.seconds += seconds

    def leaving(self) -> bool:
        return self.leave_after is not None and len(self.asked_at) >= self.leave_after

    async def result(self, after_s: float = 10) -> Decision:
        return await result_of(
            self.ask, POLLING, after_s=after_s, clock=self.clock, wait=self.wait,
            leaving=self.leaving,
        )  # fmt: skip


async def test_it_is_asked_first_after_its_time_and_then_at_the_interval() -> None:
    provider = Provider([GOES_ON, GOES_ON, DONE])
    assert await provider.result() is DONE
    assert provider.asked_at == [10, 25, 40]


async def test_a_provider_that_names_the_next_time_is_obeyed() -> None:
    after_40 = Decision(Verb.ACCEPT, after_s=40, result=Pending("7"))
    provider = Provider([after_40, DONE])
    await provider.result(after_s=0)
    assert provider.asked_at == [0, 40]


async def test_errors_are_asked_again_with_growing_waits_that_a_good_reply_ends() -> None:
    provider = Provider([BUSY, BUSY, GOES_ON, DONE])
    assert await provider.result(after_s=0) is DONE
    assert provider.asked_at == [0, 30, 90, 100]


async def test_a_job_that_is_not_there_fails_after_some_questions() -> None:
    provider = Provider([MISSING])
    found = await provider.result(after_s=0)
    assert (found.verb, found.kind) == (Verb.FAIL, "expired")
    assert len(provider.asked_at) == 3


@pytest.mark.parametrize("last", [GOES_ON, BUSY])
async def test_at_the_deadline_it_is_asked_once_more_and_left_to_the_next_run(
    last: Decision,
) -> None:
    provider = Provider([last])
    found = await provider.result()
    assert (found.verb, found.kind, found.result) == (Verb.RETRY, "timeout", None)
    assert found.message.startswith("no result after 100 s; the next run asks for it again")
    assert provider.asked_at[-1] == 100


async def test_a_run_that_leaves_does_not_ask() -> None:
    provider = Provider([GOES_ON], leave_after=2)
    found = await provider.result()
    assert (found.verb, found.kind) == (Verb.HALT, STOPPING)
    assert len(provider.asked_at) == 2


@pytest.mark.parametrize("verb", [Verb.FAIL, Verb.REFUSE, Verb.HALT])
async def test_what_is_final_is_returned_at_once(verb: Verb) -> None:
    answer = Decision(verb, "remote_failed")
    assert await Provider([answer]).result() is answer


async def test_an_answer_that_the_server_holds_back_is_left_when_the_run_leaves() -> None:
    cancelled = asyncio.Event()
    leaving = asyncio.Event()

    async def held_back() -> Reply:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    async def wait(_: float) -> None:
        await leaving.wait()

    asking = asyncio.create_task(unless_leaving(held_back(), wait))
    await settle()
    assert not asking.done()
    leaving.set()
    assert await asking is None
    assert cancelled.is_set()


async def test_an_answer_that_comes_ends_the_waiting_and_an_error_is_told_as_it_is() -> None:
    answer = HttpResponse(200, {}, b"{}")

    async def comes() -> Reply:
        return answer

    async def fails() -> Reply:
        raise StorageError("the disk is full")

    clock = FakeClock()
    assert await unless_leaving(comes(), clock.sleep) is answer
    with pytest.raises(StorageError, match="the disk is full"):
        await unless_leaving(fails(), clock.sleep)
