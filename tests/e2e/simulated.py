"""`batchgen simulate` as a process of its own, and what it saw."""

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.command import COMMAND, environment


@contextmanager
def simulate(*flags: str, cwd: Path) -> Iterator[str]:
    """The base URL of a simulator that lives as long as the block."""
    process = subprocess.Popen(
        [COMMAND, "simulate", "--port", "0", *flags],
        cwd=cwd,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        words = process.stderr.readline().split()
        yield next(word for word in words if word.startswith("http"))
    finally:
        process.terminate()
        rest = process.stderr.read()
        assert process.wait(20) == 0, rest
        process.stderr.close()


def stats(base_url: str) -> dict[str, Any]:
    """What the simulator saw so far."""
    with urllib.request.urlopen(base_url.removesuffix("/v1") + "/_simulator/stats") as reply:  # noqa: S310  # loopback
        found: dict[str, Any] = json.load(reply)
    return found
