"""The API's origin: images, models and the simulator's own statistics."""

import asyncio
import base64
import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeAlias

from aiohttp import web

from batchgen.simulator import connection
from batchgen.simulator.answers import Generation, Item, answer, delivered, pictures
from batchgen.simulator.bucket import Bucket, retry_after
from batchgen.simulator.faults import Draws
from batchgen.simulator.generations import Generations
from batchgen.simulator.links import Links
from batchgen.simulator.orders import Delivery, read_order
from batchgen.simulator.pictures import easel
from batchgen.simulator.prices import CREDITS_PER_USD, price_usd
from batchgen.simulator.rejection import Rejection
from batchgen.simulator.schema import Json
from batchgen.simulator.settings import SimulatorSettings
from batchgen.simulator.specs import specs
from batchgen.simulator.stats import Stats

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

MOST_BODY_BYTES = 64 << 20  # images to be edited may come inline
_ROUTES = (
    "/v1/images/generations",
    "/images/generations",
    "/v1/images/generations/with-url",
)
_BEARER = re.compile(r"Bearer (\S+)", re.IGNORECASE)
_CLIENT_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)
_NO_IMAGES = {
    "badb64": "@@@ this is not base64 @@@",
    "text": base64.b64encode(b"This is a text, not an image.\n").decode(),
}


@dataclass(frozen=True, slots=True)
class Reply:
    """A response, and how the statistics call what became of its request."""

    response: web.StreamResponse
    became: str


class Api:
    """The handlers of the API's origin; `stopping` lets go of the requests that stall."""

    def __init__(
        self,
        settings: SimulatorSettings,
        generations: Generations,
        *,
        draws: Draws,
        stats: Stats,
        executor: Executor,
    ) -> None:
        self._settings = settings
        self._generations = generations
        self._draws = draws
        self._stats = stats
        self._executor = executor
        self._links = Links(settings.seed)
        self._bucket = None if settings.rpm is None else Bucket(settings.rpm, time.monotonic)
        self.stopping = asyncio.Event()
        self.files_origin = ""

    def application(self) -> web.Application:
        """The aiohttp application with all routes."""
        app = web.Application(client_max_size=MOST_BODY_BYTES, middlewares=[vendor_errors])
        for route in _ROUTES:
            app.router.add_post(route, self._counted)
        for route in ("/v1/models", "/models"):
            app.router.add_get(route, self._models)
        app.router.add_get("/_simulator/stats", self._show_stats)
        return app

    async def _counted(self, request: web.Request) -> web.StreamResponse:
        became = "abandoned"
        self._stats.begin()
        try:
            reply = await self._generate(request)
            became = reply.became
        except (Rejection, web.HTTPException) as error:
            became = str(error.status)
            raise
        finally:
            self._stats.end(became)
        return reply.response

    async def _generate(self, request: web.Request) -> Reply:
        """The path of a request for images, from its key to its reply."""
        self._authorise(request)
        self._keep_pace()
        raw = await request.read()
        key = request.headers.get("Idempotency-Key")
        draw = self._draws.generation(key or raw.decode("utf-8", "replace"))
        early = await self._fail_early(request, draw.fault)
        if early is not None:
            return early
        order = read_order(raw, self._settings.refuse_words)
        generation, again = await self._generations.get(order, key, share=draw.share)
        body = await self._body(generation)
        late = await self._fail_late(request, draw.fault, body)
        if late is not None:
            return late
        headers = {**_accounting(request, generation), **_again(again=again)}
        status = 201 if order.model.startswith("dall-e-") else 200
        response = web.Response(
            body=body, status=status, headers=headers, content_type="application/json"
        )
        return Reply(response, str(status))

    def _authorise(self, request: web.Request) -> None:
        found = _BEARER.fullmatch(request.headers.get("Authorization", ""))
        good = self._settings.api_keys
        if found is None or (good is not None and found[1] not in good):
            raise Rejection(401)

    def _keep_pace(self) -> None:
        wait_s = self._bucket.take() if self._bucket else 0.0
        if wait_s:
            raise Rejection(429, headers=retry_after(wait_s))

    async def _fail_early(self, request: web.Request, fault: str | None) -> Reply | None:
        """The faults that strike before anything is generated."""
        match fault:
            case "reset" | "stall":
                if fault == "stall":
                    await self.stopping.wait()
                return Reply(connection.hang_up(request), fault)
            case "html":
                return Reply(connection.page("Just a moment..."), "200")
            case "empty":
                return Reply(web.json_response({"created": 1_750_000_000, "data": []}), "200")
            case "429":
                raise Rejection(429, headers=retry_after(1))
            case str() if fault.isdecimal():
                raise Rejection(int(fault))
            case _:
                return None

    async def _fail_late(
        self, request: web.Request, fault: str | None, body: bytes
    ) -> Reply | None:
        """The faults that strike after a generation that was charged."""
        match fault:
            case "lost":
                return Reply(connection.hang_up(request), fault)
            case "truncated":
                return Reply(await connection.send_half(request, body), fault)
            case "badb64" | "text":
                broken = connection.no_image(_NO_IMAGES[fault])
                return Reply(web.json_response(broken), "200")
            case _:
                return None

    async def _body(self, generation: Generation) -> bytes:
        if generation.order.delivery is Delivery.URL:
            return self._written(generation)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._written, generation)

    def _written(self, generation: Generation) -> bytes:
        """The JSON of a reply, with the pictures drawn where they go into it."""
        order = generation.order
        items: list[Item] = []
        for picture in pictures(generation):
            data = b"" if order.delivery is Delivery.URL else easel().draw(picture)
            url = self.files_origin + self._links.path_of(picture)
            items.append(delivered(order, url, data))
        return json.dumps(answer(generation, items)).encode()

    async def _models(self, request: web.Request) -> web.Response:
        """`GET /v1/models`: no key is needed (https://docs.aimlapi.com, "Models")."""
        wanted = request.query.get("id")
        priced = bool({"pricing", "all"} & set(request.query.get("include", "").split(",")))
        listed = [_model(name, priced=priced) for name in specs() if wanted in (None, name)]
        return web.json_response({"object": "list", "data": listed})

    async def _show_stats(self, _: web.Request) -> web.Response:
        return web.json_response(self._stats.as_json())


@web.middleware
async def vendor_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give every error the vendor's shape, those of unknown paths included."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        reply = Rejection(error.status, f"{error.reason}: {request.method} {request.path}")
    except Rejection as rejection:
        reply = rejection
    return web.json_response(reply.body(request.path), status=reply.status, headers=reply.headers)


def _accounting(request: web.Request, generation: Generation) -> Mapping[str, str]:
    """The headers that tell whose request it was and what it cost."""
    headers = {
        "x-inference-id": generation.inference_id,
        "x-aimlapi-credits-used": str(generation.credits),
        "x-aimlapi-usd-spent": f"{generation.credits / CREDITS_PER_USD:.8f}",
    }
    name = request.headers.get("X-Client-Request-Id", "")
    if _CLIENT_REQUEST_ID.fullmatch(name):
        headers["x-client-request-id"] = name
    return headers


def _again(*, again: bool) -> Mapping[str, str]:
    return {"x-idempotent-replay": "true"} if again else {}


def _model(name: str, *, priced: bool) -> Json:
    listed: dict[str, Json] = {
        "id": name,
        "aliases": [],
        "type": "image",
        "tags": [],
        "info": {"name": name, "developer": name.partition("/")[0], "description": ""},
    }
    if priced:
        unit: Json = {"name": "image", "price": price_usd(name), "per": 1}
        listed["pricing"] = {"kind": "fixed", "units": [unit]}
    return listed
