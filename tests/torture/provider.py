"""A provider of all families that never returns the same result twice and records what it made."""

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

_CHUNKS = 4  # of each file or reply
_AUDIO_TYPE = "audio/wav"


@dataclass(slots=True)
class _Job:
    """A remote job; polls: how often it was polled."""

    family: Family
    path: str
    files: Files
    polls: int = 0


@dataclass(slots=True)
class Provider:
    """Serves every family while used as `async with Provider(...)`.

    honours_keys: whether a known Idempotency-Key gets the same result again.
    latency_s: the longest wait before a reply and between its chunks.
    truncates_files: whether downloads end in the middle. url_query: the end of each URL.
    downloads: the number of files that were requested.
    generations: the files of every generation, by key. bodies: the request body of each key.
    """

    honours_keys: bool = True
    latency_s: float = 0.0
    seed: int = 0
    url_query: str = ""
    truncates_files: bool = False
    downloads: int = 0
    generations: dict[str, list[Files]] = field(default_factory=lambda: defaultdict(list))
    bodies: dict[str, str] = field(default_factory=dict)
    base_url: str = ""
    _files: dict[str, bytes] = field(default_factory=dict)
    _jobs: dict[str, _Job] = field(default_factory=dict)
    _random: random.Random = field(default_factory=random.Random)
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        self._random.seed(self.seed)
        app = web.Application()
        app.router.add_post("/{path:.*}", self._generate)
        app.router.add_get("/files/{name}", self._serve)
        app.router.add_get("/{path:.*}", self._poll)
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
    def duplicates(self) -> int:
        """The number of generations that were repeated for a key."""
        return sum(len(generations) - 1 for generations in self.generations.values())

    def generations_for(self, marker: str) -> list[Files]:
        """Return the files of all generations for a row."""
        keys = [key for key, body in self.bodies.items() if marker in body]
        return [generation for key in keys for generation in self.generations[key]]

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        family = next(family for family in FAMILIES if family.matches(request.path, body))
        files = self._generate_files(request, family, body)
        if family.is_job:
            job_id = f"{len(self._jobs)}:{family.model}"
            self._jobs[job_id] = _Job(family, request.path.removesuffix("/create"), files)
            return web.json_response({"id": job_id, "status": "queued"}, status=201)
        reply = self._reply(family, files)
        if isinstance(reply, bytes):
            return await self._send_in_chunks(request, reply, _AUDIO_TYPE)
        return await self._send_in_chunks(request, json.dumps(reply).encode(), "application/json")

    def _generate_files(
        self, request: web.Request, family: Family, body: Mapping[str, Any]
    ) -> Files:
        """Return the files of a new generation, or the earlier ones of the same key."""
        key = request.headers["Idempotency-Key"]
        text = json.dumps(body, sort_keys=True)
        assert self.bodies.setdefault(key, text) == text
        generations = self.generations[key]
        if not (generations and self.honours_keys):
            generations.append(family.make(self._random))
        return generations[-1]

    async def _poll(self, request: web.Request) -> web.Response:
        """Return the status of a job: generating at the first poll, then completed."""
        path, _, name = request.path.rpartition("/")
        if "generation_id" in request.query:
            path, name = request.path, request.query["generation_id"]
        job = self._jobs.get(name)
        if job is None or job.path != path:
            return web.json_response({"message": "no such job"}, status=404)
        job.polls += 1
        if job.polls == 1:
            return web.json_response({"id": name, "status": "generating"})
        reply = self._reply(job.family, job.files)
        assert not isinstance(reply, bytes)
        return web.json_response({"id": name, "status": "completed", **reply})

    def _reply(self, family: Family, files: Files) -> Mapping[str, Any] | bytes:
        return family.reply(files, [self._url_of(file) for file in files if family.has_urls])

    def _url_of(self, file: bytes) -> str:
        name = hashlib.sha256(file).hexdigest()
        self._files[name] = file
        return f"{self.base_url}/files/{name}{self.url_query}"

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.downloads += 1
        data = self._files[request.match_info["name"]]
        if not self.truncates_files:
            return await self._send_in_chunks(request, data, "application/octet-stream")
        cut = web.StreamResponse()
        cut.content_length = len(data)
        await cut.prepare(request)
        await cut.write(data[: len(data) // 2])
        assert request.transport is not None
        request.transport.close()
        return cut

    async def _send_in_chunks(
        self, request: web.Request, data: bytes, media_type: str
    ) -> web.StreamResponse:
        await self._pause()
        response = web.StreamResponse(headers={"Content-Type": media_type})
        response.content_length = len(data)
        try:
            await response.prepare(request)
            step = len(data) // _CHUNKS + 1
            for start in range(0, len(data), step):
                await response.write(data[start : start + step])
                await self._pause()
            await response.write_eof()
        except ConnectionError:
            pass  # the client was killed; the generation stays
        return response

    async def _pause(self) -> None:
        if self.latency_s:
            await asyncio.sleep(self._random.uniform(0, self.latency_s))
