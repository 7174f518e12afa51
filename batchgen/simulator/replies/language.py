"""Reply bodies of OCR, embeddings, chat and moderation, in the shapes of the vendor's samples."""

import array
import base64
import json
import math
from hashlib import shake_128

from batchgen.simulator.artifacts.images import ImageFile
from batchgen.simulator.requests.family_request import FamilyRequest
from batchgen.simulator.requests.schema import Json, JsonObject

_CHARS_PER_TOKEN = 4
_VECTOR_FLOATS = 768
_MAX_VECTOR_FLOATS = 4096
_IMAGE_TOKENS = 85
_UNSAFE_WORDS = ("weapon", "poison")


def ocr_body(request: FamilyRequest) -> JsonObject:
    """Return two pages of Markdown for any document, with images if the request asks for them."""
    look = request.look
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


def embeddings_body(request: FamilyRequest) -> JsonObject:
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


def chat_body(request: FamilyRequest) -> JsonObject:
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
        "id": f"chatcmpl-{request.look:012x}",
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
            number = request.look % 97
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


def _vector(name: str, size: int) -> "array.array[float]":
    digest = shake_128(name.encode("utf-8", "replace")).digest(size)
    raw = [byte - 127.5 for byte in digest]
    length = math.sqrt(sum(value * value for value in raw))
    return array.array("f", (value / length for value in raw))


def _tokens(text: str) -> int:
    return len(text) // _CHARS_PER_TOKEN + 1
