"""What bar and plain lines have in common: a tally, and the first failure of each cause."""

from collections.abc import Callable

from batchgen.progress.events import Silent
from batchgen.progress.tally import SETTLED, Tally
from batchgen.text import one_line, show_count
from batchgen.types import Decision, Outcome, Task

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
