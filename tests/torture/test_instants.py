"""A run that ends itself between any two steps of the write order, and is run again."""

from itertools import product
from pathlib import Path

import pytest

from tests.torture.fault import Fault
from tests.torture.instants import INSTANTS, Instant, Stage
from tests.torture.provider import Provider
from tests.torture.runs import KILLED, Launcher, a_job

_CASES = [
    (instant, urls)
    for instant, urls in product(INSTANTS, (True, False))
    if instant.urls in (None, urls)
]


def _name(value: object) -> str:
    if isinstance(value, Instant):
        return value.name.replace("`", "")
    return "urls" if value else "base64"


@pytest.mark.parametrize(("instant", "urls"), _CASES, ids=_name)
async def test_at_every_instant_a_crash_leaves_what_the_table_says(
    *, instant: Instant, urls: bool, tmp_path: Path, launcher: Launcher
) -> None:
    """Where replies have URLs the provider ignores keys; `make torture` crosses all cases."""
    await _crash(instant, tmp_path, launcher, urls=urls, honours_keys=not urls)


@pytest.mark.torture
@pytest.mark.parametrize("honours_keys", [True, False], ids=["keys", "no keys"])
@pytest.mark.parametrize(("instant", "urls"), _CASES, ids=_name)
async def test_crashing_at_an_instant_again_and_again_changes_nothing(
    *, instant: Instant, urls: bool, honours_keys: bool, tmp_path: Path, launcher: Launcher
) -> None:
    await _crash(instant, tmp_path, launcher, urls=urls, honours_keys=honours_keys, again=3)


async def _crash(
    instant: Instant, folder: Path, launcher: Launcher, *, urls: bool, honours_keys: bool,
    again: int = 0,
) -> None:  # fmt: skip
    async with Provider(honours_keys=honours_keys) as provider:
        job = a_job(
            folder, launcher, provider, tasks=1 if instant.remote else 3, workers=1, urls=urls,
            images=instant.images, remote=instant.remote,
        )  # fmt: skip
        fault = Fault(instant.place, instant.turn, instant.after)

        assert await job.run(fault=fault) == KILLED

        struck = job.tasks[instant.turn - 1][0]
        assert job.statuses().get(struck) == instant.stage.status(urls=urls)
        kills = 1
        for _ in range(again):  # the next run ends there with whichever task comes first to it
            kills += await job.run(fault=Fault(instant.place, 1, instant.after)) == KILLED
        await job.finish()
        fetched_again = urls and instant.stage in (Stage.RECEIVED, Stage.REPLIED)
        may_pay = instant.may_pay and not honours_keys and not fetched_again
        assert provider.doubles <= (kills if may_pay else 0)
