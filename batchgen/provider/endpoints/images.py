"""The images family: `POST /v1/images/generations` and the many shapes of its replies.

The vendor's specs declare `{data: [{url, b64_json}], meta: {usage}}` for every model; the
documented samples have a dozen other shapes (https://docs.aimlapi.com, "Image models"). All of
them contain a list of items, each with its bytes or its URL; `items.py` finds them.
"""

from collections.abc import Mapping

import msgspec

from batchgen.provider.endpoints.errors import is_refusal, sanitize
from batchgen.provider.endpoints.items import Item, find_items, resolve, text_of, why_unusable
from batchgen.provider.endpoints.replies import (
    JsonObject,
    build_post,
    cost_usd,
    excerpt,
    find_job_error,
    is_raw_file,
    read_object,
    read_raw_file,
    reason_words,
    request_texts,
    token_count,
)
from batchgen.types import (
    Finished,
    HttpRequest,
    HttpResponse,
    Json,
    Payload,
    RemotePayload,
    Spooled,
    Task,
    Tokens,
    Unusable,
)

name: str = "images"
PATH: str = "/v1/images/generations"

_EXCERPT_WIDTH = 80


class _Flagged(msgspec.Struct, frozen=True):
    """An image that the content filter flagged; its file is black or blurred."""


class _Broken(msgspec.Struct, frozen=True):
    """An item without a usable image."""

    reason: str


def build_request(task: Task, prompt_name: str = "prompt") -> HttpRequest:
    """Return the request of a task; parameters that are None count as absent."""
    return build_post(task, PATH, prompt_name)


def parse_response(response: HttpResponse) -> Finished | Unusable:
    """Read a 2xx reply without its task; never raise an error."""
    return _parse(response, frozenset())


def parse_for_task(task: Task, response: HttpResponse) -> Finished | Unusable:
    """Read a 2xx reply to a task's request; never raise an error.

    A reply with at least one good image is Finished with all good ones, because they are paid
    for; flagged and broken ones are dropped, with their reasons. Addresses that the task sent are
    no results. Payloads without an item are not returned; the caller discards them.
    """
    return _parse(response, request_texts(task))


def _parse(response: HttpResponse, echoes: frozenset[str]) -> Finished | Unusable:
    if is_raw_file(response):
        return read_raw_file(response, "image")
    body = read_object(response, "image")
    if isinstance(body, Unusable):
        return body
    items = find_items(body, "image", echoes)
    images = [
        _payload(item, response, flagged=_is_flagged(item.value, body, index))
        for index, item in enumerate(items)
    ]
    payloads = tuple(i for i in images if isinstance(i, Spooled | RemotePayload))
    if len(payloads) > 1:  # a file cannot be stored twice, and a repeated URL is one image
        payloads = tuple(dict.fromkeys(payloads))  # hashing one image would read all its bytes
    if not payloads:
        return _without_images(response, body, images)
    values = [item.value for item in items]
    return Finished(
        payloads,
        revised_prompt=_revised_prompt(values),
        seed=_seed(body, values),
        cost_usd=cost_usd(body, response.headers),
        tokens=_tokens(body.get("usage")),
        missing=tuple(_reason(i) for i in images if isinstance(i, _Flagged | _Broken)),
    )


def _payload(item: Item, response: HttpResponse, *, flagged: bool) -> Payload | _Flagged | _Broken:
    """Return the file of an item: the first of its texts that leads to a good one."""
    if flagged:
        return _Flagged()
    reason = ""
    for text in item.texts:
        payload = resolve(text, response)
        why = "its base64 is broken" if payload is None else why_unusable(payload, "image")
        if payload is not None and not why:
            return payload
        reason = reason or why
    return _Broken(reason or _why_without_file(item.value, response))


def _why_without_file(value: Json, response: HttpResponse) -> str:
    text = text_of(value)
    if text:
        return f"neither an http(s) URL nor complete base64: {sanitize(text, _EXCERPT_WIDTH)}"
    reasons = reason_words(value)
    if reasons:
        return sanitize(reasons, _EXCERPT_WIDTH)
    return f"an item has neither a URL nor base64: {excerpt(response)}"


def _reason(image: _Flagged | _Broken) -> str:
    return image.reason if isinstance(image, _Broken) else "flagged by the content filter"


def _is_flagged(item: Json, body: JsonObject, index: int) -> bool:
    """Read `has_nsfw_concepts` (fal-hosted models, by position) and `content_violation` (Reve)."""
    flags = body.get("has_nsfw_concepts")
    by_position = isinstance(flags, list) and index < len(flags) and flags[index] is True
    by_item = isinstance(item, dict) and item.get("content_violation") is True
    return by_position or by_item or flags is True or body.get("content_violation") is True


def _without_images(
    response: HttpResponse, body: JsonObject, images: list[Payload | _Flagged | _Broken]
) -> Unusable:
    error = find_job_error(response, body)
    if any(isinstance(image, _Flagged) for image in images) or (error and is_refusal(error)):
        message = error.message if error else "the content filter flagged every image"
        return Unusable("content_policy", message, error.code if error else None)
    if error:
        return Unusable("remote_failed", error.message, error.code)
    broken = next((image.reason for image in images if isinstance(image, _Broken)), None)
    return Unusable("bad_response", broken or f"no image in the reply: {excerpt(response)}")


def _revised_prompt(items: list[Json]) -> str | None:
    """Return the prompt as rewritten by the provider; Imagen calls it `prompt`."""
    objects = [item for item in items if isinstance(item, dict)]
    for key in ("revised_prompt", "prompt"):
        for item in objects:
            text = item.get(key)
            if isinstance(text, str) and text.strip():
                # JSON can contain half a surrogate pair, which files and databases do not accept.
                return text.encode("utf-8", "replace").decode()
    return None


def _seed(body: JsonObject, items: list[Json]) -> int | None:
    for source in (body, *items):
        seed = source.get("seed") if isinstance(source, Mapping) else None
        if isinstance(seed, int) and not isinstance(seed, bool):
            return seed
    return None


def _tokens(usage: Json) -> Tokens | None:
    """Return the tokens of OpenAI's gpt-image models (`images_response.Usage` of `openai`)."""
    if not isinstance(usage, dict):
        return None
    details = usage.get("input_tokens_details")
    split = details if isinstance(details, dict) else {}
    output, images = token_count(usage.get("output_tokens")), token_count(split.get("image_tokens"))
    text = token_count(split.get("text_tokens", usage.get("input_tokens")))
    return None if output is None or text is None else Tokens(text, images or 0, output)
