"""Counts of a run as Prometheus metrics, in a file for node_exporter's textfile collector.

The file is replaced atomically, as that collector requires. The names are a public interface:
docs/events.md lists them.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from batchgen.errors import UsageError, not_installed
from batchgen.progress.events import NoProgress
from batchgen.types import Decision, Json, Outcome, Task

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

INTERVAL_S = 10.0
METRICS = {
    "batchgen_tasks_selected": "selected tasks, done or not",
    "batchgen_tasks_skipped_total": "tasks that were done already",
    "batchgen_tasks_finished_total": "tasks that have ended, by model and status",
    "batchgen_tasks_in_flight": "tasks in flight",
    "batchgen_attempts_failed_total": "attempts that were not accepted, by model and kind",
    "batchgen_cost_usd_total": "US dollars spent, by model; unknown prices count as 0",
    "batchgen_artifact_bytes_total": "bytes of stored artifacts, by model",
    "batchgen_task_duration_seconds": "time from first request to commit of a task, by model",
    "batchgen_gate_closed_seconds_total": "seconds that the provider asked to wait, by model",
    "batchgen_run_started_timestamp_seconds": "when the run began",
    "batchgen_run_finished_timestamp_seconds": "when the run ended; 0 while it is running",
    "batchgen_run_exit_code": "exit code of the run; -1 while it is running",
}
_BUCKETS_S = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600)


class Metrics(NoProgress):
    """Counts the events of a run, and writes the counts to a file every 10 s and at the end."""

    def __init__(
        self, path: Path, *, clock: Callable[[], float], now: Callable[[], datetime]
    ) -> None:
        """Write the file once; raise UsageError if that fails or prometheus-client is missing.

        clock: monotonic seconds. now: the time in UTC.
        """
        try:
            import prometheus_client  # noqa: PLC0415  # an extra
        except ImportError as error:
            raise UsageError(not_installed("--metrics-file", "prometheus-client")) from error
        self._path = path
        self._clock = clock
        self._now = now
        self._due = clock() + INTERVAL_S
        self._registry = prometheus_client.CollectorRegistry()
        self._register()
        self._exit_code.set(-1)
        self._started_at.set(self._now().timestamp())
        try:
            _write(self._path, self._registry)
        except OSError as error:
            raise UsageError(
                f"the metrics file {path} cannot be written: {error.strerror or error};"
                " pass --metrics-file a path in an existing folder"
            ) from error

    def _register(self) -> None:
        from prometheus_client import Counter, Gauge, Histogram  # noqa: PLC0415  # an extra

        def gauge(name: str) -> Gauge:
            return Gauge(name, METRICS[name], registry=self._registry)

        def counter(name: str, *labels: str) -> Counter:
            return Counter(name, METRICS[name], labels, registry=self._registry)

        self._selected = gauge("batchgen_tasks_selected")
        self._skipped = counter("batchgen_tasks_skipped_total")
        self._finished = counter("batchgen_tasks_finished_total", "model", "status")
        self._in_flight = gauge("batchgen_tasks_in_flight")
        self._failed = counter("batchgen_attempts_failed_total", "model", "kind")
        self._cost = counter("batchgen_cost_usd_total", "model")
        self._bytes = counter("batchgen_artifact_bytes_total", "model")
        self._waited = counter("batchgen_gate_closed_seconds_total", "model")
        self._started_at = gauge("batchgen_run_started_timestamp_seconds")
        self._finished_at = gauge("batchgen_run_finished_timestamp_seconds")
        self._exit_code = gauge("batchgen_run_exit_code")
        name = "batchgen_task_duration_seconds"
        self._duration = Histogram(
            name, METRICS[name], ("model",), buckets=_BUCKETS_S, registry=self._registry
        )

    def start(self, *, name: str, total: int) -> None:  # noqa: ARG002  # the path names the job
        self._selected.set(total)

    def tasks_skipped(self, count: int) -> None:
        self._skipped.inc(count)

    def task_started(self, task: Task) -> None:  # noqa: ARG002  # only the number is counted
        self._in_flight.inc()

    def attempt_failed(
        self,
        task: Task,
        attempt: int,  # noqa: ARG002  # only the number is counted
        decision: Decision,
        wait_s: float | None,  # noqa: ARG002  # as above
    ) -> None:
        self._failed.labels(task.model, decision.kind).inc()

    def gate_closed(self, model: str, seconds: float, reason: str) -> None:  # noqa: ARG002  # as above
        self._waited.labels(model).inc(seconds)

    def task_finished(self, task: Task, outcome: Outcome) -> None:
        self._in_flight.dec()
        self._finished.labels(task.model, str(outcome.status)).inc()
        self._cost.labels(task.model).inc(max(0.0, outcome.cost_usd or 0.0))
        self._bytes.labels(task.model).inc(
            sum(artifact.size_bytes for artifact in outcome.artifacts)
        )
        if outcome.duration_s is not None:
            self._duration.labels(task.model).observe(outcome.duration_s)

    def tick(self) -> None:
        if self._clock() >= self._due:
            self._due = self._clock() + INTERVAL_S
            self._try_to_write()

    def finish(self, summary: Mapping[str, Json]) -> None:
        code = summary.get("exit_code")
        self._exit_code.set(code if isinstance(code, int) else -1)
        self._finished_at.set(self._now().timestamp())
        self._try_to_write()

    def _try_to_write(self) -> None:
        try:
            _write(self._path, self._registry)
        except OSError:  # the run continues without metrics
            return


def _write(path: Path, registry: "CollectorRegistry") -> None:
    from prometheus_client import write_to_textfile  # noqa: PLC0415  # an extra

    write_to_textfile(str(path), registry)
