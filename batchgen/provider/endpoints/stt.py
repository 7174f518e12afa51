"""The transcription family: audio in by URL or as a file; a remote job returns the text.

The vendor's replies of 2025-05 have the text in `result`, current ones in `output`; its format is
Deepgram's, AssemblyAI's or OpenAI's (https://docs.aimlapi.com, "Speech-to-text").
"""

import json
from urllib.parse import quote

from msgspec.structs import replace

from batchgen.provider.endpoints import remote
from batchgen.provider.endpoints.replies import JsonObject, build_post
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

parse_response = remote.parse_submission


def build_request(task: Task, prompt_name: str = "prompt") -> HttpRequest:
    """Return the request of a task: JSON for a URL, a form for a local file."""
    is_form = any(isinstance(value, LocalFile | Reference) for value in task.inputs.values())
    return replace(build_post(task, PATH, prompt_name), multipart=is_form)


def build_poll(path: str, remote_id: str) -> HttpRequest:
    """Return the request for the state of a job, with its id in the path."""
    return HttpRequest(
        "GET",
        f"{path.removesuffix('/create')}/{quote(remote_id, safe='')}",
        {},
        expects_long_reply=True,
    )


def parse_poll(response: HttpResponse) -> Finished | Pending | Unusable:
    """Read a 2xx reply: the text, the whole result as JSON, and subtitles if it has times."""
    return remote.parse_result(response, "transcript", _files)


def _files(body: JsonObject) -> tuple[Payload, ...]:
    result = body.get("result") or body.get("output")
    if isinstance(result, str):
        result = {"text": result}
    text = _text(result)
    if not isinstance(result, dict) or text is None:
        return ()
    files = [GeneratedPayload(text.encode("utf-8", "replace") + b"\n", "text/plain")]
    details = json.dumps(result, ensure_ascii=True, indent=1).encode() + b"\n"
    files.append(GeneratedPayload(details, "application/json"))
    subtitles = srt(_best_alternative(result) or result)
    if subtitles:
        files.append(GeneratedPayload(subtitles.encode("utf-8", "replace"), "application/x-subrip"))
    return tuple(files)


def _text(result: Json) -> str | None:
    best = _best_alternative(result)
    sources = (result, best) if isinstance(result, dict) else ()
    texts = (source.get(key) for source in sources if source for key in ("text", "transcript"))
    return next((text for text in texts if isinstance(text, str)), None)


def _best_alternative(result: Json) -> JsonObject | None:
    """Return the first alternative of Deepgram's first channel; each may be a list or an object."""
    results = result.get("results") if isinstance(result, dict) else None
    channels = results.get("channels") if isinstance(results, dict) else None
    channel = _first(channels)
    return _first(channel.get("alternatives")) if channel else None


def _first(value: Json) -> JsonObject | None:
    first = value[0] if isinstance(value, list) and value else value
    return first if isinstance(first, dict) else None
