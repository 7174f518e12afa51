"""The circuit breaker: what halts a run, or closes a model, after failures in a row. Pure."""

from collections import deque

import msgspec

from batchgen.engine.decisions import HALT_AFTER
from batchgen.types import Outcome, Status

_LAST_TASKS = 100
_FINISHED = (Status.SUCCEEDED, Status.FAILED, Status.REFUSED)
# A wrong base URL concerns every model of the job.
_OF_ALL_MODELS = frozenset({"web_page"})


class Trip(msgspec.Struct, frozen=True):
    """Why no more tasks are to be started.

    kind: of the failures. of_model: whether only the tasks of their model are concerned.
    """

    reason: str
    kind: str = ""
    of_model: bool = False


class CircuitBreaker:
    """Counts failures in a row, and refusals.

    max_failures: failures in a row of one kind that halt the run; kinds that every further task of
    the model will meet as well (`HALT_AFTER` of the decision table) halt after fewer. max_refusals:
    the share of the last 100 tasks, from 0 to 1; None is no limit.
    """

    def __init__(self, max_failures: int, *, max_refusals: float | None = None) -> None:
        self._max_failures = max_failures
        self._max_refusals = max_refusals
        self._kind = ""
        self._count = 0
        self._of_model: dict[str, tuple[str, int]] = {}  # kind and failures in a row, by model
        self._refused: deque[bool] = deque(maxlen=_LAST_TASKS)

    def add(self, outcome: Outcome, model: str = "") -> Trip | None:
        """Count an outcome; return the reason to start no more tasks if a limit is reached."""
        return (
            self._count_of_model(outcome, model)
            or self._count_failure(outcome)
            or self._count_refusal(outcome)
        )

    def _count_of_model(self, outcome: Outcome, model: str) -> Trip | None:
        error = outcome.error
        if outcome.status not in (Status.FAILED, Status.UNKNOWN) or error is None:
            if outcome.status is Status.SUCCEEDED:
                self._of_model.pop(model, None)
            return None
        kind, count = self._of_model.get(model, ("", 0))
        count = count + 1 if kind == error.kind else 1
        self._of_model[model] = error.kind, count
        if error.kind not in HALT_AFTER or count < min(HALT_AFTER[error.kind], self._max_failures):
            return None
        reason = f"{count} failures in a row: {error.kind} ({error.message})"
        return Trip(reason, error.kind, error.kind not in _OF_ALL_MODELS)

    def _count_failure(self, outcome: Outcome) -> Trip | None:
        if outcome.status not in (Status.FAILED, Status.UNKNOWN) or outcome.error is None:
            if outcome.status is Status.SUCCEEDED:
                self._count = 0
            return None
        self._count = self._count + 1 if outcome.error.kind == self._kind else 1
        self._kind = outcome.error.kind
        if self._count < self._max_failures:
            return None
        error = outcome.error
        return Trip(f"{self._count} failures in a row: {error.kind} ({error.message})", error.kind)

    def _count_refusal(self, outcome: Outcome) -> Trip | None:
        if self._max_refusals is None or outcome.status not in _FINISHED:
            return None
        self._refused.append(outcome.status is Status.REFUSED)
        count = sum(self._refused)
        if len(self._refused) < _LAST_TASKS or count <= self._max_refusals * _LAST_TASKS:
            return None
        return Trip(
            f"the provider refused {count} of the last {_LAST_TASKS} tasks for their content;"
            f" limits.halt_refusals allows {self._max_refusals:.0%}"
        )
