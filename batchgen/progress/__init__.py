"""Progress of a running job: a bar on a terminal, plain lines or JSON events elsewhere.

Output is written only when an event of the run arrives, without threads or timers. The runner calls
`tick` about once per second, so that a waiting run still shows why it waits.
"""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TextIO

from batchgen.errors import UsageError
from batchgen.progress.bar import ProgressBar
from batchgen.progress.counts import CompletionRate, StatusLine
from batchgen.progress.events import CombinedProgress, NoProgress, Progress
from batchgen.progress.lines import JsonEvents, JsonFailure, JsonLog, TextLines, TextLog
from batchgen.progress.metrics import Metrics
from batchgen.progress.sink import Sink

__all__ = [
    "CombinedProgress", "CompletionRate", "JsonEvents", "JsonFailure", "JsonLog", "NoProgress",
    "Progress", "ProgressBar", "Sink", "StatusLine", "TextLines", "TextLog", "make_progress",
]  # fmt: skip


def make_progress(  # noqa: PLR0913  # one per option of the command; all keyword-only
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
    """Return the progress for the options of `run`.

    clock: monotonic seconds. interval_s: between two plain status lines. bar: False omits the bar
    and the status lines of `stream`, not its messages. The log file gets everything, quiet or not,
    and is appended to; the metrics file is replaced. Raises UsageError if one of them cannot be
    written.
    """
    sink = Sink(stream)
    on_stream: Progress
    if log_format == "json":
        on_stream = (JsonFailure if quiet else JsonEvents)(sink, now=_utc_now)
    elif quiet:
        on_stream = NoProgress()
    elif terminal and bar:
        on_stream = ProgressBar(sink, clock=clock)
    else:
        on_stream = TextLines(sink, clock=clock, interval_s=interval_s if bar else math.inf)
    log: Progress | None = None
    if log_file is not None and log_format == "json":
        log = JsonLog(_open_log(log_file), now=_utc_now)
    elif log_file is not None:
        log = TextLog(_open_log(log_file), clock=clock, interval_s=interval_s, stamp=_stamp)
    metrics = None if metrics_file is None else _open_metrics(metrics_file, clock, log)
    files = [file for file in (log, metrics) if file is not None]
    return CombinedProgress(on_stream, *files) if files else on_stream


def _open_metrics(path: Path, clock: Callable[[], float], log: Progress | None) -> Metrics:
    """Create the metrics file; log the reason and close the log if that fails."""
    try:
        return Metrics(path, clock=clock, now=_utc_now)
    except UsageError as error:
        if log is not None:
            log.run_failed(error)
            log.close()
        raise


def _open_log(path: Path) -> Sink:
    try:
        # Messages may hold lone surrogates, which UTF-8 refuses.
        stream = path.open("a", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(
            f"the log file {path} cannot be written: {reason};"
            " pass --log-file a path in an existing folder"
        ) from error
    return Sink(stream, owned=True)


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _stamp() -> str:
    return f"{_utc_now():%Y-%m-%dT%H:%M:%SZ} "
