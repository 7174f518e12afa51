"""Replies with images in the shapes of the vendor's documented samples, one function per shape.

The specs declare one shape for all models; the sample replies of https://docs.aimlapi.com (one
page per model) show the ones here.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import msgspec

from batchgen.simulator.artifacts.images import MEDIA_TYPES, ImageFile
from batchgen.simulator.digests import number_of
from batchgen.simulator.prices import CREDITS_PER_USD, credits_for
from batchgen.simulator.requests.image_request import Delivery, ImageRequest
from batchgen.simulator.requests.schema import Json, JsonObject

_EXCERPT_CHARS = 500  # of the prompt that an image shows
_BEYOND_FLOATS = 3544609846964942300  # a seed from a sample of flux/schnell: above 2**53
_TOKENS_PER_IMAGE = 1568


class Generation(msgspec.Struct, frozen=True):
    """A paid generation, from which its reply can be built at any time."""

    request: ImageRequest
    seed: int
    created_ms: int
    inference_id: str

    @property
    def credits(self) -> int:
        return credits_for(self.request.model, self.request.count)

    @property
    def created_s(self) -> int:
        return self.created_ms // 1000


def seed_of(request: ImageRequest, salt: int) -> int:
    """Return the seed that a generation reports: the request's, or one derived from it.

    One in four derived seeds is above 2**53, as the vendor's sometimes are.
    """
    if request.seed is not None:
        return request.seed
    derived = number_of(f"{salt}\n{request.model}\n{request.prompt}") & 0xFFFF_FFFF
    return _BEYOND_FLOATS + derived if derived % 4 == 0 else derived


def image_files(generation: Generation) -> tuple[ImageFile, ...]:
    """Return the images of a generation."""
    request = generation.request
    caption = f"{request.model}  {request.width}x{request.height}  seed {generation.seed}"
    return tuple(
        ImageFile(
            width=request.width,
            height=request.height,
            format=request.format,
            look=number_of(f"{generation.seed}\n{request.model}\n{index}\n{request.prompt}"),
            text=request.prompt[:_EXCERPT_CHARS],
            caption=caption
            if request.count == 1
            else f"{caption}  ({index + 1} of {request.count})",
        )
        for index in range(request.count)
    )


def inline_item(request: ImageRequest, data: bytes) -> JsonObject:
    """Return the keys that carry an image in the reply itself."""
    encoded = base64.b64encode(data).decode()
    if request.delivery is Delivery.B64:
        return {"b64_json": encoded}
    return {"url": f"data:{MEDIA_TYPES[request.format]};base64,{encoded}"}


def reply_body(generation: Generation, items: Sequence[JsonObject]) -> JsonObject:
    """Return the reply body of a generation whose images are in `items`."""
    model = generation.request.model
    shape = next((_SHAPES[prefix] for prefix in _SHAPES if model.startswith(prefix)), _plain)
    body = shape(generation, items)
    if generation.request.by_tokens:
        return body
    spent = generation.credits
    name = "tokens_used" if shape in (_doubled, _imagen, _reve) else "credits_used"
    usage: JsonObject = {name: spent, "usd_spent": spent / CREDITS_PER_USD}
    return {**body, "meta": {"usage": usage}}


def _openai(generation: Generation, items: Sequence[JsonObject]) -> JsonObject:
    request = generation.request
    revised: JsonObject = {}
    if request.model == "dall-e-3":
        revised = {"revised_prompt": f"{request.prompt} In fine detail, with soft light."}
    return {"created": generation.created_s, "data": [{**item, **revised} for item in items]}


def _milliseconds(generation: Generation, items: Sequence[JsonObject]) -> JsonObject:
    return {"created": generation.created_ms, "data": [{"b64_json": None, **i} for i in items]}


def _fal(generation: Generation, items: Sequence[JsonObject]) -> JsonObject:
    request = generation.request
    return {
        "images": [{**item, **_sides(request)} for item in items],
        "timings": {"inference": 0.5},
        "seed": generation.seed,
        "has_nsfw_concepts": [False] * request.count,
        "prompt": request.prompt,
        "num_images": request.count,
    }


def _doubled(generation: Generation, items: Sequence[JsonObject]) -> JsonObject:
    request = generation.request
    images: list[Json] = [{**item, **_sides(request)} for item in items]
    return {"images": images, "data": list(images), "seed": generation.seed}


def _files(generation: Generation, items: Sequence[JsonObject]) -> JsonObject:
    request = generation.request
    details: JsonObject = {
        "content_type": MEDIA_TYPES[request.format],
        "file_name": f"image.{request.format}",
        "file_size": None,
        "width": None,
        "height": None,
    }
    return {"images": [{**item, **details} for item in items], "description": ""}


def _imagen(generation: Generation, items: Sequence[JsonObject]) -> JsonObject:
    request = generation.request
    mime = MEDIA_TYPES[request.format]
    prompt = f"{request.prompt}, rendered with care"
    return {"data": [{"mime_type": mime, **item, "prompt": prompt} for item in items]}


def _gemini(generation: Generation, items: Sequence[JsonObject]) -> JsonObject:
    mime = MEDIA_TYPES[generation.request.format]
    details: JsonObject = {"mime_type": mime, "b64_json": None, "url": None, "revised_prompt": ""}
    return {"data": [{**details, **item} for item in items]}


def _sized(generation: Generation, items: Sequence[JsonObject]) -> JsonObject:
    request = generation.request
    return {"data": [{**item, "size": f"{request.width}x{request.height}"} for item in items]}


def _gpt_image(generation: Generation, items: Sequence[JsonObject]) -> JsonObject:
    request = generation.request
    tokens_in, tokens_out = len(request.prompt) // 4 + 1, _TOKENS_PER_IMAGE * request.count
    details: JsonObject = {"url": None, "b64_json": None, "revised_prompt": None}
    return {
        "created": None if request.model == "openai/gpt-image-2" else generation.created_s,
        "background": "opaque",
        "data": [{**details, **item} for item in items],
        "output_format": request.params.get("output_format"),
        "quality": request.params.get("quality"),
        "size": f"{request.width}x{request.height}",
        "usage": {
            "input_tokens": tokens_in,
            "input_tokens_details": {"image_tokens": 0, "text_tokens": tokens_in},
            "output_tokens": tokens_out,
            "total_tokens": tokens_in + tokens_out,
        },
    }


def _reve(generation: Generation, items: Sequence[JsonObject]) -> JsonObject:
    details: JsonObject = {
        "request_id": f"rsid-{generation.inference_id}",
        "content_violation": False,
    }
    return {"data": [{"url": None, "b64_json": None, **item, **details} for item in items]}


def _plain(generation: Generation, items: Sequence[JsonObject]) -> JsonObject:
    return {"model": generation.request.model, "data": list(items)}


_Shape: TypeAlias = Callable[[Generation, Sequence[JsonObject]], JsonObject]

# By prefix of the model's id; the first one that matches counts.
_SHAPES: Mapping[str, _Shape] = {
    "dall-e-": _openai,
    "any/": _openai,
    "openai/gpt-image": _gpt_image,
    "alibaba/": _milliseconds,
    "flux/srpo": _doubled,
    "bytedance/uso": _doubled,
    "bytedance/seedream-v4": _doubled,
    "bytedance/": _sized,
    "flux": _fal,
    "blackforestlabs/": _fal,
    "stable-diffusion": _fal,
    "beeble/": _fal,
    "recraft-v3": _files,
    "imagen4/preview": _files,
    "google/gemini-2.5": _files,
    "google/gemini-3-pro": _files,
    "google/nano-banana-pro": _files,
    "google/gemini-3-1": _gemini,
    "google/nano-banana-2": _gemini,
    "x-ai/": _gemini,
    "google/": _imagen,
    "imagen-": _imagen,
    "reve/": _reve,
}


def _sides(request: ImageRequest) -> JsonObject:
    return {
        "width": request.width,
        "height": request.height,
        "content_type": MEDIA_TYPES[request.format],
    }
