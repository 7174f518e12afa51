"""The synchronous families: speech, 3D, OCR, embeddings, chat and moderation, music-01.

Shapes are those of the vendor's sample replies (https://docs.aimlapi.com, one page per model).
"""

import array
import base64
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from aiohttp import web

from batchgen.simulator.artifacts import audio
from batchgen.simulator.artifacts.audio import Sound
from batchgen.simulator.artifacts.meshes import Mesh
from batchgen.simulator.artifacts.pictures import Picture, draw
from batchgen.simulator.billing import Billing
from batchgen.simulator.middleware import Asked, Made, Middleware, accounting
from batchgen.simulator.prices import CREDITS_PER_USD, credits_for
from batchgen.simulator.requests.family_request import FamilyRequest, read_family_request
from batchgen.simulator.requests.schema import Json
from batchgen.simulator.settings import SimulatorSettings
from batchgen.simulator.signed_urls import Links

Body: TypeAlias = dict[str, Json]

TTS, OCR, EMBEDDINGS = "/v1/tts", "/v1/ocr", "/v1/embeddings"
CHAT = "/v1/chat/completions"
MUSIC_01 = "/v2/generate/audio/minimax/generate"
UPLOAD = "/v2/generate/audio/minimax/upload"
GENERATIONS = "/v1/images/generations"
_CHARS_A_SECOND = 15
_CHARS_A_TOKEN = 4
_VECTOR_FLOATS = 768
_LARGEST_VECTOR = 4096
_IMAGE_TOKENS = 85
_PARTS = ("segmented_mesh", "mask_1_mesh", "mask_2_mesh", "mask_3_mesh")
_FOUND_UNSAFE = ("weapon", "poison")


class Direct:
    """The handlers of the synchronous families other than images."""

    def __init__(
        self, settings: SimulatorSettings, billing: Billing, *, middleware: Middleware, links: Links
    ) -> None:
        self._settings = settings
        self._billing = billing
        self.middleware = middleware
        self._links = links
        self._answers: Mapping[str, Callable[[FamilyRequest], Body]] = {
            OCR: read_pages,
            EMBEDDINGS: embed,
            CHAT: chat,
            MUSIC_01: self._sing,
            UPLOAD: _voices,
            GENERATIONS: self._build,
        }

    def add_to(self, app: web.Application) -> None:
        """Add the routes, except that of 3D: `Api` serves it with images."""
        for path in (TTS, *self._answers):
            if path != GENERATIONS:
                app.router.add_post(path, self._handle)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        async def make(asked: Asked) -> Made:
            return self.answer(request.path, asked)

        return await self.middleware.serve(request, make)

    def answer(self, path: str, asked: Asked) -> Made:
        """Return the reply to a request at a path. Raise Rejection if it is wrong."""
        refused = frozenset[str]() if path == CHAT else self._settings.refuse_words
        request = read_family_request(path, asked, links=self._links, refuse_words=refused)
        receipt = self._billing.pay(asked, request.model)
        spent = credits_for(request.model, 1)
        headers = accounting(receipt.id, spent, again=receipt.again)
        if path == TTS:
            return self._speak(request, headers)
        usage: Json = {"usage": {"credits_used": spent, "usd_spent": spent / CREDITS_PER_USD}}
        body = {**self._answers[path](request), "meta": usage}
        return Made(json.dumps(body).encode(), 200, headers=headers)

    def _speak(self, request: FamilyRequest, headers: Mapping[str, str]) -> Made:
        sound = Sound(1 + len(request.text) // _CHARS_A_SECOND, _look(request))
        if request.params.get("stream") is True or request.model.startswith("#g1_"):
            return Made(audio.play(sound), 200, "audio/wav", headers)
        url = self._links.url_of(sound)
        body: Body = {
            "audio": {"url": url, "file_name": "audio.wav"},
            "usage": {"characters": len(request.text)},
            "duration": sound.seconds,
        }
        return Made(json.dumps(body).encode(), 200, headers=headers)

    def _sing(self, request: FamilyRequest) -> Body:
        data = audio.play(Sound(3, _look(request)))
        return {
            "data": {"audio": data.hex(), "status": 2},
            "extra_info": {"audio_size": len(data), "audio_sample_rate": 8000},
            "base_resp": {"status_code": 0, "status_msg": "success"},
        }

    def _build(self, request: FamilyRequest) -> Body:
        if request.model == "magic/image-to-3d":
            return {"data": [{"url": self._links.url_of(Mesh(_look(request)))}]}
        names = _PARTS if request.model == "tencent/hunyuan-part" else ("model_mesh",)
        return {name: self._mesh_file(name, request, index) for index, name in enumerate(names)}

    def _mesh_file(self, name: str, request: FamilyRequest, index: int) -> Json:
        return {
            "url": self._links.url_of(Mesh(_look(request) + index)),
            "content_type": "model/gltf-binary",
            "file_name": f"{name}.glb",
            "file_size": None,
        }


def read_pages(request: FamilyRequest) -> Body:
    """Return two pages of Markdown for any document, with pictures if the request asks for them."""
    look = _look(request)
    drawn = request.params.get("include_image_base64") is True
    pages: list[Json] = [
        {
            "index": index,
            "markdown": f"# Page {index + 1}\n\nInvoice {look % 10_000}, *item {index + 1}*.\n\n"
            "| item | price |\n| --- | --- |\n| lamp | 12.50 |\n"
            + ("\n![img-0.png](img-0.png)\n" if drawn else ""),
            "images": [_figure(look, index)] if drawn else [],
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
    """Return a picture of a page in the shape of Mistral's model."""
    drawn = draw(Picture(160, 120, "png", look, "Figure", f"page {index + 1}"))
    encoded = base64.b64encode(drawn).decode()
    return {"id": "img-0.png", "image_base64": f"data:image/png;base64,{encoded}"}


def embed(request: FamilyRequest) -> Body:
    """Return a vector of length 1 for each input, in their order."""
    given = request.params["input"]
    texts = given if isinstance(given, list) else [given]
    floats = request.params.get("dimensions")
    size = int(floats) if isinstance(floats, int | float) else _VECTOR_FLOATS
    vectors = (_vector(f"{request.model}\n{text}", min(size, _LARGEST_VECTOR)) for text in texts)
    as_base64 = request.params.get("encoding_format") == "base64"
    data: list[Json] = [
        {
            "object": "embedding",
            "index": index,
            "embedding": base64.b64encode(vector.tobytes()).decode() if as_base64 else [*vector],
        }
        for index, vector in enumerate(vectors)
    ]
    used = sum(_tokens(str(text)) for text in texts)
    usage: Json = {"prompt_tokens": used, "total_tokens": used}
    return {"object": "list", "data": data, "model": request.model, "usage": usage}


def chat(request: FamilyRequest) -> Body:
    """Return a reply that quotes the request, or a guard model's verdict."""
    pictures = sum(1 for _ in _pictures(request.params.get("messages")))
    content = _verdict(request) if "guard" in request.model.lower() else _reply(request, pictures)
    asked, said = _tokens(request.text) + _IMAGE_TOKENS * pictures, _tokens(content)
    usage: Json = {
        "prompt_tokens": asked,
        "completion_tokens": said,
        "total_tokens": asked + said,
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


def _reply(request: FamilyRequest, pictures: int) -> str:
    excerpt = request.text[:200]
    match request.params.get("response_format"):
        case {"type": "json_object" | "json_schema"}:
            return json.dumps({"answer": excerpt, "images": pictures})
        case _:
            seen = f" I see {pictures} image(s)." if pictures else ""
            return (
                f"You asked: {excerpt}{seen} Here is **one** answer, number {_look(request) % 97}."
            )


def _verdict(request: FamilyRequest) -> str:
    return "unsafe\nS9" if any(word in request.text.lower() for word in _FOUND_UNSAFE) else "safe"


def _pictures(value: Json) -> Iterator[Json]:
    match value:
        case {"type": "image_url"}:
            yield value
        case {"content": list(parts)}:
            yield from _pictures(parts)
        case list():
            for item in value:
                yield from _pictures(item)
        case _:
            return


def _voices(request: FamilyRequest) -> Body:
    look = int.from_bytes(hashlib.blake2b(request.file.encode(), digest_size=6).digest())
    ids: Body = {"voice_id": f"vocal-{look:012x}", "instrumental_id": f"instrumental-{look:012x}"}
    purpose = request.params.get("purpose")
    unwanted = {"voice": "instrumental_id", "instrumental": "voice_id"}.get(str(purpose))
    base: Json = {"status_code": 0, "status_msg": "success"}
    return {**{name: value for name, value in ids.items() if name != unwanted}, "base_resp": base}


def _vector(name: str, size: int) -> "array.array[float]":
    dice = hashlib.shake_128(name.encode("utf-8", "replace")).digest(size)
    raw = [byte - 127.5 for byte in dice]
    length = math.sqrt(sum(value * value for value in raw))
    return array.array("f", (value / length for value in raw))


def _tokens(text: str) -> int:
    return len(text) // _CHARS_A_TOKEN + 1


def _look(request: FamilyRequest) -> int:
    name = f"{request.model}\n{request.text}\n{sorted(request.params)}".encode("utf-8", "replace")
    return int.from_bytes(hashlib.blake2b(name, digest_size=6).digest())
