"""HTTP servers on loopback whose replies a test decides."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Request:
    """What a server received; path: with its query."""

    method: str
    path: str
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def origin(self) -> str:
        """The server's own address, e.g. `http://127.0.0.1:4000`."""
        return f"http://{self.headers['Host']}"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answers; body: bytes, text, or a value that is sent as JSON."""

    status: int = 200
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


class Handler(BaseHTTPRequestHandler):
    """Answers with what `reply` returns; logs nothing."""

    protocol_version = "HTTP/1.1"

    def reply(self, request: Request) -> Reply | None:
        """Return the reply, or None if the connection is to close without one."""
        raise NotImplementedError

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        request = Request(self.command, self.path, self.headers, self.rfile.read(length))
        reply = self.reply(request)
        if reply is None:
            self.close_connection = True
            return
        content = reply.content
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.send(content)

    def do_POST(self) -> None:
        self.do_GET()

    def send(self, content: bytes) -> None:
        """Write the body of a reply."""
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Do not log requests into the test's output."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Ignore clients that were killed."""


@contextmanager
def handling(handler: type[Handler]) -> Iterator[str]:
    """Serve until the block ends; yield the server's address without a path."""
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def serving(answer: Callable[[Request], Reply | None]) -> Iterator[str]:
    """Serve the replies of a function until the block ends; yield the server's address."""

    class Answering(Handler):
        def reply(self, request: Request) -> Reply | None:
            return answer(request)

    with handling(Answering) as address:
        yield address
