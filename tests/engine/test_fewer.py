"""Results with fewer images than asked for."""

import pytest

from batchgen.engine.fewer import price_of_images, with_missing_images
from batchgen.types import Finished, HttpRequest, RemotePayload, Status, Task, TaskError
from tests.given import a_task, an_artifact, succeeded

FOUR = a_task(params={"n": 4})
ONE_OF_FOUR = succeeded(an_artifact(), cost_usd=None)


def test_fewer_images_than_asked_for_are_a_success_with_an_error() -> None:
    outcome = with_missing_images(ONE_OF_FOUR, FOUR, ["CONTENT_FILTERED", "CONTENT_FILTERED"])
    message = "the provider sent 1 of 4 images: CONTENT_FILTERED"
    assert outcome.status is Status.SUCCEEDED
    assert outcome.error == TaskError("fewer", None, message)


def test_only_three_reasons_are_named_and_each_in_one_line() -> None:
    reasons = [f"reason {n}\n" + "x" * 500 for n in range(9)]
    error = with_missing_images(ONE_OF_FOUR, FOUR, reasons).error
    assert error is not None
    assert error.message.count("reason") == 3
    assert len(error.message) < 600
    assert "\n" not in error.message


@pytest.mark.parametrize(
    ("task", "count"),
    [
        (FOUR, 4),
        (FOUR, 5),
        (a_task(params={}), 1),
        (a_task(params={"n": 4}, endpoint="video"), 1),
        (FOUR, 0),
    ],
)
def test_enough_images_and_other_families_have_no_such_error(task: Task, count: int) -> None:
    outcome = succeeded(*(an_artifact(f"{n}.png") for n in range(count)))
    assert with_missing_images(outcome, task, ["a reason"]) == outcome


def test_only_the_images_that_came_are_paid() -> None:
    request = HttpRequest("POST", "/v1/images/generations", {"n": 4})
    one = Finished((RemotePayload("https://cdn/a.png"),))
    five = Finished(tuple(RemotePayload(f"https://cdn/{number}.png") for number in range(5)))
    assert price_of_images(0.08, one, request, FOUR) == pytest.approx(0.02)
    assert price_of_images(0.08, five, request, FOUR) == 0.08
    video = a_task(params={"n": 4}, endpoint="video")
    assert price_of_images(0.08, one, request, video) == 0.08
