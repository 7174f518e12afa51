"""Rate, concurrency and money: a gate for each model, and the budget of the run.

A gate keeps the job's limits and, below them, those of the provider, which it learns from refused
requests. The budget reserves the price of a task before it is sent and replaces it by the amount
charged, so that workers together never exceed it.
"""

from collections.abc import Awaitable, Callable

from batchgen.engine.throttle.budget import Budget, BudgetSpentError
from batchgen.engine.throttle.feedback import feedback_of
from batchgen.engine.throttle.gate import Gate
from batchgen.engine.throttle.rate import Ticket
from batchgen.job import Bounds
from batchgen.types import Decision, Reply

__all__ = ["Bounds", "Budget", "BudgetSpentError", "Gate", "Throttle", "Ticket"]


class Throttle:
    """The gates of all models, created when first used.

    bounds: returns the job's limits for a model. monotonic: seconds. sleep: waits, or returns early
    when the run is stopping.
    """

    def __init__(
        self,
        *,
        bounds: Callable[[str], Bounds],
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        stopping: Callable[[], bool],
    ) -> None:
        self._bounds = bounds
        self._monotonic = monotonic
        self._sleep = sleep
        self._stopping = stopping
        self._gates: dict[str, Gate] = {}

    async def acquire(self, model: str, images: int = 1) -> Ticket:
        """Wait until a request of this model may be sent, or until the run is stopping.

        Every ticket must be given back with `record` or `release`.
        """
        return await self._gate(model).acquire(images, self._stopping)

    def record(self, model: str, ticket: Ticket, reply: Reply, decision: Decision) -> bool:
        """Learn from a reply; a wait that it asks for holds all requests of the model.

        Return whether that wait is longer than the model's current hold.
        """
        gate = self._gate(model)
        pause_s = (decision.after_s or 0.0) if decision.hold else 0.0
        gate.record(ticket, feedback_of(reply, decision), pause_s)
        return pause_s > 0 and gate.hold(pause_s)

    def release(self, model: str) -> None:
        """Give back a ticket of this model; its request is not sent."""
        self._gate(model).release()

    def hold(self, model: str, seconds: float) -> bool:
        """Hold all requests of the model; return whether that is longer than the current hold."""
        return self._gate(model).hold(seconds)

    def bottleneck(self) -> str | None:
        """Describe the limit that the next request of a model waits for; None if none waits."""
        messages = (gate.bottleneck() for gate in self._gates.values())
        return next((message for message in messages if message), None)

    def message_to_log(self, model: str) -> str | None:
        """Describe the reaction to the model's refusals; None if that is logged already."""
        return self._gate(model).message_to_log()

    def set_limits(self, bounds: Callable[[str], Bounds]) -> None:
        """Change the job's limits, also for requests that are waiting."""
        self._bounds = bounds
        for model, gate in self._gates.items():
            gate.set_limits(bounds(model))

    def _gate(self, model: str) -> Gate:
        if model not in self._gates:
            self._gates[model] = Gate(
                self._bounds(model), monotonic=self._monotonic, sleep=self._sleep
            )
        return self._gates[model]
