"""The music family: most models run a remote job, whose result has the URL of the file.

Jobs of `POST /v2/generate/audio` are polled at the same path. MiniMax's music-01 of 2025-05 returns
the file directly, in hexadecimal digits (https://docs.aimlapi.com, "Music models"). It imitates a
recording that was uploaded before for a purpose: a song returns two ids, a voice or an instrumental
one id each. The vendor's spec of the upload does not name the file's field; `file` is the name in
MiniMax's own API (https://platform.minimaxi.com, "Music upload").
"""

from collections.abc import Callable, Mapping
from functools import partial

from msgspec.structs import replace

from batchgen.provider.endpoints import remote
from batchgen.provider.endpoints.replies import (
    JsonObject,
    build_post,
    cost_usd,
    excerpt,
    failure_from_message,
    find_results,
    is_raw_file,
    read_object,
    read_raw_file,
)
from batchgen.types import (
    Finished,
    GeneratedPayload,
    HttpRequest,
    HttpResponse,
    Input,
    Json,
    LocalFile,
    Payload,
    Pending,
    Polling,
    Task,
    Unusable,
    UploadId,
)

name: str = "music"
PATH: str = "/v2/generate/audio"
POLLING: Polling = Polling(first_s=10, interval_s=15, deadline_s=600)

_NAMES = ("audio_file", "audio", "audio_url")
_UPLOAD = "/v2/generate/audio/minimax/upload"
_VOICE, _INSTRUMENTAL = "voice_id", "instrumental_id"
# Parameter of a row: the purpose of its upload, and request field: id that the upload returns.
_PURPOSES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "refer_song": ("song", {"refer_voice": _VOICE, "refer_instrumental": _INSTRUMENTAL}),
    "refer_voice": ("voice", {"refer_voice": _VOICE}),
    "refer_instrumental": ("instrumental", {"refer_instrumental": _INSTRUMENTAL}),
}

build_poll = remote.poll_by_query


def build_request(task: Task, prompt_name: str = "prompt") -> HttpRequest:
    """Return the request of a task; parameters that are None count as absent.

    The ids of recordings that are uploaded first are `UploadId`.
    """
    request = build_post(task, PATH, prompt_name)
    body = {name: value for name, value in request.body.items() if name != "refer_song"}
    for name in _recordings(task):
        ids = _PURPOSES[name][1].items()
        body |= {field: UploadId(id_) for field, id_ in ids if not isinstance(body.get(field), str)}
    return replace(request, body=body, expects_long_reply=True)


def build_uploads(task: Task) -> tuple[HttpRequest, ...]:
    """Return the uploads that precede a task's request: one for each local recording."""
    return tuple(_upload(name, task.inputs[name]) for name in _recordings(task))


def parse_upload(request: HttpRequest, response: HttpResponse) -> Finished | Unusable:
    """Read a 2xx reply to an upload: the expected ids; never raise an error."""
    body = read_object(response, "upload id")
    if isinstance(body, Unusable):
        return body
    if failure := _reported_failure(body):
        return failure
    ids = {name: text for name in request.required_ids if (text := _upload_id(body.get(name)))}
    if ids.keys() != set(request.required_ids):
        expected = " and ".join(request.required_ids)
        return Unusable("bad_response", f"no {expected} in the reply: {excerpt(response)}")
    cost = cost_usd(body, response.headers) or 0.0
    return Finished((), cost_usd=cost, uploads=tuple(ids.items()))


def parse_response(response: HttpResponse) -> Finished | Pending | Unusable:
    """Read a 2xx reply: the id of a job, or music-01's file; never raise an error."""
    if is_raw_file(response):
        return read_raw_file(response, "audio")
    body = read_object(response, "job")
    if isinstance(body, Unusable):
        return body
    file = _hex_file(body)
    if isinstance(file, GeneratedPayload):
        return Finished((file,), cost_usd=cost_usd(body, response.headers))
    return file or remote.parse_submission_or_result(response, "audio", _find(response))


def parse_poll(response: HttpResponse) -> Finished | Pending | Unusable:
    """Read a 2xx reply; never raise an error."""
    if is_raw_file(response):
        return read_raw_file(response, "audio")
    return remote.parse_result(response, "audio", _find(response))


def _find(response: HttpResponse) -> Callable[[JsonObject], tuple[Payload, ...]]:
    return partial(find_results, response=response, names=_NAMES, family="audio")


def _hex_file(body: JsonObject) -> GeneratedPayload | Unusable | None:
    """Return the file that music-01 sends; None for other replies."""
    if failure := _reported_failure(body):
        return failure
    data = body.get("data")
    digits = data.get("audio") if isinstance(data, dict) else None
    if not isinstance(digits, str) or not digits:
        return None
    try:
        return GeneratedPayload(bytes.fromhex(digits))
    except ValueError:
        return Unusable("bad_response", "`data.audio` is not in hexadecimal digits")


def _reported_failure(body: JsonObject) -> Unusable | None:
    """Return the failure in a reply with status 200, in MiniMax's own format."""
    base = body.get("base_resp")
    if not isinstance(base, dict) or base.get("status_code") in (0, None):
        return None
    return failure_from_message(str(base.get("status_msg") or "music-01 failed"))


def _recordings(task: Task) -> list[str]:
    return [name for name in _PURPOSES if isinstance(task.inputs.get(name), LocalFile)]


def _upload(name: str, file: Input) -> HttpRequest:
    purpose, ids = _PURPOSES[name]
    body: dict[str, Input] = {"purpose": purpose, "file": file}
    return HttpRequest("POST", _UPLOAD, body, multipart=True, required_ids=tuple(ids.values()))


def _upload_id(value: Json) -> str:
    return value.strip() if isinstance(value, str) and value.isprintable() else ""
