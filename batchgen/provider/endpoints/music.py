"""The music family: most models work on a job and name the file's URL when asked.

`POST /v2/generate/audio` is asked at the same path; MiniMax's music-01 of 2025-05 answers at once
with the file in hexadecimal digits (https://docs.aimlapi.com, "Music models"). It sings like a
recording that was uploaded before under a purpose: a song gives two ids, a voice and an
instrumental one each. The vendor's spec of the upload tells no name for the file; `file` is that of
MiniMax's own (https://platform.minimaxi.com, "Music upload").
"""

from collections.abc import Mapping
from functools import partial

from msgspec.structs import replace

from batchgen.provider.endpoints import remote
from batchgen.provider.endpoints.replies import (
    Object,
    cost_usd,
    files_at,
    find_failure,
    post,
    read_object,
    shown,
)
from batchgen.types import (
    Finished,
    GeneratedPayload,
    HttpRequest,
    HttpResponse,
    Input,
    Json,
    LocalFile,
    Pending,
    Polling,
    Task,
    Unusable,
    UploadId,
)

name: str = "music"
PATH: str = "/v2/generate/audio"
POLLING: Polling = Polling(first_s=10, interval_s=15, deadline_s=600)

_UPLOAD = "/v2/generate/audio/minimax/upload"
_VOICE, _INSTRUMENTAL = "voice_id", "instrumental_id"
# What a row calls a recording, its purpose, and the fields that the ids of its upload go into.
_PURPOSES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "refer_song": ("song", {"refer_voice": _VOICE, "refer_instrumental": _INSTRUMENTAL}),
    "refer_voice": ("voice", {"refer_voice": _VOICE}),
    "refer_instrumental": ("instrumental", {"refer_instrumental": _INSTRUMENTAL}),
}

build_poll = remote.by_query


def build_request(task: Task, prompt_name: str = "prompt") -> HttpRequest:
    """Make the request of a task; parameters that are None count as not given.

    The ids of recordings that have to be uploaded first stand open in it.
    """
    request = post(task, PATH, prompt_name)
    body = {name: value for name, value in request.body.items() if name != "refer_song"}
    for name in _recordings(task):
        ids = _PURPOSES[name][1].items()
        body |= {field: UploadId(own) for field, own in ids if not isinstance(body.get(field), str)}
    return replace(request, body=body, expects_long_reply=True)


def build_uploads(task: Task) -> tuple[HttpRequest, ...]:
    """The uploads that come before a task's request: one for each recording of this machine."""
    return tuple(_upload(name, task.inputs[name]) for name in _recordings(task))


def parse_upload(request: HttpRequest, response: HttpResponse) -> Finished | Unusable:
    """Read a 2xx reply to an upload: the ids that it was to bring; never raises."""
    body = read_object(response, "id of an upload")
    if isinstance(body, Unusable):
        return body
    if failed := _told_failure(body):
        return failed
    ids = {name: text for name in request.required_ids if (text := _word(body.get(name)))}
    if ids.keys() != set(request.required_ids):
        wanted = " and ".join(request.required_ids)
        return Unusable("bad_response", f"no {wanted} in the reply: {shown(response)}")
    cost = cost_usd(body, response.headers) or 0.0
    return Finished((), cost_usd=cost, uploads=tuple(ids.items()))


def parse_response(response: HttpResponse) -> Finished | Pending | Unusable:
    """Read a 2xx reply: the id of a job, or music-01's file; never raises."""
    body = read_object(response, "job")
    if isinstance(body, Unusable):
        return body
    sound = _in_digits(body)
    if isinstance(sound, GeneratedPayload):
        return Finished((sound,), cost_usd=cost_usd(body, response.headers))
    return sound or remote.submitted(response)


def parse_poll(response: HttpResponse) -> Finished | Pending | Unusable:
    """Read a 2xx reply; never raises, whatever the bytes."""
    sounds = partial(files_at, response=response, names=("audio_file", "audio", "audio_url"))
    return remote.result(response, "sound", sounds)


def _in_digits(body: Object) -> GeneratedPayload | Unusable | None:
    """The file that music-01 sends; None for a reply of another kind."""
    if failed := _told_failure(body):
        return failed
    data = body.get("data")
    digits = data.get("audio") if isinstance(data, dict) else None
    if not isinstance(digits, str) or not digits:
        return None
    try:
        return GeneratedPayload(bytes.fromhex(digits))
    except ValueError:
        return Unusable("bad_response", "`data.audio` is not in hexadecimal digits")


def _told_failure(body: Object) -> Unusable | None:
    """MiniMax's own way of telling that a request with status 200 has failed."""
    base = body.get("base_resp")
    if not isinstance(base, dict) or base.get("status_code") in (0, None):
        return None
    return find_failure(str(base.get("status_msg") or "music-01 failed"))


def _recordings(task: Task) -> list[str]:
    return [name for name in _PURPOSES if isinstance(task.inputs.get(name), LocalFile)]


def _upload(name: str, file: Input) -> HttpRequest:
    purpose, ids = _PURPOSES[name]
    body: dict[str, Input] = {"purpose": purpose, "file": file}
    return HttpRequest("POST", _UPLOAD, body, multipart=True, required_ids=tuple(ids.values()))


def _word(value: Json) -> str:
    return value.strip() if isinstance(value, str) and value.isprintable() else ""
