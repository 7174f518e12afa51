"""Heavy pieces on threads: where the work is done, and that nobody leaves it half-way."""

import asyncio
import threading

import pytest

from batchgen.http.chunks import Helpers
from tests.given import run_pending

LARGE = bytes(100_000)


async def test_large_pieces_are_worked_on_elsewhere_and_small_ones_here() -> None:
    helpers = Helpers()
    seen: list[tuple[int, bool]] = []

    def note(piece: bytes) -> None:
        seen.append((len(piece), threading.current_thread() is threading.main_thread()))

    await helpers.work(note, b"small")
    await helpers.work(note, LARGE)
    helpers.close()

    assert seen == [(5, True), (100_000, False)]


async def test_with_every_helper_busy_a_piece_is_worked_on_here() -> None:
    helpers = Helpers()
    go_on = threading.Event()
    here: list[bool] = []

    def wait(_: bytes) -> None:
        go_on.wait()

    busy = [asyncio.create_task(helpers.work(wait, LARGE)) for _ in range(2)]
    await run_pending()

    await helpers.work(
        lambda _: here.append(threading.current_thread() is threading.main_thread()), LARGE
    )
    go_on.set()
    await asyncio.gather(*busy)
    helpers.close()

    assert here == [True]


async def test_an_error_of_the_work_comes_out() -> None:
    helpers = Helpers()

    def failing(_: bytes) -> None:
        raise ValueError("broken")

    for piece in (b"", LARGE):
        with pytest.raises(ValueError, match="broken"):
            await helpers.work(failing, piece)
    helpers.close()


async def test_whoever_is_cancelled_leaves_only_when_the_work_has_ended() -> None:
    helpers = Helpers()
    go_on, ended = threading.Event(), threading.Event()

    def slow(_: bytes) -> None:
        go_on.wait()
        ended.set()

    task = asyncio.create_task(helpers.work(slow, LARGE))
    await run_pending()
    for _ in range(2):  # a second interrupt hurries nothing either
        task.cancel()
        await run_pending()
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    helpers.close()

    assert ended.is_set()
