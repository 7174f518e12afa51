"""Functions that all families share: request bodies; the JSON, files, cost, errors of replies."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from batchgen.media.formats import Family, received_type
from batchgen.provider.endpoints.errors import (
    ProviderError,
    find_error,
    is_refusal,
    read_error,
    read_json,
    sanitize,
)
from batchgen.provider.endpoints.event_streams import find_json
from batchgen.provider.endpoints.items import find_items, resolve, why_unusable
from batchgen.types import (
    Finished,
    HttpRequest,
    HttpResponse,
    Input,
    Json,
    Payload,
    Task,
    Tokens,
    Unusable,
)

CREDITS_PER_USD = 2_000_000  # https://docs.aimlapi.com, "Pricing"
JsonObject: TypeAlias = Mapping[str, Json]

_EXCERPT_WIDTH = 80
_MAX_TOKENS = 10**9
_FAILED = frozenset({"failed", "failure", "error", "cancelled", "canceled"})
_BLANKS = b"\xef\xbb\xbf \t\r\n"
_REASON_KEYS = (
    "finish_reason", "finishReason", "raiFilteredReason", "reason", "filter_reason", "message",
    "status", "error_message",
)  # fmt: skip


def read_object(response: HttpResponse, expected: str) -> JsonObject | Unusable:
    """Return the JSON object in a reply. expected: what it should contain, for the message.

    A list, or a text that is a file, is the object's `data`. JSON may be wrapped in something else;
    see `event_streams.py`.
    """
    if is_raw_file(response):
        file = response.payloads[0]
        return Unusable("bad_response", f"the reply is a file of {file.size_bytes} bytes")
    text = response.body.lstrip(_BLANKS)
    if not text:
        message = f"HTTP {response.status} with an empty body: no {expected}"
        return Unusable("bad_response", message)
    if text.startswith(b"<"):
        message = f"the body is not JSON but a web page: {read_error(response).message}"
        return Unusable("bad_response", message)
    try:
        body = read_json(response.body)
    except ValueError:
        body = find_json(response.body)
    if isinstance(body, str) or (
        isinstance(body, list) and any(isinstance(part, dict | str) for part in body)
    ):
        body = {"data": body}
    if isinstance(body, dict):
        return body
    if body is not None:
        return Unusable("bad_response", f"the body is not a JSON object: {excerpt(response)}")
    return Unusable("bad_response", f"the body is not JSON: {excerpt(response)}")


def is_raw_file(response: HttpResponse) -> bool:
    """Return whether the whole body is the file."""
    return bool(response.payloads) and not response.body and not response.undecodable


def read_raw_file(response: HttpResponse, family: Family) -> Finished | Unusable:
    """Return the file that is the whole body of a reply."""
    payload = response.payloads[0]
    reason = why_unusable(payload, family)
    if not reason and received_type(payload.head, payload.media_type) is None:
        reason = f"a body of {payload.size_bytes} bytes and no known type: {payload.head[:24]!r}"
    if reason:
        return Unusable("bad_response", reason)
    return Finished((payload,), cost_usd=cost_usd({}, response.headers))


def request_texts(task: Task) -> frozenset[str]:
    """Return the texts that a task sends: a reply that repeats them names no result."""
    return frozenset(_all_texts(list(task.params.values())))


def _all_texts(value: Json) -> Iterator[str]:
    match value:
        case str():
            yield value.strip()
        case list():
            for part in value:
                yield from _all_texts(part)
        case dict():
            for part in value.values():
                yield from _all_texts(part)
        case _:
            return


def reason_words(value: Json) -> str:
    """Return why an item has no file, in the provider's words; empty if it does not say."""
    if not isinstance(value, dict):
        return ""
    error = find_error({"error": value.get("error")})
    texts = (value.get(key) for key in _REASON_KEYS)
    words = [error.message, *(text for text in texts if isinstance(text, str))]
    return next((text for text in words if text.strip()), "")


def find_files(
    body: JsonObject, *, response: HttpResponse, names: Sequence[str]
) -> tuple[Payload, ...]:
    """Return the files under these names: URLs, objects with a `url`, lists of both; each once."""
    payloads = (resolve(source, response) for name in names for source in _sources(body.get(name)))
    return tuple(dict.fromkeys(payload for payload in payloads if payload is not None))


def find_results(
    body: JsonObject, *, response: HttpResponse, names: Sequence[str], family: Family
) -> tuple[Payload, ...]:
    """Return the files under the family's own names, else those that `find_items` finds."""
    files = find_files(body, response=response, names=names)
    if not files:
        items = find_items(body, family)
        found = (resolve(text, response) for item in items for text in item.texts[:1])
        files = tuple(dict.fromkeys(payload for payload in found if payload is not None))
    return tuple(file for file in files if not why_unusable(file, family))


def _sources(value: Json) -> Iterator[str]:
    match value:
        case str():
            yield value.strip()
        case list():
            for item in value:
                yield from _sources(item) if isinstance(item, str | dict) else ()
        case dict():
            keys = ("b64_json", "base64", "url", "video", "audio", "download_url")
            texts = (value.get(key) for key in keys)
            yield from [text.strip() for text in texts if isinstance(text, str) and text][:1]
        case _:
            return


def read_tokens(body: JsonObject) -> Tokens | None:
    """Return the tokens of a chat or of embeddings; their input is charged as text."""
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return None
    text = token_count(usage.get("prompt_tokens", usage.get("total_tokens")))
    output = token_count(usage.get("completion_tokens", 0))
    return None if text is None or output is None else Tokens(text, 0, output)


def token_count(value: Json) -> int | None:
    """Return a plausible number of tokens; None for any other value."""
    return value if type(value) is int and 0 <= value <= _MAX_TOKENS else None


def failure_from_message(message: str) -> Unusable:
    """Return a failure that has only a message."""
    is_refused = is_refusal(ProviderError(None, message))
    return Unusable("content_policy" if is_refused else "remote_failed", sanitize(message))


def cost_usd(body: JsonObject, headers: Mapping[str, str]) -> float | None:
    """Return the cost in USD that a reply reports; None if it does not.

    `tokens_used` is the older name of credits, not a count of tokens.
    """
    return next((cost for cost in _reported_costs(body, headers) if cost is not None), None)


def remote_failure(response: HttpResponse, body: JsonObject) -> Unusable:
    """Return why a remote job, or a generation with a 2xx reply, failed."""
    error = find_job_error(response, body) or read_error(response)
    kind = "content_policy" if is_refusal(error) else "remote_failed"
    return Unusable(kind, error.message, error.code)


def find_job_error(response: HttpResponse, body: JsonObject) -> ProviderError | None:
    """Return the error in a 2xx reply; None if it has none."""
    status = body.get("status")
    failed = isinstance(status, str) and status.casefold() in _FAILED
    if not body.get("error") and not failed:
        return None
    # `message` may be "ok" although there is an error, so the error's own message goes first.
    error = find_error({"error": body.get("error")})
    return error if error.message else read_error(response)


def excerpt(response: HttpResponse) -> str:
    """Return the beginning of an unexpected body, for a message."""
    return sanitize(response.body[: 8 * _EXCERPT_WIDTH].decode("utf-8", "replace"), _EXCERPT_WIDTH)


def _reported_costs(body: JsonObject, headers: Mapping[str, str]) -> Iterator[float | None]:
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


def body_fields(
    task: Task, *, prompt_name: str = "prompt", without: frozenset[str] = frozenset()
) -> dict[str, Input]:
    """Return the fields of a request body, files included; None counts as absent.

    prompt_name: the request's name for the prompt. without: parameters that are not sent.
    """
    prompt = {prompt_name: task.prompt} if task.prompt else {}  # some models take none
    params = {
        name: value
        for name, value in {**task.params, **task.inputs}.items()
        if value is not None and name not in without
    }
    return {"model": task.model, **prompt, **params}


def build_post(task: Task, path: str, prompt_name: str = "prompt") -> HttpRequest:
    """Return a POST request with the model, the prompt and all parameters of a task."""
    return HttpRequest("POST", path, body_fields(task, prompt_name=prompt_name))
