"""A run that is paused for longer than its timeout, as by SIGSTOP or a frozen container."""

import base64
import os
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.command import COMMAND, environment, results
from tests.given import a_png
from tests.loopback import Handler, Reply, Request, handling

ROWS = 8  # half of them get their image by URL
TIMEOUT_S = 2.0
PAUSED_S = 2.5
IMAGE = a_png() + bytes(2_000_000)  # more than the socket's buffers hold
BUFFER_BYTES = 64 * 1024


class Provider:
    """Counts requests; replies with images only when `answer` is set."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.all_wait = threading.Event()
        self.answer = threading.Event()
        self.url = ""
        self._lock = threading.Lock()

    def reply(self, request: Request) -> Reply:
        body = request.json if request.method == "POST" else {}
        with self._lock:
            self.requests[body.get("prompt", request.path)] += 1
            count = self.requests.total()
        if body.get("response_format") == "url":
            return Reply(200, {"data": [{"url": f"{self.url}/{body['prompt']}.png"}]})
        if count == ROWS + ROWS // 2:
            self.all_wait.set()
        self.answer.wait(60)
        if not body:
            return Reply(200, IMAGE)
        return Reply(200, {"data": [{"b64_json": base64.b64encode(IMAGE).decode()}]})


@contextmanager
def serving(provider: Provider) -> Iterator[None]:
    class Slow(Handler):
        def reply(self, request: Request) -> Reply:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
            return provider.reply(request)

    with handling(Slow) as provider.url:
        try:
            yield
        finally:
            provider.answer.set()


@pytest.mark.parametrize("is_draining", [False, True], ids=["running", "after a signal"])
def test_replies_that_arrived_while_the_run_was_paused_are_not_paid_again(
    tmp_path: Path, *, is_draining: bool
) -> None:
    formats = ("url", "b64_json")
    rows = [f"picture-{number},{formats[number % 2]}\n" for number in range(ROWS)]
    (tmp_path / "m.csv").write_text("prompt,response_format\n" + "".join(rows))
    provider = Provider()
    with serving(provider):
        run = subprocess.Popen(
            [
                *(COMMAND, "run", "m.csv", "--base-url", provider.url, "--model", "dall-e-2"),
                *("--concurrency", str(ROWS), "-o", "out"),
                *("--drain-timeout" if is_draining else "--timeout", f"{TIMEOUT_S:g}"),
            ],
            cwd=tmp_path,
            env=environment(AIMLAPI_API_KEY="sk-canary-7731"),
            stderr=subprocess.PIPE,
            text=True,
        )
        assert provider.all_wait.wait(60)
        if is_draining:
            run.send_signal(signal.SIGINT)
            assert run.stderr is not None
            assert any("stopping" in line for line in run.stderr)
        run.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, run.pid, os.WSTOPPED)
        provider.answer.set()
        time.sleep(PAUSED_S)  # the timeout must pass while the process is really stopped
        run.send_signal(signal.SIGCONT)
        _, err = run.communicate(timeout=60)

    assert run.returncode == 0, err
    assert provider.requests.total() == ROWS + ROWS // 2
    assert set(provider.requests.values()) == {1}
    assert {line["attempts"] for line in results(tmp_path / "out")} == {1}
