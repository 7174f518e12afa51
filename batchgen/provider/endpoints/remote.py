"""Remote jobs at the provider: their ids, states and results.

The names of states are all those in the vendor's specs, samples and programs
(https://docs.aimlapi.com, "Video models", "Music models", "Speech-to-text").
"""

import re
from collections.abc import Callable
from enum import Enum, auto
from urllib.parse import quote

from batchgen.media.formats import Family
from batchgen.provider.endpoints.replies import (
    JsonObject,
    cost_usd,
    excerpt,
    is_raw_file,
    read_object,
    read_raw_file,
    remote_failure,
)
from batchgen.types import Finished, HttpRequest, HttpResponse, Json, Payload, Pending, Unusable

_MAX_ID_LENGTH = 1000
DONE_WORDS = frozenset(
    {
        *("completed", "complete", "succeeded", "success", "succeed", "done", "finished"),
        "ready",
    }
)
FAILED_WORDS = frozenset(
    {
        *("error", "failed", "failure", "fail", "unavailable", "cancelled", "canceled", "expired"),
        *("rejected", "refused", "aborted", "nsfw", "moderated", "blocked", "filtered"),
        *("content_moderated", "request_moderated", "content_filtered", "content_blocked"),
        *("timed_out", "timedout", "timeout"),
    }
)
# A gateway's own errors use these words too; a job's come with its id or its error.
_OF_GATEWAYS_TOO = frozenset(
    {"error", "unavailable", "timeout", "timed_out", "timedout", "blocked"}
)
_SEPARATORS = re.compile(r"[\s_-]+")
_PREFIX = re.compile(r"(?:(?:job|task|generation|run|state|status)_)+(?=\w)")


class _JobState(Enum):
    """The state of a remote job; an undocumented word counts as running."""

    RUNNING = auto()
    DONE = auto()
    FAILED = auto()


def parse_submission(response: HttpResponse) -> Pending | Unusable:
    """Read the reply to a submission: the job's id, which MiniMax calls `generation_id`."""
    body = read_object(response, "job")
    if isinstance(body, Unusable):
        return body
    remote_id = _id(body)
    if _state_word(body) in FAILED_WORDS or (body.get("error") and not remote_id):
        return remote_failure(response, body)
    if not remote_id:
        return Unusable("bad_response", f"no job id in the reply: {excerpt(response)}")
    return Pending(remote_id)


def parse_submission_or_result(
    response: HttpResponse,
    family: Family,
    find_payloads: Callable[[JsonObject], tuple[Payload, ...]],
) -> Finished | Pending | Unusable:
    """Read the reply to a submission: a job's id, or the files themselves.

    A job that says it has ended has its files in the same reply.
    """
    if is_raw_file(response):
        return read_raw_file(response, family)
    submitted = parse_submission(response)
    body = read_object(response, family)
    if isinstance(body, Unusable) or (isinstance(submitted, Unusable) and body.get("error")):
        return submitted
    if isinstance(submitted, Pending) and _state(body) is not _JobState.DONE:
        return submitted
    payloads = find_payloads(body)
    return Finished(payloads, cost_usd=cost_usd(body, response.headers)) if payloads else submitted


def poll_by_query(path: str, remote_id: str) -> HttpRequest:
    """Return a poll by `generation_id`; `:` and `/` in the id are percent-encoded."""
    return HttpRequest("GET", f"{path}?generation_id={quote(remote_id, safe='')}", {})


def parse_result(
    response: HttpResponse,
    expected: str,
    find_payloads: Callable[[JsonObject], tuple[Payload, ...]],
) -> Finished | Pending | Unusable:
    """Read the reply to a poll.

    expected: what the job makes, for messages. find_payloads: returns the files of a finished job.
    A job that ends without files is a `bad_response`, which is polled again.
    """
    body = read_object(response, expected)
    if isinstance(body, Unusable):
        return body
    match _state(body):
        case _JobState.FAILED:
            return remote_failure(response, body)
        case _JobState.RUNNING if _state_word(body) not in ("", *FAILED_WORDS):
            return Pending(_id(body))
        case _:
            payloads = find_payloads(body)
    if payloads:
        return Finished(payloads, seed=_seed(body), cost_usd=cost_usd(body, response.headers))
    if body.get("error") and _state(body) is _JobState.DONE:
        return remote_failure(response, body)
    return Unusable(
        "bad_response", f"the job has ended, but its result has no {expected}: {excerpt(response)}"
    )


def state_word(text: str) -> str:
    """Return the plain word of a state: `failed` for `TASK_STATUS_FAILED` and `Job-Failed`."""
    word = _SEPARATORS.sub("_", text.strip().casefold())
    return _PREFIX.sub("", word, count=1) if _PREFIX.match(word) else word


def _state(body: JsonObject) -> _JobState:
    word = _state_word(body)
    if word in DONE_WORDS:
        return _JobState.DONE
    is_own = word not in _OF_GATEWAYS_TOO or bool(_id(body) or body.get("error"))
    return _JobState.FAILED if word in FAILED_WORDS and is_own else _JobState.RUNNING


def _state_word(body: JsonObject) -> str:
    """Return `status`, which Luma calls `state`."""
    word = body.get("status") or body.get("state")
    return state_word(word) if isinstance(word, str) else ""


def _id(body: JsonObject) -> str:
    ids = (body.get(key) for key in ("id", "generation_id", "taskId", "task_id"))
    return next((text for text in map(_text, ids) if text), "")


def _text(value: Json) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or len(value) > _MAX_ID_LENGTH or not value.isprintable():
        return ""
    return value.strip()


def _seed(body: JsonObject) -> int | None:
    seed = body.get("seed")
    return seed if type(seed) is int else None
