"""Lines of an OpenAI Batch file are sent unchanged, or are errors."""

import pytest

from batchgen.provider.adapter import Adapter
from batchgen.types import Json
from tests.manifest.expand.expanding import DALLE2, job_of, problems, task


def batch_line(**changes: Json) -> dict[str, Json]:
    body: dict[str, Json] = {"model": "dall-e-2", "prompt": "a {fox}", "size": "256x256"}
    line: dict[str, Json] = {"custom_id": "a-1", "method": "POST", "body": body}
    return {**line, "url": "/v1/images/generations", **changes}


def test_the_body_of_a_batch_line_is_sent_unchanged() -> None:
    job = job_of({"defaults": {"model": "dall-e-3", "n": 1, "user": "me"}, "matrix": {}})
    made = task(job, batch_line(), entry={})
    assert (made.id, made.endpoint, made.model) == ("a-1", "images", "dall-e-2")
    assert (made.prompt, made.params, made.vars) == ("a {fox}", {"size": "256x256"}, {})


def test_flags_override_a_batch_line() -> None:
    job = job_of(model="dall-e-3", parameters={"size": "1024x1024"})
    made = task(job, batch_line(), entry={})
    assert (made.model, made.params) == ("dall-e-3", {"size": "1024x1024"})


@pytest.mark.parametrize("url", ["/v1/images/generations", "/images/generations"])
def test_the_url_of_a_batch_line_may_have_the_version_or_not(url: str) -> None:
    assert task(DALLE2, batch_line(url=url), entry={}).endpoint == "images"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"url": "/v1/completions"}, "is not a supported endpoint"),
        ({"url": "/v1/chat/completions", "body": {"model": "gpt-4o-mini"}}, "needs `messages`"),
        ({"url": "/v1/embeddings", "body": {"model": "text-embedding-3-small"}}, "needs `input`"),
        ({"url": None}, "is not a supported endpoint"),
        ({"method": "GET"}, "only POST is supported"),
        ({"custom_id": None}, "needs a `custom_id`"),
        ({"custom_id": 7}, "needs a `custom_id`"),
        ({"custom_id": "../x"}, "leaves the output directory"),
        ({"body": "text"}, "not an object"),
        ({"body": {"prompt": "x"}}, "no model"),
        ({"body": {"model": "dall-e-2"}}, "needs `prompt`"),
        ({"body": {"model": "dall-e-2", "prompt": ["x"]}}, "`body.prompt`"),
        ({"body": {"model": "dall-e-2", "prompt": "x", "n": 0}}, "`n`"),
        ({"prompt": "beside"}, "put it into its `body`"),
    ],
)
def test_errors_of_a_batch_line_are_reported(changes: dict[str, Json], expected: str) -> None:
    (problem,) = problems(DALLE2, batch_line(**changes), entry={})
    assert expected in problem


def test_a_duplicate_custom_id_is_an_error() -> None:
    (message,) = problems(DALLE2, batch_line(), batch_line(), entry={})
    assert message == "m.csv:2: duplicate id 'a-1'; ids must be unique in a manifest"


@pytest.mark.parametrize("model", ["gpt-4o", "lab/own"])
def test_messages_of_a_batch_line_are_sent_unchanged(model: str) -> None:
    body: dict[str, Json] = {"model": model, "messages": [{"role": "user", "content": "a {fox}"}]}
    made = task(DALLE2, batch_line(url="/v1/chat/completions", body=body), entry={})
    assert (made.endpoint, made.prompt) == ("chat", "")
    (request,) = Adapter(DALLE2).requests(made)
    assert (request.path, request.body) == ("/v1/chat/completions", body)


@pytest.mark.parametrize("texts", ["a {fox}", ["a {fox}", "a cat"]])
def test_texts_of_a_batch_line_are_sent_unchanged(texts: Json) -> None:
    body: dict[str, Json] = {"model": "text-embedding-3-small", "input": texts}
    made = task(DALLE2, batch_line(url="/v1/embeddings", body=body), entry={})
    assert made.endpoint == "embeddings"
    (request,) = Adapter(DALLE2).requests(made)
    assert (request.path, request.body) == ("/v1/embeddings", body)
