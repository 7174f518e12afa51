"""Proxies, certificates and errors whose body does not help, as a user meets them."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.command import batchgen, results

KEY = {"AIMLAPI_API_KEY": "sk-canary-7731"}
JOB = """\
defaults: {model: dall-e-2}
limits: {concurrency: 2}
retry: {attempts: 4, backoff: {initial: 50ms, max: 100ms}}
prompts: [{prompt: A fox, repeat: 6}]
"""


class Server(socketserver.ThreadingTCPServer):
    """Answers each request with the same bytes and closes the connection; counts them."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, reply: bytes) -> None:
        self.reply = reply
        self.heads: list[bytes] = []
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(socketserver.StreamRequestHandler):
    server: Server

    def handle(self) -> None:
        head = b""
        while line := self.rfile.readline(65_536):
            head += line
            if line == b"\r\n":
                break
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        self.rfile.read(int(length or b"0"))
        self.server.heads.append(head)
        self.wfile.write(self.server.reply)


@contextmanager
def serving(reply: bytes) -> Iterator[tuple[Server, int]]:
    with Server(reply) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server, server.server_address[1]
        finally:
            server.shutdown()


@pytest.mark.parametrize(
    ("reply", "advice"),
    [
        (b"HTTP/1.1 401 X\r\nContent-Length: 500\r\n\r\n0123456789", "set AIMLAPI_API_KEY"),
        (b"HTTP/1.1 402 X\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "add credit"),
    ],
    ids=["a rejected key, cut", "spent credit, garbled"],
)
def test_an_error_whose_body_is_broken_halts_with_advice(
    reply: bytes, advice: str, tmp_path: Path
) -> None:
    (tmp_path / "job.yaml").write_text(JOB)
    with serving(reply) as (server, port):
        flags = ("--base-url", f"http://127.0.0.1:{port}/v1", "-o", "out")
        ended = batchgen("run", "job.yaml", *flags, cwd=tmp_path, **KEY)

    assert ended.code == 3
    assert advice in " ".join(ended.err.split())
    assert len(server.heads) <= 2
    assert {line["status"] for line in results(tmp_path / "out")} <= {"pending"}


def test_a_proxy_that_refuses_halts_and_nothing_counts_as_sent(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(JOB)
    with serving(b"HTTP/1.1 407 X\r\nContent-Length: 0\r\n\r\n") as (server, port):
        flags = ("--base-url", "https://images.lab.example/v1", "-o", "out")
        proxy = {"HTTPS_PROXY": f"http://me:canary-pw@127.0.0.1:{port}"}
        ended = batchgen("run", "job.yaml", *flags, cwd=tmp_path, **KEY, **proxy)

    assert ended.code == 3
    message = " ".join(ended.err.split())
    assert f"the proxy 127.0.0.1:{port} answered 407 Proxy Authentication Required" in message
    assert "canary-pw" not in ended.err
    assert len(server.heads) <= 2
    assert {line["status"] for line in results(tmp_path / "out")} <= {"pending"}


def test_a_port_without_tls_halts_and_names_http(tmp_path: Path) -> None:
    limits = "limits: {timeouts: {connect: 300ms}, "
    (tmp_path / "job.yaml").write_text(JOB.replace("limits: {", limits))
    with serving(b"HTTP/1.1 400 X\r\n\r\n") as (_, port):
        flags = ("--base-url", f"https://127.0.0.1:{port}/v1", "-o", "out")
        ended = batchgen("run", "job.yaml", *flags, cwd=tmp_path, **KEY)

    assert ended.code == 3
    assert "if the port speaks no TLS, use http:// in its URL" in " ".join(ended.err.split())
    assert {line["status"] for line in results(tmp_path / "out")} <= {"pending"}


def test_a_missing_certificate_file_ends_the_run_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(JOB)
    with serving(b"") as (server, port):
        flags = ("--base-url", f"https://127.0.0.1:{port}/v1", "-o", "out")
        ended = batchgen(
            "run", "job.yaml", *flags, cwd=tmp_path, **KEY, REQUESTS_CA_BUNDLE="gone.pem"
        )

    assert ended.code == 2
    assert "`REQUESTS_CA_BUNDLE` gone.pem: the file does not exist" in " ".join(ended.err.split())
    assert server.heads == []
