"""`batchgen simulate` in its own process, and its statistics."""

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
    """Run a simulator until the block ends; yield its base URL."""
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
    """Return the simulator's statistics so far."""
    with urllib.request.urlopen(base_url.removesuffix("/v1") + "/_simulator/stats") as reply:  # noqa: S310  # loopback
        loaded: dict[str, Any] = json.load(reply)
    return loaded
