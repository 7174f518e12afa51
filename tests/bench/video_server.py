"""`python -m tests.bench.video_server FD MIN_S MAX_S`: a server of video jobs.

A job takes between MIN_S and MAX_S seconds, spread evenly over the jobs. `GET /statistics` returns
the server's `Statistics`. Every job has the same file.
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
_SPREAD = 37  # successive jobs take different times


class Statistics(msgspec.Struct, frozen=True):
    """What the server counted and measured.

    submissions: requests that submit a job. jobs: started, one per key. max_open: jobs in progress
    at the same time. first_s: from submission to the first poll. gaps_s: between two polls of a
    job. files: downloads.
    """

    submissions: int
    jobs: int
    max_open: int
    first_s: list[float]
    gaps_s: list[float]
    files: int


@dataclass(slots=True)
class _Job:
    submitted_at: float
    ready_at: float
    polls: list[float] = field(default_factory=list)


class _VideoServer:
    def __init__(self, min_s: float, max_s: float) -> None:
        self._min_s, self._max_s = min_s, max_s
        self._jobs: dict[str, _Job] = {}
        self._submissions = self._files = self._open = self._max_open = 0

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_post(PATH, self._submit)
        app.router.add_get(PATH, self._poll)
        app.router.add_get("/files/{name}", self._serve)
        app.router.add_get("/statistics", self._report)
        return app

    async def _submit(self, request: web.Request) -> web.Response:
        await request.read()
        key = request.headers["Idempotency-Key"]
        self._submissions += 1
        if key not in self._jobs:
            share = len(self._jobs) * _SPREAD % 100 / 99
            now = time.monotonic()
            took_s = self._min_s + share * (self._max_s - self._min_s)
            self._jobs[key] = _Job(now, now + took_s)
            self._open += 1
            self._max_open = max(self._max_open, self._open)
        return web.json_response({"id": key, "status": "queued"}, status=201)

    async def _poll(self, request: web.Request) -> web.Response:
        name = request.query["generation_id"]
        job = self._jobs[name]
        job.polls.append(time.monotonic())
        if job.polls[-1] < job.ready_at:
            return web.json_response({"id": name, "status": "generating"})
        self._open -= 1
        video = {"url": f"http://{request.host}/files/{name}"}
        return web.json_response({"id": name, "status": "completed", "video": video})

    async def _serve(self, _: web.Request) -> web.Response:
        self._files += 1
        return web.Response(body=_VIDEO, content_type="video/mp4")

    async def _report(self, _: web.Request) -> web.Response:
        polled = [job for job in self._jobs.values() if job.polls]
        statistics = Statistics(
            submissions=self._submissions,
            jobs=len(self._jobs),
            max_open=self._max_open,
            first_s=[job.polls[0] - job.submitted_at for job in polled],
            gaps_s=[
                after - before
                for job in polled
                for before, after in zip(job.polls, job.polls[1:], strict=False)
            ],
            files=self._files,
        )
        return web.Response(body=msgspec.json.encode(statistics), content_type="application/json")


async def _serve(descriptor: int, min_s: float, max_s: float) -> None:
    runner = web.AppRunner(_VideoServer(min_s, max_s).application(), access_log=None)
    await runner.setup()
    await web.SockSite(runner, socket.socket(fileno=descriptor)).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))
