"""Jobs that the provider works on: their ids, and how they stand.

The words are those that the vendor's specs, samples and programs use between them
(https://docs.aimlapi.com, "Video models", "Music models", "Speech-to-text").
"""

from collections.abc import Callable
from enum import Enum, auto
from urllib.parse import quote

from batchgen.provider.endpoints.replies import Object, cost_usd, failure, read_object, shown
from batchgen.types import Finished, HttpRequest, HttpResponse, Json, Payload, Pending, Unusable

_LONGEST_ID = 1000
_DONE = frozenset({"completed", "complete", "succeeded", "success", "done", "finished"})
_FAILED = frozenset(
    {"error", "failed", "failure", "unavailable", "cancelled", "canceled", "expired", "rejected"}
)


class _Standing(Enum):
    """How a remote job stands; a word that nobody documents counts as going on."""

    GOES_ON = auto()
    DONE = auto()
    FAILED = auto()


def submitted(response: HttpResponse) -> Pending | Unusable:
    """Read the reply to a submission: the id of the job. MiniMax calls it `generation_id`."""
    body = read_object(response, "job")
    if isinstance(body, Unusable):
        return body
    remote_id = _id(body)
    if _standing(body) is _Standing.FAILED or (body.get("error") and not remote_id):
        return failure(response, body)
    if not remote_id:
        return Unusable("bad_response", f"no id of a job in the reply: {shown(response)}")
    return Pending(remote_id)


def poll_by_query(path: str, remote_id: str) -> HttpRequest:
    """Ask for a job by `generation_id`; ids hold `:` and `/`, which are encoded."""
    return HttpRequest("GET", f"{path}?generation_id={quote(remote_id, safe='')}", {})


def result(
    response: HttpResponse,
    what: str,
    payloads_of: Callable[[Object], tuple[Payload, ...]],
) -> Finished | Pending | Unusable:
    """Read the reply to a question; `payloads_of` finds what a finished job has made.

    A job that has ended without them is `bad_response`, which is asked for again.
    """
    body = read_object(response, what)
    if isinstance(body, Unusable):
        return body
    match _standing(body):
        case _Standing.FAILED:
            return failure(response, body)
        case _Standing.GOES_ON if _is_told(body):
            return Pending(_id(body))
        case _:
            payloads = payloads_of(body)
    if payloads:
        return Finished(payloads, seed=_seed(body), cost_usd=cost_usd(body, response.headers))
    if body.get("error"):
        return failure(response, body)
    return Unusable("bad_response", f"the job has ended, and no {what} is there: {shown(response)}")


def _standing(body: Object) -> _Standing:
    word = _word(body)
    if word in _DONE:
        return _Standing.DONE
    return _Standing.FAILED if word in _FAILED else _Standing.GOES_ON


def _is_told(body: Object) -> bool:
    return bool(_word(body))


def _word(body: Object) -> str:
    """Luma calls it `state`."""
    word = body.get("status") or body.get("state")
    return word.strip().casefold() if isinstance(word, str) else ""


def _id(body: Object) -> str:
    found = (body.get(key) for key in ("id", "generation_id", "taskId", "task_id"))
    return next((text for text in map(_text, found) if text), "")


def _text(value: Json) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or len(value) > _LONGEST_ID or not value.isprintable():
        return ""
    return value.strip()


def _seed(body: Object) -> int | None:
    seed = body.get("seed")
    return seed if type(seed) is int else None
