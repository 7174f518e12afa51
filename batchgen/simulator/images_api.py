"""The API's origin: images, models, the usage log, and the simulator's own statistics."""

import asyncio
import functools
import json
import re
from concurrent.futures import Executor

from aiohttp import web

from batchgen.simulator.image_generations import ImageGenerations
from batchgen.simulator.middleware import PaidReply, PaidRequest, cost_headers, vendor_errors
from batchgen.simulator.prices import price_usd
from batchgen.simulator.replies.images import Generation, image_files, inline_item, reply_body
from batchgen.simulator.replies.sync_families import GENERATIONS, SyncFamilies
from batchgen.simulator.requests.image_request import (
    Delivery,
    ImageRequest,
    read_edit_request,
    read_image_request,
)
from batchgen.simulator.requests.schema import Json, JsonObject
from batchgen.simulator.requests.specs import family_specs, model_types
from batchgen.simulator.settings import SimulatorSettings
from batchgen.simulator.signed_urls import SignedUrls

_MAX_BODY_BYTES = 64 << 20  # images to edit may be inline
_ROUTES = (GENERATIONS, "/images/generations", "/v1/images/generations/with-url")
_EDITS = ("/v1/images/edits", "/images/edits")


class ImagesApi:
    """The handlers of the API's origin, except those of the families and of the account."""

    def __init__(
        self,
        settings: SimulatorSettings,
        generations: ImageGenerations,
        *,
        sync_families: SyncFamilies,
        urls: SignedUrls,
        executor: Executor,
    ) -> None:
        self._settings = settings
        self._generations = generations
        self._sync_families = sync_families
        self._middleware = sync_families.middleware
        self._urls = urls
        self._executor = executor

    def application(self) -> web.Application:
        """Return the aiohttp application with these routes; others can be added."""
        app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[vendor_errors])
        for route in _ROUTES:
            app.router.add_post(route, self._middleware.paid(self._generate))
        for route in _EDITS:
            app.router.add_post(route, self._middleware.paid(self._edit))
        for route in ("/v1/models", "/models"):
            app.router.add_get(route, self._models)
        app.router.add_get("/v2/logs", self._logs)
        app.router.add_get("/_simulator/stats", self._stats)
        return app

    async def _generate(self, paid: PaidRequest) -> PaidReply:
        if _mesh_model().search(paid.body):
            return self._sync_families.reply(GENERATIONS, paid)
        return await self._reply(read_image_request(paid.body, self._settings.refuse_words), paid)

    async def _edit(self, paid: PaidRequest) -> PaidReply:
        refuse_words = self._settings.refuse_words
        return await self._reply(
            read_edit_request(paid.body, paid.content_type, refuse_words), paid
        )

    async def _reply(self, request: ImageRequest, paid: PaidRequest) -> PaidReply:
        generation, again = await self._generations.get(request, paid)
        headers = cost_headers(generation.inference_id, generation.credits, again=again)
        if request.by_tokens:
            headers = {"x-request-id": generation.inference_id}
        status = 201 if request.model.startswith("dall-e-") else 200
        if request.delivery is Delivery.URL:
            body = self._body(generation, expired=paid.expired)
        else:
            loop = asyncio.get_running_loop()
            body = await loop.run_in_executor(self._executor, self._body, generation)
        return PaidReply(body, status, headers=headers)

    def _body(self, generation: Generation, *, expired: bool = False) -> bytes:
        """Return the JSON of a reply; images that are part of it are rendered."""
        request = generation.request
        items: list[JsonObject] = [
            {"url": self._urls.url_of(file, expired=expired)}
            if request.delivery is Delivery.URL
            else inline_item(request, file.render())
            for file in image_files(generation)
        ]
        return json.dumps(reply_body(generation, items)).encode()

    async def _models(self, request: web.Request) -> web.Response:
        """`GET /v1/models`: no key is needed (https://docs.aimlapi.com, "Models")."""
        wanted = request.query.get("id")
        with_price = bool({"pricing", "all"} & set(request.query.get("include", "").split(",")))
        models = [
            _model(name, kind, with_price=with_price)
            for name, kind in model_types().items()
            if wanted in (None, name)
        ]
        return web.json_response({"object": "list", "data": models})

    async def _logs(self, request: web.Request) -> web.Response:
        self._middleware.authorise(request)
        return self._generations.log.page(request)

    async def _stats(self, _: web.Request) -> web.Response:
        return web.json_response(self._middleware.stats.as_json())


@functools.cache
def _mesh_model() -> re.Pattern[bytes]:
    """Match a 3D model's id in a request body, without parsing megabytes of JSON."""
    ids = "|".join(map(re.escape, family_specs()[GENERATIONS]))
    return re.compile(rf'"model"\s*:\s*"(?:{ids})"'.encode())


def _model(name: str, kind: str, *, with_price: bool) -> Json:
    model: JsonObject = {
        "id": name,
        "aliases": [],
        "type": kind,
        "tags": [],
        "info": {"name": name, "developer": name.partition("/")[0], "description": ""},
    }
    if with_price:
        unit: Json = {"name": kind, "price": price_usd(name), "per": 1}
        model["pricing"] = {"kind": "fixed", "units": [unit]}
    return model
