"""The asynchronous families: video, music, speech to text; POST submits, GET polls.

Shapes and words are those of the vendor's specs and sample replies (https://docs.aimlapi.com,
"Video models", "Music models", "Speech-to-text").
"""

import asyncio
import json

import msgspec
from aiohttp import web

from batchgen.simulator import broken_replies
from batchgen.simulator.artifacts.audio import AudioFile
from batchgen.simulator.artifacts.video import VideoFile
from batchgen.simulator.fault_injection import CountedResponse
from batchgen.simulator.middleware import Middleware, PaidReply, PaidRequest, cost_headers
from batchgen.simulator.prices import CREDITS_PER_USD, credits_for
from batchgen.simulator.remote_jobs import RemoteJob, RemoteJobs
from batchgen.simulator.replies.transcripts import transcript
from batchgen.simulator.requests.family_request import read_family_request
from batchgen.simulator.requests.rejection import Rejection
from batchgen.simulator.requests.schema import Json, JsonObject
from batchgen.simulator.settings import SimulatorSettings, Sleep
from batchgen.simulator.signed_urls import SignedUrls

UNIFIED = "/v2/video/generations"
MUSIC = "/v2/generate/audio"
SPEECH = "/v1/stt/create"
_MINIMAX = "/v2/generate/video/minimax/generation"
_RUNWAY = "/v2/generate/video/runway/generation"
_LUMA = "/v2/generate/video/luma-ai/generation"
_GENERATION_IDS = (_MINIMAX, SPEECH)  # whose ids are under `generation_id`
_MAX_WAIT_S = 30.0
_WIDTH_PX, _HEIGHT_PX = 320, 180
_LIST_MODELS = ("bytedance/", "pixverse/", "magic/")  # whose `video` is a list of objects


class StatusWords(msgspec.Struct, frozen=True):
    """The status words of an endpoint, and the JSON key that holds them."""

    queued: str = "queued"
    working: str = "generating"
    done: str = "completed"
    failed: str = "error"
    key: str = "status"


_STATUS_WORDS = {
    UNIFIED: StatusWords(),
    "/v2/generate/video/kling/generation": StatusWords("waiting", "active"),
    "/v2/generate/video/google/generation": StatusWords("queued", "processing"),
    "/v2/generate/video/alibaba/generation": StatusWords(
        "queued", "generating", "succeeded", "failed"
    ),
    _MINIMAX: StatusWords("queued", "processing", failed="unavailable"),
    _RUNWAY: StatusWords("queued", "active", failed="failed"),
    _LUMA: StatusWords("queued", "dreaming", failed="failed", key="state"),
    MUSIC: StatusWords(),
    SPEECH: StatusWords("waiting", "active"),
}


# Jobs that take no time are done when they are first polled. The vendor sends no such header.
_POLL_NOW = {"retry-after-ms": "1"}


class AsyncFamilies:
    """The handlers of the asynchronous families."""

    def __init__(
        self,
        settings: SimulatorSettings,
        jobs: RemoteJobs,
        *,
        middleware: Middleware,
        urls: SignedUrls,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._jobs = jobs
        self._middleware = middleware
        self._urls = urls
        self._sleep = sleep

    def add_routes(self, app: web.Application) -> None:
        """Add the routes of the families."""
        for path in _STATUS_WORDS:
            app.router.add_post(path, self._middleware.paid(self._submit))
            if path != SPEECH:
                app.router.add_get(path, self._poll)
        app.router.add_get("/v1/stt/{generation_id}", self._poll)
        app.router.add_get("/_simulator/polls", self._polls)

    async def _submit(self, paid: PaidRequest) -> PaidReply:
        request = read_family_request(
            paid.path,
            paid.body,
            paid.content_type,
            urls=self._urls,
            refuse_words=self._settings.refuse_words,
        )
        job, again = self._jobs.submit(request, paid)
        await self._sleep(self._settings.latency.at(paid.share))
        headers = cost_headers(job.id, credits_for(job.model, 1), again=again)
        if self._jobs.is_done(job):
            headers |= _POLL_NOW
        return PaidReply(json.dumps(_submitted(job)).encode(), 201, headers=headers)

    async def _poll(self, request: web.Request) -> web.StreamResponse:
        result = "reset"
        try:
            await self._wait_for(request)
            counted = self._respond(request)
            result = counted.result
        except Rejection as rejection:
            result = str(rejection.status)
            raise
        finally:
            self._middleware.stats.polls[result] += 1
        return counted.response

    async def _wait_for(self, request: web.Request) -> None:
        """Wait at Luma's endpoint until a job has the requested state, at most 30 s."""
        state = request.query.get("state") or request.query.get("status")
        job = self._jobs.find(request.query.get("generation_id", ""), _LUMA)
        if request.path == _LUMA and state == _STATUS_WORDS[_LUMA].done and job is not None:
            await self._sleep(min(self._jobs.left_s(job), _MAX_WAIT_S))

    def _respond(self, request: web.Request) -> CountedResponse:
        self._middleware.authorise(request)
        job_id = request.match_info.get("generation_id") or request.query.get("generation_id", "")
        job = self._jobs.find(job_id, SPEECH if request.match_info else request.path)
        if job is None:
            raise Rejection(404, f"No generation with the id {job_id!r:.200}")
        job.polls += 1
        match self._middleware.injector.draws.poll(job.identity).fault:
            case "poll404" if job.polls == 1:
                raise Rejection(404, "Generation not found")
            case "poll500":
                raise Rejection(500)
            case "pollreset":
                return CountedResponse(broken_replies.hang_up(request), "reset")
            case _:
                return CountedResponse(web.json_response(self._status(job)), "200")

    def _status(self, job: RemoteJob) -> JsonObject:
        words = _STATUS_WORDS[job.path]
        body: JsonObject = {"generation_id" if job.path in _GENERATION_IDS else "id": job.id}
        if not self._jobs.is_done(job):
            word = words.queued if self._jobs.is_queued(job) else words.working
            return {**body, words.key: word, **_no_result(job), "error": None}
        if job.fails:
            message = f"The generation failed: {job.text[:40]}"
            error: Json = {"name": "Error", "message": message}
            return {
                **body,
                words.key: words.failed,
                **_no_result(job),
                "error": error,
                "meta": None,
            }
        spent = credits_for(job.model, 1)
        usage: Json = {"credits_used": spent, "usd_spent": spent / CREDITS_PER_USD}
        meta: Json = {"usage": usage}
        return {**body, words.key: words.done, **self._result(job), "error": None, "meta": meta}

    def _result(self, job: RemoteJob) -> JsonObject:
        if job.path == SPEECH:
            return transcript(job)
        if job.path == MUSIC:
            url = self._urls.url_of(AudioFile(job.seconds, job.look))
            details: JsonObject = {"content_type": "audio/wav", "file_name": "output.wav"}
            return {"audio_file": {"url": url, **details, "file_size": None}}
        caption = f"{job.model}  {job.seconds} s"
        file = VideoFile(_WIDTH_PX, _HEIGHT_PX, job.seconds, job.look, job.text, caption)
        url = self._urls.url_of(file)
        if job.path == _RUNWAY:
            return {"video": [url]}
        video: Json = {"url": url, "duration": job.seconds}
        return {"video": [video] if job.model.startswith(_LIST_MODELS) else video}

    async def _polls(self, _: web.Request) -> web.Response:
        return web.json_response(self._jobs.polls_by_id())


def _submitted(job: RemoteJob) -> JsonObject:
    """Return the reply to a submission."""
    if job.path in _GENERATION_IDS:
        return {"generation_id": job.id}
    words = _STATUS_WORDS[job.path]
    return {"id": job.id, words.key: words.queued}


def _no_result(job: RemoteJob) -> JsonObject:
    if job.path == SPEECH:
        return {"result": None}
    return {"audio_file": None} if job.path == MUSIC else {"video": None}
