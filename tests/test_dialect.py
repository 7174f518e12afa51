"""How requests are put to a provider, and what its replies cost."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from batchgen.dialect import Dialect
from batchgen.job import PROVIDERS, Job
from batchgen.types import Finished, HttpResponse, Spooled
from tests.given import a_png, a_task

JOB = Job("j", PROVIDERS["aimlapi"], Path("out"))
OPENAI = replace(JOB, provider=PROVIDERS["openai"])
USAGE = {
    "input_tokens": 10,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 0},
    "output_tokens": 1000,
}


def test_a_count_above_the_models_maximum_becomes_several_requests() -> None:
    task = a_task(params={"num_images": 5}, model="flux/dev")
    bodies = [request.body for request in Dialect(JOB).requests(task)]
    common = {"model": "flux/dev", "prompt": task.prompt}
    assert bodies == [{**common, "num_images": 4}, {**common, "num_images": 1}]


def test_without_the_check_a_count_is_sent_as_given() -> None:
    task = a_task(params={"num_images": 5}, model="flux/dev")
    (request,) = Dialect(replace(JOB, check=False)).requests(task)
    assert request.body["num_images"] == 5


def test_an_unknown_model_is_sent_what_was_given() -> None:
    (request,) = Dialect(JOB).requests(a_task(params={"n": 99}, model="lab/x"))
    assert request.body["n"] == 99


def test_a_provider_may_answer_at_another_path() -> None:
    provider = replace(PROVIDERS["aimlapi"], paths={"images": "/v1/img"})
    (request,) = Dialect(replace(JOB, provider=provider)).requests(a_task())
    assert request.path == "/v1/img"


@pytest.mark.parametrize(
    ("job", "model", "headers", "cost"),
    [
        (OPENAI, "gpt-image-1", {}, 0.04005),
        (OPENAI, "gpt-image-2", {}, None),
        (OPENAI, "lab/x", {}, None),
        (JOB, "openai/gpt-image-1", {"x-aimlapi-usd-spent": "0.5"}, 0.5),
    ],
)
def test_what_a_result_cost_is_told_or_follows_from_its_tokens(
    job: Job, model: str, headers: dict[str, str], cost: float | None
) -> None:
    picture = Spooled("1.part", 99, "a" * 64, a_png())
    body = {"data": [{"b64_json": "batchgen-payload:0"}], "usage": USAGE}
    response = HttpResponse(200, headers, json.dumps(body).encode(), (picture,))
    found = Dialect(job).parse(a_task(model=model), response)
    assert isinstance(found, Finished)
    assert found.cost_usd == (None if cost is None else pytest.approx(cost))
