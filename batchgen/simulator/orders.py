"""A request for images, checked against the vendor's specs and understood."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from batchgen.simulator.rejection import REFUSED, Rejection
from batchgen.simulator.schema import Json, Schema, problems
from batchgen.simulator.sizes import size_of
from batchgen.simulator.specs import DEFAULT_MODEL, specs

UNCHECKED_PREFIX = "any/"  # models that take any parameter, for tests
_COUNTS = ("n", "num_images")
_MOST_UNCHECKED = 16
_FORMATS = {
    "png": "png",
    "jpeg": "jpeg",
    "jpg": "jpeg",
    "webp": "webp",
    "tiff": "tiff",
    "tif": "tiff",
}
_JPEG_MAKERS = ("flux", "stable-diffusion", "bytedance/", "reve/")


class Delivery(StrEnum):
    """How the bytes of a picture reach the client."""

    URL = "url"
    B64 = "b64"
    INLINE = "inline"  # as a `data:` URL


@dataclass(frozen=True, slots=True)
class Order:
    """What a good request asks for; `params` are its parameters with the spec's defaults."""

    model: str
    prompt: str
    count: int
    width: int
    height: int
    format: str
    delivery: Delivery
    seed: int | None
    params: Mapping[str, Json]


def read_order(raw: bytes, refuse_words: frozenset[str] = frozenset()) -> Order:
    """Understand a request body. Raises Rejection (400), whose message tells all that is wrong."""
    body = _json_object(raw)
    model = body.pop("model", None) or DEFAULT_MODEL
    if not isinstance(model, str):
        raise Rejection(400, "Body validation error: model: Expected string")
    schema = _schema(model)
    if wrong := [] if schema is None else list(problems(body, schema, "")):
        raise Rejection(400, f"Body validation error: {'; '.join(wrong)}")
    defaults = {name: _plain(inner) for name, inner in schema.properties.items()} if schema else {}
    given = {name: value for name, value in body.items() if value is not None}
    order = _order(model, {**defaults, **given}, schema)
    if any(word in order.prompt.lower() for word in refuse_words):
        raise Rejection(400, REFUSED, code="content_policy_violation")
    return order


def _json_object(raw: bytes) -> dict[str, Json]:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Rejection(400, f"Body validation error: the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise Rejection(400, "Body validation error: Expected object")
    return body


def _schema(model: str) -> Schema | None:
    """The schema of a model; None where everything goes."""
    if model.startswith(UNCHECKED_PREFIX):
        return None
    if model not in specs():
        raise Rejection(400, f"Body validation error: model: Unknown model {model!r:.200}")
    return specs()[model]


def _plain(schema: Schema) -> Json:
    default = schema.default
    return list(default) if isinstance(default, tuple) else default


def _order(model: str, params: dict[str, Json], schema: Schema | None) -> Order:
    prompt, seed = params.get("prompt"), params.get("seed")
    width, height = size_of(params)
    return Order(
        model=model,
        prompt=prompt if isinstance(prompt, str) else "",
        count=_count(params, schema),
        width=width,
        height=height,
        format=_format(model, params.get("output_format")),
        delivery=_delivery(params),
        seed=seed if isinstance(seed, int) else None,
        params=params,
    )


def _count(params: Mapping[str, Json], schema: Schema | None) -> int:
    """How many pictures; a part of one, or none, is no order, whatever the spec leaves open."""
    name = next((name for name in _COUNTS if params.get(name) is not None), "n")
    count = params.get(name, 1)
    if not isinstance(count, int | float) or count < 1 or count % 1:
        raise Rejection(400, f"Body validation error: {name}: Expected a whole number from 1")
    if schema is None and count > _MOST_UNCHECKED:
        raise Rejection(400, f"Body validation error: {name}: at most {_MOST_UNCHECKED}")
    return int(count)


def _format(model: str, wish: Json) -> str:
    if isinstance(wish, str) and wish in _FORMATS:
        return _FORMATS[wish]
    if model == "recraft-v3":
        return "webp"
    return "jpeg" if model.startswith(_JPEG_MAKERS) else "png"


def _delivery(params: Mapping[str, Json]) -> Delivery:
    if params.get("sync_mode") is True:
        return Delivery.INLINE
    base64 = params.get("response_format") == "b64_json"
    if base64 or params.get("convert_base64_to_url") is False:
        return Delivery.B64
    return Delivery.URL
