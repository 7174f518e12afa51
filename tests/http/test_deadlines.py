"""Timeouts of requests, on a loop whose clock jumps to the next timer."""

import asyncio

import pytest

from batchgen.http.deadlines import Deadline, Deadlines, RunningTimer
from batchgen.types import Timeouts
from tests.engine.throttle.virtual import VirtualLoop, run_virtually

TIMES = Timeouts(connect_s=20.0, first_byte_s=40.0, stall_s=30.0)
TOTAL_S = 100.0
LATE_S = 0.251  # the most that a request may be cancelled too late: two ticks


def now() -> float:
    return asyncio.get_running_loop().time()


def stop(seconds: float) -> None:
    """Advance the clock while the event loop does nothing, as if the process were stopped."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop.advance(seconds)


async def cancelled_after(deadlines: Deadlines, *chunks_after_s: float) -> float:
    """Return the seconds until a request times out if chunks arrive at these intervals."""
    started = now()
    with pytest.raises(TimeoutError):  # noqa: PT012  # one block
        async with Deadline(deadlines) as deadline:
            deadline.begin_sending()
            for pause_s in chunks_after_s:
                await asyncio.sleep(pause_s)
                deadline.renew()
            await asyncio.get_running_loop().create_future()
    return now() - started


@pytest.mark.parametrize(
    ("chunks_after_s", "due_s"),
    [((), 40.0), ((39.0,), 69.0), ((10.0, 20.0), 60.0), ((39.0, 29.0, 29.0), 100.0)],
    ids=["nothing", "one chunk", "two chunks", "chunks until the total is over"],
)
def test_a_request_times_out_when_the_first_of_its_timeouts_expires(
    chunks_after_s: tuple[float, ...], due_s: float
) -> None:
    async def wait() -> None:
        cancelled_s = await cancelled_after(Deadlines(TIMES, TOTAL_S), *chunks_after_s)
        assert due_s <= cancelled_s <= due_s + LATE_S

    run_virtually(wait())


@pytest.mark.parametrize(("is_connecting", "due_s"), [(True, 20.0), (False, 100.0)])
def test_the_connect_timeout_applies_only_while_connecting(
    *, is_connecting: bool, due_s: float
) -> None:
    async def wait() -> None:
        deadline = Deadline(Deadlines(TIMES, TOTAL_S))
        started = now()
        with pytest.raises(TimeoutError):  # noqa: PT012  # one block
            async with deadline:
                if is_connecting:
                    deadline.begin_connecting()
                await asyncio.get_running_loop().create_future()
        assert due_s <= now() - started <= due_s + LATE_S
        assert not deadline.is_sent

    run_virtually(wait())


def test_a_short_timeout_is_exact_to_an_eighth() -> None:
    async def wait() -> None:
        assert 0.08 <= await cancelled_after(Deadlines(TIMES, 0.08)) <= 0.091

    run_virtually(wait())


def test_requests_with_different_starts_time_out_independently() -> None:
    async def wait() -> None:
        deadlines = Deadlines(TIMES, TOTAL_S)

        async def begin(after_s: float) -> float:
            await asyncio.sleep(after_s)
            return await cancelled_after(deadlines)

        for cancelled_s in await asyncio.gather(*(begin(7.3 * number) for number in range(20))):
            assert 40.0 <= cancelled_s <= 40.0 + LATE_S

    run_virtually(wait())


@pytest.mark.parametrize("stopped_after_s", [0.0, 20.0, 39.9])
def test_a_reply_that_arrived_while_the_process_was_stopped_is_read(
    stopped_after_s: float,
) -> None:
    async def wait() -> None:
        arrived = asyncio.Event()
        async with Deadline(Deadlines(TIMES, TOTAL_S)) as deadline:
            deadline.begin_sending()
            await asyncio.sleep(stopped_after_s)
            stop(1000.0)
            loop = asyncio.get_running_loop()
            # Sockets are read in the iteration in which overdue timers fire; tasks run in the next.
            loop.call_soon(loop.call_soon, arrived.set)
            await arrived.wait()

    run_virtually(wait())


def test_the_time_while_the_process_is_stopped_counts_for_no_timeout() -> None:
    async def wait() -> None:
        deadlines = Deadlines(TIMES, TOTAL_S)
        waiting = asyncio.ensure_future(cancelled_after(deadlines, 39.0))
        for _ in range(3):
            await asyncio.sleep(10)
            stop(1000.0)
        cancelled_s = await waiting
        assert 3039.0 < cancelled_s < 3041.0  # 10 s until the chunk, then 30 s

    run_virtually(wait())


def test_a_loop_that_is_always_late_still_cancels() -> None:
    async def wait() -> None:
        waiting = asyncio.ensure_future(cancelled_after(Deadlines(TIMES, TOTAL_S)))
        turns = 0
        while not waiting.done():
            turns += 1
            stop(5.0)
            await asyncio.sleep(0.125)
        assert turns <= 40.0 / 0.25 + 3

    run_virtually(wait())


def test_no_timer_is_left_after_closing() -> None:
    async def wait() -> None:
        deadlines = Deadlines(TIMES, TOTAL_S)
        async with Deadline(deadlines):
            await asyncio.sleep(39)
        deadlines.close()
        await asyncio.get_running_loop().create_future()

    with pytest.raises(RuntimeError, match="all tasks wait"):
        run_virtually(wait())


@pytest.mark.parametrize("is_late", [False, True], ids=["in time", "when it is due"])
def test_a_cancelled_task_is_cancelled_and_not_timed_out(*, is_late: bool) -> None:
    async def wait() -> None:
        deadline = Deadline(Deadlines(TIMES, TOTAL_S))

        async def request() -> None:
            async with deadline:
                await asyncio.get_running_loop().create_future()

        task = asyncio.ensure_future(request())
        await asyncio.sleep(20)
        task.cancel()
        if is_late:
            deadline.expire()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_virtually(wait())


def test_an_error_of_the_request_itself_is_raised() -> None:
    async def wait() -> None:
        with pytest.raises(OSError, match="reset"):
            async with Deadline(Deadlines(TIMES, TOTAL_S)):
                raise OSError("reset")

    run_virtually(wait())


def test_a_running_timer_does_not_count_a_stop_of_the_process() -> None:
    async def wait() -> None:
        called_at_s: list[float] = []
        RunningTimer(5.0, lambda: called_at_s.append(now()))
        await asyncio.sleep(1)
        stop(60)
        await asyncio.sleep(30)
        [at_s] = called_at_s
        assert 65.0 - LATE_S <= at_s <= 65.0 + LATE_S

    run_virtually(wait())


def test_a_cancelled_running_timer_does_not_call_back() -> None:
    async def wait() -> None:
        called: list[bool] = []
        timer = RunningTimer(5.0, lambda: called.append(True))
        await asyncio.sleep(4)
        timer.close()
        await asyncio.sleep(10)
        assert called == []

    run_virtually(wait())
