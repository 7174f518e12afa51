"""A provider of all families no two of whose results are alike.

It remembers what it made for whom.
"""

import asyncio
import hashlib
import json
import random
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.torture.families import FAMILIES, Family, Files

_PIECES = 4  # that a file or reply is sent in
_SOUND = "audio/wav"


@dataclass(slots=True)
class _Work:
    """A job that somebody was given the id of; asked: how often it was asked for."""

    family: Family
    path: str
    files: Files
    asked: int = 0


@dataclass(slots=True)
class Provider:
    """Answers for every family, jobs that take their time among them, as
    `async with Provider(...)`.

    honours_keys: an Idempotency-Key that was seen before gets the same answer again.
    latency_s: the longest wait before a reply and between its pieces.
    files_down: files end in the middle.
    link_query: what stands behind each URL. fetched: files that were asked for.
    made: the files of every generation, by key. orders: the request that each key came with.
    """

    honours_keys: bool = True
    latency_s: float = 0.0
    seed: int = 0
    link_query: str = ""
    files_down: bool = False
    fetched: int = 0
    made: dict[str, list[Files]] = field(default_factory=lambda: defaultdict(list))
    orders: dict[str, str] = field(default_factory=dict)
    base_url: str = ""
    _files: dict[str, bytes] = field(default_factory=dict)
    _works: dict[str, _Work] = field(default_factory=dict)
    _random: random.Random = field(default_factory=random.Random)
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        self._random.seed(self.seed)
        app = web.Application()
        app.router.add_post("/{path:.*}", self._generate)
        app.router.add_get("/files/{name}", self._serve)
        app.router.add_get("/{path:.*}", self._tell)
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

    def generations_of(self, mark: str) -> list[Files]:
        """The files of all generations that were ever made for a row."""
        keys = [key for key, order in self.orders.items() if mark in order]
        return [generation for key in keys for generation in self.made[key]]

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        order = await request.json()
        family = next(one for one in FAMILIES if one.answers(request.path, order))
        files = self._made_for(request, family, order)
        if family.is_job:
            work_id = f"{len(self._works)}:{family.model}"
            self._works[work_id] = _Work(family, request.path.removesuffix("/create"), files)
            return web.json_response({"id": work_id, "status": "queued"}, status=201)
        told = self._told(family, files)
        if isinstance(told, bytes):
            return await self._in_pieces(request, told, _SOUND)
        return await self._in_pieces(request, json.dumps(told).encode(), "application/json")

    def _made_for(self, request: web.Request, family: Family, order: Mapping[str, Any]) -> Files:
        """What a generation comes to: a new one, or that of the same key."""
        key = request.headers["Idempotency-Key"]
        told = json.dumps(order, sort_keys=True)
        assert self.orders.setdefault(key, told) == told
        generations = self.made[key]
        if not (generations and self.honours_keys):
            generations.append(family.make(self._random))
        return generations[-1]

    async def _tell(self, request: web.Request) -> web.Response:
        """How a job stands: under way when it is first asked for, done from then on."""
        path, _, name = request.path.rpartition("/")
        if "generation_id" in request.query:
            path, name = request.path, request.query["generation_id"]
        work = self._works.get(name)
        if work is None or work.path != path:
            return web.json_response({"message": "no such job"}, status=404)
        work.asked += 1
        if work.asked == 1:
            return web.json_response({"id": name, "status": "generating"})
        told = self._told(work.family, work.files)
        assert not isinstance(told, bytes)
        return web.json_response({"id": name, "status": "completed", **told})

    def _told(self, family: Family, files: Files) -> Mapping[str, Any] | bytes:
        return family.tell(files, [self._url_of(file) for file in files if family.has_urls])

    def _url_of(self, file: bytes) -> str:
        name = hashlib.sha256(file).hexdigest()
        self._files[name] = file
        return f"{self.base_url}/files/{name}{self.link_query}"

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.fetched += 1
        data = self._files[request.match_info["name"]]
        if not self.files_down:
            return await self._in_pieces(request, data, "application/octet-stream")
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
