"""The events of a run, and the interface of everything that reports them."""

from collections.abc import Callable, Mapping
from typing import Protocol

from batchgen.errors import BatchgenError
from batchgen.types import Decision, Json, Outcome, Task


class Progress(Protocol):
    """Receives the events of a run. No method raises if a stream or file cannot be written."""

    def start(self, *, name: str, total: int) -> None:
        """Report that the run begins; `total` counts all selected tasks, done or not."""

    def set_bottleneck(self, bottleneck: Callable[[int], str | None]) -> None:
        """Set the callback that explains what limits the run (argument: tasks in flight)."""

    def tasks_skipped(self, count: int) -> None:
        """Report tasks that are done already."""

    def task_started(self, task: Task) -> None:
        """Report that a worker has started the task."""

    def attempt_failed(
        self, task: Task, attempt: int, decision: Decision, wait_s: float | None
    ) -> None:
        """Report an attempt (from 1) that was not accepted; wait_s: until the next, or None."""

    def gate_closed(self, model: str, seconds: float, reason: str) -> None:
        """Report that no requests of this model are sent for this time."""

    def task_finished(self, task: Task, outcome: Outcome) -> None:
        """Report that a worker has finished with the task; after a stop it may not be done."""

    def log(self, message: str) -> None:
        """Report a message for people."""

    def tick(self) -> None:
        """Update what depends on the time; called about once per second."""

    def finish(self, summary: Mapping[str, Json]) -> None:
        """Report the end of the run; `summary` is the content of summary.json."""

    def run_failed(self, error: BatchgenError) -> None:
        """Report that the run could not start or continue; the caller prints it to stderr."""

    def close(self) -> None:
        """Release the terminal and the log file; may be called more than once."""


class NoProgress:
    """Reports nothing (`--quiet`)."""

    def start(self, *, name: str, total: int) -> None: ...
    def set_bottleneck(self, bottleneck: Callable[[int], str | None]) -> None: ...
    def tasks_skipped(self, count: int) -> None: ...
    def task_started(self, task: Task) -> None: ...
    def attempt_failed(
        self, task: Task, attempt: int, decision: Decision, wait_s: float | None
    ) -> None: ...
    def gate_closed(self, model: str, seconds: float, reason: str) -> None: ...
    def task_finished(self, task: Task, outcome: Outcome) -> None: ...
    def log(self, message: str) -> None: ...
    def tick(self) -> None: ...
    def finish(self, summary: Mapping[str, Json]) -> None: ...
    def run_failed(self, error: BatchgenError) -> None: ...
    def close(self) -> None: ...


class CombinedProgress:
    """Reports every event to several others: the terminal, a log file, metrics."""

    def __init__(self, *reporters: Progress) -> None:
        self._reporters = reporters

    def start(self, *, name: str, total: int) -> None:
        for reporter in self._reporters:
            reporter.start(name=name, total=total)

    def set_bottleneck(self, bottleneck: Callable[[int], str | None]) -> None:
        for reporter in self._reporters:
            reporter.set_bottleneck(bottleneck)

    def tasks_skipped(self, count: int) -> None:
        for reporter in self._reporters:
            reporter.tasks_skipped(count)

    def task_started(self, task: Task) -> None:
        for reporter in self._reporters:
            reporter.task_started(task)

    def attempt_failed(
        self, task: Task, attempt: int, decision: Decision, wait_s: float | None
    ) -> None:
        for reporter in self._reporters:
            reporter.attempt_failed(task, attempt, decision, wait_s)

    def gate_closed(self, model: str, seconds: float, reason: str) -> None:
        for reporter in self._reporters:
            reporter.gate_closed(model, seconds, reason)

    def task_finished(self, task: Task, outcome: Outcome) -> None:
        for reporter in self._reporters:
            reporter.task_finished(task, outcome)

    def log(self, message: str) -> None:
        for reporter in self._reporters:
            reporter.log(message)

    def tick(self) -> None:
        for reporter in self._reporters:
            reporter.tick()

    def finish(self, summary: Mapping[str, Json]) -> None:
        for reporter in self._reporters:
            reporter.finish(summary)

    def run_failed(self, error: BatchgenError) -> None:
        for reporter in self._reporters:
            reporter.run_failed(error)

    def close(self) -> None:
        for reporter in self._reporters:
            reporter.close()
