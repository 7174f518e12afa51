"""When a request may go out: one gate a model, and the budget of the run.

A gate keeps to what the job allows and, below that, to what the provider bears: it learns from
refusals how many requests in a second and how many at once are taken. The budget reserves before
sending and settles to what was charged, so that many workers together never overshoot.
"""

from collections.abc import Awaitable, Callable

from batchgen.engine.throttle.budget import Budget, BudgetSpentError, UnknownSpend
from batchgen.engine.throttle.feedback import heard
from batchgen.engine.throttle.gate import Gate
from batchgen.engine.throttle.rate import Ticket
from batchgen.job import Bounds
from batchgen.types import Decision, Reply

__all__ = ["Bounds", "Budget", "BudgetSpentError", "Gate", "Throttle", "Ticket", "UnknownSpend"]


class Throttle:
    """The gates of all models, made as they are needed.

    bounds: what the job allows of a model.
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

    async def admit(self, model: str, images: int = 1) -> Ticket:
        """Return when a request of this model may go out, or when the run is stopping.

        Whoever gets the ticket gives it back with `hear` or `leave`.
        """
        return await self._gate(model).admit(images, self._stopping)

    def hear(self, model: str, ticket: Ticket, reply: Reply, decision: Decision) -> bool:
        """Learn from a reply; a wait that it asks for holds every worker of the model.

        Tells whether the gate was not closed that long yet.
        """
        gate = self._gate(model)
        pause_s = (decision.after_s or 0.0) if decision.hold else 0.0
        gate.hear(ticket, heard(reply, decision), pause_s)
        return pause_s > 0 and gate.hold(pause_s)

    def leave(self, model: str) -> None:
        """A ticket of this model is not used."""
        self._gate(model).leave()

    def hold(self, model: str, seconds: float) -> bool:
        """Hold every worker of the model; tell whether the gate was not closed that long yet."""
        return self._gate(model).hold(seconds)

    def reason(self) -> str | None:
        """What keeps the next request of a model waiting, in words; None where nothing does."""
        return next((told for gate in self._gates.values() if (told := gate.reason())), None)

    def news(self, model: str) -> str | None:
        """What is made of a model's refusals now, in words; None where that was told already."""
        return self._gate(model).news()

    def allow(self, bounds: Callable[[str], Bounds]) -> None:
        """Take other bounds of the job."""
        self._bounds = bounds
        for model, gate in self._gates.items():
            gate.allow(bounds(model))

    def _gate(self, model: str) -> Gate:
        if model not in self._gates:
            self._gates[model] = Gate(
                self._bounds(model), monotonic=self._monotonic, sleep=self._sleep
            )
        return self._gates[model]
