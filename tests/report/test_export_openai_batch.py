"""Results as an OpenAI Batch output file."""

import io
import json
from typing import Any

import pytest

from batchgen.report.export_openai_batch import batch_line, write_openai_batch
from batchgen.types import Outcome, Record, Status, TaskError
from tests.given import NOW, a_task, an_artifact, succeeded

REFUSED = TaskError("content_policy", "moderation_blocked", "not this")


def line(outcome: Outcome) -> dict[str, Any]:
    return batch_line(Record(a_task(), outcome))


def test_a_success_names_its_files_where_base64_would_stand() -> None:
    assert line(succeeded(an_artifact("a-1.png"), an_artifact("a-2.png"))) == {
        "id": f"batch_req_{0:032x}",
        "custom_id": "fox-0",
        "response": {
            "status_code": 200,
            "request_id": "req-1",
            "body": {
                "created": int(NOW.timestamp()) + 1,
                "data": [
                    {"file": "a-1.png", "revised_prompt": "A red fox"},
                    {"file": "a-2.png", "revised_prompt": "A red fox"},
                ],
            },
        },
        "error": None,
    }


def test_what_the_provider_answered_is_a_response_with_its_error() -> None:
    told = line(Outcome(Status.REFUSED, error=REFUSED, http_status=400, request_id="req-2"))
    assert told["error"] is None
    assert (told["response"]["status_code"], told["response"]["request_id"]) == (400, "req-2")
    assert told["response"]["body"]["error"] == {
        "message": "not this",
        "type": "content_policy",
        "param": None,
        "code": "moderation_blocked",
    }


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Outcome(Status.FAILED, error=TaskError("timeout", None, "no reply")), "timeout"),
        (Outcome(Status.PENDING), "pending"),
        (Outcome(Status.RECEIVED), "pending"),
        (Outcome(Status.UNKNOWN), "unknown"),
    ],
)
def test_without_an_answer_there_is_an_error_and_no_response(outcome: Outcome, code: str) -> None:
    told = line(outcome)
    assert told["response"] is None
    assert told["error"]["code"] == code
    assert told["error"]["message"]


def test_every_task_is_a_line() -> None:
    file = io.BytesIO()
    records = [Record(a_task(number), Outcome(Status.PENDING)) for number in range(3)]
    write_openai_batch(records, file)
    lines = [json.loads(text) for text in file.getvalue().splitlines()]
    assert [one["custom_id"] for one in lines] == ["fox-0", "fox-1", "fox-2"]
