"""The gate of a model, with a fake clock."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.engine.stop import Stop, StopReason
from batchgen.engine.throttle import Bounds, Throttle, Ticket
from batchgen.types import Decision, HttpResponse, Verb
from tests.given import FakeClock, run_pending


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


class Workers:
    """Workers that each send one request of a model."""

    def __init__(
        self,
        clock: FakeClock,
        *,
        rpm: float | None,
        images_per_minute: float | None = None,
        concurrency: int = 64,
    ) -> None:
        self.stop = Stop(clock)
        self.tickets: list[Ticket] = []
        self.throttle = Throttle(
            bounds=lambda _: Bounds(concurrency, rpm, images_per_minute),
            monotonic=clock.monotonic,
            sleep=self.stop.sleep_until_stop,
            stopping=self.stop.is_set,
        )
        self.sent_at: list[float] = []
        self.headers: dict[str, str] = {}
        self._clock = clock
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, count: int, model: str = "dall-e-2", images: int = 1) -> None:
        self._tasks += [asyncio.create_task(self._send(model, images)) for _ in range(count)]

    def reply(self, number: int, status: int, after_s: float | None = None) -> bool:
        """Reply to the request with this number, in the order of sending."""
        kind = "rate_limited" if status == 429 else "server"
        decision = Decision(Verb.RETRY, kind, hold=status == 429, after_s=after_s)
        if status == 200:
            decision = Decision(Verb.ACCEPT)
        reply = HttpResponse(status, self.headers, b"")
        return self.throttle.record("dall-e-2", self.tickets[number], reply, decision)

    async def _send(self, model: str, images: int) -> None:
        self.tickets.append(await self.throttle.acquire(model, images))
        self.sent_at.append(self._clock.monotonic())

    async def stop_all(self) -> None:
        self.stop.set(StopReason.SIGNAL, "")
        await asyncio.gather(*self._tasks)


async def test_requests_are_spaced_evenly_from_the_first_on(clock: FakeClock) -> None:
    workers = Workers(clock, rpm=120)
    workers.start(64)
    await clock.advance(10)

    assert workers.sent_at == [pytest.approx(0.5 * number) for number in range(21)]
    await workers.stop_all()


async def test_unused_time_slots_are_not_made_up_for(clock: FakeClock) -> None:
    workers = Workers(clock, rpm=60)
    await clock.advance(100)
    workers.start(3)
    await clock.advance(10)
    assert workers.sent_at == [100, 101, 102]


async def test_without_a_limit_5_requests_start_together_and_the_others_soon_after(
    clock: FakeClock,
) -> None:
    workers = Workers(clock, rpm=None)
    workers.start(64)
    await run_pending()
    assert workers.sent_at == [0] * 5
    await clock.advance(0.5)
    assert len(workers.sent_at) == 64


async def test_until_a_request_is_accepted_5_are_in_flight_for_a_fifth_of_a_second(
    clock: FakeClock,
) -> None:
    workers = Workers(clock, rpm=None)
    workers.start(64)
    await clock.advance(0.19)
    assert len(workers.sent_at) == 5
    await clock.advance(0.12)
    assert len(workers.sent_at) == 64


async def test_an_accepted_request_ends_the_slow_start(clock: FakeClock) -> None:
    workers = Workers(clock, rpm=None)
    workers.start(64)
    await clock.advance(0.02)
    workers.reply(0, 200)
    await clock.advance(0.1)
    assert len(workers.sent_at) == 64


async def test_a_hold_keeps_every_worker_for_the_time_given_and_no_longer(
    clock: FakeClock,
) -> None:
    workers = Workers(clock, rpm=None)
    workers.throttle.hold("dall-e-2", 7)
    workers.start(5)
    await clock.advance(6.9)
    assert workers.sent_at == []
    await clock.advance(1)
    assert workers.sent_at == [7] * 5


async def test_after_a_hold_requests_are_spaced_without_a_burst(clock: FakeClock) -> None:
    workers = Workers(clock, rpm=60)
    workers.start(10)
    await clock.advance(2.5)
    workers.throttle.hold("dall-e-2", 30)
    await clock.advance(100)

    before, after = workers.sent_at[:3], workers.sent_at[3:]
    assert before == [0, 1, 2]
    assert after[0] == 32.5
    assert all(later - sooner >= 1 for sooner, later in pairwise(after))
    assert len(after) == 7


async def test_a_hold_of_one_model_does_not_hold_others(clock: FakeClock) -> None:
    workers = Workers(clock, rpm=None)
    workers.throttle.hold("dall-e-2", 7)
    workers.start(1, "dall-e-2")
    workers.start(2, "flux/schnell")
    await run_pending()
    assert workers.sent_at == [0, 0]
    await workers.stop_all()


async def test_the_longest_hold_counts_and_only_a_longer_one_is_reported(clock: FakeClock) -> None:
    workers = Workers(clock, rpm=None)
    assert workers.throttle.hold("dall-e-2", 10)
    assert not workers.throttle.hold("dall-e-2", 3)
    await clock.advance(4)
    assert workers.throttle.hold("dall-e-2", 7)
    workers.start(1)
    await clock.advance(60)
    assert workers.sent_at == [11]


async def test_a_stop_releases_every_worker_immediately(clock: FakeClock) -> None:
    workers = Workers(clock, rpm=1)
    workers.throttle.hold("dall-e-2", 3600)
    workers.start(64)
    await run_pending()
    await workers.stop_all()
    assert workers.sent_at == [0] * 64


@given(
    holds=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 20)), max_size=5),
    rpm=st.sampled_from([30, 60, 600]),
)
def test_no_request_is_sent_during_a_hold_or_faster_than_the_rate(
    holds: Sequence[tuple[int, int]], rpm: int
) -> None:
    async def run() -> list[float]:
        clock = FakeClock()
        workers = Workers(clock, rpm=rpm)
        workers.start(20)
        for second in range(41):
            for at, seconds in holds:
                if at == second:
                    workers.throttle.hold("dall-e-2", seconds + 0.5)
            await clock.advance(1)
        await clock.advance(1000)
        return workers.sent_at

    sent_at = asyncio.run(run())

    assert len(sent_at) == 20
    gaps = [later - sooner for sooner, later in pairwise(sent_at)]
    assert all(gap >= 60 / rpm - 1e-9 for gap in gaps)
    for at, seconds in holds:
        assert not any(at < moment < at + seconds + 0.5 for moment in sent_at)


async def test_after_a_429_requests_are_not_sent_all_at_once(clock: FakeClock) -> None:
    workers = Workers(clock, rpm=None)
    workers.start(40)
    await run_pending()
    for number in range(5):
        workers.reply(number, 429 if number else 200, after_s=2)
    workers.sent_at.clear()
    await clock.advance(80)

    assert len(workers.sent_at) == 35
    assert workers.sent_at[0] >= 2
    gaps = [later - sooner for sooner, later in pairwise(workers.sent_at)]
    assert min(gaps) > 1


async def test_one_retry_after_is_reported_once(clock: FakeClock) -> None:
    workers = Workers(clock, rpm=None)
    workers.start(5)
    await run_pending()
    assert [workers.reply(number, 429, after_s=5) for number in range(5)] == [True] + [False] * 4
    await workers.stop_all()


async def test_images_are_spaced_by_their_number(clock: FakeClock) -> None:
    workers = Workers(clock, rpm=None, images_per_minute=60)
    workers.start(3, images=4)
    await clock.advance(30)
    assert workers.sent_at == [0, 4, 8]


async def test_at_most_concurrency_requests_of_a_model_are_in_flight(clock: FakeClock) -> None:
    workers = Workers(clock, rpm=None, concurrency=3)
    workers.start(5)
    await clock.advance(60)
    assert len(workers.sent_at) == 3
    workers.reply(0, 200)
    await run_pending()
    assert len(workers.sent_at) == 4
    await workers.stop_all()


async def test_an_overloaded_server_gets_fewer_requests_but_a_single_503_changes_nothing(
    clock: FakeClock,
) -> None:
    workers = Workers(clock, rpm=None, concurrency=10)
    workers.start(10)
    await clock.advance(0.3)
    workers.reply(0, 503)
    workers.start(1)
    await clock.advance(0.1)
    assert len(workers.sent_at) == 11
    for number in range(1, 8):
        workers.reply(number, 503)
    workers.start(7)
    await run_pending()
    assert len(workers.sent_at) < 15
    await workers.stop_all()


async def test_rate_limit_headers_set_the_rate_before_any_refusal(clock: FakeClock) -> None:
    workers = Workers(clock, rpm=None)
    workers.headers = {
        "x-ratelimit-limit-requests": "120",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1m0s",
    }
    workers.start(1)
    await run_pending()
    workers.reply(0, 200)
    workers.start(11)
    await clock.advance(60)
    first, last = workers.sent_at[1], workers.sent_at[-1]
    assert 4 < last - first < 5.5


async def test_new_limits_apply_to_waiting_requests(clock: FakeClock) -> None:
    workers = Workers(clock, rpm=1)
    workers.start(11)
    await clock.advance(10)
    assert len(workers.sent_at) == 1
    workers.throttle.set_limits(lambda _: Bounds(64, 600))
    await clock.advance(1)
    assert len(workers.sent_at) == 11
    assert workers.sent_at[:3] == [0, 10, 10.1]


async def test_the_bottleneck_is_described_for_people(clock: FakeClock) -> None:
    workers = Workers(clock, rpm=120)
    assert workers.throttle.bottleneck() is None
    workers.start(4)
    await clock.advance(0.1)
    assert workers.throttle.bottleneck() == "rpm 120"
    workers.reply(0, 429, 30)
    await clock.advance(0.1)
    assert workers.throttle.bottleneck() is None  # the closed gate was reported
    await workers.stop_all()

    narrow = Workers(clock, rpm=None, concurrency=2)
    narrow.start(3)
    await clock.advance(1)
    assert narrow.throttle.bottleneck() == "concurrency 2"
    narrow.reply(0, 200)
    await clock.advance(1)
    assert narrow.throttle.bottleneck() is None
    await narrow.stop_all()


async def test_a_reaction_to_refusals_is_logged_once(clock: FakeClock) -> None:
    workers = Workers(clock, rpm=None)
    assert workers.throttle.message_to_log("dall-e-2") is None
    workers.start(16)
    await clock.advance(0.3)
    for number in range(8):
        workers.reply(number, 200)
    workers.reply(8, 429, 5)
    assert workers.throttle.message_to_log("dall-e-2") == (
        "slowed to 90.5 requests/min, the rate the provider accepts"
    )
    workers.reply(9, 429, 5)
    assert workers.throttle.message_to_log("dall-e-2") is None


async def test_a_long_wait_for_the_rate_is_reported_once_with_its_length(clock: FakeClock) -> None:
    reported: list[tuple[str, float]] = []
    stop = Stop(clock)
    throttle = Throttle(
        bounds=lambda _: Bounds(8, None),
        monotonic=clock.monotonic,
        sleep=stop.sleep_until_stop,
        stopping=stop.is_set,
        on_long_wait=lambda model, seconds: reported.append((model, seconds)),
    )
    limit = {"x-ratelimit-limit-requests": "1", "x-ratelimit-remaining-requests": "0"}
    reply = HttpResponse(200, {**limit, "x-ratelimit-reset-requests": "24h"}, b"")
    tickets = [await throttle.acquire("dall-e-2") for _ in range(3)]
    throttle.record("dall-e-2", tickets[0], reply, Decision(Verb.ACCEPT))
    tickets.append(await throttle.acquire("dall-e-2"))  # the rate is known now, its time is later
    waiting = asyncio.create_task(throttle.acquire("dall-e-2"))
    await clock.advance(1)
    for ticket in tickets[1:]:  # each reply wakes the request that waits
        throttle.record("dall-e-2", ticket, reply, Decision(Verb.ACCEPT))
        await clock.advance(1)

    [(model, seconds)] = reported
    assert model == "dall-e-2"
    assert 86_400 <= seconds < 88_000
    stop.set(StopReason.SIGNAL, "")
    await waiting


async def test_a_wait_that_many_replies_ask_for_is_reported_once(clock: FakeClock) -> None:
    workers = Workers(clock, rpm=None)
    workers.start(4)
    await run_pending()
    reported = []
    for number in range(4):
        reported.append(workers.reply(number, 429, after_s=3600))
        await clock.advance(0.2)
    assert reported == [True, False, False, False]
    await workers.stop_all()
