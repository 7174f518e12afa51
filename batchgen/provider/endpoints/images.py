"""The images family: `POST /v1/images/generations` and the many shapes of its replies.

The vendor's specs declare `{data: [{url, b64_json}], meta: {usage}}` for every model; the
documented samples show a dozen other shapes (https://docs.aimlapi.com, "Image models"), which
are read here by what they have in common: a list of items, each with its bytes or its URL.
"""

from collections.abc import Iterator, Mapping

import msgspec

from batchgen.media.formats import sniff
from batchgen.provider.endpoints.errors import is_refusal, tidy
from batchgen.provider.endpoints.replies import (
    Object,
    cost_usd,
    job_error,
    payload_at,
    post,
    read_object,
    shown,
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

_SOURCES = ("b64_json", "image_base64", "b64", "base64", "url")
_SHOWN = 80
_MOST_TOKENS = 10**9


class _Flagged(msgspec.Struct, frozen=True):
    """An image that the provider's content filter marked; its file is black or blurred."""


class _Broken(msgspec.Struct, frozen=True):
    """An item that has no image, and what it has instead."""

    reason: str


def build_request(task: Task, prompt_name: str = "prompt") -> HttpRequest:
    """Make the request of a task; parameters that are None count as not given."""
    return post(task, PATH, prompt_name)


def parse_response(response: HttpResponse) -> Finished | Unusable:
    """Read a 2xx reply; never raises, whatever the bytes.

    A reply with at least one good image is Finished with all its good ones: what arrived is paid
    for, so a flagged or broken neighbour does not cost it. Payloads that no item refers to are
    left out; whoever holds the response discards them.
    """
    body = read_object(response, "image")
    if isinstance(body, Unusable):
        return body
    items = _items(body)
    found = [
        _payload(item, response, flagged=_is_flagged(item, body, index))
        for index, item in enumerate(items)
    ]
    # One file cannot be stored twice, and one URL named twice is one picture.
    payloads = tuple(
        dict.fromkeys(one for one in found if isinstance(one, Spooled | RemotePayload))
    )
    if not payloads:
        return _without_images(response, body, found)
    return Finished(
        payloads,
        revised_prompt=_revised_prompt(items),
        seed=_seed(body, items),
        cost_usd=cost_usd(body, response.headers),
        tokens=_tokens(body.get("usage")),
    )


def _items(body: Object) -> list[Json]:
    """The images of a reply. Some models list the same ones as `images` and as `data`."""
    first: list[Json] | None = None
    for place in _places(body):
        items: list[Json] = place if isinstance(place, list) else [place]
        if place and any(map(_source, items)):
            return items
        if place and first is None:
            first = items
    return first or []


def _places(body: Object) -> Iterator[Json]:
    yield body.get("data")
    yield body.get("images")
    output = body.get("output")
    yield output.get("choices") if isinstance(output, dict) else None
    yield body.get("image")
    yield None if body.get("error") else dict(body)


def _source(item: Json) -> str:
    """Where an item's bytes are: base64 goes before the URL; empty where it names neither."""
    if not isinstance(item, dict):
        return item.strip() if isinstance(item, str) else ""
    for key in _SOURCES:
        text = item.get(key)
        if isinstance(text, str) and (source := text.strip()):
            return source
    return ""


def _payload(item: Json, response: HttpResponse, *, flagged: bool) -> Payload | _Flagged | _Broken:
    if flagged:
        return _Flagged()
    source = _source(item)
    if not source:
        return _Broken(f"an item has neither a URL nor base64: {shown(response)}")
    payload = payload_at(source, response)
    if payload is None:
        return _Broken(f"neither an http(s) URL nor whole base64: {tidy(source, _SHOWN)}")
    return _unless_text(payload) if isinstance(payload, Spooled) else payload


def _unless_text(payload: Spooled) -> Spooled | _Broken:
    media = sniff(payload.head)
    if media is None or media.family != "image":
        head = payload.head[:24]
        return _Broken(f"{payload.size_bytes} bytes that are not an image: {head!r}")
    return payload


def _is_flagged(item: Json, body: Object, index: int) -> bool:
    """fal-hosted models tell `has_nsfw_concepts` by position, Reve `content_violation` by item."""
    flags = body.get("has_nsfw_concepts")
    by_position = isinstance(flags, list) and index < len(flags) and flags[index] is True
    own = isinstance(item, dict) and item.get("content_violation") is True
    return by_position or own or flags is True or body.get("content_violation") is True


def _without_images(
    response: HttpResponse, body: Object, found: list[Payload | _Flagged | _Broken]
) -> Unusable:
    error = job_error(response, body)
    if any(isinstance(one, _Flagged) for one in found) or (error and is_refusal(error)):
        message = error.message if error else "the content filter marked every image"
        return Unusable("content_policy", message, error.code if error else None)
    if error:
        return Unusable("remote_failed", error.message, error.code)
    broken = next((one.reason for one in found if isinstance(one, _Broken)), None)
    return Unusable("bad_response", broken or f"no image in the reply: {shown(response)}")


def _revised_prompt(items: list[Json]) -> str | None:
    """The prompt as the provider rewrote it; Imagen calls it `prompt`."""
    objects = [item for item in items if isinstance(item, dict)]
    for key in ("revised_prompt", "prompt"):
        for item in objects:
            text = item.get(key)
            if isinstance(text, str) and text.strip():
                # JSON can carry halves of surrogate pairs, which no file or database takes.
                return text.encode("utf-8", "replace").decode()
    return None


def _seed(body: Object, items: list[Json]) -> int | None:
    for source in (body, *items):
        seed = source.get("seed") if isinstance(source, Mapping) else None
        if isinstance(seed, int) and not isinstance(seed, bool):
            return seed
    return None


def _tokens(usage: Json) -> Tokens | None:
    """The counts of OpenAI's gpt-image models (the `openai` package's `images_response.Usage`)."""
    if not isinstance(usage, dict):
        return None
    details = usage.get("input_tokens_details")
    split = details if isinstance(details, dict) else {}
    drawn, pictures = _whole(usage.get("output_tokens")), _whole(split.get("image_tokens"))
    texts = _whole(split.get("text_tokens", usage.get("input_tokens")))
    if drawn is None or texts is None:
        return None
    return Tokens(texts, pictures or 0, drawn)


def _whole(value: Json) -> int | None:
    return value if type(value) is int and 0 <= value <= _MOST_TOKENS else None
