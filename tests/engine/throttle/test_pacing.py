"""How well an unknown limit is used, in virtual time; `pytest -rA` prints the figures."""

import pytest

from tests.engine.throttle.servers import ConcurrencyLimit, Report, TokenBucket, Trial
from tests.engine.throttle.virtual import run_virtually

HOUR_S = 3600.0
WITHOUT_LIMIT_IN_JOB = {
    "a burst of one minute": Trial(TokenBucket(((0, 1.0),), 60), 2 * HOUR_S),
    "no burst": Trial(TokenBucket(((0, 1.0),), 1), 2 * HOUR_S),
    "a burst of one second": Trial(TokenBucket(((0, 5.0),), 5), 0.5 * HOUR_S),
    "waits given in milliseconds": Trial(
        TokenBucket(((0, 5.0),), 5, whole_seconds=False), 0.5 * HOUR_S
    ),
    "no Retry-After": Trial(TokenBucket(((0, 2.0),), 10, sends_wait=False), 1 * HOUR_S),
    "12 per minute": Trial(TokenBucket(((0, 0.2),), 1), 8 * HOUR_S),
    "quick replies": Trial(TokenBucket(((0, 20.0),), 20), 0.25 * HOUR_S, latency_s=1),
    "halved, then doubled": Trial(TokenBucket(((0, 4.0), (1200, 2.0), (2400, 4.0)), 4), 1 * HOUR_S),
    "16 in flight": Trial(ConcurrencyLimit(((0, 16),)), 2 * HOUR_S),
    "40 in flight, then 20": Trial(ConcurrencyLimit(((0, 40), (5400, 20))), 3 * HOUR_S),
}
WITH_LIMIT_IN_JOB = {
    "120 per minute": Trial(TokenBucket(((0, 2.0),), 2), 1 * HOUR_S, rpm=120),
    "1200 per minute": Trial(TokenBucket(((0, 20.0),), 20), 0.25 * HOUR_S, latency_s=1, rpm=1200),
    "600 per minute, late wake-ups": Trial(
        TokenBucket(((0, 10.0),), 10), 0.25 * HOUR_S, latency_s=1, rpm=600, late_s=0.005
    ),
}


def _report(name: str, trial: Trial) -> Report:
    report = run_virtually(trial.run())
    print(f"{name}: {report}")  # noqa: T201  # the figures that docs/pacing.md quotes
    return report


@pytest.mark.parametrize("name", WITHOUT_LIMIT_IN_JOB)
def test_an_unknown_limit_is_used_to_95_percent_with_at_most_3_percent_refused(name: str) -> None:
    report = _report(name, WITHOUT_LIMIT_IN_JOB[name])
    assert report.utilisation >= 0.95
    assert report.waste <= 0.03


@pytest.mark.parametrize("name", WITH_LIMIT_IN_JOB)
def test_a_limit_in_the_job_is_used_to_98_percent_and_never_exceeded(name: str) -> None:
    report = _report(name, WITH_LIMIT_IN_JOB[name])
    assert report.utilisation >= 0.98
    assert report.refused == 0
