"""Groups of orders: each gets its own result, whatever becomes of its neighbours."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from batchgen.grouping import Grouped


def doubled(group: Sequence[int]) -> list[int | BaseException]:
    return [ValueError(f"{one} is odd") if one % 2 else 2 * one for one in group]


async def test_each_order_gets_its_own_result_or_error() -> None:
    grouped = Grouped(doubled, name="double", most=10)
    found = await asyncio.gather(*map(grouped.result_of, range(25)), return_exceptions=True)
    grouped.close()

    assert found[::2] == [2 * one for one in range(0, 25, 2)]
    assert [str(one) for one in found[1::2]] == [f"{one} is odd" for one in range(1, 25, 2)]


async def test_what_is_ordered_in_one_turn_is_one_group_and_none_is_twice_the_most() -> None:
    groups: list[int] = []
    busy, go_on = threading.Event(), threading.Event()

    def note(group: Sequence[int]) -> list[int | BaseException]:
        groups.append(len(group))
        busy.set()
        go_on.wait()
        return list(group)

    grouped = Grouped(note, name="note", most=8)
    first = [asyncio.ensure_future(grouped.result_of(one)) for one in range(3)]
    await asyncio.to_thread(busy.wait)
    rest = [asyncio.ensure_future(grouped.result_of(one)) for one in range(100)]
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(*first, *rest)
    grouped.close()

    assert groups[0] == 3
    assert sum(groups) == 103
    assert max(groups) < 16


async def test_an_error_of_the_whole_group_is_each_ones() -> None:
    def broken(group: Sequence[int]) -> list[int | BaseException]:
        raise OSError(f"{len(group)} orders and no disk")

    grouped = Grouped(broken, name="broken", most=8)
    found = await asyncio.gather(*map(grouped.result_of, range(3)), return_exceptions=True)
    grouped.close()

    assert [str(one) for one in found] == ["3 orders and no disk"] * 3


async def test_what_was_ordered_is_carried_out_though_nobody_waits_any_longer() -> None:
    done: list[int] = []

    def note(group: Sequence[int]) -> list[int | BaseException]:
        done.extend(group)
        return list(group)

    grouped = Grouped(note, name="note", most=8)
    task = asyncio.ensure_future(grouped.result_of(7))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    grouped.close()
    grouped.close()

    assert done == [7]
