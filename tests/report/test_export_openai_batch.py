"""The results as an OpenAI Batch output file."""

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


def test_a_success_has_file_paths_instead_of_base64() -> None:
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


def test_a_reply_with_an_error_is_a_response() -> None:
    exported = line(Outcome(Status.REFUSED, error=REFUSED, http_status=400, request_id="req-2"))
    assert exported["error"] is None
    assert (exported["response"]["status_code"], exported["response"]["request_id"]) == (
        400,
        "req-2",
    )
    assert exported["response"]["body"]["error"] == {
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
def test_without_a_reply_there_is_an_error_and_no_response(outcome: Outcome, code: str) -> None:
    exported = line(outcome)
    assert exported["response"] is None
    assert exported["error"]["code"] == code
    assert exported["error"]["message"]


def test_there_is_one_line_per_task() -> None:
    file = io.BytesIO()
    records = [Record(a_task(number), Outcome(Status.PENDING)) for number in range(3)]
    write_openai_batch(records, file)
    lines = [json.loads(text) for text in file.getvalue().splitlines()]
    assert [line["custom_id"] for line in lines] == ["fox-0", "fox-1", "fox-2"]
