"""The results of each family, and how the provider's replies contain them.

Each family generates the files that must be on disk in the end; the replies are built from them.
"""

import base64
import json
import random
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, TypeAlias

from tests.given import a_png

Files: TypeAlias = tuple[bytes, ...]
SMALL_BYTES = 2_000
LARGE_BYTES = 150_000  # more than is kept in memory, so that a temporary file is used
_PAGE_BREAK = "\n\n---\n\n"
_FLOATS = 64


class Delivery(Enum):
    """Where the result is: in the reply, at URLs, or in the reply to the poll of a remote job."""

    REPLY = auto()
    URLS = auto()
    JOB_OF_URLS = auto()
    JOB = auto()


@dataclass(frozen=True, slots=True)
class Family:
    """The requests and replies of a family.

    row: returns the fields of a row, for a marker that no other row has. fields: of every row.
    make: returns the files of a generation. reply: returns the body of the reply for the files and
    their URLs; bytes if the reply is the file itself (not in_json). files: per generation.
    """

    name: str
    path: str
    model: str
    delivery: Delivery
    row: Callable[[str], Mapping[str, str | Mapping[str, str]]]
    make: Callable[[random.Random], Files]
    reply: Callable[[Files, Sequence[str]], Mapping[str, Any] | bytes]
    fields: Mapping[str, str] = field(default_factory=dict)
    files: int = 1
    in_json: bool = True
    provider: str = "aimlapi"

    @property
    def is_job(self) -> bool:
        """Whether the provider replies with the id of a remote job."""
        return self.delivery in (Delivery.JOB, Delivery.JOB_OF_URLS)

    @property
    def has_urls(self) -> bool:
        """Whether files are downloaded."""
        return self.delivery in (Delivery.URLS, Delivery.JOB_OF_URLS)

    def matches(self, path: str, body: Mapping[str, Any]) -> bool:
        """Return whether a request belongs to this family."""
        same_fields = all(body.get(name) == value for name, value in self.fields.items())
        return path == self.path and body["model"] == self.model and same_fields


def _prompt(marker: str) -> dict[str, str]:
    return {"prompt": f"A fox {marker}"}


def _noise(rng: random.Random) -> bytes:
    return rng.randbytes(rng.choice((SMALL_BYTES, LARGE_BYTES)))


def _image(rng: random.Random) -> bytes:
    return a_png(256, 256, pixel=rng.randbytes(rng.choice((SMALL_BYTES, LARGE_BYTES)) // 99))


def _audio(rng: random.Random) -> bytes:
    noise = _noise(rng)
    return b"RIFF" + struct.pack("<I", 4 + len(noise)) + b"WAVE" + noise


def _video(rng: random.Random) -> bytes:
    return b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + _noise(rng)


def _mesh(rng: random.Random) -> bytes:
    noise = _noise(rng)
    return b"glTF" + struct.pack("<II", 2, 12 + len(noise)) + noise


def _text(rng: random.Random) -> str:
    return " ".join(rng.choice(("fox", "harbour", "lamp", "é")) for _ in range(20)) + "."


def _transcript(rng: random.Random) -> Files:
    """Return a text, the whole JSON result, and subtitles."""
    text, end = _text(rng), rng.randrange(1, 6)
    whole = {"text": text, "segments": [{"start": 0.0, "end": end + 0.5, "text": text}]}
    subtitles = f"1\n00:00:00,000 --> 00:00:0{end},500\n{text}\n"
    return f"{text}\n".encode(), json.dumps(whole).encode(), subtitles.encode()


def _pages(rng: random.Random) -> Files:
    markdown = _PAGE_BREAK.join(f"# Page {n}\n\n{_text(rng)}" for n in (1, 2))
    return markdown.encode(), _image(rng), _image(rng)


def _pages_reply(files: Files, _: Sequence[str]) -> dict[str, Any]:
    markdown, *image_files = files
    texts = markdown.decode().split(_PAGE_BREAK)
    images = [[{"id": "i.png", "image_base64": _base64(image)}] for image in image_files]
    pages = zip(texts, images, strict=True)
    return {"pages": [{"markdown": text, "images": on_page} for text, on_page in pages]}


def _vector(rng: random.Random) -> Files:
    """Return an array as `numpy.save` writes it."""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': (1, {_FLOATS}), }}"
    padded = header.ljust(117) + "\n"
    floats = (rng.randrange(-512, 512) / 512 for _ in range(_FLOATS))
    head = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(padded)) + padded.encode()
    return (head + struct.pack(f"<{_FLOATS}f", *floats),)


def _vector_reply(files: Files, _: Sequence[str]) -> dict[str, Any]:
    floats = struct.unpack(f"<{_FLOATS}f", files[0][-4 * _FLOATS :])
    return {"data": [{"index": 0, "embedding": [*floats]}]}


def _verdict(rng: random.Random) -> Files:
    verdict = {"verdict": "unsafe", "categories": [f"S{rng.randrange(1, 10**9)}"]}
    return (json.dumps(verdict).encode(),)


def _verdict_reply(files: Files, _: Sequence[str]) -> dict[str, Any]:
    verdict = json.loads(files[0])
    return _chat_reply("\n".join([verdict["verdict"], *verdict["categories"]]))


def _chat_reply(text: str) -> dict[str, Any]:
    return {"choices": [{"message": {"content": text}}]}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


BASE64 = Family(
    "images in base64", "/v1/images/generations", "dall-e-3", Delivery.REPLY, _prompt,
    lambda rng: (_image(rng),), lambda files, _: {"data": [{"b64_json": _base64(files[0])}]},
    fields={"response_format": "b64_json"}, provider="openai",
)  # fmt: skip
URLS = Family(
    "images at URLs", "/v1/images/generations", "dall-e-3", Delivery.URLS, _prompt,
    lambda rng: (_image(rng),), lambda _, urls: {"data": [{"url": urls[0]}]},
    fields={"response_format": "url"}, provider="openai",
)  # fmt: skip
IMAGES = (URLS, BASE64)
OTHERS = (
    Family(
        "video", "/v2/video/generations", "google/veo-3.0-fast", Delivery.JOB_OF_URLS, _prompt,
        lambda rng: (_video(rng),), lambda _, urls: {"video": {"url": urls[0]}},
    ),
    Family(
        "music", "/v2/generate/audio", "stable-audio", Delivery.JOB_OF_URLS, _prompt,
        lambda rng: (_audio(rng),), lambda _, urls: {"audio_file": {"url": urls[0]}},
    ),
    Family(
        "music-01", "/v2/generate/audio/minimax/generate", "music-01", Delivery.REPLY, _prompt,
        lambda rng: (_audio(rng),), lambda files, _: {"data": {"audio": files[0].hex()}},
        fields={"refer_voice": "vocal-1"},
    ),
    Family(
        "speech", "/v1/tts", "openai/tts-1", Delivery.REPLY, _prompt,
        lambda rng: (_audio(rng),), lambda files, _: files[0], in_json=False,
    ),
    Family(
        "speech at URLs", "/v1/tts", "elevenlabs/eleven_multilingual_v2", Delivery.URLS, _prompt,
        lambda rng: (_audio(rng),), lambda _, urls: {"audio": {"url": urls[0]}},
    ),
    Family(
        "transcripts", "/v1/stt/create", "whisper-large", Delivery.JOB,
        lambda marker: {"url": f"https://x.test/{marker}mp3"},
        _transcript, lambda files, _: {"result": json.loads(files[1])}, files=3,
    ),
    Family(
        "3d", "/v1/images/generations", "tencent/hunyuan-part", Delivery.URLS,
        lambda marker: {"mesh_url": f"https://x.test/{marker}glb"},
        lambda rng: tuple(_mesh(rng) for _ in range(4)),
        lambda _, urls: {f"mask_{number}_mesh": {"url": url} for number, url in enumerate(urls)},
        files=4,
    ),
    Family(
        "ocr", "/v1/ocr", "mistral/mistral-ocr-latest", Delivery.REPLY,
        lambda marker: {
            "document": {"type": "document_url", "document_url": f"https://x.test/{marker}pdf"}
        },
        _pages, _pages_reply, files=3,
    ),
    Family(
        "embeddings", "/v1/embeddings", "text-embedding-3-small", Delivery.REPLY, _prompt,
        _vector, _vector_reply,
    ),
    Family(
        "chat", "/v1/chat/completions", "openai/gpt-4o", Delivery.REPLY, _prompt,
        lambda rng: (_text(rng).encode(),), lambda files, _: _chat_reply(files[0].decode()),
    ),
    Family(
        "moderation", "/v1/chat/completions", "meta-llama/Llama-Guard-3-11B-Vision-Turbo",
        Delivery.REPLY, _prompt, _verdict, _verdict_reply,
    ),
)  # fmt: skip
FAMILIES = (*IMAGES, *OTHERS)
