"""Start runs and kill them: `python -m tests.torture.launcher` forks one process per request.

All modules are loaded before the fork, so that a run starts fast. A request is one line of JSON
(`LaunchRequest`); the reply is one line with the exit code, as in `subprocess`: negative for a
signal.
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
from tests.torture.fault import Fault, inject
from tests.torture.machine import Machine


class LaunchRequest(msgspec.Struct, frozen=True):
    """The start of a run.

    log: the file for standard output and standard error. fault: where the run kills itself.
    kill_after_s: when it is killed from outside. machine: the faults of its machine.
    """

    arguments: list[str]
    cwd: str
    log: str
    fault: Fault | None = None
    kill_after_s: float | None = None
    machine: Machine = Machine()


def main() -> None:
    """Carry out requests until the input ends."""
    catalog.models()  # loaded before the first fork, too
    for line in sys.stdin.buffer:
        request = msgspec.json.decode(line, type=LaunchRequest)
        pid = os.fork()
        if pid == 0:
            _run(request)
        print(_wait_for(pid, request.kill_after_s), flush=True)  # noqa: T201  # the reply


def _wait_for(pid: int, kill_after_s: float | None) -> int:
    timer = threading.Timer(kill_after_s or 0.0, os.kill, (pid, signal.SIGKILL))
    if kill_after_s is not None:
        timer.start()
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # its id is not reused before waitpid
    if kill_after_s is not None:
        timer.cancel()
        timer.join()
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def _run(request: LaunchRequest) -> NoReturn:
    log = os.open(request.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(Path(request.cwd))
    request.machine.apply()
    if request.fault is not None:
        inject(request.fault)
    code = 70
    try:
        code = cli_main(request.arguments)
    except SystemExit as ending:
        code = int(ending.code or 0)
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
