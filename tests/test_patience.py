"""How long senders are waited for, on a loop whose clock jumps to what is due."""

import asyncio

import pytest

from batchgen.patience import Patience, Watch
from batchgen.service import Timeouts
from tests.throttle.virtual import run_virtually

TIMES = Timeouts(first_byte_s=40.0, stall_s=30.0)
TOTAL_S = 100.0
LATE_S = 0.26  # the longest that a cut comes after its time: 0.25 s, and the sums' last digits


def now() -> float:
    return asyncio.get_running_loop().time()


async def cut_after(watch: Watch, *renewed_after_s: float) -> float:
    """When a sender is given up that says something after these pauses, and then nothing more."""
    begun = now()
    with pytest.raises(TimeoutError), Patience(watch) as patience:  # noqa: PT012  # one block
        for pause_s in renewed_after_s:
            await asyncio.sleep(pause_s)
            patience.renew()
        await asyncio.get_running_loop().create_future()
    return now() - begun


@pytest.mark.parametrize(
    ("renewed_after_s", "due_s"),
    [((), 40.0), ((39.0,), 69.0), ((10.0, 20.0), 60.0), ((39.0, 29.0, 29.0), 100.0)],
    ids=["nothing comes", "one piece", "two pieces", "pieces until all of the time is up"],
)
def test_a_sender_is_waited_for_as_long_as_the_timeouts_say(
    renewed_after_s: tuple[float, ...], due_s: float
) -> None:
    async def wait() -> None:
        cut_s = await cut_after(Watch(TIMES, TOTAL_S), *renewed_after_s)
        assert due_s <= cut_s <= due_s + LATE_S

    run_virtually(wait())


def test_a_short_timeout_is_kept_to_within_an_eighth() -> None:
    async def wait() -> None:
        assert 0.08 <= await cut_after(Watch(TIMES, 0.08)) <= 0.091

    run_virtually(wait())


def test_senders_that_began_at_different_times_are_cut_each_at_its_own() -> None:
    async def wait() -> None:
        watch = Watch(TIMES, TOTAL_S)

        async def begin(after_s: float) -> float:
            await asyncio.sleep(after_s)
            return await cut_after(watch)

        for cut_s in await asyncio.gather(*(begin(7.3 * number) for number in range(20))):
            assert 40.0 <= cut_s <= 40.0 + LATE_S

    run_virtually(wait())


def test_whoever_is_done_in_time_hears_of_nothing_and_leaves_no_timer_behind() -> None:
    async def wait() -> None:
        watch = Watch(TIMES, TOTAL_S)
        for _ in range(3):
            with Patience(watch):
                await asyncio.sleep(39)
        begun = now()
        await asyncio.sleep(1000)
        assert now() - begun < 1000.5
        assert 40.0 <= await cut_after(watch) <= 40.0 + LATE_S  # it looks again

    run_virtually(wait())


@pytest.mark.parametrize("is_late", [False, True], ids=["in time", "as its time is up"])
def test_a_cancelled_task_is_cancelled_and_not_timed_out(*, is_late: bool) -> None:
    async def wait() -> None:
        patience = Patience(Watch(TIMES, TOTAL_S))

        async def exchange() -> None:
            with patience:
                await asyncio.get_running_loop().create_future()

        task = asyncio.ensure_future(exchange())
        await asyncio.sleep(20)
        task.cancel()
        if is_late:
            patience.lose()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_virtually(wait())


def test_an_error_of_the_exchange_itself_passes() -> None:
    async def wait() -> None:
        with pytest.raises(OSError, match="reset"), Patience(Watch(TIMES, TOTAL_S)):
            raise OSError("reset")

    run_virtually(wait())
