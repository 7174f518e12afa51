"""Plain lines or JSON events, for log files and for output without a terminal."""

import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, cast

from batchgen.errors import BatchgenError
from batchgen.progress.counts import LOG_WIDTH, LONG_WAIT_S, MESSAGE_WIDTH, TextProgress
from batchgen.progress.events import NoProgress
from batchgen.progress.sink import Sink
from batchgen.text import fit, one_line, show_count, show_duration
from batchgen.types import Decision, Json, Outcome, Task

_PROMPT_WIDTH = 200
# The keys of each event of --log-format json, besides `event` and `time`. A public interface:
# docs/events.md shows this table.
_TASK_KEYS = "id, file, line, model"
_END_KEYS = "error, request_id, cost_usd, duration_s"
EVENTS: Mapping[str, tuple[str, str]] = {
    "run_started": (
        "name, total",
        "the run begins; `total` counts all selected tasks, done or not",
    ),
    "attempt_failed": (
        f"{_TASK_KEYS}, attempt, decision, kind, code, http_status, message, request_id, wait_s",
        "an attempt was not accepted; `wait_s` until the next one, null if not known yet",
    ),
    "gate_closed": ("model, seconds, reason", "no requests of this model are sent for `seconds`"),
    "task_finished": (
        f"{_TASK_KEYS}, prompt, status, artifacts, attempts, http_status, {_END_KEYS}",
        "a worker has finished with a task; `artifacts` are paths, `error` is as in the results",
    ),
    "message": ("message", "a line for people: warnings, the first failure of each cause"),
    "run_finished": ("summary", "the run ended; `summary` is the content of summary.json"),
    "run_failed": (
        "message, exit_code",
        "the run could not start or continue; only in --log-file, standard error has it as text",
    ),
}


class TextLines(TextProgress):
    """Plain lines, for log files and for output without a terminal.

    clock: monotonic seconds. interval_s: between two status lines; `math.inf` for none.
    stamp: returns the beginning of each line, the time in log files.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        clock: Callable[[], float],
        interval_s: float = 30.0,
        stamp: Callable[[], str] = str,
    ) -> None:
        super().__init__(clock)
        self._sink = sink
        self._interval_s = interval_s
        self._stamp = stamp
        self._due = clock() + interval_s

    def gate_closed(self, model: str, seconds: float, reason: str) -> None:
        # A shorter wait ends before the next status line, or is part of it.
        if self._interval_s <= seconds < LONG_WAIT_S:
            self.log(f"{model}: no requests for {show_duration(seconds)} ({reason})")
        super().gate_closed(model, seconds, reason)

    def log(self, message: str) -> None:
        self._sink.line(self._stamp() + one_line(message, LOG_WIDTH))

    def tick(self) -> None:
        if self._clock() >= self._due:
            self._due = self._clock() + self._interval_s
            self.log(fit(self._status_line.fields(), LOG_WIDTH))

    def finish(self, summary: Mapping[str, Json]) -> None:
        if not math.isfinite(self._interval_s):
            return
        reason = f": {summary['reason']}" if summary.get("reason") else ""
        line = fit(self._status_line.final_fields(), LOG_WIDTH)
        self.log(f"{summary.get('status')}: {line}{reason}")

    def close(self) -> None:
        self._sink.close()


class TextLog(TextLines):
    """Plain lines of a log file: they end with the causes of failures instead of a summary.

    If the run could not start or continue, they end with that error.
    """

    def finish(self, summary: Mapping[str, Json]) -> None:
        super().finish(summary)
        groups = summary.get("failures")
        for group in groups if isinstance(groups, list) else ():
            self.log(_describe_failures(cast("Mapping[str, Any]", group)))

    def run_failed(self, error: BatchgenError) -> None:
        for line in str(error).splitlines():
            self.log(f"error: {line}")


class JsonEvents(NoProgress):
    """One JSON object per line, with `event` (see EVENTS) and `time` (ISO 8601, UTC)."""

    def __init__(self, sink: Sink, *, now: Callable[[], datetime]) -> None:
        self._sink = sink
        self._now = now

    def start(self, *, name: str, total: int) -> None:
        self._write("run_started", {"name": name, "total": total})

    def attempt_failed(
        self, task: Task, attempt: int, decision: Decision, wait_s: float | None
    ) -> None:
        values: dict[str, Json] = {
            **_task_values(task),
            "attempt": attempt,
            "decision": decision.verb.value,
            "kind": decision.kind,
            "code": decision.code,
            "http_status": decision.http_status,
            "message": one_line(decision.message, MESSAGE_WIDTH),
            "request_id": decision.request_id,
            "wait_s": wait_s,
        }
        self._write("attempt_failed", values)

    def gate_closed(self, model: str, seconds: float, reason: str) -> None:
        self._write("gate_closed", {"model": model, "seconds": seconds, "reason": reason})

    def task_finished(self, task: Task, outcome: Outcome) -> None:
        values: dict[str, Json] = {
            **_task_values(task),
            "prompt": one_line(task.prompt, _PROMPT_WIDTH),
            "status": outcome.status.value,
            "artifacts": [artifact.path for artifact in outcome.artifacts],
            "attempts": outcome.attempts,
            "http_status": outcome.http_status,
            "error": _error(outcome),
            "request_id": outcome.request_id,
            "cost_usd": outcome.cost_usd,
            "duration_s": outcome.duration_s,
        }
        self._write("task_finished", values)

    def log(self, message: str) -> None:
        self._write("message", {"message": one_line(message, LOG_WIDTH)})

    def finish(self, summary: Mapping[str, Json]) -> None:
        self._write("run_finished", {"summary": dict(summary)})

    def close(self) -> None:
        self._sink.close()

    def _write(self, event: str, values: Mapping[str, Json]) -> None:
        time = self._now().astimezone(UTC).isoformat(timespec="milliseconds")
        # json escapes everything but ASCII, so that the encoding of the stream does not matter.
        self._sink.line(json.dumps({"event": event, "time": time, **values}))


class JsonLog(JsonEvents):
    """JSON events of a log file, with an event if the run could not start or continue."""

    def run_failed(self, error: BatchgenError) -> None:
        self._write("run_failed", {"message": str(error), "exit_code": int(error.exit_code)})


class JsonFailure(NoProgress):
    """The last JSON event only, and only if the exit code is not 0 (`--quiet`)."""

    def __init__(self, sink: Sink, *, now: Callable[[], datetime]) -> None:
        self._events = JsonEvents(sink, now=now)

    def finish(self, summary: Mapping[str, Json]) -> None:
        if summary["exit_code"]:
            self._events.finish(summary)


def _describe_failures(group: Mapping[str, Any]) -> str:
    """Describe a group of failures of summary.json in one line."""
    http = f"HTTP {group['http_status']}" if group["http_status"] else ""
    cause = ", ".join(part for part in (group["kind"], http, group["code"]) if part)
    example = group["example"]
    location = f"{example['file']}:{example['line']}" if example["line"] else example["file"]
    first = f"{example['id']} ({location}): {example['message']}"
    return f"{show_count(group['count'])} x {cause}, for example {first}"


def _task_values(task: Task) -> dict[str, Json]:
    return {"id": task.id, "file": task.file, "line": task.line, "model": task.model}


def _error(outcome: Outcome) -> Json:
    error = outcome.error
    if error is None:
        return None
    message = one_line(error.message, MESSAGE_WIDTH)
    return {"kind": error.kind, "code": error.code, "message": message}
