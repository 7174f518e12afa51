"""Requests to a provider, and the cost of its replies."""

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from batchgen.job import PROVIDERS, Job
from batchgen.job.money import TokenPrices
from batchgen.provider.adapter import Adapter
from batchgen.types import Finished, HttpResponse, Json, Spooled
from tests.given import a_png, a_task

JOB = Job("j", PROVIDERS["aimlapi"], Path("out"))
OLD = "/v2/generate/video"
OPENAI = replace(JOB, provider=PROVIDERS["openai"])
USAGE = {
    "input_tokens": 10,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 0},
    "output_tokens": 1000,
}


def test_a_count_above_the_models_maximum_becomes_several_requests() -> None:
    task = a_task(params={"num_images": 5}, model="flux/dev")
    bodies = [request.body for request in Adapter(JOB).requests(task)]
    common = {"model": "flux/dev", "prompt": task.prompt}
    assert bodies == [{**common, "num_images": 4}, {**common, "num_images": 1}]


def test_without_the_check_a_count_is_not_split() -> None:
    task = a_task(params={"num_images": 5}, model="flux/dev")
    (request,) = Adapter(replace(JOB, check=False)).requests(task)
    assert request.body["num_images"] == 5


def test_parameters_of_an_unknown_model_are_sent_unchanged() -> None:
    (request,) = Adapter(JOB).requests(a_task(params={"n": 99}, model="lab/x"))
    assert request.body["n"] == 99


def test_a_provider_may_have_another_path() -> None:
    provider = replace(PROVIDERS["aimlapi"], paths={"images": "/v1/img"})
    (request,) = Adapter(replace(JOB, provider=provider)).requests(a_task())
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
def test_the_cost_of_a_result_is_reported_or_computed_from_tokens(
    job: Job, model: str, headers: dict[str, str], cost: float | None
) -> None:
    image = Spooled("1.part", 99, "a" * 64, a_png())
    body = {"data": [{"b64_json": "batchgen-payload:0"}], "usage": USAGE}
    response = HttpResponse(200, headers, json.dumps(body).encode(), (image,))
    result = Adapter(job).parse(a_task(model=model), response)
    assert isinstance(result, Finished)
    assert result.cost_usd == (None if cost is None else pytest.approx(cost))


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        ({"prompt_tokens": 1000, "completion_tokens": 200}, 0.0045),
        ({"total_tokens": 1000}, 0.0025),
        ({}, None),
    ],
)
def test_token_prices_of_the_job_are_used(usage: dict[str, int], cost: float | None) -> None:
    job = replace(JOB, token_prices={"openai/gpt-4o": TokenPrices(2.5, 10)})
    body = {"choices": [{"message": {"content": "A fox."}}], "usage": usage}
    task = a_task(endpoint="chat", model="openai/gpt-4o")
    result = Adapter(job).parse(task, HttpResponse(200, {}, json.dumps(body).encode()))
    assert isinstance(result, Finished)
    assert result.cost_usd == (None if cost is None else pytest.approx(cost))


@pytest.mark.parametrize(
    ("model", "params", "path"),
    [
        ("video-01", {"first_frame_image": "https://x/a.png"}, f"{OLD}/minimax/generation"),
        ("video-01", {"image_url": "https://x/a.png"}, "/v2/video/generations"),
        ("gen3a_turbo", {"ratio": "16:9"}, f"{OLD}/runway/generation"),
        ("kling-video/v1/pro/text-to-video", {"ratio": "1:1"}, f"{OLD}/kling/generation"),
        ("kling-video/v1/pro/text-to-video", {"duration": 5}, "/v2/video/generations"),
        ("wan/v2.1/1.3b/text-to-video", {}, f"{OLD}/alibaba/generation"),
        ("veo2", {"duration": 5}, "/v2/video/generations"),
    ],
)
def test_a_request_that_only_the_spec_of_2025_05_allows_uses_its_endpoint(
    model: str, params: dict[str, Json], path: str
) -> None:
    task = a_task(endpoint="video", model=model, params=params)
    (request,) = Adapter(JOB).requests(task)
    assert request.path == path
    assert Adapter(JOB).poll(task, "7").path == f"{path}?generation_id=7"


def test_lumas_endpoint_of_2025_05_supports_long_polls() -> None:
    provider = replace(PROVIDERS["aimlapi"], paths={"video": f"{OLD}/luma-ai/generation"})
    task = a_task(endpoint="video", model="luma/ray-2")
    poll = Adapter(replace(JOB, provider=provider)).poll(task, "7")
    assert poll.path == f"{OLD}/luma-ai/generation?generation_id=7"
    assert poll.long_poll_path == f"{poll.path}&state=completed"
    assert Adapter(JOB).poll(task, "7").long_poll_path == ""
