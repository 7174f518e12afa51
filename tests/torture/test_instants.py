"""A run that ends itself between any two steps of the write order, and is run again."""

from itertools import product
from pathlib import Path

import pytest

from tests.torture.families import FAMILIES, IMAGES, OTHERS, Delivery, Family
from tests.torture.fault import Fault
from tests.torture.instants import INSTANTS, Instant
from tests.torture.provider import Provider
from tests.torture.runs import KILLED, Launcher, a_job

_CASES = [
    (instant, family) for instant, family in product(INSTANTS, FAMILIES) if instant.concerns(family)
]
_OFTEN = [
    (instant, family) for instant, family in _CASES if family in IMAGES or instant.often
]  # fmt: skip


def _name(value: object) -> str:
    assert isinstance(value, Instant | Family)
    return value.name.replace("`", "")


@pytest.mark.parametrize(("instant", "family"), _OFTEN, ids=_name)
async def test_at_every_instant_a_crash_leaves_what_the_table_says(
    instant: Instant, family: Family, tmp_path: Path, launcher: Launcher
) -> None:
    """Keys are ignored but where the reply has the result; `make torture` crosses all cases."""
    honours_keys = family.delivery is Delivery.REPLY
    await _crash(instant, family, tmp_path, launcher, honours_keys=honours_keys)


@pytest.mark.torture
@pytest.mark.parametrize("honours_keys", [True, False], ids=["keys", "no keys"])
@pytest.mark.parametrize(("instant", "family"), _CASES, ids=_name)
async def test_crashing_at_an_instant_again_and_again_changes_nothing(
    *, instant: Instant, family: Family, honours_keys: bool, tmp_path: Path, launcher: Launcher
) -> None:
    await _crash(instant, family, tmp_path, launcher, honours_keys=honours_keys, again=3)


def test_every_instant_is_tried_and_every_family_with_a_crash_on_each_side_of_its_reply() -> None:
    assert {instant for instant, _ in _OFTEN} == set(INSTANTS)
    assert all(len([one for one, of in _OFTEN if of is family]) >= 4 for family in OTHERS)


async def _crash(
    instant: Instant, family: Family, folder: Path, launcher: Launcher, *, honours_keys: bool,
    again: int = 0,
) -> None:  # fmt: skip
    async with Provider(honours_keys=honours_keys) as provider:
        job = a_job(
            folder, launcher, provider, tasks=1 if family.is_job else 3, workers=1,
            families=[family], images=instant.images,
        )  # fmt: skip
        fault = Fault(instant.place, instant.turn_of(family), instant.after)

        assert await job.run(fault=fault) == KILLED

        struck = job.tasks[instant.struck(family)].id
        status = instant.stage.status(family.delivery)
        assert job.statuses().get(struck) == status
        kills = 1
        for _ in range(again):  # the next run ends there with whichever task comes first to it
            kills += await job.run(fault=Fault(instant.place, 1, instant.after)) == KILLED
        await job.finish()
        may_pay = instant.may_pay and not honours_keys and status == "sent"
        assert provider.doubles <= (kills if may_pay else 0)
