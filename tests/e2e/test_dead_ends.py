"""What every further row will meet stops after a handful of requests; other models go on."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import Ended, batchgen, results
from tests.given import a_png

KEY = {"AIMLAPI_API_KEY": "sk-canary-7731"}
GONE = (404, {"error": {"message": "The model `gone` does not exist", "code": "model_not_found"}})
SPENT = (400, {"error": {"message": "Billing hard limit has been reached"}})
UNREADABLE = (200, {"created": 1, "state": "stored"})


class Provider(ThreadingHTTPServer):
    """Makes pictures, but for the models that have an answer of their own."""

    daemon_threads = True

    def __init__(self, answers: dict[str, tuple[int, Any]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = answers
        self.posts = Counter[str]()


class _Handler(BaseHTTPRequestHandler):
    server: Provider

    def do_POST(self) -> None:
        model = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["model"]
        self.server.posts[model] += 1
        url = f"http://127.0.0.1:{self.server.server_address[1]}/a.png"
        status, body = self.server.answers.get(model, (200, {"data": [{"url": url}]}))
        text = body if isinstance(body, str) else json.dumps(body)
        self._answer(status, text.encode())

    def do_GET(self) -> None:
        self._answer(200, a_png())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class has it
        pass


@contextmanager
def provider(answers: dict[str, tuple[int, Any]]) -> Iterator[Provider]:
    with Provider(answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


def run(server: Provider, folder: Path, rows: list[dict[str, str]], *flags: str) -> Ended:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "rows.jsonl").write_text(text)
    base = f"http://127.0.0.1:{server.server_address[1]}/v1"
    return batchgen("run", "rows.jsonl", "--base-url", base, "-o", "out", *flags, cwd=folder, **KEY)


@pytest.mark.parametrize(
    ("answer", "kind", "most"), [(GONE, "model", 8), (SPENT, "quota", 8), (UNREADABLE, "", 8)]
)
def test_at_most_eight_requests_meet_a_dead_end(
    answer: tuple[int, Any], kind: str, most: int, tmp_path: Path
) -> None:
    rows = [{"id": f"r{number}", "prompt": "a fox", "model": "gone"} for number in range(40)]
    with provider({"gone": answer}) as server:
        ended = run(server, tmp_path, rows)

    assert ended.code == 3, ended.err
    assert 1 <= server.posts["gone"] <= most
    assert kind in ended.err


def test_other_models_go_on_and_the_command_takes_the_rows_up_again(tmp_path: Path) -> None:
    rows = [
        {"id": f"r{number}", "prompt": "a fox", "model": "gone" if number % 2 else "dall-e-2"}
        for number in range(60)
    ]
    with provider({"gone": GONE}) as server:
        ended = run(server, tmp_path, rows)
        assert ended.code == 3, ended.err
        assert server.posts["dall-e-2"] == 30
        assert server.posts["gone"] <= 8
        statuses = Counter(line["status"] for line in results(tmp_path / "out"))
        assert statuses["succeeded"] == 30
        assert statuses["failed"] + statuses["pending"] == 30

        server.answers.clear()
        again = run(server, tmp_path, rows, "--retry-failed", "model")

    assert again.code == 0, again.err
    assert {line["status"] for line in results(tmp_path / "out")} == {"succeeded"}
    assert server.posts["dall-e-2"] == 30


def test_a_web_page_instead_of_results_costs_a_few_rows_with_many_workers(tmp_path: Path) -> None:
    rows = [{"id": f"r{number}", "prompt": f"fox {number}"} for number in range(40)]
    with provider({"dall-e-2": (200, "<!doctype html><html><title>Chat</title></html>")}) as server:
        ended = run(server, tmp_path, rows, "--concurrency", "16", "--model", "dall-e-2")

    assert ended.code == 3, ended.err
    assert "base_url" in ended.err
    tried = [line for line in results(tmp_path / "out") if line["attempts"]]
    assert 1 <= len(tried) <= 8
    assert server.posts["dall-e-2"] <= 24
