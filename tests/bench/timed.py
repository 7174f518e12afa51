"""`python -S timed.py REPORT LIMIT_S WORDS...`: runs a command and writes down what it took.

A small process of its own, because Linux counts the memory of whoever starts a program into that
program's peak (exec keeps the high-water mark); the bench itself is larger than what it measures.
REPORT gets four words: exit code, wall seconds, CPU seconds, peak of resident memory in the
system's unit. Only what costs next to nothing is imported.
"""

import os
import signal
import sys
import time


def _main(report: str, limit_s: int, words: list[str]) -> None:
    started = time.perf_counter()
    process = os.posix_spawn(words[0], words, os.environ)
    for number in (signal.SIGALRM, signal.SIGTERM):
        signal.signal(number, lambda *_: os.kill(process, signal.SIGKILL))
    signal.alarm(limit_s)
    _, status, used = os.wait4(process, 0)
    wall_s = time.perf_counter() - started
    code = os.waitstatus_to_exitcode(status)
    with open(report, "w") as file:  # pathlib is larger than all of this
        file.write(f"{code} {wall_s} {used.ru_utime + used.ru_stime} {used.ru_maxrss}")


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
