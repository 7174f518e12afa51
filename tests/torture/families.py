"""What a provider makes for each family, and how it says so, in the vendor's words.

A family begins with the files that have to stand on the disk in the end; what the provider tells
follows from them.
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
LARGE_BYTES = 150_000  # more than is kept in memory, so that a temporary file is written to
_BETWEEN_PAGES = "\n\n---\n\n"
_FLOATS = 64


class Delivery(Enum):
    """Where the result stands: in the reply, at URLs, or in what a job says when it is asked."""

    REPLY = auto()
    URLS = auto()
    JOB_OF_URLS = auto()
    JOB = auto()


@dataclass(frozen=True, slots=True)
class Family:
    """A family as its rows ask for it and as its provider answers.

    row: the fields of a row, given a mark that no other row has. fields: those of every row.
    make: the files of a generation. tell: what the provider says of them, given their URLs;
    bytes where the reply is itself the file (not in_json). files: of each generation.
    """

    name: str
    path: str
    model: str
    delivery: Delivery
    row: Callable[[str], Mapping[str, str | Mapping[str, str]]]
    make: Callable[[random.Random], Files]
    tell: Callable[[Files, Sequence[str]], Mapping[str, Any] | bytes]
    fields: Mapping[str, str] = field(default_factory=dict)
    files: int = 1
    in_json: bool = True
    provider: str = "aimlapi"

    @property
    def is_job(self) -> bool:
        """Whether the provider answers with the id of a job."""
        return self.delivery in (Delivery.JOB, Delivery.JOB_OF_URLS)

    @property
    def has_urls(self) -> bool:
        """Whether files are fetched."""
        return self.delivery in (Delivery.URLS, Delivery.JOB_OF_URLS)

    def answers(self, path: str, order: Mapping[str, Any]) -> bool:
        """Whether a request is one of this family's."""
        fits = all(order.get(name) == value for name, value in self.fields.items())
        return path == self.path and order["model"] == self.model and fits


def _prompt(mark: str) -> dict[str, str]:
    return {"prompt": f"A fox {mark}"}


def _noise(dice: random.Random) -> bytes:
    return dice.randbytes(dice.choice((SMALL_BYTES, LARGE_BYTES)))


def _picture(dice: random.Random) -> bytes:
    return a_png(256, 256, pixel=dice.randbytes(dice.choice((SMALL_BYTES, LARGE_BYTES)) // 99))


def _sound(dice: random.Random) -> bytes:
    noise = _noise(dice)
    return b"RIFF" + struct.pack("<I", 4 + len(noise)) + b"WAVE" + noise


def _video(dice: random.Random) -> bytes:
    return b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + _noise(dice)


def _mesh(dice: random.Random) -> bytes:
    noise = _noise(dice)
    return b"glTF" + struct.pack("<II", 2, 12 + len(noise)) + noise


def _words(dice: random.Random) -> str:
    return " ".join(dice.choice(("fox", "harbour", "lamp", "é")) for _ in range(20)) + "."


def _transcript(dice: random.Random) -> Files:
    """A text, the provider's whole result, and subtitles."""
    text, end = _words(dice), dice.randrange(1, 6)
    whole = {"text": text, "segments": [{"start": 0.0, "end": end + 0.5, "text": text}]}
    subtitles = f"1\n00:00:00,000 --> 00:00:0{end},500\n{text}\n"
    return f"{text}\n".encode(), json.dumps(whole).encode(), subtitles.encode()


def _pages(dice: random.Random) -> Files:
    markdown = _BETWEEN_PAGES.join(f"# Page {n}\n\n{_words(dice)}" for n in (1, 2))
    return markdown.encode(), _picture(dice), _picture(dice)


def _tell_pages(files: Files, _: Sequence[str]) -> dict[str, Any]:
    markdown, *pictures = files
    texts = markdown.decode().split(_BETWEEN_PAGES)
    images = [[{"id": "i.png", "image_base64": _base64(one)}] for one in pictures]
    pages = zip(texts, images, strict=True)
    return {"pages": [{"markdown": text, "images": held} for text, held in pages]}


def _vector(dice: random.Random) -> Files:
    """An array as NumPy's own `save` writes it."""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': (1, {_FLOATS}), }}"
    padded = header.ljust(117) + "\n"
    floats = (dice.randrange(-512, 512) / 512 for _ in range(_FLOATS))
    head = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(padded)) + padded.encode()
    return (head + struct.pack(f"<{_FLOATS}f", *floats),)


def _tell_vector(files: Files, _: Sequence[str]) -> dict[str, Any]:
    floats = struct.unpack(f"<{_FLOATS}f", files[0][-4 * _FLOATS :])
    return {"data": [{"index": 0, "embedding": [*floats]}]}


def _verdict(dice: random.Random) -> Files:
    told = {"verdict": "unsafe", "categories": [f"S{dice.randrange(1, 10**9)}"]}
    return (json.dumps(told).encode(),)


def _tell_verdict(files: Files, _: Sequence[str]) -> dict[str, Any]:
    told = json.loads(files[0])
    return _said("\n".join([told["verdict"], *told["categories"]]))


def _said(text: str) -> dict[str, Any]:
    return {"choices": [{"message": {"content": text}}]}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


BASE64 = Family(
    "images in base64", "/v1/images/generations", "dall-e-3", Delivery.REPLY, _prompt,
    lambda dice: (_picture(dice),), lambda files, _: {"data": [{"b64_json": _base64(files[0])}]},
    fields={"response_format": "b64_json"}, provider="openai",
)  # fmt: skip
URLS = Family(
    "images at URLs", "/v1/images/generations", "dall-e-3", Delivery.URLS, _prompt,
    lambda dice: (_picture(dice),), lambda _, urls: {"data": [{"url": urls[0]}]},
    fields={"response_format": "url"}, provider="openai",
)  # fmt: skip
IMAGES = (URLS, BASE64)
OTHERS = (
    Family(
        "video", "/v2/video/generations", "google/veo-3.0-fast", Delivery.JOB_OF_URLS, _prompt,
        lambda dice: (_video(dice),), lambda _, urls: {"video": {"url": urls[0]}},
    ),
    Family(
        "music", "/v2/generate/audio", "stable-audio", Delivery.JOB_OF_URLS, _prompt,
        lambda dice: (_sound(dice),), lambda _, urls: {"audio_file": {"url": urls[0]}},
    ),
    Family(
        "music-01", "/v2/generate/audio/minimax/generate", "music-01", Delivery.REPLY, _prompt,
        lambda dice: (_sound(dice),), lambda files, _: {"data": {"audio": files[0].hex()}},
        fields={"refer_voice": "vocal-1"},
    ),
    Family(
        "speech", "/v1/tts", "openai/tts-1", Delivery.REPLY, _prompt,
        lambda dice: (_sound(dice),), lambda files, _: files[0], in_json=False,
    ),
    Family(
        "speech at URLs", "/v1/tts", "elevenlabs/eleven_multilingual_v2", Delivery.URLS, _prompt,
        lambda dice: (_sound(dice),), lambda _, urls: {"audio": {"url": urls[0]}},
    ),
    Family(
        "transcripts", "/v1/stt/create", "whisper-large", Delivery.JOB,
        lambda mark: {"url": f"https://x.test/{mark}mp3"},
        _transcript, lambda files, _: {"result": json.loads(files[1])}, files=3,
    ),
    Family(
        "3d", "/v1/images/generations", "tencent/hunyuan-part", Delivery.URLS,
        lambda mark: {"mesh_url": f"https://x.test/{mark}glb"},
        lambda dice: tuple(_mesh(dice) for _ in range(4)),
        lambda _, urls: {f"mask_{number}_mesh": {"url": url} for number, url in enumerate(urls)},
        files=4,
    ),
    Family(
        "ocr", "/v1/ocr", "mistral/mistral-ocr-latest", Delivery.REPLY,
        lambda mark: {
            "document": {"type": "document_url", "document_url": f"https://x.test/{mark}pdf"}
        },
        _pages, _tell_pages, files=3,
    ),
    Family(
        "embeddings", "/v1/embeddings", "text-embedding-3-small", Delivery.REPLY, _prompt,
        _vector, _tell_vector,
    ),
    Family(
        "chat", "/v1/chat/completions", "openai/gpt-4o", Delivery.REPLY, _prompt,
        lambda dice: (_words(dice).encode(),), lambda files, _: _said(files[0].decode()),
    ),
    Family(
        "moderation", "/v1/chat/completions", "meta-llama/Llama-Guard-3-11B-Vision-Turbo",
        Delivery.REPLY, _prompt, _verdict, _tell_verdict,
    ),
)  # fmt: skip
FAMILIES = (*IMAGES, *OTHERS)
