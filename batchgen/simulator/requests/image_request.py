"""A request for images, checked against the vendor's specs and parsed."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from batchgen.simulator.requests.body import read_image_form, read_json
from batchgen.simulator.requests.rejection import check_prompt, invalid_body
from batchgen.simulator.requests.schema import Json, JsonObject, Schema, problems
from batchgen.simulator.requests.sizes import size_of
from batchgen.simulator.requests.specs import DEFAULT_MODEL, edit_specs, image_specs

_UNCHECKED_PREFIX = "any/"  # models that take any parameter, for tests
_OPENAI_IMAGE = "gpt-image-"
_COUNTS = ("n", "num_images")
_MAX_UNCHECKED_COUNT = 16
_FORMATS = {
    "png": "png",
    "jpeg": "jpeg",
    "jpg": "jpeg",
    "webp": "webp",
    "tiff": "tiff",
    "tif": "tiff",
}
_JPEG_MODELS = ("flux", "stable-diffusion", "bytedance/", "reve/")


class Delivery(StrEnum):
    """How the bytes of an image reach the client."""

    URL = "url"
    B64 = "b64"
    INLINE = "inline"  # as a `data:` URL


class ImageRequest(msgspec.Struct, frozen=True):
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


def read_image_request(raw: bytes, refuse_words: frozenset[str] = frozenset()) -> ImageRequest:
    """Parse a JSON body. Raise Rejection (400), whose message lists all problems."""
    return _checked(read_json(raw), image_specs(), refuse_words)


def read_edit_request(
    raw: bytes, content_type: str, refuse_words: frozenset[str] = frozenset()
) -> ImageRequest:
    """Parse a form with images to edit. Raise Rejection (400) if it is wrong."""
    return _checked(read_image_form(raw, content_type), edit_specs(), refuse_words)


def _checked(
    body: JsonObject, specs: Mapping[str, Schema], refuse_words: frozenset[str]
) -> ImageRequest:
    name = body.pop("model", None) or DEFAULT_MODEL
    if not isinstance(name, str):
        raise invalid_body("model: Expected string")
    by_tokens = name.startswith(_OPENAI_IMAGE)
    model = f"openai/{name.replace('.', '-')}" if by_tokens else name
    schema = _schema(model, specs)
    if schema is not None:
        schema = _with_openai_rules(schema) if by_tokens else schema
        body = {name: _typed(value, schema.properties.get(name)) for name, value in body.items()}
        if messages := list(problems(body, schema, "")):
            raise invalid_body("; ".join(messages))
    defaults = {name: inner.default for name, inner in schema.properties.items()} if schema else {}
    present = {name: value for name, value in body.items() if value is not None}
    request = _parsed(model, {**defaults, **present}, schema)
    check_prompt(request.prompt, refuse_words)
    return replace(request, delivery=Delivery.B64, by_tokens=True) if by_tokens else request


def _schema(model: str, specs: Mapping[str, Schema]) -> Schema | None:
    """Return the schema of a model, or None if it takes any parameter."""
    if model.startswith(_UNCHECKED_PREFIX):
        return None
    if model not in specs:
        raise invalid_body(f"model: Unknown model {model!r:.200}")
    return specs[model]


def _with_openai_rules(schema: Schema) -> Schema:
    """Apply OpenAI's rules: up to 10 images, `user` allowed, always base64."""
    properties = {n: inner for n, inner in schema.properties.items() if n != "response_format"}
    count = Schema(type="integer", minimum=1, maximum=10, default=1)
    return replace(schema, properties={**properties, "n": count, "user": Schema(type="string")})


def _typed(value: Json, schema: Schema | None) -> Json:
    """Return a number if the schema has one: forms have only text."""
    if schema is None or schema.type not in ("number", "integer") or not isinstance(value, str):
        return value
    return int(value) if value.isascii() and value.isdigit() else value


def _parsed(model: str, params: JsonObject, schema: Schema | None) -> ImageRequest:
    prompt, seed = params.get("prompt"), params.get("seed")
    width, height = size_of(params)
    return ImageRequest(
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
        raise invalid_body(f"{name}: Expected a whole number from 1")
    if schema is None and count > _MAX_UNCHECKED_COUNT:
        raise invalid_body(f"{name}: at most {_MAX_UNCHECKED_COUNT}")
    return int(count)


def _format(model: str, requested: Json) -> str:
    if isinstance(requested, str) and requested in _FORMATS:
        return _FORMATS[requested]
    if model == "recraft-v3":
        return "webp"
    return "jpeg" if model.startswith(_JPEG_MODELS) else "png"


def _delivery(params: Mapping[str, Json]) -> Delivery:
    if params.get("sync_mode") is True:
        return Delivery.INLINE
    base64 = params.get("response_format") == "b64_json"
    if base64 or params.get("convert_base64_to_url") is False:
        return Delivery.B64
    return Delivery.URL
