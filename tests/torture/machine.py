"""What can be wrong with the machine that a run is started on."""

import errno
import os
import resource
from datetime import datetime, timedelta

import msgspec

from batchgen.engine.clock import SystemClock


class Machine(msgspec.Struct, frozen=True):
    """Faults that are put in place in the process of the run; None and 0 are a sound machine.

    most_bytes: that a file may have; more is refused, as a full disk does.
    most_files: that may be open. user: whose rights the run has.
    clock_behind_s: seconds by which the clock was set back.
    links: whether files may have two names.
    """

    most_bytes: int | None = None
    most_files: int | None = None
    user: int | None = None
    clock_behind_s: float = 0.0
    links: bool = True

    def put_in_place(self) -> None:
        """Make this process's machine such a one."""
        for number, bound in (
            (resource.RLIMIT_FSIZE, self.most_bytes),
            (resource.RLIMIT_NOFILE, self.most_files),
        ):
            if bound is not None:
                resource.setrlimit(number, (bound, bound))
        if self.user is not None:
            os.setuid(self.user)
        if self.clock_behind_s:
            _set_back(timedelta(seconds=self.clock_behind_s))
        if not self.links:
            os.link = _no_link  # type: ignore[assignment]  # in this process alone


def _no_link(source: str, target: str) -> None:
    raise PermissionError(errno.EPERM, "Operation not permitted", source, None, target)


def _set_back(span: timedelta) -> None:
    now = SystemClock.now

    def earlier(clock: SystemClock) -> datetime:
        return now(clock) - span

    SystemClock.now = earlier  # type: ignore[method-assign, assignment]  # in this process alone
