"""The results as an OpenAI Batch output file, with file paths instead of base64.

Format: https://platform.openai.com/docs/guides/batch, "5. Retrieve the results".
"""

from collections.abc import Iterable
from datetime import datetime
from typing import BinaryIO

import msgspec

from batchgen.types import Json, Outcome, Record, Status

_OK = 200
_SENT = frozenset({Status.UNKNOWN, Status.SENT})
_UNKNOWN = ("unknown", "the request was sent, but its result is unknown")
_PENDING = ("pending", "the task is not finished yet")


def write_openai_batch(records: Iterable[Record], file: BinaryIO) -> None:
    """Write one line per task; paths are relative to the output directory."""
    encode = msgspec.json.encode
    file.writelines(encode(batch_line(record)) + b"\n" for record in records)


def batch_line(record: Record) -> dict[str, Json]:
    """Return a line: `response` is the provider's reply, `error` is any other failure."""
    outcome = record.outcome
    response, error = None, None
    if outcome.status is Status.SUCCEEDED:
        response = _response(outcome, outcome.http_status or _OK, _success_body(outcome))
    elif outcome.error is not None and outcome.http_status is not None:
        response = _response(outcome, outcome.http_status, _error_body(outcome))
    else:
        error = _error(outcome)
    return {
        "id": f"batch_req_{record.task.key}",
        "custom_id": record.task.id,
        "response": response,
        "error": error,
    }


def _response(outcome: Outcome, status: int, body: dict[str, Json]) -> dict[str, Json]:
    return {"status_code": status, "request_id": outcome.request_id, "body": body}


def _success_body(outcome: Outcome) -> dict[str, Json]:
    revised: dict[str, Json] = {}
    if outcome.revised_prompt is not None:
        revised["revised_prompt"] = outcome.revised_prompt
    data: list[Json] = [{"file": artifact.path, **revised} for artifact in outcome.artifacts]
    return {"created": _epoch(outcome.finished_at), "data": data}


def _error_body(outcome: Outcome) -> dict[str, Json]:
    error = outcome.error
    message, kind, code = (error.message, error.kind, error.code) if error else ("", "", None)
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _error(outcome: Outcome) -> dict[str, Json]:
    code, message = _UNKNOWN if outcome.status in _SENT else _PENDING
    if outcome.error is not None:
        code, message = outcome.error.code or outcome.error.kind, outcome.error.message
    return {"code": code, "message": message}


def _epoch(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())
