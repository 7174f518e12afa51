"""What every further row will meet stops after a handful of requests; other models go on."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import Ended, batchgen, results
from tests.given import a_png
from tests.loopback import Reply, Request, serving

KEY = {"AIMLAPI_API_KEY": "sk-canary-7731"}
GONE = (404, {"error": {"message": "The model `gone` does not exist", "code": "model_not_found"}})
SPENT = (400, {"error": {"message": "Billing hard limit has been reached"}})
UNREADABLE = (200, {"created": 1, "state": "stored"})


class Provider:
    """Makes pictures, but for the models that have an answer of their own."""

    def __init__(self, answers: dict[str, tuple[int, Any]]) -> None:
        self.answers = answers
        self.posts = Counter[str]()
        self.address = ""

    def reply(self, request: Request) -> Reply:
        if request.method == "GET":
            return Reply(200, a_png())
        model = request.json["model"]
        self.posts[model] += 1
        good = {"data": [{"url": f"{request.origin}/a.png"}]}
        return Reply(*self.answers.get(model, (200, good)))


@contextmanager
def provider(answers: dict[str, tuple[int, Any]]) -> Iterator[Provider]:
    server = Provider(answers)
    with serving(server.reply) as server.address:
        yield server


def run(server: Provider, folder: Path, rows: list[dict[str, str]], *flags: str) -> Ended:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "rows.jsonl").write_text(text)
    words = ("run", "rows.jsonl", "--base-url", f"{server.address}/v1", "-o", "out")
    return batchgen(*words, *flags, cwd=folder, **KEY)


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
