"""Where a run stands, by its events: counts, rate, spend, time left."""

import math
from collections import deque
from collections.abc import Callable

from batchgen.progress.events import Silent
from batchgen.text import Field, one_line, show_count, show_duration, show_money, show_rate
from batchgen.types import Decision, Outcome, Status, Task, Verb

SETTLED = frozenset(
    {Status.SUCCEEDED, Status.FAILED, Status.REFUSED, Status.UNKNOWN, Status.SKIPPED}
)


class Pace:
    """Completions a second over the recent past.

    The window is the last 30 s, or the last 60 completions where those reach further back: a
    fast run is not judged by a tenth of a second, nor a slow one by its last completion.
    """

    SPAN_S = 30.0
    LEAST = 60
    _GRAIN_S = 0.25  # completions closer together share a mark, which bounds their number

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._count = 0
        self._marks = deque([(clock(), 0)])

    def mark(self) -> None:
        """A task was completed now."""
        now = self._clock()
        self._count += 1
        marks = self._marks
        if now - marks[-1][0] >= self._GRAIN_S:
            marks.append((now, self._count))
        while len(marks) > 1 and self._dispensable(marks[1], now):
            marks.popleft()

    def _dispensable(self, following: tuple[float, int], now: float) -> bool:
        at, count = following
        return now - at >= self.SPAN_S and self._count - count >= self.LEAST

    def per_s(self) -> float | None:
        """The rate; None before the first completion. Falls while nothing completes."""
        since, before = self._marks[0]
        elapsed_s = self._clock() - since
        done = self._count - before
        return done / elapsed_s if done and elapsed_s > 0 else None


class Tally:
    """Where the run stands, by its events."""

    def __init__(self, clock: Callable[[], float], *, total: int = 0) -> None:
        self._clock = clock
        self._pace = Pace(clock)
        self._total = total
        self._settled = 0
        self._in_flight = 0
        self._by_status = dict.fromkeys(SETTLED, 0)
        self._retries = 0
        self._usd = 0.0
        self._unpriced = False
        self._is_open = True
        self._holds: dict[str, tuple[float, str]] = {}
        self._holding: Callable[[int], str | None] = lambda _: None

    @property
    def settled(self) -> int:
        """Tasks that need nothing more, those of earlier runs included."""
        return self._settled

    def explain_by(self, holding: Callable[[int], str | None]) -> None:
        """Take what tells what holds the run back, where no gate is closed."""
        self._holding = holding

    def task_started(self) -> None:
        self._in_flight += 1

    def task_finished(self, outcome: Outcome) -> None:
        self._in_flight -= 1
        self._usd += outcome.cost_usd or 0.0
        if outcome.status in SETTLED:
            self._settled += 1
            self._by_status[outcome.status] += 1
            self._unpriced |= outcome.cost_usd is None and outcome.status is Status.SUCCEEDED
            if outcome.status is not Status.SKIPPED:  # which takes no time
                self._pace.mark()

    def attempt_failed(self, decision: Decision) -> None:
        self._retries += decision.verb is Verb.RETRY

    def gate_closed(self, model: str, seconds: float, reason: str) -> None:
        self._holds[model] = (self._clock() + seconds, reason)

    def fields(self) -> tuple[Field, ...]:
        """The parts of a status line, in the order in which they are read."""
        told_of = (Status.FAILED, Status.REFUSED, Status.UNKNOWN, Status.SKIPPED)
        failed, refused, unknown, skipped = (self._by_status[status] for status in told_of)
        rate = self._pace.per_s()
        told = (
            Field(0, f"{show_count(self._settled)} of {show_count(self._total)}"),
            Field(1, f"{show_count(failed)} failed" if failed else ""),
            Field(3, f"{show_count(refused)} refused" if refused else ""),
            Field(4, f"{show_count(unknown)} unknown" if unknown else ""),
            Field(4, f"{show_count(skipped)} skipped" if skipped else ""),
            Field(8, f"{show_count(self._in_flight)} in flight" if self._in_flight else ""),
            Field(10, _retries(self._retries)),
            Field(7, show_rate(rate) if rate else ""),
            Field(2, self._closed()),
            Field(9, self._held()),
            Field(6, self._spend()),
            Field(5, self._left(rate)),
        )
        return tuple(field for field in told if field.text)

    def final_fields(self) -> tuple[Field, ...]:
        """The same at the end of the run, when nothing is held and no time is left."""
        self._holds.clear()
        self._holding = lambda _: None
        self._is_open = False
        return self.fields()

    def skipped(self, count: int) -> None:
        """Tasks that needed nothing any more."""
        self._settled += count

    def _held(self) -> str:
        held_by = self._holding(self._in_flight)
        return f"held by {held_by}" if held_by and not self._holds else ""

    def _closed(self) -> str:
        now = self._clock()
        self._holds = {model: hold for model, hold in self._holds.items() if hold[0] > now}
        if not self._holds:
            return ""
        until, reason = max(self._holds.values())
        return f"{one_line(reason, 40)} for {show_duration(math.ceil(until - now))} more"

    def _spend(self) -> str:
        if not self._usd:
            return ""
        return ("at least " if self._unpriced else "") + show_money(self._usd)

    def _left(self, rate: float | None) -> str:
        left = self._total - self._settled if self._is_open else 0
        return f"{show_duration(round(left / rate))} left" if rate and left > 0 else ""


def _retries(count: int) -> str:
    return f"{show_count(count)} {'retry' if count == 1 else 'retries'}" if count else ""


MESSAGE_WIDTH = 300
SAID_WIDTH = 2000
_MOST_CAUSES = 50


class Counting(Silent):
    """Keeps the tally, and says the first failure of each cause."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._tally = Tally(clock)
        self._causes = _Causes()

    def start(self, *, name: str, total: int) -> None:
        self._tally = Tally(self._clock, total=total)
        self.say(f"{name}: {show_count(total)} task{'' if total == 1 else 's'}")

    def explain_by(self, holding: Callable[[int], str | None]) -> None:
        self._tally.explain_by(holding)

    def tasks_skipped(self, count: int) -> None:
        self._tally.skipped(count)
        self._changed()

    def task_started(self, task: Task) -> None:  # noqa: ARG002  only their number is told
        self._tally.task_started()
        self._changed()

    def attempt_failed(
        self,
        task: Task,  # noqa: ARG002  only the number of retries is told
        attempt: int,  # noqa: ARG002  see above
        decision: Decision,
        wait_s: float | None,  # noqa: ARG002  see above
    ) -> None:
        self._tally.attempt_failed(decision)
        self._changed()

    def gate_closed(self, model: str, seconds: float, reason: str) -> None:
        self._tally.gate_closed(model, seconds, reason)
        self._changed()

    def task_finished(self, task: Task, outcome: Outcome) -> None:
        self._tally.task_finished(outcome)
        if told := self._causes.told(task, outcome):
            self.say(told)
        self._changed()

    def _changed(self) -> None:
        self.tick()


class _Causes:
    """Lets the first failure of each cause through; the others are only counted."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, str | None, int | None]] = set()

    def told(self, task: Task, outcome: Outcome) -> str | None:
        error = outcome.error
        if error is None or outcome.status not in SETTLED or len(self._seen) >= _MOST_CAUSES:
            return None
        cause = (error.kind, error.code, outcome.http_status)
        if cause in self._seen:
            return None
        self._seen.add(cause)
        http = f", HTTP {outcome.http_status}" if outcome.http_status else ""
        message = one_line(error.message, MESSAGE_WIDTH)
        return f"{outcome.status}: {task.id} ({_where(task)}): {error.kind}{http}: {message}"


def _where(task: Task) -> str:
    return f"{task.file}:{task.line}" if task.line else task.file
