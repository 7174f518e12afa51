"""Runs that are killed from outside at random moments, and run again."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.torture.families import OTHERS, Family
from tests.torture.provider import Provider
from tests.torture.runs import KILLED, Launcher, make_job

_WORKERS = 4
_TASKS = 40
_LATENCY_S = 0.01
_MAX_KILL_AFTER_S = 0.35  # a run that is not killed takes a little longer


@pytest.mark.parametrize(
    ("seed", "kills", "images", "honours_keys"),
    [(1, 6, 1, True), (2, 6, 2, False)],
    ids=["keys", "no keys"],
)
async def test_runs_killed_at_random_lose_nothing(
    *, seed: int, kills: int, images: int, honours_keys: bool, tmp_path: Path, launcher: Launcher
) -> None:
    await _kill_and_run_again(
        tmp_path, launcher, seed=seed, kills=kills, images=images, honours_keys=honours_keys
    )


@pytest.mark.parametrize(("seed", "honours_keys"), [(3, True), (4, False)], ids=["keys", "no keys"])
async def test_runs_of_all_families_killed_at_random_lose_nothing(
    *, seed: int, honours_keys: bool, tmp_path: Path, launcher: Launcher
) -> None:
    await _kill_a_job_of_all_families(
        tmp_path, launcher, seed=seed, kills=6, honours_keys=honours_keys
    )


@pytest.mark.torture
@pytest.mark.parametrize("honours_keys", [True, False], ids=["keys", "no keys"])
@pytest.mark.parametrize("seed", range(10, 30))
async def test_a_dozen_runs_killed_at_random_lose_nothing(
    *, seed: int, honours_keys: bool, tmp_path: Path, launcher: Launcher
) -> None:
    images = 1 + seed % 2
    await _kill_and_run_again(
        tmp_path, launcher, seed=seed, kills=12, images=images, honours_keys=honours_keys
    )


@pytest.mark.torture
@pytest.mark.parametrize("honours_keys", [True, False], ids=["keys", "no keys"])
@pytest.mark.parametrize("seed", range(30, 50))
async def test_a_dozen_runs_of_all_families_killed_at_random_lose_nothing(
    *, seed: int, honours_keys: bool, tmp_path: Path, launcher: Launcher
) -> None:
    await _kill_a_job_of_all_families(
        tmp_path, launcher, seed=seed, kills=12, honours_keys=honours_keys
    )


async def _kill_a_job_of_all_families(
    folder: Path, launcher: Launcher, *, seed: int, kills: int, honours_keys: bool
) -> None:
    """Kill runs of a manifest whose rows are of each family in turn."""
    await _kill_and_run_again(
        folder, launcher, seed=seed, kills=kills, images=1, honours_keys=honours_keys,
        families=OTHERS,
    )  # fmt: skip


async def _kill_and_run_again(
    folder: Path, launcher: Launcher, *, seed: int, kills: int, images: int, honours_keys: bool,
    families: Sequence[Family] = (),
) -> None:  # fmt: skip
    rng = random.Random(seed)  # noqa: S311  # not a secret
    async with Provider(honours_keys=honours_keys, latency_s=_LATENCY_S, seed=seed) as provider:
        job = make_job(
            folder, launcher, provider,
            rows=_TASKS, workers=_WORKERS, images=images, seed=seed, families=families,
        )  # fmt: skip
        killed = 0
        for _ in range(kills):
            kill_after_s = rng.uniform(0.0, _MAX_KILL_AFTER_S)
            killed += await job.run(kill_after_s=kill_after_s) == KILLED

        await job.finish_and_check()

        assert await job.verify() == 0
        assert killed > 0
        assert provider.duplicates <= (0 if honours_keys else _WORKERS * killed)
