"""Large chunks are processed on threads, and a cancelled caller waits for them."""

import asyncio
import threading

import pytest

from batchgen.http.chunks import ChunkThreads
from tests.given import run_pending

LARGE = bytes(100_000)


async def test_large_chunks_are_processed_on_a_thread_and_small_ones_in_the_event_loop() -> None:
    threads = ChunkThreads()
    processed: list[tuple[int, bool]] = []

    def note(chunk: bytes) -> None:
        processed.append((len(chunk), threading.current_thread() is threading.main_thread()))

    await threads.run(note, b"small")
    await threads.run(note, LARGE)
    threads.close()

    assert processed == [(5, True), (100_000, False)]


async def test_if_all_threads_are_busy_a_chunk_is_processed_in_the_event_loop() -> None:
    threads = ChunkThreads()
    go_on = threading.Event()
    in_main_thread: list[bool] = []

    def wait(_: bytes) -> None:
        go_on.wait()

    busy = [asyncio.create_task(threads.run(wait, LARGE)) for _ in range(2)]
    await run_pending()

    await threads.run(
        lambda _: in_main_thread.append(threading.current_thread() is threading.main_thread()),
        LARGE,
    )
    go_on.set()
    await asyncio.gather(*busy)
    threads.close()

    assert in_main_thread == [True]


async def test_an_error_in_a_thread_is_raised() -> None:
    threads = ChunkThreads()

    def failing(_: bytes) -> None:
        raise ValueError("broken")

    for chunk in (b"", LARGE):
        with pytest.raises(ValueError, match="broken"):
            await threads.run(failing, chunk)
    threads.close()


async def test_a_cancelled_caller_waits_until_the_thread_has_finished() -> None:
    threads = ChunkThreads()
    go_on, ended = threading.Event(), threading.Event()

    def slow(_: bytes) -> None:
        go_on.wait()
        ended.set()

    task = asyncio.create_task(threads.run(slow, LARGE))
    await run_pending()
    for _ in range(2):  # a second interrupt does not end the wait either
        task.cancel()
        await run_pending()
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    threads.close()

    assert ended.is_set()
