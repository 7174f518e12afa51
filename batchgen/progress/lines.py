"""Plain lines or JSON events, where there is no terminal or in a log file."""

import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, cast

from batchgen.errors import BatchgenError
from batchgen.progress.counts import MESSAGE_WIDTH, SAID_WIDTH, Counting
from batchgen.progress.events import Silent
from batchgen.progress.sink import Sink
from batchgen.text import fit, one_line, show_count, show_duration
from batchgen.types import Decision, Json, Outcome, Task

_PROMPT_WIDTH = 200
# What each event of --log-format json tells, besides `event` and `time`: an interface, which
# docs/events.md shows.
_NAMED = "id, file, line, model"
_END = "cost_usd, duration_s"
EVENTS: Mapping[str, tuple[str, str]] = {
    "run_started": ("name, total", "the run begins, with so many tasks, done or not"),
    "attempt_failed": (
        f"{_NAMED}, attempt, decision, kind, code, http_status, message, request_id, wait_s",
        "an attempt was not accepted; `wait_s` until the next, null where it is not known yet",
    ),
    "gate_closed": ("model, seconds, reason", "nothing of this model is sent for so long"),
    "task_finished": (
        f"{_NAMED}, prompt, status, artifacts, attempts, http_status, error, request_id, {_END}",
        "a worker let go of a task; `artifacts` are paths, `error` as in the results",
    ),
    "message": ("message", "a line for a person: warnings, the first failure of each cause"),
    "run_finished": ("summary", "the run ended; what summary.json holds"),
    "run_failed": (
        "message, exit_code",
        "it could not begin or go on: in --log-file alone, standard error has the message as text",
    ),
}


class Lines(Counting):
    """Plain lines, where there is no terminal or in a log file.

    interval_s: between two status lines; `math.inf` for none.
    stamp: gives what each line begins with, a time in log files.
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
        # A shorter hold is over before the next status line, or stands in it.
        if seconds >= self._interval_s:
            self.say(f"{model}: {reason}, nothing is sent for {show_duration(seconds)}")
        super().gate_closed(model, seconds, reason)

    def say(self, message: str) -> None:
        self._sink.line(self._stamp() + one_line(message, SAID_WIDTH))

    def tick(self) -> None:
        if self._clock() >= self._due:
            self._due = self._clock() + self._interval_s
            self.say(fit(self._tally.fields(), SAID_WIDTH))

    def finish(self, summary: Mapping[str, Json]) -> None:
        if not math.isfinite(self._interval_s):
            return
        reason = f": {summary['reason']}" if summary.get("reason") else ""
        told = fit(self._tally.final_fields(), SAID_WIDTH)
        self.say(f"{summary.get('status')}: {told}{reason}")

    def close(self) -> None:
        self._sink.close()


class LogLines(Lines):
    """Plain lines of a log file, which has no closing summary: the causes stand at its end.

    What ended a run without a summary stands there as well.
    """

    def finish(self, summary: Mapping[str, Json]) -> None:
        super().finish(summary)
        groups = summary.get("failures")
        for group in groups if isinstance(groups, list) else ():
            self.say(_cause(cast("Mapping[str, Any]", group)))

    def broke_off(self, error: BatchgenError) -> None:
        for line in str(error).splitlines():
            self.say(f"error: {line}")


class JsonLines(Silent):
    """A JSON object a line, each with `event` (see EVENTS) and `time` (ISO 8601, UTC)."""

    def __init__(self, sink: Sink, *, now: Callable[[], datetime]) -> None:
        self._sink = sink
        self._now = now

    def start(self, *, name: str, total: int) -> None:
        self._tell("run_started", {"name": name, "total": total})

    def attempt_failed(
        self, task: Task, attempt: int, decision: Decision, wait_s: float | None
    ) -> None:
        told: dict[str, Json] = {
            **_named(task),
            "attempt": attempt,
            "decision": decision.verb.value,
            "kind": decision.kind,
            "code": decision.code,
            "http_status": decision.http_status,
            "message": one_line(decision.message, MESSAGE_WIDTH),
            "request_id": decision.request_id,
            "wait_s": wait_s,
        }
        self._tell("attempt_failed", told)

    def gate_closed(self, model: str, seconds: float, reason: str) -> None:
        self._tell("gate_closed", {"model": model, "seconds": seconds, "reason": reason})

    def task_finished(self, task: Task, outcome: Outcome) -> None:
        told: dict[str, Json] = {
            **_named(task),
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
        self._tell("task_finished", told)

    def say(self, message: str) -> None:
        self._tell("message", {"message": one_line(message, SAID_WIDTH)})

    def finish(self, summary: Mapping[str, Json]) -> None:
        self._tell("run_finished", {"summary": dict(summary)})

    def close(self) -> None:
        self._sink.close()

    def _tell(self, event: str, told: Mapping[str, Json]) -> None:
        time = self._now().astimezone(UTC).isoformat(timespec="milliseconds")
        # json escapes what is not ASCII, so that no stream's encoding can spoil a line.
        self._sink.line(json.dumps({"event": event, "time": time, **told}))


class JsonLog(JsonLines):
    """JSON events of a log file, which holds what ended a run without a summary too."""

    def broke_off(self, error: BatchgenError) -> None:
        self._tell("run_failed", {"message": str(error), "exit_code": int(error.exit_code)})


class JsonEnd(Silent):
    """Of a quiet run with JSON events: the last one, where the run did not go well."""

    def __init__(self, sink: Sink, *, now: Callable[[], datetime]) -> None:
        self._lines = JsonLines(sink, now=now)

    def finish(self, summary: Mapping[str, Json]) -> None:
        if summary["exit_code"]:
            self._lines.finish(summary)


def _cause(group: Mapping[str, Any]) -> str:
    """A failure of summary.json in a line."""
    http = f"HTTP {group['http_status']}" if group["http_status"] else ""
    words = ", ".join(word for word in (group["kind"], http, group["code"]) if word)
    example = group["example"]
    where = f"{example['file']}:{example['line']}" if example["line"] else example["file"]
    told = f"{example['id']} ({where}): {example['message']}"
    return f"{show_count(group['count'])} x {words}, such as {told}"


def _named(task: Task) -> dict[str, Json]:
    return {"id": task.id, "file": task.file, "line": task.line, "model": task.model}


def _error(outcome: Outcome) -> Json:
    error = outcome.error
    if error is None:
        return None
    message = one_line(error.message, MESSAGE_WIDTH)
    return {"kind": error.kind, "code": error.code, "message": message}
