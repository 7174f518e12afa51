"""The time and memory of a process, from start to end."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_TIMED = Path(__file__).with_name("timed.py")
_RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024
_OUTPUT_BYTES = 2000
_LONGEST_S = 900


class RunError(Exception):
    """A measured process failed."""


@dataclass(frozen=True, slots=True)
class Usage:
    """wall_s: elapsed time. cpu_s: user and system time of all threads and children.

    peak_bytes: of resident memory.
    """

    wall_s: float
    cpu_s: float
    peak_bytes: int


def run(
    words: Sequence[str], *, environment: Mapping[str, str], log: Path, cwd: Path | None = None
) -> Usage:
    """Run a command to its end, with its output in `log`. Raises RunError if it fails."""
    report = log.with_suffix(".usage")
    timed = [sys.executable, "-S", str(_TIMED), str(report), str(_LONGEST_S), *words]
    with log.open("wb") as output:
        process = subprocess.Popen(
            timed,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        try:
            process.wait()
        except BaseException:
            process.terminate()  # this kills the command too
            process.wait()
            raise
    code, wall_s, cpu_s, peak = report.read_text().split()
    if int(code):
        output_end = log.read_bytes()[-_OUTPUT_BYTES:].decode("utf-8", "replace")
        raise RunError(f"exit {code} of {' '.join(words)}\n{output_end}")
    return Usage(float(wall_s), float(cpu_s), int(peak) * _RSS_UNIT_BYTES)
