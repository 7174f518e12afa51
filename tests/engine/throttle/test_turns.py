"""Whose turn it is while a model has not accepted anything."""

import asyncio

from batchgen.engine.stop import Stop, StopReason
from batchgen.engine.throttle.turns import Turns
from tests.given import FakeClock, run_pending


async def test_a_task_that_tries_again_goes_before_the_others() -> None:
    stop = Stop(FakeClock())
    turns, passed = Turns(stop.sleep_until_stop), list[str]()
    turns.put_first("fox")
    waiting = [asyncio.create_task(passing(turns, key, stop, passed)) for key in ("hare", "fox")]
    await run_pending()
    assert passed == ["fox"]

    turns.leave("fox")
    await asyncio.gather(*waiting)
    assert passed == ["fox", "hare"]


async def test_an_accepted_request_lets_all_tasks_send() -> None:
    stop = Stop(FakeClock())
    turns, passed = Turns(stop.sleep_until_stop), list[str]()
    turns.put_first("fox")
    waiting = asyncio.create_task(passing(turns, "hare", stop, passed))
    await run_pending()
    assert not turns.has("hare")
    turns.end()
    await waiting
    assert passed == ["hare"]


async def test_a_stop_ends_the_wait() -> None:
    stop = Stop(FakeClock())
    turns, passed = Turns(stop.sleep_until_stop), list[str]()
    turns.put_first("fox")
    waiting = asyncio.create_task(passing(turns, "hare", stop, passed))
    await run_pending()
    stop.set(StopReason.SIGNAL, "")
    await waiting
    assert passed == ["hare"]


async def passing(turns: Turns, key: str, stop: Stop, passed: list[str]) -> None:
    await turns.wait(key, stop.is_set)
    passed.append(key)
