"""The synchronous families: speech, 3D, OCR, embeddings, chat and moderation, music-01.

Shapes are those of the vendor's sample replies (https://docs.aimlapi.com, one page per model).
"""

import json
from collections.abc import Callable, Mapping

from aiohttp import web

from batchgen.simulator.artifacts.audio import AudioFile
from batchgen.simulator.artifacts.meshes import MeshFile
from batchgen.simulator.billing import Billing
from batchgen.simulator.digests import number_of
from batchgen.simulator.middleware import Middleware, PaidReply, PaidRequest, cost_headers
from batchgen.simulator.prices import CREDITS_PER_USD, credits_for
from batchgen.simulator.replies.language import chat_body, embeddings_body, ocr_body
from batchgen.simulator.requests.family_request import FamilyRequest, read_family_request
from batchgen.simulator.requests.schema import Json, JsonObject
from batchgen.simulator.settings import SimulatorSettings
from batchgen.simulator.signed_urls import SignedUrls

TTS, OCR, EMBEDDINGS = "/v1/tts", "/v1/ocr", "/v1/embeddings"
CHAT = "/v1/chat/completions"
MUSIC_01 = "/v2/generate/audio/minimax/generate"
UPLOAD = "/v2/generate/audio/minimax/upload"
GENERATIONS = "/v1/images/generations"
_CHARS_PER_SECOND = 15
_MESH_PARTS = ("segmented_mesh", "mask_1_mesh", "mask_2_mesh", "mask_3_mesh")


class SyncFamilies:
    """The handlers of the synchronous families other than images."""

    def __init__(
        self,
        settings: SimulatorSettings,
        billing: Billing,
        *,
        middleware: Middleware,
        urls: SignedUrls,
    ) -> None:
        self._refuse_words = settings.refuse_words
        self._billing = billing
        self.middleware = middleware
        self._urls = urls
        self._bodies: Mapping[str, Callable[[FamilyRequest], JsonObject]] = {
            OCR: ocr_body,
            EMBEDDINGS: embeddings_body,
            CHAT: chat_body,
            MUSIC_01: _music,
            UPLOAD: _upload,
            GENERATIONS: self._meshes,
        }

    def add_routes(self, app: web.Application) -> None:
        """Add the routes, except that of 3D: `ImagesApi` serves it with images."""
        for path in (TTS, *self._bodies):
            if path != GENERATIONS:
                app.router.add_post(path, self.middleware.paid(self._handle))

    async def _handle(self, paid: PaidRequest) -> PaidReply:
        return self.reply(paid.path, paid)

    def reply(self, path: str, paid: PaidRequest) -> PaidReply:
        """Return the reply to a request at a path. Raise Rejection if the request is wrong."""
        request = read_family_request(
            path,
            paid.body,
            paid.content_type,
            urls=self._urls,
            refuse_words=frozenset() if path == CHAT else self._refuse_words,
        )
        receipt = self._billing.pay(paid, request.model)
        spent = credits_for(request.model, 1)
        headers = cost_headers(receipt.id, spent, again=receipt.again)
        if path == TTS:
            return self._speech(request, headers)
        usage: Json = {"usage": {"credits_used": spent, "usd_spent": spent / CREDITS_PER_USD}}
        body = {**self._bodies[path](request), "meta": usage}
        return PaidReply(json.dumps(body).encode(), headers=headers)

    def _speech(self, request: FamilyRequest, headers: Mapping[str, str]) -> PaidReply:
        file = AudioFile(1 + len(request.text) // _CHARS_PER_SECOND, request.look)
        if request.params.get("stream") is True or request.model.startswith("#g1_"):
            return PaidReply(file.render(), content_type=file.media_type, headers=headers)
        body: JsonObject = {
            "audio": {"url": self._urls.url_of(file), "file_name": "audio.wav"},
            "usage": {"characters": len(request.text)},
            "duration": file.seconds,
        }
        return PaidReply(json.dumps(body).encode(), headers=headers)

    def _meshes(self, request: FamilyRequest) -> JsonObject:
        if request.model == "magic/image-to-3d":
            return {"data": [{"url": self._urls.url_of(MeshFile(request.look))}]}
        is_in_parts = request.model == "tencent/hunyuan-part"
        names = _MESH_PARTS if is_in_parts else ("model_mesh",)
        return {
            name: {
                "url": self._urls.url_of(MeshFile(request.look + index)),
                "content_type": MeshFile.media_type,
                "file_name": f"{name}.glb",
                "file_size": None,
            }
            for index, name in enumerate(names)
        }


def _music(request: FamilyRequest) -> JsonObject:
    """Return the recording in hexadecimal."""
    data = AudioFile(3, request.look).render()
    return {
        "data": {"audio": data.hex(), "status": 2},
        "extra_info": {"audio_size": len(data), "audio_sample_rate": 8000},
        "base_resp": {"status_code": 0, "status_msg": "success"},
    }


def _upload(request: FamilyRequest) -> JsonObject:
    """Return the ids of an uploaded recording, only one of them if the request has a purpose."""
    number = number_of(request.file)
    ids: JsonObject = {
        "voice_id": f"vocal-{number:012x}",
        "instrumental_id": f"instrumental-{number:012x}",
    }
    purpose = str(request.params.get("purpose"))
    ids.pop({"voice": "instrumental_id", "instrumental": "voice_id"}.get(purpose, ""), None)
    return {**ids, "base_resp": {"status_code": 0, "status_msg": "success"}}
