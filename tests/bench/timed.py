"""`python -S timed.py REPORT LIMIT_S WORDS...`: runs a command and writes down what it took.

A small process of its own, because Linux counts the memory of whoever starts a program into that
program's peak (exec keeps the high-water mark); the bench itself is larger than what it measures.
REPORT gets four words: exit code, wall seconds, CPU seconds, peak of resident memory in the
system's unit: of all processes of the command together where Linux tells, looked at twenty times a
second, else of the largest one. Only what costs next to nothing is imported.
"""

import os
import signal
import sys
import time

_LOOK_EVERY_S = 0.05


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
            time.sleep(_LOOK_EVERY_S)
    wall_s = time.perf_counter() - started
    code = os.waitstatus_to_exitcode(status)
    with open(report, "w") as file:  # pathlib is larger than all of this
        file.write(f"{code} {wall_s} {used.ru_utime + used.ru_stime} {max(peak, used.ru_maxrss)}")


def _family(process: int) -> list[int]:
    """A process and all that it has started."""
    found = [process]
    for one in found:
        told = _read(f"/proc/{one}/task/{one}/children")
        found += map(int, told.split())
    return found


def _resident(process: int) -> int:
    """Kilobytes, as Linux tells `VmRSS`."""
    told = _read(f"/proc/{process}/status").partition("VmRSS:")[2]
    return int(told.split()[0]) if told else 0


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:  # it has ended, or this is not Linux
        return ""


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
