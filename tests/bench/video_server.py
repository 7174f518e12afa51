"""`python -m tests.bench.video_server FD LEAST_S MOST_S`: jobs for videos.

A job takes between LEAST_S and MOST_S, spread evenly over the jobs. `GET /seen` tells what the
server saw (`Seen`). Only one thing is served: the same file for every job.
"""

import asyncio
import resource
import socket
import sys
import time
from dataclasses import dataclass, field

import msgspec
from aiohttp import web

PATH = "/v2/video/generations"
_VIDEO = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(12_000)
_SPREAD = 37  # jobs that come one after the other take different times


class Seen(msgspec.Struct, frozen=True):
    """submissions: requests that came to begin a job. jobs: that were begun, one a key. most: that
    were under way at a time. first_s: from a submission to the first question. gaps_s: between two
    questions for a job. files: fetched.
    """

    submissions: int
    jobs: int
    most: int
    first_s: list[float]
    gaps_s: list[float]
    files: int


@dataclass(slots=True)
class _Work:
    begun: float
    ready: float
    questions: list[float] = field(default_factory=list)


class _Studio:
    def __init__(self, least_s: float, most_s: float) -> None:
        self._least_s, self._most_s = least_s, most_s
        self._works: dict[str, _Work] = {}
        self._submissions = self._files = self._open = self._most = 0

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_post(PATH, self._submit)
        app.router.add_get(PATH, self._tell)
        app.router.add_get("/files/{name}", self._serve)
        app.router.add_get("/seen", self._show)
        return app

    async def _submit(self, request: web.Request) -> web.Response:
        await request.read()
        key = request.headers["Idempotency-Key"]
        self._submissions += 1
        if key not in self._works:
            share = len(self._works) * _SPREAD % 100 / 99
            now = time.monotonic()
            took_s = self._least_s + share * (self._most_s - self._least_s)
            self._works[key] = _Work(now, now + took_s)
            self._open += 1
            self._most = max(self._most, self._open)
        return web.json_response({"id": key, "status": "queued"}, status=201)

    async def _tell(self, request: web.Request) -> web.Response:
        name = request.query["generation_id"]
        work = self._works[name]
        work.questions.append(time.monotonic())
        if work.questions[-1] < work.ready:
            return web.json_response({"id": name, "status": "generating"})
        self._open -= 1
        video = {"url": f"http://{request.host}/files/{name}"}
        return web.json_response({"id": name, "status": "completed", "video": video})

    async def _serve(self, _: web.Request) -> web.Response:
        self._files += 1
        return web.Response(body=_VIDEO, content_type="video/mp4")

    async def _show(self, _: web.Request) -> web.Response:
        asked = [work for work in self._works.values() if work.questions]
        seen = Seen(
            submissions=self._submissions,
            jobs=len(self._works),
            most=self._most,
            first_s=[work.questions[0] - work.begun for work in asked],
            gaps_s=[
                after - before
                for work in asked
                for before, after in zip(work.questions, work.questions[1:], strict=False)
            ],
            files=self._files,
        )
        return web.Response(body=msgspec.json.encode(seen), content_type="application/json")


async def _serve(descriptor: int, least_s: float, most_s: float) -> None:
    runner = web.AppRunner(_Studio(least_s, most_s).application(), access_log=None)
    await runner.setup()
    await web.SockSite(runner, socket.socket(fileno=descriptor)).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))
