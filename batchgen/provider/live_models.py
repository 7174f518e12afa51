"""The models that a provider offers now: `GET /v1/models`.

The AI/ML API answers without a key and lists each model's type and aliases
(https://docs.aimlapi.com, "Models"); OpenAI lists ids only.
"""

import re
from collections.abc import Iterator, Mapping

import msgspec

from batchgen.errors import UsageError
from batchgen.http.service import Service
from batchgen.http.transport import AiohttpTransport
from batchgen.provider.account import Unavailable, get_json
from batchgen.types import Json, PayloadSink

_PATH = "/v1/models"
_IMAGE_MODEL_ID = re.compile(r"image|dall-e|flux|diffusion", re.IGNORECASE)


class ListedModel(msgspec.Struct, frozen=True):
    """A model on the provider's list.

    makes_images: by its type, or by its id if the list has no types.
    """

    id: str
    aliases: tuple[str, ...]
    makes_images: bool


async def live_models(service: Service) -> tuple[ListedModel, ...]:
    """Return the provider's list of models. Raise UsageError if it cannot be read."""
    async with AiohttpTransport(service, connections=1, open_sink=_no_sink) as transport:
        body = await get_json(transport, _PATH)
    if isinstance(body, Unavailable):
        raise _no_list(service, body.reason)
    models = body.get("data") if isinstance(body, dict) else None
    if not isinstance(models, list):
        raise _no_list(service, "the reply has no list `data`")
    return tuple(_read(models))


def _no_list(service: Service, reason: str) -> UsageError:
    return UsageError(f"{service.url(_PATH)} returned no list of models: {reason}")


def _no_sink() -> PayloadSink:
    raise UsageError("the provider's list of models contains a file")


def _read(models: list[Json]) -> Iterator[ListedModel]:
    for model in models:
        if isinstance(model, dict) and isinstance(model.get("id"), str):
            yield _listed_model(str(model["id"]), model)


def _listed_model(model_id: str, model: Mapping[str, Json]) -> ListedModel:
    aliases, kind = model.get("aliases"), model.get("type")
    names = aliases if isinstance(aliases, list) else []
    makes_images = (
        kind == "image" if isinstance(kind, str) else bool(_IMAGE_MODEL_ID.search(model_id))
    )
    return ListedModel(model_id, tuple(n for n in names if isinstance(n, str)), makes_images)
