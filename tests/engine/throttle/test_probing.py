"""One request tries whether waiting helps, while the others of the model wait."""

import asyncio
from collections.abc import Callable
from itertools import pairwise

import pytest

from batchgen.engine.stop import Stop, StopReason
from batchgen.engine.throttle import Bounds, Throttle
from batchgen.types import Decision, HttpResponse, Verb
from tests.given import FakeClock

MODEL = "dall-e-2"
IN_DOUBT = Decision(Verb.RETRY, "rate_limited", http_status=429, hold=True, probe=True)
REFUSED = Decision(Verb.RETRY, "rate_limited", http_status=429, hold=True)
ACCEPTED = Decision(Verb.ACCEPT, http_status=200)


class Provider:
    """Answers the requests of many workers; each works until its request is accepted.

    decide: returns the decision about a request by the time at which it is sent, in seconds.
    """

    def __init__(self, clock: FakeClock, decide: Callable[[float], Decision]) -> None:
        self.clock = clock
        self.decide = decide
        self.stop = Stop(clock)
        self.sent_at: list[float] = []
        self.refused_at: list[float] = []
        self.accepted = 0
        self.latency_s = 0.5
        self.halted: tuple[str, str] | None = None
        self.throttle = Throttle(
            bounds=lambda _: Bounds(16, None),
            monotonic=clock.monotonic,
            sleep=self.stop.sleep_until_stop,
            stopping=self.stop.is_set,
        )
        self.tasks: list[asyncio.Task[None]] = []

    async def serve(self, workers: int, seconds: float) -> None:
        self.tasks = [asyncio.create_task(self._work()) for _ in range(workers)]
        await self.clock.advance(seconds)
        self.stop.set(StopReason.SIGNAL, "")
        await asyncio.gather(*self.tasks)

    async def _work(self) -> None:
        while not self.stop.is_set():
            ticket = await self.throttle.acquire(MODEL)
            if self.stop.is_set():
                return
            self.sent_at.append(self.clock.monotonic())
            decision = self.decide(self.clock.monotonic())
            await self.stop.sleep_until_stop(self.latency_s)
            reply = HttpResponse(decision.http_status or 0, {}, b"")
            self.throttle.record(MODEL, ticket, reply, decision)
            if decision.verb is Verb.ACCEPT:
                self.accepted += 1
                return
            self.refused_at.append(self.clock.monotonic())
            if reason := self.throttle.reason_to_halt(MODEL):
                self.halted = reason
                self.stop.set(StopReason.HALT, reason[1])
            await self.stop.sleep_until_stop(decision.after_s or 0.05)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def test_spent_credit_in_doubtful_words_costs_the_requests_in_flight_and_few_probes(
    clock: FakeClock,
) -> None:
    provider = Provider(clock, lambda _: IN_DOUBT)
    await provider.serve(16, 200)

    assert provider.halted is not None
    assert provider.halted[0] == "quota"
    assert clock.monotonic() >= 45
    assert sum(at >= provider.refused_at[0] for at in provider.sent_at) <= 7  # probes


async def test_probes_are_sent_one_at_a_time_with_growing_waits(clock: FakeClock) -> None:
    provider = Provider(clock, lambda _: IN_DOUBT)
    await provider.serve(16, 200)

    probes = [at for at in provider.sent_at if at > provider.refused_at[0]]
    gaps = [later - sooner for sooner, later in pairwise(probes)]
    assert all(gap >= 1 for gap in gaps)
    assert gaps[-1] >= 16


async def test_a_window_that_is_called_a_quota_passes_and_all_go_on(clock: FakeClock) -> None:
    provider = Provider(clock, lambda now: ACCEPTED if now > 40 else IN_DOUBT)
    await provider.serve(16, 120)

    assert provider.halted is None
    assert provider.accepted == 16
    assert sum(provider.refused_at[0] <= at <= 40 for at in provider.sent_at) <= 6


async def test_credit_that_ends_in_mid_run_is_probed_although_earlier_requests_are_accepted(
    clock: FakeClock,
) -> None:
    """Slow replies to requests that were sent while there was credit do not open the gate."""
    provider = Provider(clock, lambda now: ACCEPTED if now <= 1 else IN_DOUBT)
    provider.latency_s = 5
    await provider.serve(64, 400)

    assert provider.halted is not None
    assert provider.accepted == sum(at <= 1 for at in provider.sent_at)
    refused = len(provider.sent_at) - provider.accepted
    assert refused <= 16 + 14  # in flight, and probes of two minutes


async def test_a_model_that_refuses_without_end_halts_after_a_quarter_of_an_hour(
    clock: FakeClock,
) -> None:
    provider = Provider(clock, lambda _: REFUSED)
    await provider.serve(4, 1200)

    assert provider.halted is not None
    kind, message = provider.halted
    assert kind == "rate_limited"
    assert "quarter of an hour" in message
    assert 900 <= max(provider.refused_at) < 1000


async def test_a_window_of_ten_minutes_halts_nothing(clock: FakeClock) -> None:
    provider = Provider(clock, lambda now: ACCEPTED if now > 600 else REFUSED)
    await provider.serve(4, 1200)

    assert provider.halted is None
    assert provider.accepted == 4
