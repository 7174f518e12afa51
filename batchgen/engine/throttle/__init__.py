"""Rate, concurrency and money: a gate for each model, and the budget of the run.

A gate keeps the job's limits and, below them, those of the provider, which it learns from refused
requests. The budget reserves the price of a task before it is sent and replaces it by the amount
charged, so that workers together never exceed it.
"""

from collections.abc import Awaitable, Callable
from functools import partial

from batchgen.engine.throttle.budget import Budget, BudgetSpentError
from batchgen.engine.throttle.feedback import Signal, feedback_of
from batchgen.engine.throttle.gate import Gate
from batchgen.engine.throttle.rate import Ticket
from batchgen.engine.throttle.refusal_watch import RefusalWatch
from batchgen.engine.throttle.turns import Turns
from batchgen.job import Bounds
from batchgen.types import Decision, Reply, Verb

__all__ = ["Bounds", "Budget", "BudgetSpentError", "Gate", "Throttle", "Ticket"]


class Throttle:
    """The gates of all models, created when first used.

    bounds: returns the job's limits for a model. monotonic: seconds. sleep: waits, or returns early
    when the run is stopping. on_long_wait: is called with a model and the seconds that its next
    request waits for the rate, if they are many.
    """

    def __init__(
        self,
        *,
        bounds: Callable[[str], Bounds],
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        stopping: Callable[[], bool],
        on_long_wait: Callable[[str, float], None] = lambda _model, _seconds: None,
    ) -> None:
        self._bounds = bounds
        self._monotonic = monotonic
        self._sleep = sleep
        self._stopping = stopping
        self._on_long_wait = on_long_wait
        self._gates: dict[str, Gate] = {}
        self._watches: dict[str, RefusalWatch] = {}
        self._turns: dict[str, Turns] = {}

    async def acquire(self, model: str, images: int = 1, *, key: str = "") -> Ticket:
        """Wait until a request of this model may be sent, or until the run is stopping.

        key: of the task. Every ticket must be given back with `record` or `release`.
        """
        gate, turns = self._gate(model), self._turns_of(model)
        while True:
            await turns.wait(key, self._stopping)
            ticket = await gate.acquire(images, self._stopping, lambda: turns.has(key))
            if ticket is not None:
                return ticket

    def leave(self, model: str, key: str) -> None:
        """Note that a task sends nothing more."""
        self._turns_of(model).leave(key)

    def record(
        self, model: str, ticket: Ticket, reply: Reply, decision: Decision, *, key: str = ""
    ) -> bool:
        """Learn from a reply; a wait that it asks for holds all requests of the model.

        A reply that every further request may meet lets one request through at a time.

        Return whether that wait is at least a second longer than the model's current hold.
        """
        gate, watch = self._gate(model), self._watch(model)
        asked_s = pause_s = (decision.after_s or 0.0) if decision.hold else 0.0
        feedback = feedback_of(reply, decision)
        is_passing = False
        if decision.hold:
            watch.record_refused(
                self._monotonic(),
                sent_at=ticket.sent_at,
                wait_s=asked_s,
                in_doubt=decision.probe,
            )
            if decision.probe:
                pause_s = max(asked_s, watch.probe_wait_s())
                feedback = watch.feedback_of_doubt(feedback)
        elif feedback.signal is Signal.ACCEPTED:
            is_passing = watch.record_accepted(ticket.sent_at)
        if decision.verb is Verb.ACCEPT or (
            feedback.signal is Signal.ACCEPTED and not decision.probe
        ):
            gate.prove()
            self._turns_of(model).end()
        if decision.probe:
            if decision.verb is Verb.RETRY and not gate.is_proven:
                self._turns_of(model).put_first(key)
            gate.probe(on=True)
        elif decision.verb is not Verb.RETRY and is_passing:
            gate.probe(on=False)
        gate.record(ticket, feedback, asked_s)
        return pause_s > 0 and gate.hold(pause_s)

    def reason_to_halt(self, model: str) -> tuple[str, str] | None:
        """Return kind and message if the model is refused for too long without an accepted request.

        None if it is not.
        """
        watch, now = self._watch(model), self._monotonic()
        if watch.is_spent(now):
            return "quota", "every request is refused; the credit or the plan seems to be used up"
        if watch.is_endless(now):
            return "rate_limited", "no request was accepted for a quarter of an hour"
        return None

    def begins_to_probe(self, model: str) -> bool:
        """Return whether the last refusal is the first that leaves open whether waiting helps."""
        return self._watch(model).begins_to_doubt

    def release(self, model: str) -> None:
        """Give back a ticket of this model; its request is not sent."""
        self._gate(model).release()

    def hold(self, model: str, seconds: float) -> bool:
        """Hold all requests of the model; return whether that is a second longer than before."""
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

    def _watch(self, model: str) -> RefusalWatch:
        return self._watches.setdefault(model, RefusalWatch())

    def _turns_of(self, model: str) -> Turns:
        if model not in self._turns:
            self._turns[model] = Turns(self._sleep)
        return self._turns[model]

    def _gate(self, model: str) -> Gate:
        if model not in self._gates:
            self._gates[model] = Gate(
                self._bounds(model),
                monotonic=self._monotonic,
                sleep=self._sleep,
                on_long_wait=partial(self._on_long_wait, model),
            )
        return self._gates[model]
