"""The API's origin: images, models and the simulator's own statistics."""

import asyncio
import functools
import json
import re
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import TypeAlias

from aiohttp import web

from batchgen.simulator.artifacts.pictures import draw
from batchgen.simulator.image_jobs import Generations
from batchgen.simulator.middleware import Asked, Made, accounting
from batchgen.simulator.prices import price_usd
from batchgen.simulator.replies.images import Generation, Item, answer, delivered, pictures
from batchgen.simulator.replies.sync_families import GENERATIONS, Direct
from batchgen.simulator.requests.family_specs import family_specs, model_types
from batchgen.simulator.requests.image_request import Delivery, Order, read_edit, read_order
from batchgen.simulator.requests.rejection import Rejection
from batchgen.simulator.requests.schema import Json
from batchgen.simulator.requests.specs import specs
from batchgen.simulator.settings import SimulatorSettings
from batchgen.simulator.signed_urls import Links

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

MOST_BODY_BYTES = 64 << 20  # images to edit may be inline
_ROUTES = (
    "/v1/images/generations",
    "/images/generations",
    "/v1/images/generations/with-url",
)
_EDITS = ("/v1/images/edits", "/images/edits")


class Api:
    """The handlers of the API's origin."""

    def __init__(
        self,
        settings: SimulatorSettings,
        generations: Generations,
        *,
        direct: Direct,
        links: Links,
        executor: Executor,
    ) -> None:
        self._settings = settings
        self._generations = generations
        self._direct = direct
        self._middleware = direct.middleware
        self._links = links
        self._executor = executor

    def application(self) -> web.Application:
        """The aiohttp application with its routes; the families add theirs."""
        app = web.Application(client_max_size=MOST_BODY_BYTES, middlewares=[vendor_errors])
        for route in _ROUTES:
            app.router.add_post(route, self._images)
        for route in _EDITS:
            app.router.add_post(route, self._edits)
        for route in ("/v1/models", "/models"):
            app.router.add_get(route, self._models)
        app.router.add_get("/v2/logs", self._logs)
        app.router.add_get("/_simulator/stats", self._show_stats)
        return app

    async def _images(self, request: web.Request) -> web.StreamResponse:
        return await self._middleware.serve(request, self._generate)

    async def _edits(self, request: web.Request) -> web.StreamResponse:
        return await self._middleware.serve(request, self._edit)

    async def _generate(self, asked: Asked) -> Made:
        if _of_3d().search(asked.raw):
            return self._direct.answer(GENERATIONS, asked)
        return await self._make(read_order(asked.raw, self._settings.refuse_words), asked)

    async def _edit(self, asked: Asked) -> Made:
        refuse_words = self._settings.refuse_words
        return await self._make(read_edit(asked.raw, asked.content_type, refuse_words), asked)

    async def _make(self, order: Order, asked: Asked) -> Made:
        generation, again = await self._generations.get(
            order, asked.key, share=asked.share, client_id=asked.client_id
        )
        headers = accounting(generation.inference_id, generation.credits, again=again)
        if order.by_tokens:
            headers = {"x-request-id": generation.inference_id}
        status = 201 if order.model.startswith("dall-e-") else 200
        body = await self._body(generation, expired=asked.expired)
        return Made(body, status, headers=headers)

    async def _body(self, generation: Generation, *, expired: bool) -> bytes:
        if generation.order.delivery is Delivery.URL:
            return self._written(generation, expired=expired)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._written, generation)

    def _written(self, generation: Generation, *, expired: bool = False) -> bytes:
        """Return the JSON of a reply; pictures that are part of it are drawn."""
        order = generation.order
        items: list[Item] = []
        for picture in pictures(generation):
            data = b"" if order.delivery is Delivery.URL else draw(picture)
            url = self._links.url_of(picture, expired=expired)
            items.append(delivered(order, url, data))
        return json.dumps(answer(generation, items)).encode()

    async def _models(self, request: web.Request) -> web.Response:
        """`GET /v1/models`: no key is needed (https://docs.aimlapi.com, "Models")."""
        wanted = request.query.get("id")
        priced = bool({"pricing", "all"} & set(request.query.get("include", "").split(",")))
        types = {**model_types(), **dict.fromkeys(specs(), "image")}
        listed = [
            _model(name, kind, priced=priced)
            for name, kind in types.items()
            if wanted in (None, name)
        ]
        return web.json_response({"object": "list", "data": listed})

    async def _logs(self, request: web.Request) -> web.Response:
        self._middleware.authorise(request)
        return self._generations.log.answer(request)

    async def _show_stats(self, _: web.Request) -> web.Response:
        return web.json_response(self._middleware.stats.as_json())


@functools.cache
def _of_3d() -> re.Pattern[bytes]:
    """Match a 3D model's id in a request body, without parsing megabytes of JSON."""
    ids = "|".join(map(re.escape, family_specs()[GENERATIONS]))
    return re.compile(rf'"model"\s*:\s*"(?:{ids})"'.encode())


@web.middleware
async def vendor_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give every error the vendor's shape, including those of unknown paths."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        reply = Rejection(error.status, f"{error.reason}: {request.method} {request.path}")
    except Rejection as rejection:
        reply = rejection
    return web.json_response(reply.body(request.path), status=reply.status, headers=reply.headers)


def _model(name: str, kind: str, *, priced: bool) -> Json:
    listed: dict[str, Json] = {
        "id": name,
        "aliases": [],
        "type": kind,
        "tags": [],
        "info": {"name": name, "developer": name.partition("/")[0], "description": ""},
    }
    if priced:
        unit: Json = {"name": kind, "price": price_usd(name), "per": 1}
        listed["pricing"] = {"kind": "fixed", "units": [unit]}
    return listed
