"""Failures in a row that halt the run, or close a model."""

import pytest

from batchgen.engine.circuit_breaker import CircuitBreaker, Trip
from batchgen.types import Outcome, Status, TaskError

SUCCEEDED = Outcome(Status.SUCCEEDED)
REFUSED = Outcome(Status.REFUSED, error=TaskError("content_policy", None, "no"))


def failed(kind: str) -> Outcome:
    return Outcome(Status.FAILED, error=TaskError(kind, None, "no"))


@pytest.mark.parametrize("kind", ["model", "forbidden", "not_found", "bad_response"])
def test_five_failures_of_a_model_that_every_row_will_meet_close_it(kind: str) -> None:
    breaker = CircuitBreaker(25)
    assert [breaker.add(failed(kind), "a") for _ in range(4)] == [None] * 4
    assert breaker.add(failed(kind), "a") == Trip(f"5 failures in a row: {kind} (no)", kind, True)


def test_successes_of_other_models_do_not_hide_them() -> None:
    breaker = CircuitBreaker(25)
    for _ in range(4):
        assert breaker.add(failed("model"), "gone") is None
        assert breaker.add(SUCCEEDED, "good") is None
    assert breaker.add(failed("model"), "gone") is not None


def test_a_success_of_the_model_restarts_the_count() -> None:
    breaker = CircuitBreaker(25)
    for _ in range(3):
        assert [breaker.add(failed("bad_response"), "a") for _ in range(4)] == [None] * 4
        breaker.add(SUCCEEDED, "a")


def test_a_web_page_concerns_every_model() -> None:
    breaker = CircuitBreaker(25)
    trips = [breaker.add(failed("web_page"), "a") for _ in range(5)]
    assert trips[-1] is not None
    assert not trips[-1].of_model


def test_refusals_are_no_failures() -> None:
    breaker = CircuitBreaker(2)
    assert [breaker.add(REFUSED, "a") for _ in range(30)] == [None] * 30


def test_a_smaller_limit_of_the_job_holds() -> None:
    breaker = CircuitBreaker(2)
    breaker.add(failed("model"), "a")
    assert breaker.add(failed("model"), "a") is not None


def test_plain_mistakes_halt_after_the_limit_of_the_job() -> None:
    breaker = CircuitBreaker(7)
    assert [breaker.add(failed("invalid_request"), "a") for _ in range(6)] == [None] * 6
    assert breaker.add(failed("invalid_request"), "a") is not None
