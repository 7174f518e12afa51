"""Run the installed command in its own process, as a user does."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND = Path(sys.executable).with_name("batchgen")
_KEYS = ("AIMLAPI_API_KEY", "AIML_API_KEY", "AIMLAPI_KEY", "OPENAI_API_KEY")


@dataclass(frozen=True, slots=True)
class Ended:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str


def environment(**extra: str) -> dict[str, str]:
    """Return the environment without API keys; warnings are errors in the command too."""
    kept = {name: value for name, value in os.environ.items() if name not in _KEYS}
    return {**kept, "PYTHONWARNINGS": "error", **extra}


def batchgen(*words: str | Path, cwd: Path, stdin: str = "", **extra: str) -> Ended:
    """Run the command to its end; fail if it prints a traceback."""
    done = subprocess.run(
        [COMMAND, *map(str, words)],
        cwd=cwd,
        env=environment(**extra),
        input=stdin.encode(),
        capture_output=True,
        timeout=100,
        check=False,
    )
    ended = Ended(done.returncode, done.stdout.decode(), done.stderr.decode())
    assert "Traceback" not in ended.err, ended.err
    return ended


def begun(*words: str, cwd: Path, extra: dict[str, str]) -> "subprocess.Popen[str]":
    """Start a run and wait for its first result; its words must include `--log-format json`."""
    process = subprocess.Popen(
        [COMMAND, *words],
        cwd=cwd,
        env=environment(**extra),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if json.loads(line)["event"] == "task_finished":
            return process
    raise AssertionError(process.wait())


def results(directory: Path) -> list[dict[str, Any]]:
    """Return the lines of the results manifest."""
    text = (directory / "results.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]
