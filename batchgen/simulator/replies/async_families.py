"""The asynchronous families: video, music, speech to text; POST submits, GET polls.

Shapes and words are those of the vendor's specs and sample replies (https://docs.aimlapi.com,
"Video models", "Music models", "Speech-to-text").
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec
from aiohttp import web

from batchgen.simulator import broken_replies
from batchgen.simulator.artifacts.audio import Sound
from batchgen.simulator.artifacts.video import Clip
from batchgen.simulator.middleware import Asked, Made, Middleware, accounting
from batchgen.simulator.prices import CREDITS_PER_USD, credits_for
from batchgen.simulator.replies.jobs import Job, Jobs
from batchgen.simulator.replies.transcripts import transcript
from batchgen.simulator.requests.family_request import read_family_request
from batchgen.simulator.requests.rejection import Rejection
from batchgen.simulator.requests.schema import Json
from batchgen.simulator.settings import SimulatorSettings
from batchgen.simulator.signed_urls import Links

Sleep: TypeAlias = Callable[[float], Awaitable[None]]

UNIFIED = "/v2/video/generations"
MUSIC = "/v2/generate/audio"
SPEECH = "/v1/stt/create"
_MINIMAX = "/v2/generate/video/minimax/generation"
_RUNWAY = "/v2/generate/video/runway/generation"
_LUMA = "/v2/generate/video/luma-ai/generation"
_LONGEST_WAIT_S = 30.0
_WIDTH, _HEIGHT = 320, 180
_LISTED = ("bytedance/", "pixverse/", "magic/")  # whose `video` is a list of objects


class Words(msgspec.Struct, frozen=True):
    """The status words of an endpoint, and the JSON key that holds them."""

    queued: str = "queued"
    working: str = "generating"
    done: str = "completed"
    failed: str = "error"
    key: str = "status"


_WORDS = {
    UNIFIED: Words(),
    "/v2/generate/video/kling/generation": Words("waiting", "active"),
    "/v2/generate/video/google/generation": Words("queued", "processing"),
    "/v2/generate/video/alibaba/generation": Words("queued", "generating", "succeeded", "failed"),
    _MINIMAX: Words("queued", "processing", failed="unavailable"),
    _RUNWAY: Words("queued", "active", failed="failed"),
    _LUMA: Words("queued", "dreaming", failed="failed", key="state"),
    MUSIC: Words(),
    SPEECH: Words("waiting", "active"),
}


class Remote:
    """The handlers of the asynchronous families."""

    def __init__(
        self,
        settings: SimulatorSettings,
        jobs: Jobs,
        *,
        middleware: Middleware,
        links: Links,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._jobs = jobs
        self._middleware = middleware
        self._links = links
        self._sleep = sleep

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        for path in _WORDS:
            app.router.add_post(path, self._submit)
            if path != SPEECH:
                app.router.add_get(path, self._ask)
        app.router.add_get("/v1/stt/{generation_id}", self._ask)
        app.router.add_get("/_simulator/polls", self._show_polls)

    async def _submit(self, request: web.Request) -> web.StreamResponse:
        async def make(asked: Asked) -> Made:
            words = self._settings.refuse_words
            family_request = read_family_request(
                request.path, asked, links=self._links, refuse_words=words
            )
            job, again = self._jobs.submit(family_request, asked)
            await self._sleep(self._settings.latency.at(asked.share))
            headers = accounting(job.id, credits_for(job.model, 1), again=again)
            if self._jobs.share_done(job) >= 1:
                headers |= _AT_ONCE
            return Made(json.dumps(_ticket(job)).encode(), 201, headers=headers)

        return await self._middleware.serve(request, make)

    async def _ask(self, request: web.Request) -> web.StreamResponse:
        became = "reset"
        try:
            await self._wait_for(request)
            response, became = self._answered(request)
        except Rejection as rejection:
            became = str(rejection.status)
            raise
        finally:
            self._middleware.stats.polls[became] += 1
        return response

    async def _wait_for(self, request: web.Request) -> None:
        """Wait at Luma's endpoint until a job has the requested state, at most 30 s."""
        wanted = request.query.get("state") or request.query.get("status")
        job = self._jobs.find(request.query.get("generation_id", ""), _LUMA)
        if request.path == _LUMA and wanted == _WORDS[_LUMA].done and job is not None:
            await self._sleep(min(self._jobs.left_s(job), _LONGEST_WAIT_S))

    def _answered(self, request: web.Request) -> tuple[web.StreamResponse, str]:
        self._middleware.authorise(request)
        name = request.match_info.get("generation_id") or request.query.get("generation_id", "")
        job = self._jobs.find(name, SPEECH if request.match_info else request.path)
        if job is None:
            raise Rejection(404, f"No generation with the id {name!r:.200}")
        job.polls += 1
        match self._middleware.injector.draws.poll(job.identity).fault:
            case "poll404" if job.polls == 1:
                raise Rejection(404, "Generation not found")
            case "poll500":
                raise Rejection(500)
            case "pollreset":
                return broken_replies.hang_up(request), "reset"
            case _:
                return web.json_response(self._standing(job)), "200"

    def _standing(self, job: Job) -> dict[str, Json]:
        words = _WORDS[job.path]
        name = "generation_id" if job.path in (_MINIMAX, SPEECH) else "id"
        body: dict[str, Json] = {name: job.id}
        if self._jobs.share_done(job) < 1:
            word = words.queued if self._jobs.is_queued(job) else words.working
            return {**body, words.key: word, **_nothing(job), "error": None}
        if job.fails:
            message = f"The generation failed: {job.text[:40]}"
            error: Json = {"name": "Error", "message": message}
            return {**body, words.key: words.failed, **_nothing(job), "error": error, "meta": None}
        spent = credits_for(job.model, 1)
        usage: Json = {"credits_used": spent, "usd_spent": spent / CREDITS_PER_USD}
        made = self._result(job)
        return {**body, words.key: words.done, **made, "error": None, "meta": {"usage": usage}}

    def _result(self, job: Job) -> dict[str, Json]:
        if job.path == SPEECH:
            return transcript(job)
        if job.path == MUSIC:
            sound = Sound(job.seconds, job.look)
            url = self._links.url_of(sound)
            about: dict[str, Json] = {"content_type": "audio/wav", "file_name": "output.wav"}
            return {"audio_file": {"url": url, **about, "file_size": None}}
        caption = f"{job.model}  {job.seconds} s"
        clip = Clip(_WIDTH, _HEIGHT, job.seconds, job.look, job.text, caption)
        url = self._links.url_of(clip)
        if job.path == _RUNWAY:
            return {"video": [url]}
        video: Json = {"url": url, "duration": job.seconds}
        return {"video": [video] if job.model.startswith(_LISTED) else video}

    async def _show_polls(self, _: web.Request) -> web.Response:
        return web.json_response(self._jobs.polls_by_id())


# Jobs that take no time can be polled at once. The vendor sends no such header.
_AT_ONCE = {"retry-after-ms": "1"}


def _ticket(job: Job) -> dict[str, Json]:
    """Return the reply to a submission."""
    if job.path in (_MINIMAX, SPEECH):
        return {"generation_id": job.id}
    words = _WORDS[job.path]
    return {"id": job.id, words.key: words.queued}


def _nothing(job: Job) -> dict[str, Json]:
    if job.path == SPEECH:
        return {"result": None}
    return {"audio_file": None} if job.path == MUSIC else {"video": None}
