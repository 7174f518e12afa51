"""The models that a provider has now: `GET /v1/models`.

The AI/ML API answers without a key and tells each model's type and aliases
(https://docs.aimlapi.com, "Models"); OpenAI's list has ids only.
"""

import re
from collections.abc import Iterator, Mapping

import msgspec

from batchgen.errors import UsageError
from batchgen.http.service import Service
from batchgen.http.transport import AiohttpTransport
from batchgen.provider.endpoints.errors import read_error, read_json
from batchgen.types import HttpRequest, HttpResponse, Json, PayloadSink, Reply

_REQUEST = HttpRequest("GET", "/v1/models", {})
_OK = 200
_DRAWS = re.compile(r"image|dall-e|flux|diffusion", re.IGNORECASE)


class Live(msgspec.Struct, frozen=True):
    """A model that the provider lists; `draws`: it is for images, as far as the list tells."""

    id: str
    aliases: tuple[str, ...]
    draws: bool


async def live_models(service: Service) -> tuple[Live, ...]:
    """The provider's list; raises UsageError that says why there is none."""
    async with AiohttpTransport(service, connections=1, open_sink=_no_sink) as transport:
        reply = await transport.send(_REQUEST, "")
    return tuple(_read(_listed(reply, service)))


def _no_sink() -> PayloadSink:
    raise UsageError("the provider's list of models holds a file")


def _listed(reply: Reply, service: Service) -> list[Json]:
    where = service.url(_REQUEST.path)
    if not isinstance(reply, HttpResponse):
        raise UsageError(f"{where} gave no list of models: {reply.message}")
    if reply.status != _OK:
        told = read_error(reply).message
        raise UsageError(f"{where} gave no list of models: HTTP {reply.status} {told}".rstrip())
    try:
        body = read_json(reply.body)
    except ValueError:
        body = None
    data = body.get("data") if isinstance(body, dict) else None
    if not isinstance(data, list):
        raise UsageError(f"{where} gave no list of models: there is no `data` in the reply")
    return data


def _read(data: list[Json]) -> Iterator[Live]:
    for item in data:
        if isinstance(item, dict) and isinstance(item.get("id"), str):
            yield _live(str(item["id"]), item)


def _live(model_id: str, item: Mapping[str, Json]) -> Live:
    aliases, kind = item.get("aliases"), item.get("type")
    named = aliases if isinstance(aliases, list) else []
    draws = kind == "image" if isinstance(kind, str) else bool(_DRAWS.search(model_id))
    return Live(model_id, tuple(name for name in named if isinstance(name, str)), draws)
