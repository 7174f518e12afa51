"""Limits on money and requests: the price is reserved before sending, the charge booked after."""

import asyncio
from typing import Protocol

from batchgen.text import show_money

_ROUNDING = 1e-9


class BudgetSpentError(Exception):
    """The next request exceeds the budget.

    limit: the name of the limit that is reached, as in a job file.
    """

    def __init__(self, limit: str, message: str) -> None:
        self.limit = limit
        super().__init__(message)


class Reservations(Protocol):
    """A budget that other jobs share; the methods may block on the disk."""

    def reserve(self, usd: float) -> bool: ...

    def book(self, reserved_usd: float, actual_usd: float) -> None: ...


class Budget:
    """The limits on the money of a job (US dollars) and the requests of a run; None is no limit.

    spent_usd: the cost of earlier runs of the job. at_risk_usd: what may have been charged besides,
    for requests without a result; it counts as spent. shared: a limit that other jobs spend from
    too, and its name in messages.
    """

    def __init__(
        self,
        *,
        max_cost_usd: float | None,
        max_requests: int | None,
        spent_usd: float = 0.0,
        at_risk_usd: float = 0.0,
        shared: tuple[Reservations, str] | None = None,
    ) -> None:
        self._max_cost_usd = max_cost_usd
        self._max_requests = max_requests
        self._spent_usd = spent_usd + at_risk_usd
        self._at_risk_usd = at_risk_usd
        self._shared = shared
        self._reserved_usd = 0.0
        self._reservations = 0
        self._requests = 0
        self._waiting = 0
        self._booked = asyncio.Condition()

    async def reserve(self, price_usd: float | None) -> float:
        """Reserve the price of a task; return the amount reserved.

        Wait while tasks in flight may still free enough of it. An unknown price (None) reserves
        nothing. Raise BudgetSpentError if the budget is spent.
        """
        amount = price_usd or 0.0
        is_known = price_usd is not None
        async with self._booked:
            while (refusal := await self._refusal(amount, is_known=is_known)) is not None:
                if not self._reservations or self._is_spent():
                    raise refusal
                self._waiting += 1
                try:
                    await self._booked.wait()
                finally:
                    self._waiting -= 1
            self._reserved_usd += amount
            self._reservations += 1
        return amount

    async def reserve_submitted(self, amount_usd: float) -> float:
        """Reserve the price of a task that an earlier run has submitted; return the amount.

        Its result is paid for already, so it is fetched even if the budget is spent.
        """
        async with self._booked:
            if self._shared is not None and not await asyncio.to_thread(
                self._shared[0].reserve, amount_usd
            ):
                amount_usd = 0.0
            self._reserved_usd += amount_usd
            self._reservations += 1
        return amount_usd

    async def book(
        self, reserved_usd: float, actual_usd: float, *, at_risk_usd: float = 0.0
    ) -> None:
        """Replace a reservation by the amount charged; below 0 if more was counted before.

        at_risk_usd: the part of it that may have been charged, without a result.
        """
        async with self._booked:
            self._reservations -= 1
            # A rounding error that stays reserved would make other tasks wait forever.
            self._reserved_usd = self._reserved_usd - reserved_usd if self._reservations else 0.0
            self._spent_usd += actual_usd
            self._at_risk_usd += at_risk_usd
            if self._shared is not None:
                await asyncio.to_thread(self._shared[0].book, reserved_usd, actual_usd)
            self._booked.notify_all()

    def is_waited_for(self) -> bool:
        """Return whether a task waits for money that tasks in flight have reserved."""
        return self._waiting > 0

    def set_max_cost(self, max_cost_usd: float | None) -> None:
        """Change the job's limit in US dollars, from the next reservation on."""
        self._max_cost_usd = max_cost_usd

    def _is_spent(self) -> bool:
        return self._max_cost_usd is not None and self._spent_usd >= self._max_cost_usd

    async def _refusal(self, amount: float, *, is_known: bool) -> BudgetSpentError | None:
        """Return the error if an amount exceeds a limit; else reserve it in the shared budget."""
        bound = self._max_cost_usd
        if bound is not None:
            exceeds = self._spent_usd + self._reserved_usd + amount > bound + _ROUNDING
            if exceeds or (not is_known and self._is_spent()):
                return BudgetSpentError(
                    "max_cost", self._describe_max_cost(bound, amount, is_known=is_known)
                )
        if self._shared is None:
            return None
        shared, name = self._shared
        fits = await asyncio.to_thread(shared.reserve, amount)
        return None if fits else BudgetSpentError(name, f"{name} is reached")

    def _describe_max_cost(self, bound: float, amount: float, *, is_known: bool) -> str:
        message = f"max_cost of {show_money(bound)} is reached{self._describe_at_risk()}"
        if not is_known or self._is_spent():
            return message
        spent, price = show_money(self._spent_usd), show_money(amount)
        return f"{message}: {spent} is spent, and the next request may cost {price}"

    def _describe_at_risk(self) -> str:
        if self._at_risk_usd < _ROUNDING:
            return ""
        at_risk = show_money(self._at_risk_usd)
        return f" ({at_risk} of it for requests without a result, which may have been charged)"

    def count_request(self) -> None:
        """Count a request that is about to be sent; raise BudgetSpentError at the limit."""
        if self._max_requests is not None and self._requests >= self._max_requests:
            raise BudgetSpentError(
                "max_requests", f"max_requests of {self._max_requests} is reached"
            )
        self._requests += 1
