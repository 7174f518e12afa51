"""Bounds on money and requests: reserved before sending, settled to what was charged."""

import asyncio
from typing import Protocol

import msgspec

from batchgen.text import show_money

_ROUNDING = 1e-9


class BudgetSpentError(Exception):
    """The next request does not fit into the budget.

    bound: which one it was, by its name in a job.
    """

    def __init__(self, bound: str, message: str) -> None:
        self.bound = bound
        super().__init__(message)


class Shared(Protocol):
    """A budget that other jobs spend from too; its methods may wait for the disk."""

    def reserve(self, usd: float) -> bool: ...

    def settle(self, reserved_usd: float, actual_usd: float) -> None: ...


class UnknownSpend(msgspec.Struct, frozen=True):
    """Tasks that were sent and of which nobody knows what they cost: they count as spent.

    usd: the sum of their prices, as far as these are known.
    """

    tasks: int = 0
    usd: float = 0.0


_NO_DOUBT = UnknownSpend()


class Budget:
    """Bounds on the money of a job (USD) and the requests of a run; None is no bound.

    spent_usd: what earlier runs of the job have cost. doubt: what they may have cost besides.
    shared: a bound beyond this job, and what it is called.
    """

    def __init__(
        self,
        *,
        max_cost_usd: float | None,
        max_requests: int | None,
        spent_usd: float = 0.0,
        unknown_spend: UnknownSpend = _NO_DOUBT,
        shared: tuple[Shared, str] | None = None,
    ) -> None:
        self._max_cost_usd = max_cost_usd
        self._max_requests = max_requests
        self._spent_usd = spent_usd + unknown_spend.usd
        self._doubt = unknown_spend
        self._shared = shared
        self._reserved_usd = 0.0
        self._reservations = 0
        self._requests = 0
        self._waiting = 0
        self._settled = asyncio.Condition()

    async def reserve(self, price_usd: float | None, *, counted_usd: float = 0.0) -> float:
        """Set the price of a task aside; wait while others in flight may yet free some of it.

        A price that is not known reserves nothing. counted_usd: what counts as spent for this
        task already. Raises BudgetSpentError.
        """
        amount = max(0.0, (price_usd or 0.0) - counted_usd)
        known = price_usd is not None
        async with self._settled:
            while (refusal := await self._refusal(amount, known=known)) is not None:
                if not self._reservations or self._is_spent():
                    raise refusal
                self._waiting += 1
                try:
                    await self._settled.wait()
                finally:
                    self._waiting -= 1
            self._reserved_usd += amount
            self._reservations += 1
        return amount

    async def hold(self, amount_usd: float) -> float:
        """Set aside the price of what an earlier run has submitted: it is paid for already, so
        that no bound keeps its result from being fetched.
        """
        async with self._settled:
            if self._shared is not None and not await asyncio.to_thread(
                self._shared[0].reserve, amount_usd
            ):
                amount_usd = 0.0
            self._reserved_usd += amount_usd
            self._reservations += 1
        return amount_usd

    async def settle(self, reserved_usd: float, actual_usd: float) -> None:
        """Turn a reservation into what was charged; below 0 where less was than counted before."""
        async with self._settled:
            self._reservations -= 1
            # Floats do not add up to nothing again: a rest would be waited for without end.
            self._reserved_usd = self._reserved_usd - reserved_usd if self._reservations else 0.0
            self._spent_usd += actual_usd
            if self._shared is not None:
                await asyncio.to_thread(self._shared[0].settle, reserved_usd, actual_usd)
            self._settled.notify_all()

    def is_waited_for(self) -> bool:
        """Whether a task waits for money that others in flight have set aside."""
        return self._waiting > 0

    def allow(self, max_cost_usd: float | None) -> None:
        """Take another bound of the job; it counts from the next reservation on."""
        self._max_cost_usd = max_cost_usd

    def _is_spent(self) -> bool:
        return self._max_cost_usd is not None and self._spent_usd >= self._max_cost_usd

    async def _refusal(self, amount: float, *, known: bool) -> BudgetSpentError | None:
        """The bound that an amount does not fit into; where it fits, the shared budget holds it."""
        bound = self._max_cost_usd
        if bound is not None:
            over = self._spent_usd + self._reserved_usd + amount > bound + _ROUNDING
            if over or (not known and self._is_spent()):
                told = f"max_cost of {show_money(bound)} is reached{self._doubtful()}"
                if known and not self._is_spent():
                    spent, price = show_money(self._spent_usd), show_money(amount)
                    told += f": {spent} is spent, and the next request may cost {price}"
                return BudgetSpentError("max_cost", told)
        if self._shared is None:
            return None
        shared, name = self._shared
        fits = await asyncio.to_thread(shared.reserve, amount)
        return None if fits else BudgetSpentError(name, f"{name} is reached")

    def _doubtful(self) -> str:
        if not self._doubt.tasks:
            return ""
        return f" ({self._doubt.tasks} unknown tasks count as {show_money(self._doubt.usd)} of it)"

    def take_request(self) -> None:
        """Count a request about to be sent. Raises BudgetSpentError."""
        if self._max_requests is not None and self._requests >= self._max_requests:
            raise BudgetSpentError(
                "max_requests", f"max_requests of {self._max_requests} is reached"
            )
        self._requests += 1
