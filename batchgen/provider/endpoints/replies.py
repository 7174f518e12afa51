"""What the replies of all families have in common: JSON, payloads, cost, failure."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from batchgen.provider.endpoints.errors import (
    ProviderError,
    find_error,
    is_refusal,
    read_error,
    read_json,
    tidy,
)
from batchgen.types import (
    HttpRequest,
    HttpResponse,
    Input,
    Json,
    Payload,
    RemotePayload,
    Task,
    Tokens,
    Unusable,
)

CREDITS_PER_USD = 2_000_000  # https://docs.aimlapi.com, "Pricing"
Object: TypeAlias = Mapping[str, Json]

_SHOWN = 80
_MOST_TOKENS = 10**9
_FAILED = frozenset({"failed", "failure", "error", "cancelled", "canceled"})
_REFERENCE = re.compile(r"batchgen-payload:([0-9]{1,6})", re.ASCII)
_WEB = re.compile(r"https?://[^\s/?#][^\s]*", re.IGNORECASE)


def read_object(response: HttpResponse, what: str) -> Object | Unusable:
    """The JSON object of a reply that should have brought `what`."""
    if not response.body.strip():
        return Unusable("bad_response", f"HTTP {response.status} with an empty body, no {what}")
    try:
        body = read_json(response.body)
    except ValueError:
        return Unusable("bad_response", f"the body is not JSON: {shown(response)}")
    if not isinstance(body, dict):
        return Unusable("bad_response", f"the body is not a JSON object: {shown(response)}")
    return body


def payload_at(source: str, response: HttpResponse) -> Payload | None:
    """What a text of a reply stands for: bytes that came with it, or an http(s) URL."""
    reference = _REFERENCE.fullmatch(source)
    if reference:
        index = int(reference[1])
        return response.payloads[index] if index < len(response.payloads) else None
    return RemotePayload(source) if _WEB.fullmatch(source) and source.isprintable() else None


def files_at(body: Object, *, response: HttpResponse, names: Sequence[str]) -> tuple[Payload, ...]:
    """The files under these names: URLs, objects with a `url`, lists of both; each once."""
    found = (payload_at(source, response) for name in names for source in _sources(body.get(name)))
    return tuple(dict.fromkeys(one for one in found if one is not None))


def _sources(value: Json) -> Iterator[str]:
    match value:
        case str():
            yield value.strip()
        case list():
            for item in value:
                yield from _sources(item) if isinstance(item, str | dict) else ()
        case dict():
            keys = ("b64_json", "base64", "url", "video", "audio", "download_url")
            named = (value.get(key) for key in keys)
            yield from [text.strip() for text in named if isinstance(text, str) and text][:1]
        case _:
            return


def tokens_of(body: Object) -> Tokens | None:
    """The counts of a chat or of embeddings, whose prompts are charged as texts."""
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return None
    read = _whole(usage.get("prompt_tokens", usage.get("total_tokens")))
    written = _whole(usage.get("completion_tokens", 0))
    return None if read is None or written is None else Tokens(read, 0, written)


def _whole(value: Json) -> int | None:
    return value if type(value) is int and 0 <= value <= _MOST_TOKENS else None


def find_failure(message: str) -> Unusable:
    """A failure of which only a message is told."""
    refused = is_refusal(ProviderError(None, message))
    return Unusable("content_policy" if refused else "remote_failed", tidy(message))


def cost_usd(body: Object, headers: Mapping[str, str]) -> float | None:
    """US dollars. `tokens_used` is the older name of credits, not a count of tokens."""
    return next((cost for cost in _told_costs(body, headers) if cost is not None), None)


def failure(response: HttpResponse, body: Object) -> Unusable:
    """Why a remote job, or a generation that answered with 2xx, came to nothing."""
    error = job_error(response, body) or read_error(response)
    kind = "content_policy" if is_refusal(error) else "remote_failed"
    return Unusable(kind, error.message, error.code)


def job_error(response: HttpResponse, body: Object) -> ProviderError | None:
    """The failure of the generation that a 2xx reply tells of, if any."""
    status = body.get("status")
    failed = isinstance(status, str) and status.casefold() in _FAILED
    if not body.get("error") and not failed:
        return None
    # `message` may be a mere "ok" beside the error, so the error's own words go first.
    found = find_error({"error": body.get("error")})
    return found if found.message else read_error(response)


def shown(response: HttpResponse) -> str:
    """The beginning of a body that is not what was asked for."""
    return tidy(response.body[: 8 * _SHOWN].decode("utf-8", "replace"), _SHOWN)


def _told_costs(body: Object, headers: Mapping[str, str]) -> Iterator[float | None]:
    meta = body.get("meta")
    usage = meta.get("usage") if isinstance(meta, dict) else None
    if isinstance(usage, dict):
        yield _amount(usage.get("usd_spent"))
        yield _amount(usage.get("credits_used"), CREDITS_PER_USD)
        yield _amount(usage.get("tokens_used"), CREDITS_PER_USD)
    yield _amount(headers.get("x-aimlapi-usd-spent"))
    yield _amount(headers.get("x-aimlapi-credits-used"), CREDITS_PER_USD)


def _amount(value: Json, per_usd: int = 1) -> float | None:
    if not isinstance(value, int | float | str) or isinstance(value, bool):
        return None
    try:
        amount = float(value) / per_usd
    except (ValueError, OverflowError):
        return None
    return amount if math.isfinite(amount) and amount >= 0 else None


def fields(
    task: Task, *, prompt_name: str = "prompt", without: frozenset[str] = frozenset()
) -> dict[str, Input]:
    """The body's fields, files in their places; parameters that are None count as not given.

    prompt_name: what the request calls the prompt. without: parameters that are not sent.
    """
    prompt = {prompt_name: task.prompt} if task.prompt else {}  # some models take none
    given = {
        name: value
        for name, value in {**task.params, **task.inputs}.items()
        if value is not None and name not in without
    }
    return {"model": task.model, **prompt, **given}


def post(task: Task, path: str, prompt_name: str = "prompt") -> HttpRequest:
    """A request with all that is given."""
    return HttpRequest("POST", path, fields(task, prompt_name=prompt_name))
