"""Replies in the shapes of the vendor's documented samples, one function per shape.

The specs declare one shape for all models; the sample replies of https://docs.aimlapi.com (one
page per model) show the ones here.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import msgspec

from batchgen.simulator.artifacts.pictures import EXCERPT_CHARS, MEDIA_TYPES, Picture
from batchgen.simulator.prices import CREDITS_PER_USD, credits_for
from batchgen.simulator.requests.image_request import Delivery, Order
from batchgen.simulator.requests.schema import Json

_BEYOND_FLOATS = 3544609846964942300  # of a sample of flux/schnell: above 2**53
_TOKENS_PER_IMAGE = 1568

Item: TypeAlias = dict[str, Json]


class Generation(msgspec.Struct, frozen=True):
    """A paid generation, from which its reply can be built at any time."""

    order: Order
    seed: int
    created_ms: int
    inference_id: str

    @property
    def credits(self) -> int:
        return credits_for(self.order.model, self.order.count)

    @property
    def created_s(self) -> int:
        return self.created_ms // 1000


def seed_of(order: Order, salt: int) -> int:
    """Return the seed that a generation reports: the order's, or one derived from the order.

    One in four derived seeds is above 2**53, as the vendor's sometimes are.
    """
    if order.seed is not None:
        return order.seed
    made = _hash(f"{salt}\n{order.model}\n{order.prompt}") & 0xFFFF_FFFF
    return _BEYOND_FLOATS + made if made % 4 == 0 else made


def pictures(generation: Generation) -> tuple[Picture, ...]:
    """Return the pictures of a generation."""
    order = generation.order
    what = f"{order.model}  {order.width}x{order.height}  seed {generation.seed}"
    return tuple(
        Picture(
            width=order.width,
            height=order.height,
            format=order.format,
            look=_hash(f"{generation.seed}\n{order.model}\n{index}\n{order.prompt}"),
            text=order.prompt[:EXCERPT_CHARS],
            caption=what if order.count == 1 else f"{what}  ({index + 1} of {order.count})",
        )
        for index in range(order.count)
    )


def delivered(order: Order, url: str, data: bytes) -> Item:
    """Return the keys that carry a picture; `data` is empty if the URL is enough."""
    if order.delivery is Delivery.URL:
        return {"url": url}
    encoded = base64.b64encode(data).decode()
    if order.delivery is Delivery.B64:
        return {"b64_json": encoded}
    return {"url": f"data:{MEDIA_TYPES[order.format]};base64,{encoded}"}


def answer(generation: Generation, items: Sequence[Item]) -> dict[str, Json]:
    """Return the reply body of a generation whose pictures are in `items`."""
    model = generation.order.model
    shape = next((SHAPES[prefix] for prefix in SHAPES if model.startswith(prefix)), _plain)
    body = shape(generation, items)
    if generation.order.by_tokens:
        return body
    spent = generation.credits
    name = "tokens_used" if shape in (_doubled, _imagen, _reve) else "credits_used"
    usage: Item = {name: spent, "usd_spent": spent / CREDITS_PER_USD}
    return {**body, "meta": {"usage": usage}}


def _openai(generation: Generation, items: Sequence[Item]) -> Item:
    order = generation.order
    revised: Item = {}
    if order.model == "dall-e-3":
        revised = {"revised_prompt": f"{order.prompt} In fine detail, with soft light."}
    return {"created": generation.created_s, "data": [{**item, **revised} for item in items]}


def _milliseconds(generation: Generation, items: Sequence[Item]) -> Item:
    return {"created": generation.created_ms, "data": [{"b64_json": None, **i} for i in items]}


def _fal(generation: Generation, items: Sequence[Item]) -> Item:
    order = generation.order
    return {
        "images": [{**item, **_sides(order)} for item in items],
        "timings": {"inference": 0.5},
        "seed": generation.seed,
        "has_nsfw_concepts": [False] * order.count,
        "prompt": order.prompt,
        "num_images": order.count,
    }


def _doubled(generation: Generation, items: Sequence[Item]) -> Item:
    order = generation.order
    listed: list[Json] = [{**item, **_sides(order)} for item in items]
    return {"images": listed, "data": list(listed), "seed": generation.seed}


def _files(generation: Generation, items: Sequence[Item]) -> Item:
    order = generation.order
    about: Item = {
        "content_type": MEDIA_TYPES[order.format],
        "file_name": f"image.{order.format}",
        "file_size": None,
        "width": None,
        "height": None,
    }
    return {"images": [{**item, **about} for item in items], "description": ""}


def _imagen(generation: Generation, items: Sequence[Item]) -> Item:
    order = generation.order
    mime = MEDIA_TYPES[order.format]
    prompt = f"{order.prompt}, rendered with care"
    return {"data": [{"mime_type": mime, **item, "prompt": prompt} for item in items]}


def _gemini(generation: Generation, items: Sequence[Item]) -> Item:
    mime = MEDIA_TYPES[generation.order.format]
    about: Item = {"mime_type": mime, "b64_json": None, "url": None, "revised_prompt": ""}
    return {"data": [{**about, **item} for item in items]}


def _sized(generation: Generation, items: Sequence[Item]) -> Item:
    order = generation.order
    return {"data": [{**item, "size": f"{order.width}x{order.height}"} for item in items]}


def _gpt_image(generation: Generation, items: Sequence[Item]) -> Item:
    order = generation.order
    written, drawn = len(order.prompt) // 4 + 1, _TOKENS_PER_IMAGE * order.count
    about: Item = {"url": None, "b64_json": None, "revised_prompt": None}
    return {
        "created": None if order.model == "openai/gpt-image-2" else generation.created_s,
        "background": "opaque",
        "data": [{**about, **item} for item in items],
        "output_format": order.params.get("output_format"),
        "quality": order.params.get("quality"),
        "size": f"{order.width}x{order.height}",
        "usage": {
            "input_tokens": written,
            "input_tokens_details": {"image_tokens": 0, "text_tokens": written},
            "output_tokens": drawn,
            "total_tokens": written + drawn,
        },
    }


def _reve(generation: Generation, items: Sequence[Item]) -> Item:
    about: Item = {"request_id": f"rsid-{generation.inference_id}", "content_violation": False}
    return {"data": [{"url": None, "b64_json": None, **item, **about} for item in items]}


def _plain(generation: Generation, items: Sequence[Item]) -> Item:
    return {"model": generation.order.model, "data": list(items)}


Shape: TypeAlias = Callable[[Generation, Sequence[Item]], Item]

# The first prefix that matches decides.
SHAPES: Mapping[str, Shape] = {
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


def _sides(order: Order) -> Item:
    return {
        "width": order.width,
        "height": order.height,
        "content_type": MEDIA_TYPES[order.format],
    }


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=6).digest())
