"""Starts runs that are killed: `python -m tests.torture.launcher` reads orders, forks, and waits.

All modules are loaded once, so that a run begins at once. An order is a line of JSON (`Order`);
the reply is a line with the exit code, negative for a signal, as `subprocess` has it.
"""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import NoReturn

import msgspec

import batchgen.cli.run
import batchgen.http.transport  # noqa: F401  # loaded before the first fork
from batchgen.cli.main import main as cli_main
from batchgen.provider import catalog
from tests.torture.fault import Fault, arm
from tests.torture.machine import Machine


class Order(msgspec.Struct, frozen=True):
    """A run to be started.

    log: takes standard output and standard error. fault: where it ends itself by SIGKILL.
    kill_after_s: when it is killed from outside. machine: what is wrong with where it runs.
    """

    words: list[str]
    cwd: str
    log: str
    fault: Fault | None = None
    kill_after_s: float | None = None
    machine: Machine = Machine()


def main() -> None:
    """Carry out orders until there are no more."""
    catalog.models()  # read before the first fork too
    for line in sys.stdin.buffer:
        order = msgspec.json.decode(line, type=Order)
        pid = os.fork()
        if pid == 0:
            _run(order)
        print(_ended(pid, order.kill_after_s), flush=True)  # noqa: T201  # the reply


def _ended(pid: int, kill_after_s: float | None) -> int:
    timer = threading.Timer(kill_after_s or 0.0, os.kill, (pid, signal.SIGKILL))
    if kill_after_s is not None:
        timer.start()
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # its number is not given to another yet
    if kill_after_s is not None:
        timer.cancel()
        timer.join()
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def _run(order: Order) -> NoReturn:
    log = os.open(order.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(Path(order.cwd))
    order.machine.put_in_place()
    if order.fault is not None:
        arm(order.fault)
    code = 70
    try:
        code = cli_main(order.words)
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
