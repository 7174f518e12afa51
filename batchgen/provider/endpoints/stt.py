"""The transcription family: a sound in by its URL or as a file; a job is asked for its text.

The reply of the vendor's 2025-05 has the text in `result`, that of today in `output`; inside it is
Deepgram's, AssemblyAI's or OpenAI's own (https://docs.aimlapi.com, "Speech-to-text").
"""

import json
from urllib.parse import quote

from msgspec.structs import replace

from batchgen.provider.endpoints import remote
from batchgen.provider.endpoints.replies import Object, post
from batchgen.provider.endpoints.subtitles import srt
from batchgen.types import (
    Finished,
    GeneratedPayload,
    HttpRequest,
    HttpResponse,
    Json,
    LocalFile,
    Payload,
    Pending,
    Polling,
    Reference,
    Task,
    Unusable,
)

name: str = "stt"
PATH: str = "/v1/stt/create"
POLLING: Polling = Polling(first_s=5, interval_s=10, deadline_s=600)

parse_response = remote.submitted


def build_request(task: Task, prompt_name: str = "prompt") -> HttpRequest:
    """Make the request of a task: JSON for a URL, a form for a file of this machine."""
    is_form = any(isinstance(value, LocalFile | Reference) for value in task.inputs.values())
    return replace(post(task, PATH, prompt_name), multipart=is_form)


def build_poll(path: str, remote_id: str) -> HttpRequest:
    """Ask for a job: its id stands in the path."""
    return HttpRequest(
        "GET",
        f"{path.removesuffix('/create')}/{quote(remote_id, safe='')}",
        {},
        expects_long_reply=True,
    )


def parse_poll(response: HttpResponse) -> Finished | Pending | Unusable:
    """Read a 2xx reply: a text, the whole result as JSON, subtitles where times are known."""
    return remote.result(response, "transcript", _files)


def _files(body: Object) -> tuple[Payload, ...]:
    result = body.get("result") or body.get("output")
    if isinstance(result, str):
        result = {"text": result}
    text = _text(result)
    if not isinstance(result, dict) or text is None:
        return ()
    files = [GeneratedPayload(text.encode("utf-8", "replace") + b"\n", "text/plain")]
    whole = json.dumps(result, ensure_ascii=True, indent=1).encode() + b"\n"
    files.append(GeneratedPayload(whole, "application/json"))
    subtitles = srt(_best(result) or result)
    if subtitles:
        files.append(GeneratedPayload(subtitles.encode("utf-8", "replace"), "application/x-subrip"))
    return tuple(files)


def _text(result: Json) -> str | None:
    best = _best(result)
    places = (result, best) if isinstance(result, dict) else ()
    texts = (place.get(key) for place in places if place for key in ("text", "transcript"))
    return next((text for text in texts if isinstance(text, str)), None)


def _best(result: Json) -> Object | None:
    """Deepgram's first alternative of its first channel; each may be a list or an object."""
    results = result.get("results") if isinstance(result, dict) else None
    channels = results.get("channels") if isinstance(results, dict) else None
    channel = _first(channels)
    return _first(channel.get("alternatives")) if channel else None


def _first(value: Json) -> Object | None:
    one = value[0] if isinstance(value, list) and value else value
    return one if isinstance(one, dict) else None
