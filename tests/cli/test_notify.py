"""Notifications at the end of a run: a real command, and a real server on loopback."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from batchgen.cli import notify
from batchgen.cli.notify import (
    call_webhook,
    check_webhook,
    environment_without_secrets,
    run_command,
)
from batchgen.errors import UsageError
from batchgen.job import Access
from tests.e2e.command import batchgen
from tests.loopback import Reply, Request, serving

BODY = b'{"status":"complete"}'


@contextmanager
def listener(*answers: int) -> Iterator[tuple[str, list[bytes]]]:
    """Serve these statuses, the last one repeatedly; yield the URL and the bodies received."""
    bodies: list[bytes] = []

    def reply(request: Request) -> Reply:
        bodies.append(request.body)
        status = answers[min(len(bodies), len(answers)) - 1]
        return Reply(status, headers={"Location": "/elsewhere"})

    with serving(reply) as address:
        yield f"{address}/hook/s3cret?x=1", bodies


def test_a_webhook_gets_the_summary_once() -> None:
    with listener(204) as (url, bodies):
        assert call_webhook(url, BODY) is None
    assert bodies == [BODY]


def test_a_webhook_that_fails_for_a_while_is_called_again() -> None:
    with listener(503, 429, 200) as (url, bodies):
        assert call_webhook(url, BODY, pause_s=0.001) is None
    assert len(bodies) == 3


@pytest.mark.parametrize(("answer", "calls"), [(503, 3), (404, 1), (302, 1)])
def test_a_failed_webhook_is_reported_without_its_url(answer: int, calls: int) -> None:
    with listener(answer) as (url, bodies):
        problem = call_webhook(url, BODY, pause_s=0.001)
    assert problem == f"--webhook: 127.0.0.1 answered with HTTP {answer}"
    assert len(bodies) == calls


def test_a_webhook_without_a_server_is_reported() -> None:
    with listener(200) as (url, _):
        pass
    problem = call_webhook(url, BODY, pause_s=0.001)
    assert problem is not None
    assert "127.0.0.1 cannot be reached" in problem
    assert "s3cret" not in problem


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://example.com/hook", "plain http to example.com"),
        ("ftp://example.com/hook", "not an http"),
        ("hook", "not an http"),
        ("http://[::1/hook", "not an http"),
    ],
)
def test_an_invalid_webhook_is_reported_before_the_run(url: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_webhook(url)


@pytest.mark.parametrize("url", ["https://example.com/a?b#c", "http://127.0.0.1:9/x"])
def test_a_webhook_may_be_a_private_host_or_https(url: str) -> None:
    check_webhook(url)


def test_a_command_gets_the_summary_and_the_variables(tmp_path: Path) -> None:
    out = tmp_path / "out"
    variables = {**os.environ, "BATCHGEN_STATUS": "complete"}
    assert run_command(f'cat > {out}; echo "$BATCHGEN_STATUS" >> {out}', BODY, variables) is None
    assert out.read_bytes() == BODY + b"complete\n"


def test_a_command_gets_no_variable_with_a_secret_of_the_run() -> None:
    access = Access(secrets=("canary-key",), secret_variables=("LAB_KEY", "OTHER_KEY"))
    environment = {
        "LAB_KEY": "canary-key",
        "OTHER_KEY": "",
        "COPY": "Bearer canary-key",
        "HTTPS_PROXY": "http://me:canary-pw@proxy",
        "HOME": "/home/me",
    }
    kept = environment_without_secrets(environment, access)
    assert kept == {"HTTPS_PROXY": "http://me:canary-pw@proxy", "HOME": "/home/me"}


def test_a_command_that_reads_nothing_and_fails_is_reported() -> None:
    problem = run_command("exit 3", b"x" * 1_000_000, {})
    assert problem == "--notify: the command failed with exit code 3"


def test_a_command_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "COMMAND_TIMEOUT_S", 0.1)
    problem = run_command("sleep 600 & wait", BODY, {})
    assert problem == "--notify: the command was killed after 0.1 s"


def test_a_run_sends_notifications_and_keeps_its_exit_code(tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_text("a fox\n")
    words = ["run", "m.txt", "--provider", "simulator", "--model", "dall-e-2", "--quiet"]
    with listener(500, 200) as (url, bodies):
        ended = batchgen(
            *(*words, "--webhook", url, "--notify", "cat > sent.json; exit 7"), cwd=tmp_path
        )
    assert (ended.code, ended.out) == (0, "")
    assert ended.err == (
        "batchgen: --notify: the command failed with exit code 7;"
        " the run's result is not affected\n"
    )
    summary = json.loads((tmp_path / "out" / "m" / "summary.json").read_text())
    assert json.loads((tmp_path / "sent.json").read_text()) == summary == json.loads(bodies[-1])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has SCHED_BATCH")
def test_the_notify_command_keeps_the_scheduling_policy(tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_text("a fox\n")
    command = f"{sys.executable} -c 'import os; print(os.sched_getscheduler(0))' > policy.txt"
    words = ["run", "m.txt", "--provider", "simulator", "--model", "dall-e-2", "--notify", command]
    assert batchgen(*words, cwd=tmp_path).code == 0
    assert (tmp_path / "policy.txt").read_text() == f"{os.sched_getscheduler(0)}\n"


def test_watched_status_stops_when_the_run_has_ended(tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_text("a fox\n")
    words = ["run", "m.txt", "--provider", "simulator", "--model", "dall-e-2", "--quiet"]
    batchgen(*words, cwd=tmp_path)
    ended = batchgen("status", "out/m", "--watch", "--interval", "10ms", cwd=tmp_path)
    lines = dict(line.split(maxsplit=1) for line in ended.out.splitlines())
    assert (ended.code, lines["succeeded"], lines["running"]) == (0, "1", "no")
    assert lines["spend"].startswith("$")
