"""One idempotency key, one generation."""

import asyncio

from batchgen.simulator.server import Simulator
from batchgen.simulator.settings import Latency, SimulatorSettings
from tests.simulator.client import post, until_in_flight

FOX = {"prompt": "A fox", "size": "256x256", "response_format": "b64_json"}
KEY = {"Idempotency-Key": "task-1"}


async def test_the_same_key_gets_the_same_reply_and_one_generation() -> None:
    async with Simulator(SimulatorSettings(credit=1)) as simulator:
        _, first, headers = await post(simulator, FOX, headers=KEY)
        _, again, replayed = await post(simulator, FOX, headers=KEY)
        stats = simulator.stats()
    assert again == first
    assert "x-idempotent-replay" not in headers
    assert replayed["x-idempotent-replay"] == "true"
    assert replayed["x-inference-id"] == headers["x-inference-id"]
    assert (stats["generations"], stats["replays"], stats["keys"]) == (1, 1, 1)
    assert stats["double_generations"] == 0


async def test_a_key_in_progress_is_waited_for() -> None:
    release = asyncio.Event()

    async def hold(_: float) -> None:
        await release.wait()

    async with Simulator(SimulatorSettings(latency=Latency(1)), sleep=hold) as simulator:
        both = [asyncio.create_task(post(simulator, FOX, headers=KEY)) for _ in range(2)]
        await until_in_flight(simulator, 2)
        release.set()
        (_, first, _), (_, second, _) = await asyncio.gather(*both)
        stats = simulator.stats()
    assert first == second
    assert (stats["generations"], stats["in_flight_max"]) == (1, 2)


async def test_a_generation_continues_when_its_client_disconnects() -> None:
    release = asyncio.Event()

    async def hold(_: float) -> None:
        await release.wait()

    async with Simulator(SimulatorSettings(latency=Latency(1)), sleep=hold) as simulator:
        pending = asyncio.create_task(post(simulator, FOX, headers=KEY))
        await until_in_flight(simulator, 1)
        pending.cancel()
        await until_in_flight(simulator, 0)
        release.set()
        status, _, headers = await post(simulator, FOX, headers=KEY)
        assert simulator.stats()["generations"] == 1
    assert (status, headers["x-idempotent-replay"]) == (201, "true")


async def test_a_generation_in_progress_does_not_delay_the_shutdown() -> None:
    async def forever(_: float) -> None:
        await asyncio.Event().wait()

    async with Simulator(SimulatorSettings(latency=Latency(1)), sleep=forever) as simulator:
        pending = asyncio.create_task(post(simulator, FOX))
        await until_in_flight(simulator, 1)
    result = (await asyncio.gather(pending, return_exceptions=True))[0]
    assert isinstance(result, Exception)


async def test_a_lost_reply_is_repeated_for_its_key() -> None:
    settings = SimulatorSettings(faults={"lost": 0.5})
    async with Simulator(settings) as simulator:
        for n in range(30):
            headers = {"Idempotency-Key": f"task-{n}"}
            attempts = [
                await asyncio.gather(post(simulator, FOX, headers=headers), return_exceptions=True)
                for _ in range(12)
            ]
            assert any(not isinstance(reply, BaseException) for (reply,) in attempts)
        stats = simulator.stats()
    assert (stats["generations"], stats["double_generations"]) == (30, 0)


async def test_a_key_of_another_request_is_rejected() -> None:
    async with Simulator() as simulator:
        await post(simulator, FOX, headers=KEY)
        status, body, _ = await post(simulator, {**FOX, "prompt": "A hare"}, headers=KEY)
    assert (status, "another request" in body["message"]) == (400, True)


async def test_without_idempotency_doubles_are_generated_and_counted() -> None:
    async with Simulator(SimulatorSettings(honour_idempotency=False)) as simulator:
        for _ in range(3):
            await post(simulator, FOX, headers=KEY)
        stats = simulator.stats()
    assert (stats["generations"], stats["keys"], stats["double_generations"]) == (3, 1, 1)


async def test_a_new_simulator_with_the_same_seed_gives_the_same_replies() -> None:
    replies = []
    for seed in (5, 5, 6):
        async with Simulator(SimulatorSettings(seed=seed)) as simulator:
            replies.append((await post(simulator, FOX))[1]["data"])
    assert replies[0] == replies[1] != replies[2]
