"""What a request needs before it goes out, and what is counted of it."""

import msgspec

from batchgen.prices import images_of
from batchgen.progress import Progress
from batchgen.retry import CUT
from batchgen.stopping import Stop, StopReason
from batchgen.throttle import Budget, BudgetSpentError, Throttle, Ticket
from batchgen.types import STOPPING, Decision, Outcome, Reply, Status, Task, Verb


class RunTally(msgspec.Struct):
    """What this run did: outcomes, requests, money."""

    succeeded: int = 0
    failed: int = 0
    refused: int = 0
    unknown: int = 0
    skipped: int = 0
    pending: int = 0
    submitted: int = 0
    requests: int = 0
    artifacts: int = 0
    size_bytes: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0
    found_unknown: int = 0  # tasks of which nobody knew what came of them when the run began
    settled: int = 0  # those of them that the provider's usage log told of
    resent: int = 0
    left: int = 0  # tasks that nobody came to when the run stopped

    def ended(self) -> dict[str, int]:
        """Outcomes by status; those of tasks that are still pending are left out."""
        return {
            "succeeded": self.succeeded,
            "failed": self.failed,
            "refused": self.refused,
            "unknown": self.unknown,
            "skipped": self.skipped,
        }

    def add(self, outcome: Outcome) -> None:
        """Count an outcome."""
        name = str(outcome.status)
        if name in self.ended():
            setattr(self, name, getattr(self, name) + 1)
        else:
            self.pending += 1
            self.submitted += outcome.status is Status.SUBMITTED
        self.artifacts += len(outcome.artifacts)
        self.size_bytes += sum(artifact.size_bytes for artifact in outcome.artifacts)
        self.cost_usd += outcome.cost_usd or 0.0
        self.unpriced += outcome.status is Status.SUCCEEDED and outcome.cost_usd is None


class Permits:
    """What a request needs before it goes out: its turn, no stop, and room in the budget."""

    def __init__(
        self, throttle: Throttle, budget: Budget, stop: Stop, progress: Progress, tally: RunTally
    ) -> None:
        self._throttle = throttle
        self._budget = budget
        self._stop = stop
        self._progress = progress
        self._tally = tally
        self._tickets: dict[str, Ticket] = {}  # of the requests in flight, by their tasks' keys

    async def admit(self, task: Task) -> Decision | None:
        """None when the request may go out; else the decision that ends its task's attempts."""
        ticket = await self._throttle.admit(task.model, images_of(task))
        if not self._stop.is_set():
            try:
                self._budget.take_request()
            except BudgetSpentError as error:
                self._stop.set(StopReason.BUDGET, str(error), kind=error.bound)
        if self._stop.is_set():
            self._throttle.leave(task.model)
            return Decision(Verb.HALT, STOPPING)
        self._tickets[task.key] = ticket
        self._tally.requests += 1
        return None

    def stopping(self) -> bool:
        """Whether the run is stopping."""
        return self._stop.is_set()

    def leaving(self) -> bool:
        """Whether what the provider works on is left to the next run."""
        return self._stop.is_leaving()

    def hear_of_poll(self, task: Task, decision: Decision) -> None:
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
        if self._throttle.hear(task.model, ticket, reply, decision) and decision.after_s:
            # A wait that was cut is told in the message; there it is worth more than the kind.
            reason = decision.message if CUT in decision.message else "rate limit"
            self._progress.gate_closed(task.model, decision.after_s, reason)
        if decision.hold and (news := self._throttle.news(task.model)) is not None:
            status = decision.http_status
            self._progress.say(f"{task.model}: the provider refuses requests ({status}); {news}")
        if decision.verb is not Verb.ACCEPT:
            self._progress.attempt_failed(task, attempt, decision, decision.after_s)


def _halted(decision: Decision) -> str:
    code = f" ({decision.http_status})" if decision.http_status else ""
    return f"{decision.kind}{code}: {decision.message}"
