"""The pace of the requests of a model, with a clock that a test holds in its hand."""

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


class Crowd:
    """Workers that all want to send a request of a model."""

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
            sleep=self.stop.sleep,
            stopping=self.stop.is_set,
        )
        self.admitted: list[float] = []
        self.headers: dict[str, str] = {}
        self._clock = clock
        self._tasks: list[asyncio.Task[None]] = []

    def come(self, count: int, model: str = "dall-e-2", images: int = 1) -> None:
        self._tasks += [asyncio.create_task(self._admit(model, images)) for _ in range(count)]

    def hear(self, number: int, status: int, after_s: float | None = None) -> bool:
        """The reply to the request that went out as the given one."""
        kind = "rate_limited" if status == 429 else "server"
        decision = Decision(Verb.RETRY, kind, hold=status == 429, after_s=after_s)
        if status == 200:
            decision = Decision(Verb.ACCEPT)
        reply = HttpResponse(status, self.headers, b"")
        return self.throttle.hear("dall-e-2", self.tickets[number], reply, decision)

    async def _admit(self, model: str, images: int) -> None:
        self.tickets.append(await self.throttle.admit(model, images))
        self.admitted.append(self._clock.monotonic())

    async def leave(self) -> None:
        self.stop.set(StopReason.SIGNAL, "")
        await asyncio.gather(*self._tasks)


async def test_requests_are_spaced_evenly_from_the_first_on(clock: FakeClock) -> None:
    crowd = Crowd(clock, rpm=120)
    crowd.come(64)
    await clock.advance(10)

    assert crowd.admitted == [pytest.approx(0.5 * number) for number in range(21)]
    await crowd.leave()


async def test_time_in_which_nobody_came_is_not_made_up_for(clock: FakeClock) -> None:
    crowd = Crowd(clock, rpm=60)
    await clock.advance(100)
    crowd.come(3)
    await clock.advance(10)
    assert crowd.admitted == [100, 101, 102]


async def test_without_a_pace_a_few_go_at_once_and_the_others_soon_after(clock: FakeClock) -> None:
    crowd = Crowd(clock, rpm=None)
    crowd.come(64)
    await run_pending()
    assert crowd.admitted == [0] * 16
    await clock.advance(1)
    assert len(crowd.admitted) == 64


async def test_a_hold_keeps_every_waiter_for_as_long_as_asked_and_no_longer(
    clock: FakeClock,
) -> None:
    crowd = Crowd(clock, rpm=None)
    crowd.throttle.hold("dall-e-2", 7)
    crowd.come(16)
    await clock.advance(6.9)
    assert crowd.admitted == []
    await clock.advance(1)
    assert crowd.admitted == [7] * 16


async def test_after_a_hold_the_pace_goes_on_without_a_burst(clock: FakeClock) -> None:
    crowd = Crowd(clock, rpm=60)
    crowd.come(10)
    await clock.advance(2.5)
    crowd.throttle.hold("dall-e-2", 30)
    await clock.advance(100)

    before, after = crowd.admitted[:3], crowd.admitted[3:]
    assert before == [0, 1, 2]
    assert after[0] == 32.5
    assert all(later - sooner >= 1 for sooner, later in pairwise(after))
    assert len(after) == 7


async def test_a_hold_of_one_model_leaves_the_others_alone(clock: FakeClock) -> None:
    crowd = Crowd(clock, rpm=None)
    crowd.throttle.hold("dall-e-2", 7)
    crowd.come(1, "dall-e-2")
    crowd.come(2, "flux/schnell")
    await run_pending()
    assert crowd.admitted == [0, 0]
    await crowd.leave()


async def test_the_longest_hold_counts_and_only_a_longer_one_is_told(clock: FakeClock) -> None:
    crowd = Crowd(clock, rpm=None)
    assert crowd.throttle.hold("dall-e-2", 10)
    assert not crowd.throttle.hold("dall-e-2", 3)
    await clock.advance(4)
    assert crowd.throttle.hold("dall-e-2", 7)
    crowd.come(1)
    await clock.advance(60)
    assert crowd.admitted == [11]


async def test_a_stop_lets_everybody_go_at_once(clock: FakeClock) -> None:
    crowd = Crowd(clock, rpm=1)
    crowd.throttle.hold("dall-e-2", 3600)
    crowd.come(64)
    await run_pending()
    await crowd.leave()
    assert crowd.admitted == [0] * 64


@given(
    hold_at=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 20)), max_size=5),
    rpm=st.sampled_from([30, 60, 600]),
)
def test_no_request_goes_out_in_a_hold_or_ahead_of_the_pace(
    hold_at: Sequence[tuple[int, int]], rpm: int
) -> None:
    async def run() -> list[float]:
        clock = FakeClock()
        crowd = Crowd(clock, rpm=rpm)
        crowd.come(20)
        for second in range(41):
            for at, seconds in hold_at:
                if at == second:
                    crowd.throttle.hold("dall-e-2", seconds + 0.5)
            await clock.advance(1)
        await clock.advance(1000)
        return crowd.admitted

    admitted = asyncio.run(run())

    assert len(admitted) == 20
    gaps = [later - sooner for sooner, later in pairwise(admitted)]
    assert all(gap >= 60 / rpm - 1e-9 for gap in gaps)
    for at, seconds in hold_at:
        assert not any(at < moment < at + seconds + 0.5 for moment in admitted)


async def test_after_a_429_those_who_waited_do_not_come_as_a_herd(clock: FakeClock) -> None:
    crowd = Crowd(clock, rpm=None)
    crowd.come(40)
    await run_pending()
    for number in range(16):
        crowd.hear(number, 429 if number else 200, after_s=2)
    crowd.admitted.clear()
    await clock.advance(60)

    assert len(crowd.admitted) == 24
    assert crowd.admitted[0] >= 2
    gaps = [later - sooner for sooner, later in pairwise(crowd.admitted)]
    assert min(gaps) > 1


async def test_one_retry_after_is_told_once(clock: FakeClock) -> None:
    crowd = Crowd(clock, rpm=None)
    crowd.come(8)
    await run_pending()
    assert [crowd.hear(number, 429, after_s=5) for number in range(8)] == [True] + [False] * 7
    await crowd.leave()


async def test_images_are_spaced_by_their_number(clock: FakeClock) -> None:
    crowd = Crowd(clock, rpm=None, images_per_minute=60)
    crowd.come(3, images=4)
    await clock.advance(30)
    assert crowd.admitted == [0, 4, 8]


async def test_no_more_than_the_models_concurrency_are_in_flight(clock: FakeClock) -> None:
    crowd = Crowd(clock, rpm=None, concurrency=3)
    crowd.come(5)
    await clock.advance(60)
    assert len(crowd.admitted) == 3
    crowd.hear(0, 200)
    await run_pending()
    assert len(crowd.admitted) == 4
    await crowd.leave()


async def test_an_overloaded_server_gets_fewer_at_once_but_a_stray_503_changes_nothing(
    clock: FakeClock,
) -> None:
    crowd = Crowd(clock, rpm=None, concurrency=10)
    crowd.come(10)
    await run_pending()
    crowd.hear(0, 503)
    crowd.come(1)
    await run_pending()
    assert len(crowd.admitted) == 11
    for number in range(1, 8):
        crowd.hear(number, 503)
    crowd.come(7)
    await run_pending()
    assert len(crowd.admitted) < 15
    await crowd.leave()


async def test_the_providers_own_figures_set_the_pace_before_any_refusal(clock: FakeClock) -> None:
    crowd = Crowd(clock, rpm=None)
    crowd.headers = {
        "x-ratelimit-limit-requests": "120",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1m0s",
    }
    crowd.come(1)
    await run_pending()
    crowd.hear(0, 200)
    crowd.come(11)
    await clock.advance(60)
    first, last = crowd.admitted[1], crowd.admitted[-1]
    assert 4 < last - first < 5.5


async def test_other_bounds_reach_those_who_wait_already(clock: FakeClock) -> None:
    crowd = Crowd(clock, rpm=1)
    crowd.come(11)
    await clock.advance(10)
    assert len(crowd.admitted) == 1
    crowd.throttle.allow(lambda _: Bounds(64, 600))
    await clock.advance(1)
    assert len(crowd.admitted) == 11
    assert crowd.admitted[:3] == [0, 10, 10.1]


async def test_what_keeps_requests_waiting_is_told_in_words(clock: FakeClock) -> None:
    crowd = Crowd(clock, rpm=120)
    assert crowd.throttle.reason() is None
    crowd.come(4)
    await clock.advance(0.1)
    assert crowd.throttle.reason() == "120 a minute"
    crowd.hear(0, 429, 30)
    await clock.advance(0.1)
    assert crowd.throttle.reason() is None  # it was told how long the gate is closed
    await crowd.leave()

    narrow = Crowd(clock, rpm=None, concurrency=2)
    narrow.come(3)
    await clock.advance(1)
    assert narrow.throttle.reason() == "2 at once"
    narrow.hear(0, 200)
    await clock.advance(1)
    assert narrow.throttle.reason() is None
    await narrow.leave()


async def test_what_refusals_led_to_is_told_once(clock: FakeClock) -> None:
    crowd = Crowd(clock, rpm=None)
    assert crowd.throttle.news("dall-e-2") is None
    crowd.come(16)
    await run_pending()
    for number in range(8):
        crowd.hear(number, 200)
    crowd.hear(8, 429, 5)
    assert crowd.throttle.news("dall-e-2") == "sending 94.6 a minute, as it bears it"
    crowd.hear(9, 429, 5)
    assert crowd.throttle.news("dall-e-2") is None
