"""The synchronous families: speech, 3D, OCR, embeddings, chat and moderation, music-01.

Shapes are those of the vendor's sample replies (https://docs.aimlapi.com, one page per model).
"""

import array
import base64
import json
import math
from collections.abc import Callable, Mapping
from hashlib import shake_128
from typing import TypeAlias

from aiohttp import web

from batchgen.simulator.artifacts.audio import AudioFile
from batchgen.simulator.artifacts.images import ImageFile
from batchgen.simulator.artifacts.meshes import MeshFile
from batchgen.simulator.billing import Billing
from batchgen.simulator.digests import number_of
from batchgen.simulator.middleware import Middleware, PaidReply, PaidRequest, cost_headers
from batchgen.simulator.prices import CREDITS_PER_USD, credits_for
from batchgen.simulator.requests.family_request import FamilyRequest, read_family_request
from batchgen.simulator.requests.schema import Json
from batchgen.simulator.settings import SimulatorSettings
from batchgen.simulator.signed_urls import SignedUrls

_Body: TypeAlias = dict[str, Json]

TTS, OCR, EMBEDDINGS = "/v1/tts", "/v1/ocr", "/v1/embeddings"
CHAT = "/v1/chat/completions"
MUSIC_01 = "/v2/generate/audio/minimax/generate"
UPLOAD = "/v2/generate/audio/minimax/upload"
GENERATIONS = "/v1/images/generations"
_CHARS_PER_SECOND = 15
_CHARS_PER_TOKEN = 4
_VECTOR_FLOATS = 768
_MAX_VECTOR_FLOATS = 4096
_IMAGE_TOKENS = 85
_MESH_PARTS = ("segmented_mesh", "mask_1_mesh", "mask_2_mesh", "mask_3_mesh")
_UNSAFE_WORDS = ("weapon", "poison")


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
        self._bodies: Mapping[str, Callable[[FamilyRequest], _Body]] = {
            OCR: _ocr,
            EMBEDDINGS: _embeddings,
            CHAT: _chat,
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
        file = AudioFile(1 + len(request.text) // _CHARS_PER_SECOND, _look(request))
        if request.params.get("stream") is True or request.model.startswith("#g1_"):
            return PaidReply(file.render(), content_type=file.media_type, headers=headers)
        body: _Body = {
            "audio": {"url": self._urls.url_of(file), "file_name": "audio.wav"},
            "usage": {"characters": len(request.text)},
            "duration": file.seconds,
        }
        return PaidReply(json.dumps(body).encode(), headers=headers)

    def _meshes(self, request: FamilyRequest) -> _Body:
        look = _look(request)
        if request.model == "magic/image-to-3d":
            return {"data": [{"url": self._urls.url_of(MeshFile(look))}]}
        is_in_parts = request.model == "tencent/hunyuan-part"
        names = _MESH_PARTS if is_in_parts else ("model_mesh",)
        return {
            name: {
                "url": self._urls.url_of(MeshFile(look + index)),
                "content_type": MeshFile.media_type,
                "file_name": f"{name}.glb",
                "file_size": None,
            }
            for index, name in enumerate(names)
        }


def _music(request: FamilyRequest) -> _Body:
    """Return the recording in hexadecimal."""
    data = AudioFile(3, _look(request)).render()
    return {
        "data": {"audio": data.hex(), "status": 2},
        "extra_info": {"audio_size": len(data), "audio_sample_rate": 8000},
        "base_resp": {"status_code": 0, "status_msg": "success"},
    }


def _ocr(request: FamilyRequest) -> _Body:
    """Return two pages of Markdown for any document, with images if the request asks for them."""
    look = _look(request)
    with_images = request.params.get("include_image_base64") is True
    pages: list[Json] = [
        {
            "index": index,
            "markdown": f"# Page {index + 1}\n\nInvoice {look % 10_000}, *item {index + 1}*.\n\n"
            "| item | price |\n| --- | --- |\n| lamp | 12.50 |\n"
            + ("\n![img-0.png](img-0.png)\n" if with_images else ""),
            "images": [_figure(look, index)] if with_images else [],
            "dimensions": {"dpi": 200, "height": 2200, "width": 1700},
        }
        for index in range(2)
    ]
    return {
        "pages": pages,
        "model": request.model,
        "usage_info": {"pages_processed": len(pages), "doc_size_bytes": 1024},
    }


def _figure(look: int, index: int) -> Json:
    """Return an image of a page in the shape of Mistral's model."""
    data = ImageFile(160, 120, "png", look, "Figure", f"page {index + 1}").render()
    encoded = base64.b64encode(data).decode()
    return {"id": "img-0.png", "image_base64": f"data:image/png;base64,{encoded}"}


def _embeddings(request: FamilyRequest) -> _Body:
    """Return a vector of length 1 for each input, in their order."""
    value = request.params["input"]
    texts = value if isinstance(value, list) else [value]
    floats = request.params.get("dimensions")
    size = int(floats) if isinstance(floats, int | float) else _VECTOR_FLOATS
    vectors = (_vector(f"{request.model}\n{text}", min(size, _MAX_VECTOR_FLOATS)) for text in texts)
    as_base64 = request.params.get("encoding_format") == "base64"
    data: list[Json] = [
        {
            "object": "embedding",
            "index": index,
            "embedding": base64.b64encode(vector.tobytes()).decode() if as_base64 else [*vector],
        }
        for index, vector in enumerate(vectors)
    ]
    tokens = sum(_tokens(str(text)) for text in texts)
    usage: Json = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": request.model, "usage": usage}


def _chat(request: FamilyRequest) -> _Body:
    """Return a reply that quotes the request, or a guard model's verdict."""
    images = _count_images(request.params.get("messages"))
    content = _verdict(request) if "guard" in request.model.lower() else _answer(request, images)
    tokens_in, tokens_out = _tokens(request.text) + _IMAGE_TOKENS * images, _tokens(content)
    usage: Json = {
        "prompt_tokens": tokens_in,
        "completion_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
    }
    message: Json = {"role": "assistant", "content": content}
    choice: Json = {"index": 0, "message": message, "finish_reason": "stop"}
    return {
        "id": f"chatcmpl-{_look(request):012x}",
        "object": "chat.completion",
        "created": 1_750_000_000,
        "model": request.model,
        "choices": [choice],
        "usage": usage,
    }


def _answer(request: FamilyRequest, images: int) -> str:
    excerpt = request.text[:200]
    match request.params.get("response_format"):
        case {"type": "json_object" | "json_schema"}:
            return json.dumps({"answer": excerpt, "images": images})
        case _:
            seeing = f" I see {images} image(s)." if images else ""
            number = _look(request) % 97
            return f"You asked: {excerpt}{seeing} Here is **one** answer, number {number}."


def _verdict(request: FamilyRequest) -> str:
    return "unsafe\nS9" if any(word in request.text.lower() for word in _UNSAFE_WORDS) else "safe"


def _count_images(value: Json) -> int:
    match value:
        case {"type": "image_url"}:
            return 1
        case {"content": list(parts)}:
            return _count_images(parts)
        case list():
            return sum(map(_count_images, value))
        case _:
            return 0


def _upload(request: FamilyRequest) -> _Body:
    """Return the ids of an uploaded recording, only one of them if the request has a purpose."""
    number = number_of(request.file)
    ids: _Body = {
        "voice_id": f"vocal-{number:012x}",
        "instrumental_id": f"instrumental-{number:012x}",
    }
    purpose = str(request.params.get("purpose"))
    ids.pop({"voice": "instrumental_id", "instrumental": "voice_id"}.get(purpose, ""), None)
    return {**ids, "base_resp": {"status_code": 0, "status_msg": "success"}}


def _vector(name: str, size: int) -> "array.array[float]":
    digest = shake_128(name.encode("utf-8", "replace")).digest(size)
    raw = [byte - 127.5 for byte in digest]
    length = math.sqrt(sum(value * value for value in raw))
    return array.array("f", (value / length for value in raw))


def _tokens(text: str) -> int:
    return len(text) // _CHARS_PER_TOKEN + 1


def _look(request: FamilyRequest) -> int:
    return number_of(f"{request.model}\n{request.text}\n{sorted(request.params)}")
