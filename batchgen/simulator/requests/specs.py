"""The request schemas of the vendor's models, as `compile_specs` writes them."""

import functools
from collections.abc import Mapping
from importlib import resources

import msgspec

from batchgen.simulator.requests.schema import Schema

DEFAULT_MODEL = "dall-e-2"  # OpenAI's, for requests that name none
_TYPES = (
    ("/v2/video/", "video"),
    ("/v2/generate/video/", "video"),
    ("/v2/generate/audio", "audio"),
    ("/v1/tts", "tts"),
    ("/v1/stt/", "stt"),
    ("/v1/images/", "3d"),
    ("/v1/ocr", "ocr"),
    ("/v1/embeddings", "embedding"),
    ("/v1/chat/", "chat-completion"),
)
_DECODER = msgspec.json.Decoder(dict[str, dict[str, Schema]])


def image_specs() -> Mapping[str, Schema]:
    """Return the schema of every image model by its id, without the property `model`."""
    return _read("image_specs.json")["generations"]


def edit_specs() -> Mapping[str, Schema]:
    """Return the same for models that edit uploaded images."""
    return _read("image_specs.json")["edits"]


def family_specs() -> Mapping[str, Mapping[str, Schema]]:
    """Return the same for the models of the other families, by path."""
    return _read("family_specs.json")


def model_types() -> Mapping[str, str]:
    """Return the type of every model by its id, as in the list of models."""
    types = {
        model: next(kind for prefix, kind in _TYPES if path.startswith(prefix))
        for path, models in family_specs().items()
        for model in models
        if model
    }
    return types | dict.fromkeys(image_specs(), "image")


@functools.cache
def _read(name: str) -> Mapping[str, Mapping[str, Schema]]:
    return _DECODER.decode(resources.files(__package__).joinpath(name).read_bytes())
