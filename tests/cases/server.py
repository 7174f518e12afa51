"""A server on loopback that answers by the rules of a case, and counts."""

import asyncio
import base64
import contextlib
import gzip
import json
import math
import ssl
import time
import zlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from . import samples

_VIDEO_PATH = "/video"
_LIMIT = 1 << 20


@dataclass(slots=True)
class Request:
    """A request as it arrived; `nth`: among those of its kind, `nth_here`: on its connection."""

    kind: str
    target: str
    body: bytes
    headers: dict[str, str]
    nth_here: int
    nth: int = 0

    @property
    def prompt(self) -> str:
        """The prompt of a submission, or the one that an address ends with."""
        with contextlib.suppress(ValueError):
            value = json.loads(self.body)
            if isinstance(value, dict) and isinstance(value.get("prompt"), str):
                return str(value["prompt"])
        path = self.target.partition("?")[0]
        return path.rpartition("/")[2].partition(".")[0] if self.kind == "file" else ""


@dataclass(slots=True)
class Counts:
    """What the server has seen in one run of the command."""

    requests: Counter[str] = field(default_factory=Counter)
    connections: int = 0
    prompts: Counter[str] = field(default_factory=Counter)  # of submissions


class CaseServer:
    """Answers requests by the first rule that fits, else as a good provider does."""

    def __init__(self, rules: list[dict[str, Any]], *, tls: ssl.SSLContext | None = None) -> None:
        self.run = 1
        self.counts: dict[int, Counts] = {1: Counts()}
        self.sent: set[bytes] = set()  # files whose bytes an artifact may have
        self.waits: list[float] = []  # seconds from a 429 to the next submission
        self.base = ""
        self._rules = rules
        self._tls = tls
        self._uses: Counter[int] = Counter()
        self._kinds: Counter[str] = Counter()
        self._first: dict[str, float] = {}
        self._keys: list[str] = []
        self._windows: dict[int, tuple[float, int]] = {}
        self._limited_at: float | None = None
        self._jobs: dict[str, str] = {}

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Listen on a free port of loopback."""
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, limit=_LIMIT)
        port = server.sockets[0].getsockname()[1]
        self.base = f"{'https' if self._tls else 'http'}://127.0.0.1:{port}"
        try:
            yield
        finally:
            server.close()

    def begin(self, run: int) -> None:
        """Count for this run from now on."""
        self.run = run
        self.counts.setdefault(run, Counts())

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.counts[self.run].connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            if self._tls is not None:
                await writer.start_tls(self._tls)
            nth_here = 1
            request = await _read(reader, nth_here)
            while await self._answer(request, writer):
                nth_here += 1
                request = await _read(reader, nth_here)
        with contextlib.suppress(OSError):
            writer.close()
            await writer.wait_closed()

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        self._count(request)
        return await self._reply(request, writer)

    def _count(self, request: Request) -> None:
        kind = request.kind
        self._kinds[kind] += 1
        request.nth = self._kinds[kind]
        self._first.setdefault(kind, time.monotonic())
        counts = self.counts[self.run]
        counts.requests[kind] += 1
        if kind == "post":
            counts.prompts[request.prompt] += 1
            key = request.headers.get("idempotency-key", "")
            if key not in self._keys:
                self._keys.append(key)
            if self._limited_at is not None:
                self.waits.append(time.monotonic() - self._limited_at)
                self._limited_at = None

    async def _reply(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        rule = next(
            (rule for index, rule in enumerate(self._rules) if self._fits(index, rule, request)),
            None,
        )
        reply = rule.get("reply", {}) if rule else {}
        if reply.get("drop"):
            return False
        head, body = self._message(reply, request)
        if reply.get("status") == HTTPStatus.TOO_MANY_REQUESTS and request.kind == "post":
            self._limited_at = time.monotonic()
        writer.write(head + (body[: len(body) // 2] if reply.get("cut") else body))
        await writer.drain()
        ends = ("cut", "close", "no_length")
        return not any(reply.get(name) for name in ends) and reply.get("version", "1.1") == "1.1"

    def _fits(self, index: int, rule: dict[str, Any], request: Request) -> bool:
        when = rule.get("when", {})
        now = time.monotonic()
        key = request.headers.get("idempotency-key", "")
        conditions = {
            "on": when.get("on", "post") == request.kind,
            "run": when.get("run", self.run) == self.run,
            "nth": _is_one_of(request.nth, when.get("nth")),
            "nth_on_connection": _is_one_of(request.nth_here, when.get("nth_on_connection")),
            "prompts": request.prompt in when.get("prompts", [request.prompt]),
            "path": when.get("path", request.target) == request.target,
            "until_s": now - self._first[request.kind] < when.get("until_s", math.inf),
            "key_seen": "key_seen" not in when or key in self._keys[: when["key_seen"]],
            "times": self._uses[index] < when.get("times", math.inf),
        }
        fits = all(conditions.values())
        if fits and "window" in when:
            fits = self._is_beyond_window(index, *when["window"])
        self._uses[index] += fits
        return fits

    def _is_beyond_window(self, index: int, most: int, seconds: float) -> bool:
        now = time.monotonic()
        ends, used = self._windows.get(index, (0.0, 0))
        if now >= ends:
            ends, used = now + seconds, 0
        self._windows[index] = (ends, used + 1)
        return used + 1 > most

    def _message(self, reply: dict[str, Any], request: Request) -> tuple[bytes, bytes]:
        texts = self._texts(request)
        body, media_type = self._body(reply, request, texts)
        body = (
            _edged(reply.get("before", ""), texts) + body + _edged(reply.get("behind", ""), texts)
        )
        headers = {"Content-Type": media_type}
        if reply.get("gzip"):
            body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
        if reply.get("deflate"):
            body = zlib.compress(body)[2:-4]
            headers["Content-Encoding"] = "deflate"
        if reply.get("chunked"):
            headers["Transfer-Encoding"] = "chunked"
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        elif not reply.get("no_length"):
            headers["Content-Length"] = str(len(body))
        own = reply.get("headers", {})
        pairs = list(own.items()) if isinstance(own, dict) else [tuple(pair) for pair in own]
        named = {str(name).casefold() for name, _ in pairs}
        pairs = [pair for pair in headers.items() if pair[0].casefold() not in named] + pairs
        if reply.get("close"):
            pairs.append(("Connection", "close"))
        status = reply.get("status", 200)
        lines = [f"HTTP/{reply.get('version', '1.1')} {status} -"]
        lines += [f"{name}: {samples.fill(str(value), texts)}" for name, value in pairs]
        hints = "HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n"
        head = (hints if reply.get("hints") else "") + "\r\n".join([*lines, "", ""])
        return head.encode("latin-1", "replace"), body

    def _texts(self, request: Request) -> dict[str, str]:
        left = [max(0.0, ends - time.monotonic()) for ends, _ in self._windows.values()]
        prompt = request.prompt
        media = samples.media_texts(prompt)
        self.sent.update(map(base64.b64decode, media.values()))
        return {
            **media,
            "base": self.base,
            "host": self.base.partition("://")[2],
            "prompt": prompt,
            "url": f"{self.base}/files/{prompt}.png",
            "left": f"{max(left, default=0.0):.2f}",
            "reset_ms": f"{(time.time() + max(left, default=0.0)) * 1000:.0f}",
        }

    def _body(
        self, reply: dict[str, Any], request: Request, texts: dict[str, str]
    ) -> tuple[bytes, str]:
        if "json" in reply:
            body = samples.as_json(samples.fill(reply["json"], texts))
        elif "text" in reply:
            return samples.fill(reply["text"], texts).encode(), "text/plain"
        elif "html" in reply:
            return samples.fill(reply["html"], texts).encode(), "text/html"
        elif "base64" in reply:
            return base64.b64decode(samples.fill(reply["base64"], texts)), "image/png"
        elif reply.get("empty"):
            return b"", "text/plain"
        else:
            body, media_type = self._good(request)
            if media_type != "application/json":
                return body, media_type
        if "insert" in reply:
            body = b"{" + samples.fill(reply["insert"], texts).encode() + b", " + body[1:]
        return body, "application/json"

    def _good(self, request: Request) -> tuple[bytes, str]:
        """Return the reply of a provider without faults."""
        match request.kind:
            case "file" if request.target.endswith(".mp4"):
                self.sent.add(samples.video())
                return samples.video(), "video/mp4"
            case "file":
                return samples.picture(request.prompt), "image/png"
            case "poll":
                url = f"{self.base}/files/video.mp4"
                body = {"id": "job-1", "status": "completed", "video": {"url": url}}
            case "post" if _VIDEO_PATH in request.target:
                body = {"id": "job-1", "status": "queued"}
            case "post":
                whole = samples.encoded(samples.picture(request.prompt))
                items = [{"b64_json": whole}] * _count_of(request.body)
                return samples.as_json({"created": 1, "data": items}), "application/json"
            case _:
                body = {}
        return samples.as_json(body), "application/json"


async def _read(reader: asyncio.StreamReader, nth_here: int) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")
    method, target, *_ = first.split(" ")
    pairs = (line.partition(":") for line in lines if line)
    headers = {name.casefold(): value.strip() for name, _, value in pairs}
    body = await _read_body(reader, headers)
    return Request(_kind(method, target), target, body, headers, nth_here)


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").casefold() != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    body = b""
    while size := int((await reader.readline()).partition(b";")[0], 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readline()
    return body


def _kind(method: str, target: str) -> str:
    if method == "CONNECT":
        return "connect"
    if method == "POST":
        return "post"
    if "/files/" in target or "/generated-images/" in target:
        return "file"
    return "poll" if _VIDEO_PATH in target else "other"


def _count_of(body: bytes) -> int:
    with contextlib.suppress(ValueError):
        return int(json.loads(body).get("n") or 1)
    return 1


def _is_one_of(number: int, expected: Any) -> bool:
    """Return whether a number is one of these numbers and ranges; None is any number."""
    if expected is None:
        return True
    ranges = expected if isinstance(expected, list) else [expected]
    pairs = (one if isinstance(one, list) else (one, one) for one in ranges)
    return any(least <= number <= most for least, most in pairs)


def _edged(text: str, texts: dict[str, str]) -> bytes:
    filled = str(samples.fill(text, texts))
    try:
        return filled.encode("latin-1")
    except UnicodeEncodeError:
        return filled.encode()
