"""Groups of orders: each gets its own result, whatever becomes of its neighbours."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from batchgen.errors import StorageError
from batchgen.storage.group_commit import GroupCommit


def doubled(group: Sequence[int]) -> list[int | BaseException]:
    return [ValueError(f"{one} is odd") if one % 2 else 2 * one for one in group]


async def test_each_order_gets_its_own_result_or_error() -> None:
    grouped = GroupCommit(doubled, name="double", max_group=10)
    found = await asyncio.gather(*map(grouped.submit, range(25)), return_exceptions=True)
    grouped.close()

    assert found[::2] == [2 * one for one in range(0, 25, 2)]
    assert [str(one) for one in found[1::2]] == [f"{one} is odd" for one in range(1, 25, 2)]


async def test_what_is_ordered_in_one_turn_is_one_group_and_none_is_twice_the_most() -> None:
    groups: list[int] = []
    busy, go_on = threading.Event(), threading.Event()

    def note(group: Sequence[int]) -> list[int | BaseException]:
        groups.append(len(group))
        busy.set()
        go_on.wait(30)
        return list(group)

    grouped = GroupCommit(note, name="note", max_group=8)
    first = [asyncio.ensure_future(grouped.submit(one)) for one in range(3)]
    assert await asyncio.to_thread(busy.wait, 30)
    rest: list[asyncio.Future[int]] = []
    for turn in (5, 8, 20, 1):
        rest += [asyncio.ensure_future(grouped.submit(one)) for one in range(turn)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(*first, *rest)
    grouped.close()

    assert groups == [3, 13, 8, 8, 5]


async def test_an_error_of_the_whole_group_is_each_ones() -> None:
    def broken(group: Sequence[int]) -> list[int | BaseException]:
        raise OSError(f"{len(group)} orders and no disk")

    grouped = GroupCommit(broken, name="broken", max_group=8)
    found = await asyncio.gather(*map(grouped.submit, range(3)), return_exceptions=True)
    grouped.close()

    assert [str(one) for one in found] == ["3 orders and no disk"] * 3


async def test_what_was_ordered_is_carried_out_though_nobody_waits_any_longer() -> None:
    done: list[int] = []

    def note(group: Sequence[int]) -> list[int | BaseException]:
        done.extend(group)
        return list(group)

    grouped = GroupCommit(note, name="note", max_group=8)
    task = asyncio.ensure_future(grouped.submit(7))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    grouped.close()
    grouped.close()

    assert done == [7]


def test_a_loop_that_ended_in_mid_turn_keeps_no_later_one_waiting() -> None:
    grouped = GroupCommit(doubled, name="double", max_group=8)

    async def begin() -> None:
        asyncio.get_running_loop().stop()
        await grouped.submit(2)

    loop = asyncio.new_event_loop()
    task = loop.create_task(begin())
    loop.run_forever()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()

    assert asyncio.run(asyncio.wait_for(grouped.submit(4), 30)) == 8
    grouped.close()
    with pytest.raises(RuntimeError, match="any more"):
        asyncio.run(grouped.submit(6))


def test_a_thread_that_cannot_be_started_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    with pytest.raises(StorageError, match="allow more memory"):
        GroupCommit(list, name="test", max_group=1)
