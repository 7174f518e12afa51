"""Paid replies that cannot be used, as a user meets them: kept, and read again for nothing."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.e2e.command import Ended, batchgen, results
from tests.given import a_png

KEY = {"AIMLAPI_API_KEY": "sk-canary-7731", "LAB_API_KEY": "sk-canary-7732"}
JOB = """\
provider: lab
providers:
  lab:
    base_url: BASE
    api_key_env: LAB_API_KEY
JOBS
defaults: {model: dall-e-2}
limits: {concurrency: 2, polling: {first: 50ms, interval: 50ms}}
retry: {attempts: 2, backoff: {initial: 10ms, max: 20ms}}
prices: {dall-e-2: 0.02}
prompts: [{id: fox, prompt: a fox}]
"""
JOBS = """\
    jobs: {id: data.0.task_id, url: "/tasks/{id}", status: data.status, result: data.files}
"""


class Gateway(ThreadingHTTPServer):
    """A server that answers submissions with the id of a job, and counts what it is asked."""

    daemon_threads = True

    def __init__(self, submission: Callable[[], tuple[dict[str, str], bytes]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.submission = submission
        self.posts = 0
        self.polls: list[str] = []

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: Gateway

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts += 1
        self._answer(*self.server.submission())

    def do_GET(self) -> None:
        if self.path == "/fox.png":
            self._answer({"Content-Type": "image/png"}, a_png())
            return
        self.server.polls.append(self.path)
        files = [{"url": f"{self.server.base.removesuffix('/v1')}/fox.png"}]
        state = {"status": "SUCCESS", "files": files}
        if len(self.server.polls) == 1:
            state = {"status": "RUNNING", "files": []}
        self._answer({}, json.dumps({"code": 200, "data": state}).encode())

    def _answer(self, headers: dict[str, str], body: bytes) -> None:
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class has it
        pass


@contextmanager
def gateway(body: bytes, **headers: str) -> Iterator[Gateway]:
    with Gateway(lambda: (headers, body)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


def run(server: Gateway, folder: Path, *flags: str, jobs: str = "") -> Ended:
    text = JOB.replace("BASE", server.base).replace("JOBS\n", jobs)
    (folder / "job.yaml").write_text(text)
    return batchgen("run", "job.yaml", "-o", "out", *flags, cwd=folder, **KEY)


def test_a_reply_that_is_not_understood_is_kept_and_named(tmp_path: Path) -> None:
    body = json.dumps({"code": 200, "data": [{"task_id": "t-17", "note": "x" * 6000}]}).encode()
    with gateway(body) as server:
        ended = run(server, tmp_path)

    (line,) = results(tmp_path / "out")
    kept = tmp_path / "out" / line["reply"]
    assert kept.read_bytes().endswith(b"\r\n\r\n" + body)
    assert line["reply"] in line["error"]["message"]
    assert line["reply"] in ended.err
    assert "sk-canary" not in kept.read_text()


def test_a_job_key_takes_up_a_kept_reply_without_another_request(tmp_path: Path) -> None:
    body = json.dumps({"code": 200, "data": [{"status": "submitted", "task_id": "t-17"}]}).encode()
    with gateway(body) as server:
        run(server, tmp_path)
        posts = server.posts
        ended = run(server, tmp_path, jobs=JOBS)

        assert ended.code == 0, ended.err
        assert server.posts == posts
        assert server.polls == ["/tasks/t-17", "/tasks/t-17"]
    (line,) = results(tmp_path / "out")
    assert (line["status"], line["reply"], line["error"]) == ("succeeded", None, None)
    assert (tmp_path / "out" / line["artifacts"][0]["path"]).read_bytes() == a_png()
    assert batchgen("verify", "out", cwd=tmp_path).code == 0


def test_a_service_with_a_job_key_is_polled_at_once(tmp_path: Path) -> None:
    body = json.dumps({"code": 200, "data": [{"status": "submitted", "task_id": "t-17"}]}).encode()
    with gateway(body) as server:
        ended = run(server, tmp_path, jobs=JOBS)

        assert (ended.code, server.posts) == (0, 1), ended.err
    assert [line["status"] for line in results(tmp_path / "out")] == ["succeeded"]


def test_an_address_in_a_header_is_polled(tmp_path: Path) -> None:
    location = {"Operation-Location": "/tasks/op-7?api-version=2"}
    jobs = '    jobs: {url: "header:operation-location", status: data.status, result: data.files}\n'
    with gateway(b"{}", **location) as server:
        ended = run(server, tmp_path, jobs=jobs)

        assert ended.code == 0, ended.err
        assert server.polls[0] == "/tasks/op-7?api-version=2"


def test_a_mistake_in_the_job_key_is_named_with_its_line(tmp_path: Path) -> None:
    with gateway(b"{}") as server:
        ended = run(server, tmp_path, jobs='    jobs: {url: "/tasks/", done: 7}\n')

    assert ended.code == 2
    assert "job.yaml:6" in ended.err
    assert "{id}" in ended.err
    assert server.posts == 0
