"""Paid replies that cannot be used, as a user meets them: kept, and read again for nothing."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.command import Ended, batchgen, results
from tests.given import a_png
from tests.loopback import Reply, Request, serving

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


class Gateway:
    """A server that answers submissions with the id of a job, and counts what it is asked."""

    def __init__(self, submission: Reply) -> None:
        self.submission = submission
        self.posts = 0
        self.polls: list[str] = []
        self.address = ""

    def reply(self, request: Request) -> Reply:
        if request.method == "POST":
            self.posts += 1
            return self.submission
        if request.path == "/fox.png":
            return Reply(200, a_png(), {"Content-Type": "image/png"})
        self.polls.append(request.path)
        state = {"status": "SUCCESS", "files": [{"url": f"{self.address}/fox.png"}]}
        if len(self.polls) == 1:
            state = {"status": "RUNNING", "files": []}
        return Reply(200, {"code": 200, "data": state})


@contextmanager
def gateway(body: bytes, **headers: str) -> Iterator[Gateway]:
    server = Gateway(Reply(200, body, headers))
    with serving(server.reply) as server.address:
        yield server


def run(server: Gateway, folder: Path, *flags: str, jobs: str = "") -> Ended:
    text = JOB.replace("BASE", f"{server.address}/v1").replace("JOBS\n", jobs)
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
