"""A provider of all families on loopback, whose jobs end when a test releases them."""

import io
import struct
import threading
import wave
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.given import a_png
from tests.loopback import Reply, Request
from tests.loopback import serving as serving_replies

_TIMEOUT_S = 60.0
UPLOAD = "/v2/generate/audio/minimax/upload"
SING = "/v2/generate/audio/minimax/generate"
_JOBS = {
    "/v2/video/generations": ("video", "v.mp4"),
    "/v2/generate/video/google/generation": ("video", "v.mp4"),
    "/v2/generate/audio": ("audio_file", "a.wav"),
    "/v1/stt/create": ("stt", ""),
}
_TRANSCRIPT = {"text": "A fox.", "segments": [{"start": 0.0, "end": 1.5, "text": "A fox."}]}


class FamilyProvider:
    """Counts the requests to the provider; `release` ends the jobs in progress.

    submitted: by idempotency key. asked: polls by remote job.
    """

    def __init__(self) -> None:
        self.submitted: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.on_request: tuple[int, Callable[[], None]] | None = None  # called at the n-th request
        self._released = threading.Event()
        self._changed = threading.Condition()
        self.base_url = ""

    def release(self) -> None:
        self._released.set()

    def until_asked(self, count: int) -> None:
        """Wait until `count` jobs have been polled: then their ids are in the ledger."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.asked) >= count, _TIMEOUT_S)

    def reply(self, request: Request) -> Reply:
        path = request.path
        if request.method == "POST":
            is_form = request.headers["Content-Type"].startswith("multipart/")
            body = {"model": "form"} if is_form else request.json
            path = urlsplit(path).path
            key = request.headers.get("Idempotency-Key", "")
            with self._changed:
                self.submitted[key] += 1
                self.bodies.append(body)
                if self.on_request is not None and len(self.bodies) == self.on_request[0]:
                    self.on_request[1]()
            reply = self._submitted(path, key, body)
        else:
            reply = self._polled(path)
        media_type, content = reply if isinstance(reply, tuple) else ("application/json", reply)
        return Reply(200, content, {"Content-Type": media_type})

    def _submitted(self, path: str, key: str, body: dict[str, Any]) -> Any:
        model = body["model"]
        if path in _JOBS:
            return {"id": f"{key}:{model}", "status": "queued"}
        if path in _IMMEDIATE:
            return _IMMEDIATE[path]
        if path == SING:
            return self._sung(body)
        if path == "/v1/embeddings":
            return _vectors(body["input"])
        if path == "/v1/chat/completions":
            text = "safe" if "guard" in model.lower() else "A fox."
            return {"choices": [{"message": {"content": text}}]}
        name, file = ("model_mesh", "m.glb") if model == "triposr" else ("data", "i.png")
        return {name: {"url": f"{self.base_url}/files/{file}"}}

    def _sung(self, body: dict[str, Any]) -> Any:
        """Return a song once a test releases it."""
        assert body["refer_voice"] == "vocal-7"
        with self._changed:
            self.asked["song"] += 1
            self._changed.notify_all()
        self._released.wait(_TIMEOUT_S)
        return {"data": {"audio": _WAV.hex(), "status": 2}, "base_resp": {"status_code": 0}}

    def _polled(self, path: str) -> Any:
        if path.startswith("/files/"):
            return "application/octet-stream", _FILES[path.rpartition("/")[2]]
        if path.startswith("/v2/logs"):
            return {"data": []}
        base, _, query = path.partition("?generation_id=")
        stt = base.startswith("/v1/stt/")
        remote_id = unquote(base.rpartition("/")[2] if stt else query)
        with self._changed:
            self.asked[remote_id] += 1
            self._changed.notify_all()
        if not self._released.is_set():
            return {"id": remote_id, "status": "generating"}
        if stt:
            return {"status": "completed", "result": _TRANSCRIPT}
        name, file = _JOBS[base]
        return {"status": "completed", name: {"url": f"{self.base_url}/files/{file}"}}


def _vectors(texts: Any) -> Any:
    """Return a vector for each text, in reverse order."""
    count = len(texts) if isinstance(texts, list) else 1
    return {"data": [{"index": n, "embedding": [n, -1]} for n in reversed(range(count))]}


@contextmanager
def serving() -> Iterator[FamilyProvider]:
    """Serve a provider until the block ends."""
    provider = FamilyProvider()
    with serving_replies(provider.reply) as provider.base_url:
        yield provider


def _wav() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(1600))
    return file.getvalue()


def _glb() -> bytes:
    scene = b'{"asset":{"version":"2.0"}}'
    scene += b" " * (-len(scene) % 4)
    chunk = struct.pack("<I4s", len(scene), b"JSON") + scene
    return b"glTF" + struct.pack("<II", 2, 12 + len(chunk)) + chunk


_WAV = _wav()
_IMMEDIATE: dict[str, Any] = {
    "/v1/tts": ("audio/wav", _WAV),
    "/v1/ocr": {"pages": [{"index": 0, "markdown": "# A fox\n"}]},
    UPLOAD: {"voice_id": "vocal-7", "base_resp": {"status_code": 0}},
}
_FILES = {
    "a.wav": _WAV,
    "m.glb": _glb(),
    "i.png": a_png(),
    "v.mp4": b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(64),
}
