"""A provider of pictures no two of which are alike, and which remembers what it made for whom."""

import asyncio
import base64
import hashlib
import random
from collections import defaultdict
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.given import a_png

_PIECES = 4  # that a file or reply is sent in
_SMALL_BYTES = 2_000
_LARGE_BYTES = 150_000  # more than is kept in memory, so that a temporary file is written to


@dataclass(slots=True)
class Provider:
    """Answers for images, and for jobs that take their time, as `async with Provider(...)`.

    honours_keys: an Idempotency-Key that was seen before gets the same answer again.
    latency_s: the longest wait before a reply and between its pieces.
    files_down: files end in the middle.
    link_query: what stands behind each URL. fetched: files that were asked for.
    made: the pictures of every generation, by key. prompts: the prompt that each key came with.
    """

    honours_keys: bool = True
    latency_s: float = 0.0
    seed: int = 0
    link_query: str = ""
    files_down: bool = False
    fetched: int = 0
    made: dict[str, list[list[bytes]]] = field(default_factory=lambda: defaultdict(list))
    prompts: dict[str, str] = field(default_factory=dict)
    base_url: str = ""
    _files: dict[str, bytes] = field(default_factory=dict)
    _random: random.Random = field(default_factory=random.Random)
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        self._random.seed(self.seed)
        app = web.Application()
        app.router.add_post("/v1/images/generations", self._generate)
        app.router.add_post("/v2/video/generations", self._submit)
        app.router.add_get("/v2/video/generations", self._tell)
        app.router.add_get("/files/{name}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    @property
    def doubles(self) -> int:
        """Generations that were made again under a key."""
        return sum(len(generations) - 1 for generations in self.made.values())

    def pictures_of(self, prompt: str) -> list[bytes]:
        """All pictures that were ever made for a prompt."""
        keys = [key for key, told in self.prompts.items() if told == prompt]
        return [
            picture
            for key in keys
            for generation in self.made[key]
            for picture in generation
        ]  # fmt: skip

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        order = await request.json()
        pictures = self._made_for(request, order)
        body = web.json_response({"data": [self._item(order, picture) for picture in pictures]})
        assert isinstance(body.body, bytes)
        return await self._in_pieces(request, body.body, "application/json")

    def _made_for(self, request: web.Request, order: dict[str, Any]) -> list[bytes]:
        """What a generation comes to: a new one, or that of the same key."""
        key = request.headers["Idempotency-Key"]
        assert self.prompts.setdefault(key, order["prompt"]) == order["prompt"]
        generations = self.made[key]
        if not (generations and self.honours_keys):
            generations.append([self._picture() for _ in range(order.get("n", 1))])
        return generations[-1]

    async def _submit(self, request: web.Request) -> web.Response:
        """Take a job, whose id is that of the file which it will come to."""
        order = await request.json()
        (picture,) = self._made_for(request, order)
        url = self._item(order, picture)["url"]
        return web.json_response({"id": url.rpartition("/")[2], "status": "queued"}, status=201)

    async def _tell(self, request: web.Request) -> web.Response:
        """How a job stands: done whenever it is asked for."""
        name = request.query["generation_id"]
        video = {"url": f"{self.base_url}/files/{name}"}
        return web.json_response({"id": name, "status": "completed", "video": video})

    def _picture(self) -> bytes:
        size = self._random.choice((_SMALL_BYTES, _LARGE_BYTES))
        return a_png(256, 256, pixel=self._random.randbytes(size // 99))

    def _item(self, order: dict[str, Any], picture: bytes) -> dict[str, str]:
        if order.get("response_format") == "b64_json":
            return {"b64_json": base64.b64encode(picture).decode()}
        name = hashlib.sha256(picture).hexdigest()
        self._files[name] = picture
        return {"url": f"{self.base_url}/files/{name}{self.link_query}"}

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.fetched += 1
        data = self._files[request.match_info["name"]]
        if not self.files_down:
            return await self._in_pieces(request, data, "image/png")
        cut = web.StreamResponse()
        cut.content_length = len(data)
        await cut.prepare(request)
        await cut.write(data[: len(data) // 2])
        assert request.transport is not None
        request.transport.close()
        return cut

    async def _in_pieces(
        self, request: web.Request, data: bytes, media_type: str
    ) -> web.StreamResponse:
        await self._pause()
        response = web.StreamResponse(headers={"Content-Type": media_type})
        response.content_length = len(data)
        try:
            await response.prepare(request)
            step = len(data) // _PIECES + 1
            for start in range(0, len(data), step):
                await response.write(data[start : start + step])
                await self._pause()
            await response.write_eof()
        except ConnectionError:
            pass  # the client was killed; what was made stays made
        return response

    async def _pause(self) -> None:
        if self.latency_s:
            await asyncio.sleep(self._random.uniform(0, self.latency_s))
