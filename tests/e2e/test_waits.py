"""Waits that a provider asks for, and limits that hold a whole model."""

import base64
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.e2e.command import COMMAND, batchgen, environment, results
from tests.given import a_png
from tests.loopback import Reply, Request, serving

KEY = {"AIMLAPI_API_KEY": "sk-canary-7731"}
SHORT_RETRIES = "retry: {attempts: 2, backoff: {initial: 10ms, max: 50ms}}\n"
GOOD: "Answer" = (
    200,
    {},
    {"data": [{"b64_json": base64.b64encode(a_png()).decode()}]},
)
Answer: TypeAlias = tuple[int, dict[str, str], Any]


class Provider:
    """Answers each request as `decide` says, by its number from 1 and the seconds since the first.

    posts: when each request came, in seconds, and the status of its answer.
    """

    def __init__(self, decide: Callable[[int, float], Answer]) -> None:
        self.address = ""
        self.posts: list[tuple[float, int]] = []
        self._decide = decide
        self._lock = threading.Lock()
        self._began: float | None = None

    def reply(self, _: Request) -> Reply:
        with self._lock:
            now = time.monotonic()
            self._began = now if self._began is None else self._began
            answer = self._decide(len(self.posts) + 1, now - self._began)
            self.posts.append((now - self._began, answer[0]))
        status, headers, body = answer
        return Reply(status, body, headers)

    def count(self, status: int) -> int:
        return sum(answered == status for _, answered in self.posts)


@contextmanager
def provider(decide: Callable[[int, float], Answer]) -> Iterator[Provider]:
    server = Provider(decide)
    with serving(server.reply) as server.address:
        yield server


def words(server: Provider, folder: Path, rows: int, more: str = "") -> list[str]:
    """Write a job and return the words that run it."""
    prompts = ", ".join(f"picture {number}" for number in range(rows))
    (folder / "job.yaml").write_text(f"defaults: {{model: dall-e-2}}\n{more}prompts: [{prompts}]\n")
    return ["run", "job.yaml", "--base-url", f"{server.address}/v1", "-o", "out"]


def test_a_window_longer_than_all_backoffs_uses_up_no_attempts(tmp_path: Path) -> None:
    bare: Answer = (429, {}, {"message": "Too Many Requests"})
    with provider(lambda _, now: GOOD if now > 2 else bare) as server:
        ended = batchgen(*words(server, tmp_path, 6, SHORT_RETRIES), cwd=tmp_path, **KEY)

    assert ended.code == 0, ended.err
    lines = results(tmp_path / "out")
    assert {line["status"] for line in lines} == {"succeeded"}
    assert sum(line["attempts"] for line in lines) == len(server.posts)


def test_other_errors_still_use_up_the_attempts(tmp_path: Path) -> None:
    bad: Answer = (500, {}, {"message": "try again"})
    with provider(lambda number, _: bad if number > 1 else (429, {}, {})) as server:
        ended = batchgen(*words(server, tmp_path, 1, SHORT_RETRIES), cwd=tmp_path, **KEY)

    assert ended.code == 1, ended.err
    assert (server.count(429), server.count(500)) == (1, 2)


def test_a_quota_in_doubt_is_probed_by_one_request_and_then_all_go_on(tmp_path: Path) -> None:
    doubt: Answer = (429, {}, {"error": {"message": "check your plan and billing details"}})
    with provider(lambda _, now: GOOD if now > 5 else doubt) as server:
        ended = batchgen(*words(server, tmp_path, 20, SHORT_RETRIES), cwd=tmp_path, **KEY)

    assert ended.code == 0, ended.err
    assert {line["status"] for line in results(tmp_path / "out")} == {"succeeded"}
    assert server.count(429) <= 5 + 3  # the first ones, and probes after 1, 3 and 7 seconds
    assert "one request at a time is sent" in ended.err
    assert "check your plan" in ended.err


@pytest.mark.parametrize(
    "answer",
    [
        (429, {"Retry-After": "3600"}, {"message": "Too Many Requests"}),
        (429, {}, {"message": "The daily limit is reached. Try again in 3 hours."}),
        (
            200,
            {
                "x-ratelimit-limit-requests": "1",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "24h",
            },
            GOOD[2],
        ),
    ],
)
@pytest.mark.parametrize("options", [[], ["--no-progress"], ["--log-format", "json"]])
def test_a_long_wait_is_reported_with_its_end_and_an_interrupt_ends_it(
    answer: Answer, options: list[str], tmp_path: Path
) -> None:
    with provider(lambda *_: answer) as server:
        process = subprocess.Popen(
            [COMMAND, *words(server, tmp_path, 60), *options],
            cwd=tmp_path,
            env=environment(**KEY),
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if "waiting until" in line or "gate_closed" in line:
                break
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)

    assert process.returncode == 130, err
    assert "dall-e-2" in lines[-1]
    assert "rate limit" in lines[-1]
    assert ("waiting until" in lines[-1]) == (options[-1:] != ["json"])
    assert len(server.posts) <= 32  # about 5, and more if the machine is busy
    statuses = {line["status"] for line in results(tmp_path / "out")}
    assert statuses == ({"succeeded", "pending"} if answer[0] == 200 else {"pending"})
