"""The events of a run, and who hears them."""

from collections.abc import Callable, Mapping
from typing import Protocol

from batchgen.errors import BatchgenError
from batchgen.types import Decision, Json, Outcome, Task


class Progress(Protocol):
    """Hears the events of a run; never raises for want of a place to write them."""

    def start(self, *, name: str, total: int) -> None:
        """The run begins: so many tasks are selected, done or not."""

    def explain_by(self, holding: Callable[[int], str | None]) -> None:
        """Take what tells, of so many tasks under way, what holds the run back now."""

    def tasks_skipped(self, count: int) -> None:
        """So many tasks turned out to need nothing any more."""

    def task_started(self, task: Task) -> None:
        """A worker took the task up."""

    def attempt_failed(
        self, task: Task, attempt: int, decision: Decision, wait_s: float | None
    ) -> None:
        """An attempt (from 1) was not accepted; `wait_s` until the next, None if there is none."""

    def gate_closed(self, model: str, seconds: float, reason: str) -> None:
        """Nothing of this model is sent for so many seconds, for a reason in words."""

    def task_finished(self, task: Task, outcome: Outcome) -> None:
        """A worker let go of the task; open outcomes (a stopped run) settle nothing."""

    def say(self, message: str) -> None:
        """A line for the person."""

    def tick(self) -> None:
        """Time has passed."""

    def finish(self, summary: Mapping[str, Json]) -> None:
        """The run ended; `summary` is what summary.json holds."""

    def broke_off(self, error: BatchgenError) -> None:
        """The run could not begin or go on; standard error is told by whoever catches it."""

    def close(self) -> None:
        """Let go of the terminal and of the log file; may be called again."""


class Silent:
    """Hears everything and tells nothing (`--quiet`)."""

    def start(self, *, name: str, total: int) -> None: ...
    def explain_by(self, holding: Callable[[int], str | None]) -> None: ...
    def tasks_skipped(self, count: int) -> None: ...
    def task_started(self, task: Task) -> None: ...
    def attempt_failed(
        self, task: Task, attempt: int, decision: Decision, wait_s: float | None
    ) -> None: ...
    def gate_closed(self, model: str, seconds: float, reason: str) -> None: ...
    def task_finished(self, task: Task, outcome: Outcome) -> None: ...
    def say(self, message: str) -> None: ...
    def tick(self) -> None: ...
    def finish(self, summary: Mapping[str, Json]) -> None: ...
    def broke_off(self, error: BatchgenError) -> None: ...
    def close(self) -> None: ...


class Several:
    """Tells several: the terminal, a log file, metrics."""

    def __init__(self, *all_of_them: Progress) -> None:
        self._all = all_of_them

    def start(self, *, name: str, total: int) -> None:
        for one in self._all:
            one.start(name=name, total=total)

    def explain_by(self, holding: Callable[[int], str | None]) -> None:
        for one in self._all:
            one.explain_by(holding)

    def tasks_skipped(self, count: int) -> None:
        for one in self._all:
            one.tasks_skipped(count)

    def task_started(self, task: Task) -> None:
        for one in self._all:
            one.task_started(task)

    def attempt_failed(
        self, task: Task, attempt: int, decision: Decision, wait_s: float | None
    ) -> None:
        for one in self._all:
            one.attempt_failed(task, attempt, decision, wait_s)

    def gate_closed(self, model: str, seconds: float, reason: str) -> None:
        for one in self._all:
            one.gate_closed(model, seconds, reason)

    def task_finished(self, task: Task, outcome: Outcome) -> None:
        for one in self._all:
            one.task_finished(task, outcome)

    def say(self, message: str) -> None:
        for one in self._all:
            one.say(message)

    def tick(self) -> None:
        for one in self._all:
            one.tick()

    def finish(self, summary: Mapping[str, Json]) -> None:
        for one in self._all:
            one.finish(summary)

    def broke_off(self, error: BatchgenError) -> None:
        for one in self._all:
            one.broke_off(error)

    def close(self) -> None:
        for one in self._all:
            one.close()
