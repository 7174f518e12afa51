"""A provider of all families on loopback, whose jobs end when a test says so."""

import io
import json
import struct
import threading
import wave
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.given import a_png

_PATIENCE_S = 60.0
UPLOAD = "/v2/generate/audio/minimax/upload"
SING = "/v2/generate/audio/minimax/generate"
_JOBS = {
    "/v2/video/generations": ("video", "v.mp4"),
    "/v2/generate/video/google/generation": ("video", "v.mp4"),
    "/v2/generate/audio": ("audio_file", "a.wav"),
    "/v1/stt/create": ("stt", ""),
}
_TRANSCRIPT = {"text": "A fox.", "segments": [{"start": 0.0, "end": 1.5, "text": "A fox."}]}


class Studio:
    """What was asked of the provider; `release` ends the jobs that are under way."""

    def __init__(self) -> None:
        self.submitted: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.struck: tuple[int, Callable[[], None]] | None = None  # what the n-th request does
        self._released = threading.Event()
        self._changed = threading.Condition()
        self.base_url = ""

    def release(self) -> None:
        self._released.set()

    def until_asked(self, count: int) -> None:
        """Wait until so many jobs have been asked for: their ids are in the ledger then."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.asked) >= count, _PATIENCE_S)

    def answer(self, path: str, key: str, body: dict[str, Any]) -> tuple[str, bytes]:
        """A media type and the bytes that a request gets."""
        if body:
            with self._changed:
                self.submitted[key] += 1
                self.bodies.append(body)
                if self.struck is not None and len(self.bodies) == self.struck[0]:
                    self.struck[1]()
            made = self._submitted(path, key, body)
        else:
            made = self._polled(path)
        return made if isinstance(made, tuple) else ("application/json", json.dumps(made).encode())

    def _submitted(self, path: str, key: str, body: dict[str, Any]) -> Any:
        model = body["model"]
        if path in _JOBS:
            return {"id": f"{key}:{model}", "status": "queued"}
        if path in _AT_ONCE:
            return _AT_ONCE[path]
        if path == SING:
            return self._sung(body)
        if path == "/v1/embeddings":
            return _vectors(body["input"])
        if path == "/v1/chat/completions":
            said = "safe" if "guard" in model.lower() else "A fox."
            return {"choices": [{"message": {"content": said}}]}
        name, file = ("model_mesh", "m.glb") if model == "triposr" else ("data", "i.png")
        return {name: {"url": f"{self.base_url}/files/{file}"}}

    def _sung(self, body: dict[str, Any]) -> Any:
        """A song, when a test lets go of it."""
        assert body["refer_voice"] == "vocal-7"
        with self._changed:
            self.asked["song"] += 1
            self._changed.notify_all()
        self._released.wait(_PATIENCE_S)
        return {"data": {"audio": _WAV.hex(), "status": 2}, "base_resp": {"status_code": 0}}

    def _polled(self, path: str) -> Any:
        if path.startswith("/files/"):
            return "application/octet-stream", _FILES[path.rpartition("/")[2]]
        if path.startswith("/v2/logs"):
            return {"data": []}
        bare, _, query = path.partition("?generation_id=")
        stt = bare.startswith("/v1/stt/")
        remote_id = unquote(bare.rpartition("/")[2] if stt else query)
        with self._changed:
            self.asked[remote_id] += 1
            self._changed.notify_all()
        if not self._released.is_set():
            return {"id": remote_id, "status": "generating"}
        if stt:
            return {"status": "completed", "result": _TRANSCRIPT}
        name, file = _JOBS[bare]
        return {"status": "completed", name: {"url": f"{self.base_url}/files/{file}"}}


def _vectors(given: Any) -> Any:
    """A vector for each text, the last one first."""
    count = len(given) if isinstance(given, list) else 1
    return {"data": [{"index": n, "embedding": [n, -1]} for n in reversed(range(count))]}


@contextmanager
def serving() -> Iterator[Studio]:
    """A studio that answers as long as the block."""
    studio = Studio()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._reply({})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            is_form = self.headers["Content-Type"].startswith("multipart/")
            self._reply({"model": "form"} if is_form else json.loads(body))

        def _reply(self, body: dict[str, Any]) -> None:
            path = self.path if body == {} else urlsplit(self.path).path
            key = self.headers.get("Idempotency-Key", "")
            media_type, data = studio.answer(path, key, body)
            self.send_response(200)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """The test's output is not for this."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    studio.base_url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield studio
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


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
_AT_ONCE: dict[str, Any] = {
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
