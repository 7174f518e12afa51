"""The status line of a run (counts, rate, spend, time left), and the base of text progress."""

import math
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from batchgen.progress.events import NoProgress
from batchgen.text import Field, one_line, show_count, show_duration, show_money, show_rate
from batchgen.types import Decision, Outcome, Status, Task, Verb

TERMINAL = frozenset(
    {Status.SUCCEEDED, Status.FAILED, Status.REFUSED, Status.UNKNOWN, Status.SKIPPED}
)
MESSAGE_WIDTH = 300
LOG_WIDTH = 2000
LONG_WAIT_S = 60.0  # a wait that is logged, also without status lines
_REASON_WIDTH = 40
_MAX_CAUSES = 50


class CompletionRate:
    """Completed tasks per second in the recent past.

    The window is the last 30 s, or the time of the last 60 completions if that is longer. So the
    rate of a slow run does not depend on its last completion alone.
    """

    WINDOW_S = 30.0
    MIN_COMPLETIONS = 60
    _RESOLUTION_S = 0.25  # completions closer together share a mark, which limits their number

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._count = 0
        self._marks = deque([(clock(), 0)])

    def record(self) -> None:
        """Count a task that was completed now."""
        now = self._clock()
        self._count += 1
        marks = self._marks
        if now - marks[-1][0] >= self._RESOLUTION_S:
            marks.append((now, self._count))
        while len(marks) > 1 and self._covers_window(marks[1], now):
            marks.popleft()

    def _covers_window(self, mark: tuple[float, int], now: float) -> bool:
        at, count = mark
        return now - at >= self.WINDOW_S and self._count - count >= self.MIN_COMPLETIONS

    def per_s(self) -> float | None:
        """Return the rate; it falls while nothing completes; None before the first completion."""
        since, count_before = self._marks[0]
        elapsed_s = self._clock() - since
        completed = self._count - count_before
        return completed / elapsed_s if completed and elapsed_s > 0 else None


class StatusLine:
    """The state of a run, counted from its events.

    clock: monotonic seconds. total: selected tasks, done or not.
    """

    def __init__(self, clock: Callable[[], float], *, total: int = 0) -> None:
        self._clock = clock
        self._rate = CompletionRate(clock)
        self._total = total
        self._done = 0
        self._in_flight = 0
        self._by_status = dict.fromkeys(TERMINAL, 0)
        self._retries = 0
        self._usd = 0.0
        self._has_unknown_price = False
        self._is_running = True
        self._closed_gates: dict[str, tuple[float, str]] = {}  # end and reason, by model
        self._bottleneck: Callable[[int], str | None] = lambda _: None

    @property
    def done(self) -> int:
        """The number of tasks that are done, those of earlier runs included."""
        return self._done

    def set_bottleneck(self, bottleneck: Callable[[int], str | None]) -> None:
        """Set the callback that explains what limits the run while no gate is closed."""
        self._bottleneck = bottleneck

    def tasks_skipped(self, count: int) -> None:
        """Count tasks that are done already."""
        self._done += count

    def task_started(self) -> None:
        self._in_flight += 1

    def task_finished(self, outcome: Outcome) -> None:
        self._in_flight -= 1
        self._usd += outcome.cost_usd or 0.0
        if outcome.status in TERMINAL:
            self._done += 1
            self._by_status[outcome.status] += 1
            self._has_unknown_price |= (
                outcome.cost_usd is None and outcome.status is Status.SUCCEEDED
            )
            if outcome.status is not Status.SKIPPED:  # skipping takes no time
                self._rate.record()

    def attempt_failed(self, decision: Decision) -> None:
        self._retries += decision.verb is Verb.RETRY

    def gate_closed(self, model: str, seconds: float, reason: str) -> None:
        self._closed_gates[model] = (self._clock() + seconds, reason)

    def fields(self) -> tuple[Field, ...]:
        """Return the parts of a status line in their order."""
        statuses = (Status.FAILED, Status.REFUSED, Status.UNKNOWN, Status.SKIPPED)
        failed, refused, unknown, skipped = (self._by_status[status] for status in statuses)
        rate = self._rate.per_s()
        fields = (
            Field(0, f"{show_count(self._done)} of {show_count(self._total)}"),
            Field(1, f"{show_count(failed)} failed" if failed else ""),
            Field(3, f"{show_count(refused)} refused" if refused else ""),
            Field(4, f"{show_count(unknown)} unknown" if unknown else ""),
            Field(4, f"{show_count(skipped)} skipped" if skipped else ""),
            Field(8, f"{show_count(self._in_flight)} in flight" if self._in_flight else ""),
            Field(10, _format_retries(self._retries)),
            Field(7, show_rate(rate) if rate else ""),
            Field(2, self._format_closed_gate()),
            Field(9, self._format_bottleneck()),
            Field(6, self._format_spend()),
            Field(5, self._format_time_left(rate)),
        )
        return tuple(field for field in fields if field.text)

    def final_fields(self) -> tuple[Field, ...]:
        """Return the parts of the last status line, without waits and time left."""
        self._closed_gates.clear()
        self._bottleneck = lambda _: None
        self._is_running = False
        return self.fields()

    def _format_bottleneck(self) -> str:
        bottleneck = self._bottleneck(self._in_flight)
        return f"limited by {bottleneck}" if bottleneck and not self._closed_gates else ""

    def _format_closed_gate(self) -> str:
        now = self._clock()
        gates = self._closed_gates.items()
        self._closed_gates = {model: (until, why) for model, (until, why) in gates if until > now}
        if not self._closed_gates:
            return ""
        until, reason = max(self._closed_gates.values())
        wait = show_duration(math.ceil(until - now))
        return f"waiting {wait} ({one_line(reason, _REASON_WIDTH)})"

    def _format_spend(self) -> str:
        if not self._usd:
            return ""
        return ("at least " if self._has_unknown_price else "") + show_money(self._usd)

    def _format_time_left(self, rate: float | None) -> str:
        tasks_left = self._total - self._done if self._is_running else 0
        return f"{show_duration(round(tasks_left / rate))} left" if rate and tasks_left > 0 else ""


def _format_retries(count: int) -> str:
    return f"{show_count(count)} {'retry' if count == 1 else 'retries'}" if count else ""


class TextProgress(NoProgress):
    """Keeps a status line, and logs the first failure of each cause.

    clock: monotonic seconds. Subclasses print: `log` a message, `tick` the status line.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._status_line = StatusLine(clock)
        self._first_failures = _FirstFailures()

    def start(self, *, name: str, total: int) -> None:
        self._status_line = StatusLine(self._clock, total=total)
        self.log(f"{name}: {show_count(total)} task{'' if total == 1 else 's'}")

    def set_bottleneck(self, bottleneck: Callable[[int], str | None]) -> None:
        self._status_line.set_bottleneck(bottleneck)

    def tasks_skipped(self, count: int) -> None:
        self._status_line.tasks_skipped(count)
        self._changed()

    def task_started(self, task: Task) -> None:  # noqa: ARG002  only the number is shown
        self._status_line.task_started()
        self._changed()

    def attempt_failed(
        self,
        task: Task,  # noqa: ARG002  only the number of retries is shown
        attempt: int,  # noqa: ARG002  see above
        decision: Decision,
        wait_s: float | None,  # noqa: ARG002  see above
    ) -> None:
        self._status_line.attempt_failed(decision)
        self._changed()

    def gate_closed(self, model: str, seconds: float, reason: str) -> None:
        self._status_line.gate_closed(model, seconds, reason)
        if seconds >= LONG_WAIT_S:
            self.log(
                f"{model}: waiting until {_end_of(seconds)} ({show_duration(seconds)}): {reason}"
            )
        self._changed()

    def task_finished(self, task: Task, outcome: Outcome) -> None:
        self._status_line.task_finished(outcome)
        message = self._first_failures.describe_if_first(task, outcome)
        if message is not None:
            self.log(message)
        self._changed()

    def _changed(self) -> None:
        self.tick()


class _FirstFailures:
    """The causes of failures so far; only the first failure of each cause is described."""

    def __init__(self) -> None:
        self._causes: set[tuple[str, str | None, int | None]] = set()

    def describe_if_first(self, task: Task, outcome: Outcome) -> str | None:
        error = outcome.error
        if error is None or outcome.status not in TERMINAL or len(self._causes) >= _MAX_CAUSES:
            return None
        cause = (error.kind, error.code, outcome.http_status)
        if cause in self._causes:
            return None
        self._causes.add(cause)
        http = f", HTTP {outcome.http_status}" if outcome.http_status else ""
        message = one_line(error.message, MESSAGE_WIDTH)
        return f"{outcome.status}: {task.id} ({_location(task)}): {error.kind}{http}: {message}"


def _end_of(wait_s: float) -> str:
    """Return the local time at which a wait ends, with the date if that is another day."""
    now = datetime.now(UTC).astimezone()
    end = (now + timedelta(seconds=wait_s)).astimezone()
    return f"{end:%H:%M}" if end.date() == now.date() else f"{end:%Y-%m-%d %H:%M}"


def _location(task: Task) -> str:
    return f"{task.file}:{task.line}" if task.line else task.file
