"""How well an unknown limit is used, in hours that pass at once; `pytest -rA` shows the figures."""

import pytest

from tests.engine.throttle.servers import Bucket, Crowd, Report, Trial
from tests.engine.throttle.virtual import run_virtually

HOURS = 3600.0
UNKNOWN = {
    "a minute's worth at once": Trial(Bucket(((0, 1.0),), 60), 2 * HOURS),
    "one at a time": Trial(Bucket(((0, 1.0),), 1), 2 * HOURS),
    "a second's worth at once": Trial(Bucket(((0, 5.0),), 5), 0.5 * HOURS),
    "waits to the millisecond": Trial(Bucket(((0, 5.0),), 5, whole_seconds=False), 0.5 * HOURS),
    "no Retry-After": Trial(Bucket(((0, 2.0),), 10, told=False), 1 * HOURS),
    "twelve a minute": Trial(Bucket(((0, 0.2),), 1), 8 * HOURS),
    "quick replies": Trial(Bucket(((0, 20.0),), 20), 0.25 * HOURS, latency_s=1),
    "halved, then doubled": Trial(Bucket(((0, 4.0), (1200, 2.0), (2400, 4.0)), 4), 1 * HOURS),
    "sixteen in flight": Trial(Crowd(((0, 16),)), 2 * HOURS),
    "forty in flight, then twenty": Trial(Crowd(((0, 40), (5400, 20))), 3 * HOURS),
}
GIVEN = {
    "120 a minute": Trial(Bucket(((0, 2.0),), 2), 1 * HOURS, rpm=120),
    "1200 a minute": Trial(Bucket(((0, 20.0),), 20), 0.25 * HOURS, latency_s=1, rpm=1200),
    "600 a minute, woken late": Trial(
        Bucket(((0, 10.0),), 10), 0.25 * HOURS, latency_s=1, rpm=600, late_s=0.005
    ),
}


def _report(name: str, trial: Trial) -> Report:
    report = run_virtually(trial.run())
    print(f"{name}: {report}")  # noqa: T201  # the figures that README and bench quote
    return report


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_unknown_limit_is_used_to_95_percent_with_3_percent_of_waste(name: str) -> None:
    report = _report(name, UNKNOWN[name])
    assert report.utilisation >= 0.95
    assert report.waste <= 0.03


@pytest.mark.parametrize("name", GIVEN)
def test_a_limit_that_the_job_gives_is_used_to_98_percent_and_never_broken(name: str) -> None:
    report = _report(name, GIVEN[name])
    assert report.utilisation >= 0.98
    assert report.refused == 0
