"""Faults of the machine that a run is started on."""

import errno
import os
import resource
from datetime import datetime, timedelta

import msgspec

from batchgen.engine.clock import SystemClock


class Machine(msgspec.Struct, frozen=True):
    """Faults that are injected into the process of the run; the defaults are none.

    max_file_bytes: the largest size of a file; more fails as on a full disk.
    max_open_files: the limit on file descriptors. user_id: the user who runs it.
    clock_behind_s: seconds by which the clock was set back.
    hard_links: whether the file system supports hard links.
    """

    max_file_bytes: int | None = None
    max_open_files: int | None = None
    user_id: int | None = None
    clock_behind_s: float = 0.0
    hard_links: bool = True

    def apply(self) -> None:
        """Inject the faults into this process."""
        for resource_id, limit in (
            (resource.RLIMIT_FSIZE, self.max_file_bytes),
            (resource.RLIMIT_NOFILE, self.max_open_files),
        ):
            if limit is not None:
                resource.setrlimit(resource_id, (limit, limit))
        if self.user_id is not None:
            os.setuid(self.user_id)
        if self.clock_behind_s:
            _set_clock_back(timedelta(seconds=self.clock_behind_s))
        if not self.hard_links:
            os.link = _refuse_link  # type: ignore[assignment]  # in this process only


def _refuse_link(source: str, target: str, **_: object) -> None:
    raise PermissionError(errno.EPERM, "Operation not permitted", source, None, target)


def _set_clock_back(span: timedelta) -> None:
    now = SystemClock.now

    def earlier(clock: SystemClock) -> datetime:
        return now(clock) - span

    SystemClock.now = earlier  # type: ignore[method-assign, assignment]  # in this process only
