"""What a request needs before it goes out."""

from batchgen.engine.retry import CUT
from batchgen.engine.stop import Stop, StopReason
from batchgen.engine.throttle import Budget, BudgetSpentError, Throttle, Ticket
from batchgen.progress import Progress
from batchgen.provider.pricing import image_count
from batchgen.storage.counts import RunCounts
from batchgen.types import STOPPING, Decision, Reply, Task, Verb


class Admission:
    """What a request needs before it goes out: its turn, no stop, and room in the budget."""

    def __init__(
        self, throttle: Throttle, budget: Budget, stop: Stop, progress: Progress, counts: RunCounts
    ) -> None:
        self._throttle = throttle
        self._budget = budget
        self._stop = stop
        self._progress = progress
        self._counts = counts
        self._tickets: dict[str, Ticket] = {}  # of the requests in flight, by their tasks' keys

    async def admit(self, task: Task) -> Decision | None:
        """None when the request may go out; else the decision that ends its task's attempts."""
        ticket = await self._throttle.acquire(task.model, image_count(task))
        if not self._stop.is_set():
            try:
                self._budget.count_request()
            except BudgetSpentError as error:
                self._stop.set(StopReason.BUDGET, str(error), kind=error.bound)
        if self._stop.is_set():
            self._throttle.release(task.model)
            return Decision(Verb.HALT, STOPPING)
        self._tickets[task.key] = ticket
        self._counts.requests += 1
        return None

    def stopping(self) -> bool:
        """Whether the run is stopping."""
        return self._stop.is_set()

    def leaving(self) -> bool:
        """Whether what the provider works on is left to the next run."""
        return self._stop.abandons_remote()

    def record_poll(self, task: Task, decision: Decision) -> None:
        """Hear what asking for a remote job came to: it takes no turn and holds no model."""
        if decision.verb is Verb.HALT:
            self._stop.set(StopReason.HALT, _halted(decision))
        if decision.verb is not Verb.ACCEPT:
            self._progress.attempt_failed(task, 1, decision, decision.after_s)

    def tell(self, task: Task, attempt: int, decision: Decision, reply: Reply) -> None:
        """Hear of an attempt's reply and decision: hold the model, halt the run."""
        if decision.verb is Verb.HALT:
            self._stop.set(StopReason.HALT, _halted(decision), kind=decision.kind)
        ticket = self._tickets.pop(task.key)
        if self._throttle.record(task.model, ticket, reply, decision) and decision.after_s:
            # A wait that was cut is told in the message; there it is worth more than the kind.
            reason = decision.message if CUT in decision.message else "rate limit"
            self._progress.gate_closed(task.model, decision.after_s, reason)
        if decision.hold and (message := self._throttle.message_to_log(task.model)) is not None:
            status = decision.http_status
            self._progress.log(f"{task.model}: the provider refuses requests ({status}); {message}")
        if decision.verb is not Verb.ACCEPT:
            self._progress.attempt_failed(task, attempt, decision, decision.after_s)


def _halted(decision: Decision) -> str:
    code = f" ({decision.http_status})" if decision.http_status else ""
    return f"{decision.kind}{code}: {decision.message}"
