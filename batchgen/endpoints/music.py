"""The music family: most models work on a job and name the file's URL when asked.

`POST /v2/generate/audio` is asked at the same path; MiniMax's music-01 of 2025-05 answers at once
with the file in hexadecimal digits (https://docs.aimlapi.com, "Music models").
"""

from functools import partial

from batchgen.endpoints import remote
from batchgen.endpoints.replies import Object, cost_usd, files_at, find_failure, read_object
from batchgen.endpoints.requests import post
from batchgen.types import (
    Finished,
    HttpRequest,
    HttpResponse,
    Made,
    Pending,
    Polling,
    Task,
    Unusable,
)

name: str = "music"
PATH: str = "/v2/generate/audio"
POLLING: Polling = Polling(first_s=10, interval_s=15, deadline_s=600)

build_poll = remote.by_query


def build_request(task: Task, prompt_name: str = "prompt") -> HttpRequest:
    """Make the request of a task; parameters that are None count as not given."""
    return post(task, PATH, prompt_name)


def parse_response(response: HttpResponse) -> Finished | Pending | Unusable:
    """Read a 2xx reply: the id of a job, or music-01's file; never raises."""
    body = read_object(response, "job")
    if isinstance(body, Unusable):
        return body
    sound = _in_digits(body)
    if isinstance(sound, Made):
        return Finished((sound,), cost_usd=cost_usd(body, response.headers))
    return sound or remote.submitted(response)


def parse_poll(response: HttpResponse) -> Finished | Pending | Unusable:
    """Read a 2xx reply; never raises, whatever the bytes."""
    sounds = partial(files_at, response=response, names=("audio_file", "audio", "audio_url"))
    return remote.result(response, "sound", sounds)


def _in_digits(body: Object) -> Made | Unusable | None:
    """The file that music-01 sends; None for a reply of another kind."""
    data, base = body.get("data"), body.get("base_resp")
    if isinstance(base, dict) and base.get("status_code") not in (0, None):
        return find_failure(str(base.get("status_msg") or "music-01 failed"))
    digits = data.get("audio") if isinstance(data, dict) else None
    if not isinstance(digits, str) or not digits:
        return None
    try:
        return Made(bytes.fromhex(digits))
    except ValueError:
        return Unusable("bad_response", "`data.audio` is not in hexadecimal digits")
