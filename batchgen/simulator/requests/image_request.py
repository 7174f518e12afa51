"""A request for images, checked against the vendor's specs and parsed."""

import json
from collections.abc import Mapping
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from batchgen.simulator.requests.form import read_form, typed
from batchgen.simulator.requests.rejection import REFUSED, Rejection
from batchgen.simulator.requests.schema import Json, Schema, problems
from batchgen.simulator.requests.sizes import size_of
from batchgen.simulator.requests.specs import DEFAULT_MODEL, edit_specs, specs

UNCHECKED_PREFIX = "any/"  # models that take any parameter, for tests
_OPENAI_IMAGE = "gpt-image-"
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


class Order(msgspec.Struct, frozen=True):
    """A valid request; `params` are its parameters with the spec's defaults.

    by_tokens: it names the model as OpenAI does, whose replies have tokens and no price.
    """

    model: str
    prompt: str
    count: int
    width: int
    height: int
    format: str
    delivery: Delivery
    seed: int | None
    params: Mapping[str, Json]
    by_tokens: bool = False


def read_order(raw: bytes, refuse_words: frozenset[str] = frozenset()) -> Order:
    """Parse a request body. Raise Rejection (400), whose message lists all problems."""
    return _understood(_json_object(raw), specs(), refuse_words)


def read_edit(raw: bytes, content_type: str, refuse_words: frozenset[str] = frozenset()) -> Order:
    """Parse a form with images to edit. Raise Rejection (400) if it is wrong."""
    return _understood(read_form(raw, content_type), edit_specs(), refuse_words)


def _understood(
    body: dict[str, Json], known: Mapping[str, Schema], refuse_words: frozenset[str]
) -> Order:
    named = body.pop("model", None) or DEFAULT_MODEL
    if not isinstance(named, str):
        raise Rejection(400, "Body validation error: model: Expected string")
    is_bare = named.startswith(_OPENAI_IMAGE)
    model = f"openai/{named.replace('.', '-')}" if is_bare else named
    schema = _schema(model, known)
    if schema is not None and is_bare:
        schema = _as_openai_has_it(schema)
    if schema is not None:
        body = typed(body, schema)
    if wrong := [] if schema is None else list(problems(body, schema, "")):
        raise Rejection(400, f"Body validation error: {'; '.join(wrong)}")
    defaults = {name: _plain(inner) for name, inner in schema.properties.items()} if schema else {}
    given = {name: value for name, value in body.items() if value is not None}
    order = _order(model, {**defaults, **given}, schema)
    if is_bare:
        order = replace(order, delivery=Delivery.B64, by_tokens=True)
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


def _schema(model: str, known: Mapping[str, Schema]) -> Schema | None:
    """Return the schema of a model, or None if it takes any parameter."""
    if model.startswith(UNCHECKED_PREFIX):
        return None
    if model not in known:
        raise Rejection(400, f"Body validation error: model: Unknown model {model!r:.200}")
    return known[model]


def _as_openai_has_it(schema: Schema) -> Schema:
    """Apply OpenAI's rules: up to 10 images, `user` allowed, always base64."""
    given = {name: one for name, one in schema.properties.items() if name != "response_format"}
    count = Schema(type="integer", minimum=1, maximum=10, default=1)
    own = {**given, "n": count, "user": Schema(type="string")}
    return msgspec.structs.replace(schema, properties=own)


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
    """Return the number of images; reject fractions and 0, which some specs allow."""
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
