"""Runs that are killed at every moment of the write order, and run again."""

from itertools import product
from pathlib import Path

import pytest

from tests.torture.crash_points import CRASH_POINTS, CrashPoint
from tests.torture.families import FAMILIES, IMAGES, OTHERS, Delivery, Family
from tests.torture.fault import Fault
from tests.torture.provider import Provider
from tests.torture.runs import KILLED, Launcher, make_job

_CASES = [
    (point, family) for point, family in product(CRASH_POINTS, FAMILIES) if point.applies_to(family)
]
_ALWAYS = [
    (point, family) for point, family in _CASES if family in IMAGES or point.always
]  # fmt: skip


def _name(value: object) -> str:
    assert isinstance(value, CrashPoint | Family)
    return value.name.replace("`", "")


@pytest.mark.parametrize(("point", "family"), _ALWAYS, ids=_name)
async def test_at_every_moment_a_crash_leaves_what_the_table_says(
    point: CrashPoint, family: Family, tmp_path: Path, launcher: Launcher
) -> None:
    # Keys are honoured only if the reply has the result; `make torture` tries all combinations.
    honours_keys = family.delivery is Delivery.REPLY
    await _crash(point, family, tmp_path, launcher, honours_keys=honours_keys)


@pytest.mark.torture
@pytest.mark.parametrize("honours_keys", [True, False], ids=["keys", "no keys"])
@pytest.mark.parametrize(("point", "family"), _CASES, ids=_name)
async def test_repeated_crashes_at_a_moment_change_nothing(
    *, point: CrashPoint, family: Family, honours_keys: bool, tmp_path: Path, launcher: Launcher
) -> None:
    await _crash(point, family, tmp_path, launcher, honours_keys=honours_keys, again=3)


def test_every_moment_is_tried_and_every_family_with_a_crash_before_and_after_its_reply() -> None:
    assert {point for point, _ in _ALWAYS} == set(CRASH_POINTS)
    assert all(
        len([point for point, case_family in _ALWAYS if case_family is family]) >= 4
        for family in OTHERS
    )


async def _crash(
    point: CrashPoint, family: Family, folder: Path, launcher: Launcher, *, honours_keys: bool,
    again: int = 0,
) -> None:  # fmt: skip
    async with Provider(honours_keys=honours_keys) as provider:
        job = make_job(
            folder, launcher, provider, rows=1 if family.is_job else 3, workers=1,
            families=[family], images=point.images,
        )  # fmt: skip
        fault = Fault(point.place, point.call_of(family), point.after)

        assert await job.run(fault=fault) == KILLED

        interrupted_id = job.rows[point.row_in_flight(family)].id
        status = point.stage.status(family.delivery)
        assert job.statuses().get(interrupted_id) == status
        kills = 1
        for _ in range(again):  # the first task that reaches it ends the next run
            kills += await job.run(fault=Fault(point.place, 1, point.after)) == KILLED
        await job.finish_and_check()
        may_pay = point.may_pay and not honours_keys and status == "sent"
        assert provider.duplicates <= (kills if may_pay else 0)
