"""The time of `batchgen --help`, compared with importing only aiohttp and yaml."""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

from tests.bench.table import markdown
from tests.bench.usage import RunError
from tests.bench.workspace import Workspace, command, environment

_ROUNDS = 10
_LIMIT = 0.5  # the help must not import libraries that only a run needs
_HELP = "batchgen --help"
_IMPORTS = "import aiohttp, yaml"


def start(_: Workspace) -> Iterator[str]:
    """Yield the ratio and a table of medians."""
    programs = {_HELP: command("--help"), _IMPORTS: [sys.executable, "-c", _IMPORTS]}
    for words in programs.values():
        _wall_s(words)  # the first run compiles the modules
    rounds = [{name: _wall_s(words) for name, words in programs.items()} for _ in range(_ROUNDS)]
    ratio = statistics.median(each[_HELP] / each[_IMPORTS] for each in rounds)
    yield f"Medians of {_ROUNDS} alternating runs; ratio {ratio:.2f} (the limit is {_LIMIT})"
    yield markdown(
        ("whole process", "ms"),
        [
            (name, f"{1000 * statistics.median(each[name] for each in rounds):,.0f}")
            for name in programs
        ],
    )


def _wall_s(words: Sequence[str]) -> float:
    """Run a command; return seconds from start to end (`usage.run` measures in steps of 50 ms)."""
    started = time.perf_counter()
    done = subprocess.run(
        words, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    took_s = time.perf_counter() - started
    if done.returncode:
        raise RunError(f"exit {done.returncode} of {' '.join(words)}\n{done.stderr.decode()}")
    return took_s
