"""Admission of requests: the rate limit, the budget and the stop."""

from batchgen.engine.retry import CAPPED
from batchgen.engine.stop import Stop, StopReason
from batchgen.engine.throttle import Budget, BudgetSpentError, Throttle, Ticket
from batchgen.progress import Progress
from batchgen.provider.pricing import image_count
from batchgen.storage.counts import RunCounts
from batchgen.types import STOPPING, Decision, Finished, Reply, Task, Verb

_MAX_REPORTED = 5  # replies with more files than were asked for


class Admission:
    """Admits requests one by one, and passes their results on to the throttle."""

    def __init__(
        self, throttle: Throttle, budget: Budget, stop: Stop, progress: Progress, counts: RunCounts
    ) -> None:
        self._throttle = throttle
        self._budget = budget
        self._stop = stop
        self._progress = progress
        self._counts = counts
        self._surplus = 0
        self._tickets: dict[str, Ticket] = {}  # of the requests in flight, by task key

    async def acquire(self, task: Task) -> Decision | None:
        """Wait until the rate limit allows the request.

        Return None if it may be sent, else the decision that ends the attempts of its task.
        """
        ticket = await self._throttle.acquire(task.model, image_count(task))
        if not self._stop.is_set():
            try:
                self._budget.count_request()
            except BudgetSpentError as error:
                self._stop.set(StopReason.BUDGET, str(error), kind=error.limit)
        if self._stop.is_set() or self._stop.is_closed(task.model):
            self._throttle.release(task.model)
            return Decision(Verb.HALT, STOPPING)
        self._tickets[task.key] = ticket
        self._counts.requests += 1
        return None

    def is_stopping(self) -> bool:
        """Return whether the run is stopping."""
        return self._stop.is_set()

    def abandons_remote(self) -> bool:
        """Return whether this run leaves remote jobs to the next run."""
        return self._stop.abandons_remote()

    def record_poll(self, task: Task, decision: Decision) -> None:
        """Report the decision on a poll of a remote job. Polls are not rate-limited."""
        self._report_surplus(task, decision)
        if decision.verb is Verb.HALT:
            self._stop.set(StopReason.HALT, _halt_message(decision))
        if decision.verb is not Verb.ACCEPT:
            self._progress.attempt_failed(task, 1, decision, decision.after_s)

    def record_attempt(self, task: Task, attempt: int, decision: Decision, reply: Reply) -> None:
        """Report an attempt's reply and decision; they may hold the model or halt the run."""
        self._report_surplus(task, decision)
        if decision.verb is Verb.HALT:
            self._stop.set(StopReason.HALT, _halt_message(decision), kind=decision.kind)
        ticket = self._tickets.pop(task.key)
        if self._throttle.record(task.model, ticket, reply, decision) and decision.after_s:
            reason = decision.message if CAPPED in decision.message else "rate limit"
            self._progress.gate_closed(task.model, decision.after_s, reason)
        if decision.hold:
            message = self._throttle.message_to_log(task.model)
            if message is not None:
                refused = f"the provider refuses requests ({decision.http_status})"
                self._progress.log(f"{task.model}: {refused}; {message}")
            self._halt_if_refused_for_long(task.model, decision)
        if decision.verb is not Verb.ACCEPT:
            self._progress.attempt_failed(task, attempt, decision, decision.after_s)

    def _halt_if_refused_for_long(self, model: str, decision: Decision) -> None:
        reason = self._throttle.reason_to_halt(model)
        if reason is not None:
            kind, message = reason
            status = f" ({decision.http_status})" if decision.http_status else ""
            text = f"{kind}{status}: {model}: {message}: {decision.message}"
            self._stop.set(StopReason.HALT, text, kind=kind)

    def _report_surplus(self, task: Task, decision: Decision) -> None:
        """Report the first replies with more files than are stored."""
        finished = decision.result
        if not isinstance(finished, Finished) or not finished.has_surplus:
            return
        self._surplus += 1
        if self._surplus <= _MAX_REPORTED:
            last = "; further replies like it are not reported"
            self._progress.log(
                f"{task.id}: the reply has more files than were asked for, the first"
                f" {len(finished.payloads)} are stored"
                f"{last if self._surplus == _MAX_REPORTED else ''}"
            )


def _halt_message(decision: Decision) -> str:
    code = f" ({decision.http_status})" if decision.http_status else ""
    return f"{decision.kind}{code}: {decision.message}"
