"""Changed limits, few file descriptors, and servers that never answer."""

import resource
import signal
import subprocess
from pathlib import Path

from tests.e2e.command import COMMAND, batchgen, begun, environment, results
from tests.e2e.simulated import simulate, stats

KEY = {"AIMLAPI_API_KEY": "sk-canary-7731"}
JOB = """\
defaults: {{model: dall-e-2, size: 256x256}}
limits: {{rpm: {rpm}, timeouts: {{first_byte: {first_byte}}}}}
retry: {{attempts: 1}}
prompts: [{{prompt: A fox, repeat: {count}}}]
"""


def write_job(folder: Path, *, rpm: float = 6000, first_byte: str = "60s", count: int = 30) -> None:
    job = JOB.format(rpm=rpm, first_byte=first_byte, count=count)
    (folder / "job.yaml").write_text(job)


def test_limits_can_change_during_a_run(tmp_path: Path) -> None:
    write_job(tmp_path, rpm=1)  # half an hour of work
    with simulate(cwd=tmp_path) as base_url:
        words = ["run", "job.yaml", "--base-url", base_url, "-o", "out", "--log-format", "json"]
        run = begun(*words, cwd=tmp_path, extra=KEY)
        assert run.stderr is not None
        (tmp_path / "job.yaml").write_text("limits: {rpm: fast}\n")
        run.send_signal(signal.SIGUSR1)
        wrong = next(line for line in run.stderr if "job.yaml:1" in line)
        write_job(tmp_path, rpm=6000)
        run.send_signal(signal.SIGUSR1)
        _, rest = run.communicate(timeout=60)

    assert "limits unchanged: " in wrong
    assert "limits reloaded: rpm 6000" in rest
    assert run.returncode == 0
    assert [line["status"] for line in results(tmp_path / "out")] == ["succeeded"] * 30


def test_too_few_descriptors_lower_the_concurrency_with_a_message(tmp_path: Path) -> None:
    write_job(tmp_path, count=120)
    with simulate("--latency", "100ms", cwd=tmp_path) as base_url:
        flags = ("--base-url", base_url, "-o", "out", "--concurrency", "1000")
        ended = subprocess.run(
            [COMMAND, "run", "job.yaml", *flags],
            cwd=tmp_path,
            env=environment(**KEY),
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128)),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        highest = stats(base_url)["in_flight_max"]

    message = " ".join(ended.stderr.split())
    assert ended.returncode == 0, ended.stderr
    assert "at most 32 requests will be in flight (see `ulimit -Hn`)" in message
    assert highest <= 32


def test_a_soft_limit_on_descriptors_is_raised_without_a_message(tmp_path: Path) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    write_job(tmp_path, count=2)
    ended = subprocess.run(
        [COMMAND, "run", "job.yaml", "--provider", "simulator", "--concurrency", "200"],
        cwd=tmp_path,
        env=environment(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "descriptors" not in ended.stderr


def test_requests_without_a_reply_are_unknown_and_sent_again_by_the_next_run(
    tmp_path: Path,
) -> None:
    write_job(tmp_path, first_byte="300ms", count=3)
    with simulate("--faults", "stall=1", cwd=tmp_path) as base_url:
        flags = ("run", "job.yaml", "--base-url", base_url, "-o", "out")
        stalled = batchgen(*flags, cwd=tmp_path, **KEY)
    lines = results(tmp_path / "out")
    assert stalled.code == 1
    assert [(line["status"], line["error"]["kind"]) for line in lines] == [
        ("unknown", "timeout")
    ] * 3

    write_job(tmp_path, count=3)
    with simulate(cwd=tmp_path) as base_url:
        again = batchgen(
            *("run", "job.yaml", "--base-url", base_url, "-o", "out"), cwd=tmp_path, **KEY
        )
        assert stats(base_url)["generations"] == 3
    assert again.code == 0
