"""Rate and concurrency limits of the simulator, with headers and without."""

import asyncio

from batchgen.simulator.server import Simulator
from batchgen.simulator.settings import Latency, SimulatorSettings
from tests.simulator.client import post, until_in_flight

FOX = {"prompt": "A fox", "size": "256x256"}


async def _headers(settings: SimulatorSettings, requests: int) -> list[tuple[int, dict[str, str]]]:
    async with Simulator(settings) as simulator:
        replies = [await post(simulator, FOX) for _ in range(requests)]
    return [
        (status, {name.lower(): v for name, v in headers.items()}) for status, _, headers in replies
    ]


async def test_a_bucket_holds_its_burst_and_reports_what_is_left() -> None:
    replies = await _headers(SimulatorSettings(rpm=1, burst=3), 4)
    assert [status for status, _ in replies] == [201, 201, 201, 429]
    left = [headers.get("x-ratelimit-remaining-requests") for _, headers in replies]
    assert left == ["2", "1", "0", None]
    assert 55 <= int(replies[-1][1]["retry-after"]) <= 60


async def test_rate_limit_headers_can_be_switched_off() -> None:
    replies = await _headers(SimulatorSettings(rpm=1, limit_headers=False), 2)
    assert [status for status, _ in replies] == [201, 429]
    assert not any(name in headers for _, headers in replies for name in ("retry-after", *_LIMITS))


async def test_an_injected_429_has_no_retry_after_without_rate_limit_headers() -> None:
    [(status, headers)] = await _headers(
        SimulatorSettings(faults={"429": 1}, limit_headers=False), 1
    )
    assert status == 429
    assert "retry-after" not in headers


async def test_requests_above_the_concurrency_limit_are_rejected() -> None:
    release = asyncio.Event()

    async def until_released(_: float) -> None:
        await release.wait()

    settings = SimulatorSettings(max_in_flight=1, latency=Latency(1.0))
    async with Simulator(settings, sleep=until_released) as simulator:
        first = asyncio.create_task(post(simulator, FOX))
        await until_in_flight(simulator, 1)
        assert (await post(simulator, FOX))[0] == 429
        release.set()
        assert (await first)[0] == 201
        assert (await post(simulator, FOX))[0] == 201


_LIMITS = tuple(f"x-ratelimit-{name}-requests" for name in ("limit", "remaining", "reset"))
