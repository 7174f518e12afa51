"""The money of one task in a run: what its attempts may have cost, and what is reserved for it.

An attempt that was sent and brought no usable reply counts at its price: whether it was carried out
and charged is not known, and whether the provider honours idempotency keys is not known either. So
a further attempt reserves its own price, and is not sent if the budget does not allow it. An error
status that was answered costs nothing.

Crashes: the ledger has an attempt's price, in `at_risk_usd`, before the attempt is sent.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from msgspec.structs import replace

from batchgen.engine.outcomes import prior_of_generation
from batchgen.engine.worklist.selection import OnUnknown
from batchgen.provider.catalog.translate import COUNT_KEYS
from batchgen.types import (
    Decision,
    Finished,
    HttpRequest,
    HttpResponse,
    Outcome,
    Pending,
    Prior,
    Record,
    Reply,
    Status,
    TaskError,
    Verb,
    WorkItem,
)

_ROUNDING = 1e-9
# Kinds of a 2xx reply that reports no error of the provider: something may have been made.
_MADE = frozenset({"bad_response", "content_policy", "remote_failed"})
_NOT_KNOWN = "sent, but the outcome is not known (--on-unknown fail)"


class Purse(Protocol):
    """What reserves and books money: the budget of the run."""

    async def reserve(self, price_usd: float | None) -> float: ...

    async def reserve_submitted(self, amount_usd: float) -> float: ...

    async def book(
        self, reserved_usd: float, actual_usd: float, *, at_risk_usd: float = 0.0
    ) -> None: ...


class Risk:
    """The money of one task; every amount is in US dollars.

    price_usd: of the whole task; None if it is unknown. purse: None is no limit at all.
    resent: requests sent again that may have been charged before.
    """

    def __init__(
        self, price_usd: float | None, prior: Prior | None = None, purse: Purse | None = None
    ) -> None:
        self.price_usd = price_usd
        self.resent = 0
        self._purse = purse
        self._paid = sum(part.cost_usd or 0.0 for part in prior.parts) if prior else 0.0
        counted = counted_usd(prior, price_usd) if prior else 0.0
        self._lost = max(0.0, counted - self._paid)  # attempts that brought no usable reply
        self._open = 0.0  # the attempt in flight, or the remote job
        self._carried = self._lost
        self._booked = counted  # what the purse has counted so far
        self._booked_at_risk = self._lost
        self._reserved: float | None = None
        self._is_paid = prior is not None and _is_paid(prior)
        self._is_uncertain = prior is not None and prior.status is Status.UNKNOWN

    @classmethod
    def of(cls, work: WorkItem, price_usd: float | None, purse: Purse) -> "Risk":
        """Return the money of a task with what earlier runs spent on this generation of it."""
        return cls(price_usd, prior_of_generation(work), purse)

    @property
    def spent_usd(self) -> float:
        """What this generation of the task has cost so far, or may have cost."""
        return self._paid + self._lost + self._open

    @property
    def at_risk_usd(self) -> float:
        """The part of it that has brought no result."""
        return self._lost + self._open

    @property
    def added_usd(self) -> float:
        """What this run has added to it."""
        return max(0.0, self.at_risk_usd - self._carried)

    async def begin(self) -> None:
        """Reserve the price of the task. Raise BudgetSpentError if the budget does not allow it.

        A result or a job that an earlier run has paid for is fetched in any case.
        """
        if self._purse is None:
            return
        rest = max(0.0, (self.price_usd or 0.0) - self._paid)
        if self._is_paid:
            self._reserved = await self._purse.reserve_submitted(max(0.0, rest - self._lost))
        else:
            self._reserved = await self._purse.reserve(None if self.price_usd is None else rest)

    async def set_aside(self, prices: Sequence[float]) -> None:
        """Reserve the price of the next attempt, before it is sent.

        prices: of the requests that are left, the next one first. Raise BudgetSpentError if the
        budget does not allow it. Nothing stays reserved while this waits for money of other tasks.
        """
        if self._purse is not None:
            uncounted = self.spent_usd - self._booked
            if self._reserved is None or self._reserved - uncounted < prices[0] - _ROUNDING:
                await self._book()
                price = None if self.price_usd is None else sum(prices)
                self._reserved = await self._purse.reserve(price)

    def open_attempt(self, price_usd: float) -> None:
        """Count the price of an attempt that is about to be sent."""
        self._open = price_usd

    async def close(self, decision: Decision, reply: Reply) -> None:
        """Count an attempt by its reply; an accepted one stays open until its result is there."""
        is_accepted = decision.verb is Verb.ACCEPT
        is_lost = not is_accepted and may_be_charged(decision, reply)
        self.resent += self._is_uncertain and (is_accepted or is_lost)
        if is_accepted:
            return
        if is_lost:
            self._is_uncertain = True
            self._lost += self._open
        self._open = 0.0
        if is_lost:
            await self._book()

    def reopen(self, price_usd: float) -> None:
        """Go on with an attempt of an earlier run, whose reply or job is known."""
        self._open = price_usd
        self._lost = max(0.0, self._lost - price_usd)

    def accept(self, outcome: Outcome, price_usd: float) -> Outcome:
        """Replace the price of the open attempt by the cost of its result.

        Return the outcome with that cost: the attempt's price if the provider reports none.
        """
        cost = outcome.cost_usd
        if cost is None and self.price_usd is not None:
            cost = price_usd
        self._paid += cost or 0.0
        self._open = 0.0
        self._is_uncertain = False
        return self.charge(replace(outcome, cost_usd=cost))

    def charge(self, outcome: Outcome) -> Outcome:
        """Return an outcome with what the task may have cost beyond the cost of its results."""
        rest = max(0.0, self.spent_usd - (outcome.cost_usd or 0.0))
        return replace(outcome, at_risk_usd=round(rest, 9))

    async def end(self) -> None:
        """Book what the task has cost or may have cost, and give back what is reserved."""
        await self._book()

    async def _book(self) -> None:
        if self._purse is None or self._reserved is None:
            return
        reserved, self._reserved = self._reserved, None
        spent, lost = self.spent_usd - self._booked, self.at_risk_usd - self._booked_at_risk
        self._booked, self._booked_at_risk = self.spent_usd, self.at_risk_usd
        await self._purse.book(reserved, spent, at_risk_usd=lost)


def may_be_charged(decision: Decision, reply: Reply) -> bool:
    """Return whether a submit without a usable reply may have been charged."""
    if decision.sent:
        return True
    is_2xx = isinstance(reply, HttpResponse) and reply.status // 100 == 2  # noqa: PLR2004  # a class
    return is_2xx and decision.kind in _MADE


def counted_usd(prior: Prior, price_usd: float | None) -> float:
    """Return what a generation has cost, or may have cost, before this run.

    Ledgers of version 0.1 do not record the price of attempts without a reply.
    """
    spent = prior.cost_usd + prior.at_risk_usd
    is_unrecorded = prior.status is Status.UNKNOWN and not prior.at_risk_usd
    return max(spent, price_usd or 0.0) if is_unrecorded else spent


def unrecorded_usd(record: Record, price_usd: float | None) -> float:
    """Return what `counted_usd` adds to the amounts in the ledger for a task without an outcome."""
    if record.outcome.at_risk_usd:
        return 0.0
    return max(0.0, (price_usd or 0.0) - (record.outcome.cost_usd or 0.0))


def request_prices(price_usd: float | None, requests: Iterable[HttpRequest]) -> list[float]:
    """Return the price of each request of a task: by its number of images; uploads are free."""
    shares = [0 if request.required_ids else count_of(request) for request in requests]
    total = sum(shares) or 1
    return [(price_usd or 0.0) * share / total for share in shares]


def cost_of(result: Finished | Pending | None, price_usd: float) -> float:
    """Return what an attempt of an earlier run has cost, by its result, or else its price."""
    cost_usd = result.cost_usd if isinstance(result, Finished) else None
    return price_usd if cost_usd is None else cost_usd


def sent_once(decision: Decision, on_unknown: OnUnknown) -> Decision:
    """Return the decision for an attempt that must not be repeated if it may have been made."""
    if on_unknown is OnUnknown.RESEND or decision.verb is not Verb.RETRY or not decision.sent:
        return decision
    return replace(decision, attempts=1)


def settled(outcome: Outcome, on_unknown: OnUnknown, *, submitted: bool) -> Outcome:
    """Return the outcome that `--on-unknown fail` gives to a task without a known outcome.

    submitted: a remote job exists, which the next run polls.
    """
    if outcome.status is not Status.UNKNOWN or submitted or on_unknown is not OnUnknown.FAIL:
        return outcome
    error = outcome.error
    message = f"{_NOT_KNOWN}: {error.message}" if error else _NOT_KNOWN
    return replace(outcome, status=Status.FAILED, error=TaskError("unknown", None, message))


def _is_paid(prior: Prior) -> bool:
    """Return whether an earlier run knows a result's URLs, its kept reply, or its remote job."""
    if prior.status is Status.RECEIVED:
        return True
    return prior.remote_id is not None and prior.status in (Status.SUBMITTED, Status.UNKNOWN)


def count_of(request: HttpRequest) -> int:
    """Return how many images a request asks for; 1 if it has no such parameter."""
    for key in COUNT_KEYS:
        count = request.body.get(key)
        if isinstance(count, int) and count > 0:
            return count
    return 1
