"""Files and remote jobs that are paid for: asked for again, and never bought again."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import Ended, batchgen, begun, results
from tests.given import a_png
from tests.loopback import Reply, Request
from tests.loopback import serving as serving_replies

KEY = {"AIMLAPI_API_KEY": "sk-canary-7731"}
PAGE = b"<html><title>Just a moment...</title></html>"
Answer = tuple[int, bytes]


class Host:
    """A provider and its file host; counts the requests by kind.

    file, poll: the odd answer to such a request, if any.
    """

    def __init__(self) -> None:
        self.posts = self.files = self.polls = 0
        self.file: Callable[[str], Answer | None] = lambda _: None
        self.poll: Callable[[], Answer | None] = lambda: None
        self.base = ""

    def reply(self, request: Request) -> Reply:
        if request.method == "POST":
            return Reply(200, self._submitted(request))
        if request.path.endswith((".png", ".mp4")):
            self.files += 1
            good = a_png() if request.path.endswith(".png") else _MP4
            return Reply(*(self.file(request.path) or (200, good)))
        self.polls += 1
        done = {"id": "job-1", "status": "completed", "video": {"url": f"{self.base}/v.mp4"}}
        odd = self.poll()
        return Reply(*odd) if odd else Reply(200, done)

    def _submitted(self, request: Request) -> Any:
        self.posts += 1
        if request.path.endswith("/images/generations"):
            return {"data": [{"url": f"{self.base}/{request.json['prompt']}.png"}]}
        return {"id": "job-1", "status": "queued"}


_MP4 = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(64)


@contextmanager
def serving() -> Iterator[Host]:
    server = Host()
    with serving_replies(server.reply) as server.base:
        yield server


def job(directory: Path, *prompts: str, model: str, limits: str) -> None:
    (directory / "job.yaml").write_text(
        f"""\
defaults: {{model: {model}}}
limits: {{{limits}, polling: {{first: 20ms, interval: 20ms}}}}
retry: {{attempts: 1}}
prompts: {json.dumps([{"id": prompt, "prompt": prompt} for prompt in prompts])}
"""
    )


def run(server: Host, directory: Path, *options: str) -> Ended:
    words = ("run", "job.yaml", "-o", "out", "--base-url", f"{server.base}/v1", *options)
    return batchgen(*words, cwd=directory, **KEY)


@pytest.mark.parametrize("odd", [(404, b""), (403, PAGE), (200, PAGE), (999, b""), (451, b"")])
def test_a_file_that_does_not_come_in_time_is_fetched_by_the_next_run_and_not_bought_again(
    tmp_path: Path, odd: Answer
) -> None:
    with serving() as server:
        job(tmp_path, "fox", model="dall-e-2", limits="fetch_deadline: 100ms")
        server.file = lambda _: odd
        first = run(server, tmp_path)
        late = results(tmp_path / "out")[0]
        server.file = lambda _: None
        second = run(server, tmp_path, "--retry-failed")

    assert first.code == 1, first.err
    assert (late["status"], late["error"]["kind"]) == ("pending", "not_ready")
    assert (second.code, results(tmp_path / "out")[0]["status"]) == (0, "succeeded")
    assert server.posts == 1


def test_a_worker_is_free_while_its_task_waits_for_a_file(tmp_path: Path) -> None:
    with serving() as server:
        # The first file is there once the others were fetched: with one worker a deadlock if held.
        server.file = lambda path: (404, b"") if "p0" in path and server.files < 4 else None
        prompts = ("p0", "p1", "p2")
        job(tmp_path, *prompts, model="dall-e-2", limits="concurrency: 1")
        ended = run(server, tmp_path)

    assert ended.code == 0, ended.err
    assert [line["status"] for line in results(tmp_path / "out")] == ["succeeded"] * 3
    assert server.posts == 3


def test_a_stop_ends_the_wait_for_a_file_at_once_and_leaves_it_to_the_next_run(
    tmp_path: Path,
) -> None:
    with serving() as server:
        server.file = lambda path: (404, b"") if "late" in path else None
        job(tmp_path, "late", "fox", model="dall-e-2", limits="concurrency: 2")
        words = ("run", "job.yaml", "-o", "out", "--base-url", f"{server.base}/v1")
        process = begun(*words, "--log-format", "json", cwd=tmp_path, extra=KEY)
        stopped_at = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        took_s = time.monotonic() - stopped_at
        server.file = lambda _: None
        second = run(server, tmp_path)

    assert took_s < 30
    assert second.code == 0, second.err
    assert server.posts == 2


@pytest.mark.parametrize(
    "odd",
    [
        (301, b""),
        (400, b'{"message": "Bad Request"}'),
        (403, PAGE),
        (404, b""),
        (422, b"{}"),
        (451, b""),
        (999, b""),
        (200, PAGE),
        (200, b'{"error": {"message": "Provider returned error", "code": 502}}'),
        (200, b'{"status": "error", "message": "Internal server error"}'),
    ],
)
def test_one_odd_answer_about_a_paid_job_does_not_end_it(tmp_path: Path, odd: Answer) -> None:
    with serving() as server:
        job(tmp_path, "fox", model="kling-video/v1.6/pro/text-to-video", limits="rpm: 600")
        server.poll = lambda: odd if server.polls == 1 else None
        ended = run(server, tmp_path)

    assert ended.code == 0, ended.err
    assert (server.posts, server.polls) == (1, 2)


@pytest.mark.parametrize(("status", "kind"), [(401, "auth"), (402, "quota")])
def test_polls_that_reject_the_account_halt_the_run_and_keep_the_job(
    tmp_path: Path, status: int, kind: str
) -> None:
    with serving() as server:
        job(tmp_path, "fox", model="kling-video/v1.6/pro/text-to-video", limits="rpm: 600")
        server.poll = lambda: (status, b"")
        first = run(server, tmp_path)
        polls, kept = server.polls, results(tmp_path / "out")
        server.poll = lambda: None
        second = run(server, tmp_path, "--retry-failed")

    assert first.code == 3, first.err
    assert polls == 5
    assert not [line for line in kept if line["status"] != "pending"], kept
    assert kind in first.err or "key" in first.err or "credit" in first.err
    assert second.code == 0, second.err
    assert server.posts == 1
