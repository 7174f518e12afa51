"""What a running job tells: a bar on a terminal, plain lines or JSON events elsewhere.

Everything is driven by the events of the run and a clock that is passed in: no thread, no timer.
The runner calls `tick` about once a second, so that a run that waits still tells why.
"""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TextIO

from batchgen.errors import UsageError
from batchgen.progress.bar import Bar
from batchgen.progress.counts import Pace, Tally
from batchgen.progress.events import Progress, Several, Silent
from batchgen.progress.lines import JsonEnd, JsonLines, JsonLog, Lines, LogLines
from batchgen.progress.metrics import Metrics
from batchgen.progress.sink import Sink

__all__ = [
    "Bar", "JsonEnd", "JsonLines", "JsonLog", "Lines", "LogLines", "Pace", "Progress",
    "Several", "Silent", "Sink", "Tally", "make_progress",
]  # fmt: skip


def make_progress(  # noqa: PLR0913  a flag of the command each, all keyword-only
    *,
    stream: TextIO,
    terminal: bool,
    log_format: Literal["text", "json"],
    log_file: Path | None,
    quiet: bool,
    bar: bool,
    interval_s: float,
    metrics_file: Path | None,
    clock: Callable[[], float],
) -> Progress:
    """The progress that the flags of `run` ask for.

    clock: monotonic seconds. interval_s: between two plain status lines. bar: False leaves out the
    bar and the status lines of `stream`, not its messages. A log file is told everything, quiet or
    not, and is appended to; a metrics file is replaced. Raises UsageError where one of them cannot
    be written.
    """
    sink = Sink(stream)
    shown: Progress
    if log_format == "json":
        shown = (JsonEnd if quiet else JsonLines)(sink, now=_utc_now)
    elif quiet:
        shown = Silent()
    elif terminal and bar:
        shown = Bar(sink, clock=clock)
    else:
        shown = Lines(sink, clock=clock, interval_s=interval_s if bar else math.inf)
    log: Progress | None = None
    if log_file is not None and log_format == "json":
        log = JsonLog(_open_log(log_file), now=_utc_now)
    elif log_file is not None:
        log = LogLines(_open_log(log_file), clock=clock, interval_s=interval_s, stamp=_stamp)
    metrics = None if metrics_file is None else _open_metrics(metrics_file, clock, log)
    others = [one for one in (log, metrics) if one is not None]
    return Several(shown, *others) if others else shown


def _open_metrics(path: Path, clock: Callable[[], float], log: Progress | None) -> Metrics:
    """The metrics file; why there is none is in the log too, which is closed then."""
    try:
        return Metrics(path, clock=clock, now=_utc_now)
    except UsageError as error:
        if log is not None:
            log.broke_off(error)
            log.close()
        raise


def _open_log(path: Path) -> Sink:
    try:
        # Messages may hold lone surrogates, which UTF-8 refuses.
        stream = path.open("a", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(
            f"the log file {path} cannot be written: {reason}; --log-file takes the path of a"
            " file in a folder that exists"
        ) from error
    return Sink(stream, owned=True)


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _stamp() -> str:
    return f"{_utc_now():%Y-%m-%dT%H:%M:%SZ} "
