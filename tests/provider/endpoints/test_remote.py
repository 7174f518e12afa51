"""States of remote jobs: only the job's own words end it."""

import json
from typing import Any

import pytest

from batchgen.provider.endpoints.remote import parse_result
from batchgen.provider.endpoints.replies import JsonObject, find_files
from batchgen.types import Finished, HttpResponse, Payload, Pending, Unusable

URL = "https://cdn.example/v.mp4"


def polled(**fields: Any) -> Finished | Pending | Unusable:
    response = HttpResponse(200, {}, json.dumps(fields).encode())

    def find(body: JsonObject) -> tuple[Payload, ...]:
        return find_files(body, response=response, names=("video",))

    return parse_result(response, "video", find)


@pytest.mark.parametrize(
    "word",
    [
        *("failed", "FAILED", "Failure", "fail", "TASK_STATUS_FAILED", "job-failed"),
        *("JOB_STATE_CANCELLED", "canceled", "aborted", "expired", "TIMED_OUT", "error"),
    ],
)
def test_a_word_for_failed_ends_a_job_in_every_spelling(word: str) -> None:
    ended = polled(id="job-1", status=word)
    assert isinstance(ended, Unusable)
    assert ended.kind == "remote_failed"


@pytest.mark.parametrize("word", ["nsfw", "NSFW", "Content Moderated", "request_moderated"])
def test_a_word_for_refused_refuses_a_job(word: str) -> None:
    ended = polled(id="job-1", status=word)
    assert isinstance(ended, Unusable)
    assert ended.kind == "content_policy"


@pytest.mark.parametrize("word", ["succeed", "TASK_STATUS_SUCCEEDED", "Ready", "job_completed"])
def test_a_word_for_done_ends_a_job_that_has_its_file(word: str) -> None:
    assert isinstance(polled(id="job-1", status=word, video={"url": URL}), Finished)


@pytest.mark.parametrize("word", ["throttled", "queued", "RUNNING", "task_status_submitted", "new"])
def test_any_other_word_is_a_job_in_progress_whatever_else_the_reply_has(word: str) -> None:
    assert isinstance(polled(id="job-1", status=word, error={"message": "busy"}), Pending)


@pytest.mark.parametrize(
    "fields",
    [
        {"error": {"message": "Provider returned error", "code": 502}},
        {"error": "content policy"},
        {"status": "error", "message": "Internal server error"},
        {"status": "timeout", "message": "upstream"},
        {"status": 500, "error": "Internal Server Error"},
        {"code": 502, "msg": "bad gateway"},
        {"id": "job-1"},
        {"id": "job-1", "status": "completed"},
        {},
    ],
)
def test_an_error_of_a_gateway_and_a_reply_without_a_state_are_polled_again(
    fields: dict[str, Any],
) -> None:
    odd = polled(**fields)
    assert isinstance(odd, Unusable)
    assert odd.kind == "bad_response"
