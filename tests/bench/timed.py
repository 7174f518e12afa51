"""`python -S timed.py REPORT LIMIT_S COMMAND...`: run a command and report its usage.

This is a small separate process because on Linux a program's peak memory includes that of the
process that started it (exec keeps the high-water mark), and the benchmark is larger than the
programs that it measures. REPORT gets four words: exit code, wall seconds, CPU seconds, and peak of
resident memory in the system's unit: on Linux of all processes of the command together, sampled
twenty times per second, else of the largest process. Only small modules are imported.
"""

import os
import signal
import sys
import time

_SAMPLE_EVERY_S = 0.05


def _main(report: str, limit_s: int, words: list[str]) -> None:
    started = time.perf_counter()
    process = os.posix_spawn(words[0], words, os.environ)
    for number in (signal.SIGALRM, signal.SIGTERM):
        signal.signal(number, lambda *_: os.kill(process, signal.SIGKILL))
    signal.alarm(limit_s)
    peak, ended = 0, 0
    while not ended:
        peak = max(peak, sum(map(_resident, _family(process))))
        ended, status, used = os.wait4(process, os.WNOHANG)
        if not ended:
            time.sleep(_SAMPLE_EVERY_S)
    wall_s = time.perf_counter() - started
    code = os.waitstatus_to_exitcode(status)
    with open(report, "w") as file:  # importing pathlib would need more memory than this script
        file.write(f"{code} {wall_s} {used.ru_utime + used.ru_stime} {max(peak, used.ru_maxrss)}")


def _family(process: int) -> list[int]:
    """Return a process and all of its descendants."""
    members = [process]
    for member in members:
        children = _read(f"/proc/{member}/task/{member}/children")
        members += map(int, children.split())
    return members


def _resident(process: int) -> int:
    """Return the resident memory in kilobytes (`VmRSS` of Linux)."""
    after_name = _read(f"/proc/{process}/status").partition("VmRSS:")[2]
    return int(after_name.split()[0]) if after_name else 0


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:  # the process has ended, or this is not Linux
        return ""


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
