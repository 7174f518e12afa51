"""Groups of items: each item gets its own result, even if others of the group fail."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from batchgen.errors import StorageError
from batchgen.storage.group_commit import GroupCommit


def doubled(group: Sequence[int]) -> list[int | BaseException]:
    return [ValueError(f"{item} is odd") if item % 2 else 2 * item for item in group]


async def test_each_item_gets_its_own_result_or_error() -> None:
    commits = GroupCommit(doubled, name="double", max_group=10)
    results = await asyncio.gather(*map(commits.submit, range(25)), return_exceptions=True)
    commits.close()

    assert results[::2] == [2 * item for item in range(0, 25, 2)]
    assert [str(error) for error in results[1::2]] == [f"{item} is odd" for item in range(1, 25, 2)]


async def test_items_of_one_turn_are_one_group_and_a_group_is_less_than_twice_the_maximum() -> None:
    groups: list[int] = []
    busy, go_on = threading.Event(), threading.Event()

    def note(group: Sequence[int]) -> list[int | BaseException]:
        groups.append(len(group))
        busy.set()
        go_on.wait(30)
        return list(group)

    commits = GroupCommit(note, name="note", max_group=8)
    first = [asyncio.ensure_future(commits.submit(item)) for item in range(3)]
    assert await asyncio.to_thread(busy.wait, 30)
    rest: list[asyncio.Future[int]] = []
    for turn in (5, 8, 20, 1):
        rest += [asyncio.ensure_future(commits.submit(item)) for item in range(turn)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(*first, *rest)
    commits.close()

    assert groups == [3, 13, 8, 8, 5]


async def test_an_error_of_the_whole_group_is_raised_for_each_item() -> None:
    def broken(group: Sequence[int]) -> list[int | BaseException]:
        raise OSError(f"{len(group)} items and no disk")

    commits = GroupCommit(broken, name="broken", max_group=8)
    results = await asyncio.gather(*map(commits.submit, range(3)), return_exceptions=True)
    commits.close()

    assert [str(error) for error in results] == ["3 items and no disk"] * 3


async def test_an_item_is_executed_even_if_its_caller_was_cancelled() -> None:
    done: list[int] = []

    def note(group: Sequence[int]) -> list[int | BaseException]:
        done.extend(group)
        return list(group)

    commits = GroupCommit(note, name="note", max_group=8)
    task = asyncio.ensure_future(commits.submit(7))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    commits.close()
    commits.close()

    assert done == [7]


def test_a_loop_that_stopped_in_mid_turn_does_not_block_a_later_loop() -> None:
    commits = GroupCommit(doubled, name="double", max_group=8)

    async def begin() -> None:
        asyncio.get_running_loop().stop()
        await commits.submit(2)

    loop = asyncio.new_event_loop()
    task = loop.create_task(begin())
    loop.run_forever()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()

    assert asyncio.run(asyncio.wait_for(commits.submit(4), 30)) == 8
    commits.close()
    with pytest.raises(RuntimeError, match="submitted after close"):
        asyncio.run(commits.submit(6))


def test_a_thread_that_cannot_be_started_is_a_storage_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    with pytest.raises(StorageError, match="allow more memory"):
        GroupCommit(list, name="test", max_group=1)


async def test_other_threads_help_only_while_a_group_is_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("batchgen.storage.group_commit._SLOW_S", 0.0)
    is_blocked, may_end = threading.Event(), threading.Event()
    threads: dict[str, str] = {}

    def execute(items: Sequence[str]) -> Sequence[str]:
        for item in items:
            threads[item] = threading.current_thread().name
        if "slow" in items:
            is_blocked.set()
            may_end.wait(timeout=60)
        return items

    group = GroupCommit(execute, name="disk", max_group=8, threads=2)
    slow = asyncio.create_task(group.submit("slow"))
    await asyncio.to_thread(is_blocked.wait, 60)
    await group.submit("while it is slow")
    may_end.set()
    await slow
    await group.submit("afterwards")
    group.close()
    assert threads == {"slow": "disk-0", "while it is slow": "disk-1", "afterwards": "disk-0"}
