"""Requests whose outcome is not known, against a provider that counts and ignores idempotency keys.

It bills each request, then resets the connection, cuts the reply short, or sends none. Which of
these happens follows from the prompt and the number of its requests so far.
"""

import base64
import hashlib
import json
import signal
import socket
import struct
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import COMMAND, Ended, batchgen, environment, results
from tests.given import a_png
from tests.loopback import Handler, Reply, Request, handling

PRICE = 0.026
KEY = {"LAB_API_KEY": "sk-canary-7731"}
GOOD = json.dumps({"data": [{"b64_json": base64.b64encode(a_png()).decode()}]}).encode()


class Provider:
    """Bills every request; `faults` are shares of 100: resets, then cut and missing replies.

    kill: a process to kill when so many requests for foxes were billed.
    """

    def __init__(self, resets: int, cuts: int, hangs: int) -> None:
        self.address = ""
        self.bounds = (resets, resets + cuts, resets + cuts + hangs)
        self.billed: Counter[str] = Counter()
        self.kill: tuple[int, subprocess.Popen[bytes]] | None = None
        self.released = threading.Event()
        self._lock = threading.Lock()

    @property
    def base(self) -> str:
        return f"{self.address}/v1"

    @property
    def bill(self) -> float:
        return self.billed.total() * PRICE

    @property
    def twice(self) -> int:
        return sum(count - 1 for count in self.billed.values())

    def draw(self, prompt: str) -> int:
        """Bill a request; return a number below 100 that follows from it."""
        with self._lock:
            self.billed[prompt] += 1
            foxes = sum(n for billed, n in self.billed.items() if billed.startswith("fox"))
            if self.kill is not None and foxes >= self.kill[0]:
                self.kill[1].kill()
                self.kill = None
            text = f"{prompt} {self.billed[prompt]}"
        time.sleep(0.02)  # so that requests are in flight when a process is killed
        return int(hashlib.sha256(text.encode()).hexdigest(), 16) % 100


@contextmanager
def provider(resets: int, cuts: int = 0, hangs: int = 0) -> Iterator[Provider]:
    server = Provider(resets, cuts, hangs)

    class Faulty(Handler):
        is_cut = False

        def reply(self, request: Request) -> Reply | None:
            drawn = server.draw(request.json["prompt"])
            resets, cuts, hangs = server.bounds
            if drawn < resets:
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                return None
            if cuts <= drawn < hangs:
                server.released.wait(60)
                return None
            self.is_cut = drawn < cuts
            return Reply(200, GOOD, {"Content-Type": "application/json"})

        def send(self, content: bytes) -> None:
            self.wfile.write(content[: len(content) // 2] if self.is_cut else content)
            self.close_connection = self.is_cut

    with handling(Faulty) as server.address:
        try:
            yield server
        finally:
            server.released.set()


def write_job(server: Provider, folder: Path, name: str, rows: int, more: str = "") -> None:
    lines = [
        "provider: lab",
        "providers:",
        f"  lab: {{base_url: '{server.base}', api_key_env: LAB_API_KEY}}",
        "defaults: {model: dall-e-2}",
        "limits: {concurrency: 8}",
        "retry: {backoff: {initial: 10ms, max: 20ms}}",
        f"prices: {{dall-e-2: {PRICE}}}",
        more,
        "prompts:",
        *(f"  - {{id: {name}{n}, prompt: {name} {n}}}" for n in range(rows)),
    ]
    (folder / f"{name}.yaml").write_text("\n".join(lines))


def run(folder: Path, *flags: str, name: str = "fox") -> tuple[Ended, dict[str, Any]]:
    ended = batchgen("run", f"{name}.yaml", "-o", name, *flags, cwd=folder, **KEY)
    return ended, json.loads((folder / name / "summary.json").read_text())


def test_the_bill_never_exceeds_max_cost_and_the_summary_is_not_below_it(tmp_path: Path) -> None:
    with provider(resets=30, cuts=10, hangs=2) as server:
        write_job(server, tmp_path, "fox", 100)
        ended, first = run(tmp_path, "--max-cost", "0.78", "--timeout", "2")

        assert (ended.code, first["status"]) == (3, "halted")
        assert "max_cost" in first["reason"]
        bill, twice = server.bill, server.twice
        assert 0.7 < bill <= 0.78
        assert first["run"]["cost_usd"] + first["run"]["possibly_charged_usd"] >= bill - 1e-6
        assert first["run"]["resent"] >= twice > 0
        assert "resent" in ended.err
        assert "at risk" in ended.err

        ended, second = run(tmp_path, "--max-cost", "2.60", "--timeout", "2")

        assert ended.code == 3
        assert server.bill <= 2.60
        both = second["cost_usd"] + second["possibly_charged_usd"]
        assert both >= server.bill - 1e-6
        assert first["run"]["resent"] + second["run"]["resent"] >= server.twice
        status = json.loads(batchgen("status", "fox", "--json", cwd=tmp_path).out)
        assert status["spend_usd"] + status["possibly_charged_usd"] == pytest.approx(both)
        assert status["resent"] == second["run"]["resent"]


@pytest.mark.parametrize(("on_unknown", "status"), [("hold", "unknown"), ("fail", "failed")])
def test_hold_and_fail_send_no_second_request_within_a_run(
    on_unknown: str, status: str, tmp_path: Path
) -> None:
    with provider(resets=30) as server:
        write_job(server, tmp_path, "fox", 40)
        for _ in range(2):
            ended, summary = run(tmp_path, "--on-unknown", on_unknown)

            assert (ended.code, summary["status"]) == (1, "incomplete")
            assert (server.twice, summary["run"]["resent"]) == (0, 0)
        lost = [line for line in results(tmp_path / "fox") if line["status"] != "succeeded"]
        assert {line["status"] for line in lost} == {status}
        assert summary["possibly_charged_usd"] == pytest.approx(len(lost) * PRICE)
        if on_unknown == "fail":
            assert {line["error"]["kind"] for line in lost} == {"unknown"}
            run(tmp_path, "--retry-failed", "unknown")
            assert server.twice >= len(lost) > 0


def test_three_jobs_with_one_budget_stay_within_it_although_some_are_killed(
    tmp_path: Path,
) -> None:
    budget = f"budget: {{usd: 3.00, ledger: {tmp_path / 'spend.sqlite3'}}}"
    names = {"fox": 60, "owl": 20, "elk": 20}
    with provider(resets=20) as server:
        for name, rows in names.items():
            write_job(server, tmp_path, name, rows, budget)
        running = [_start(tmp_path, name) for name in names]
        for killed_at in (10, 20, 30):
            server.kill = killed_at, running[0]
            assert running[0].wait(60) == -signal.SIGKILL
            running[0] = _start(tmp_path, "fox")
        assert {process.wait(60) for process in running} <= {0, 1, 3}

        assert 2.2 < server.bill <= 3.00
        summaries = [run(tmp_path, name=name)[1] for name in names]
        assert server.bill <= 3.00
        both = sum(one["cost_usd"] + one["possibly_charged_usd"] for one in summaries)
        assert server.bill - 1e-6 <= both <= 3.00 + 1e-6


def _start(folder: Path, name: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [COMMAND, "run", f"{name}.yaml", "-o", name],
        cwd=folder,
        env=environment(**KEY),
        stderr=subprocess.DEVNULL,
    )
