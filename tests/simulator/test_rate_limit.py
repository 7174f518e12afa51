from hypothesis import given
from hypothesis import strategies as st

from batchgen.simulator.rate_limit import TokenBucket, retry_after


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_admits_one_seconds_worth_of_requests_in_a_burst() -> None:
    bucket = TokenBucket(600, Clock())
    assert [bucket.take() for _ in range(10)] == [0.0] * 10
    assert 0.09 < bucket.take() <= 0.1


def test_a_request_is_admitted_after_the_reported_wait() -> None:
    clock = Clock()
    bucket = TokenBucket(7, clock)
    assert bucket.take() == 0
    for _ in range(20):
        wait_s = bucket.take()
        clock.now += int(retry_after(wait_s)["Retry-After"])
        assert bucket.take() == 0


@given(rpm=st.floats(0.5, 6000), pauses=st.lists(st.floats(0, 30), max_size=200))
def test_no_pattern_of_requests_gets_more_than_the_rate(rpm: float, pauses: list[float]) -> None:
    clock = Clock()
    bucket = TokenBucket(rpm, clock)
    passed = 0
    for pause in pauses:
        clock.now += pause
        passed += bucket.take() == 0
    assert passed <= max(1, rpm / 60) + sum(pauses) * rpm / 60 + 1e-6


def test_retry_after_is_in_whole_seconds() -> None:
    assert retry_after(0.01) == {"Retry-After": "1"}
    assert retry_after(2.2) == {"Retry-After": "3"}
