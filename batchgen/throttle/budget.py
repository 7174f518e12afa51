"""Bounds on money and requests: reserved before sending, settled to what was charged."""

import asyncio
from typing import Protocol

_ROUNDING = 1e-9


class BudgetSpentError(Exception):
    """The next request does not fit into the budget; the message says which bound it was."""


class Shared(Protocol):
    """A budget that other jobs spend from too; its methods may wait for the disk."""

    def reserve(self, usd: float) -> bool: ...

    def settle(self, reserved_usd: float, actual_usd: float) -> None: ...


class Budget:
    """Bounds on the money of a job (USD) and the requests of a run; None is no bound.

    spent_usd: what earlier runs of the job have cost. shared: a bound beyond this job, and what
    it is called.
    """

    def __init__(
        self,
        *,
        max_cost_usd: float | None,
        max_requests: int | None,
        spent_usd: float = 0.0,
        shared: tuple[Shared, str] | None = None,
    ) -> None:
        self._max_cost_usd = max_cost_usd
        self._max_requests = max_requests
        self._spent_usd = spent_usd
        self._shared = shared
        self._reserved_usd = 0.0
        self._reservations = 0
        self._requests = 0
        self._waiting = 0
        self._settled = asyncio.Condition()

    async def reserve(self, price_usd: float | None) -> float:
        """Set the price of a task aside; wait while others in flight may yet free some of it.

        A price that is not known reserves nothing. Raises BudgetSpentError.
        """
        price = price_usd or 0.0
        async with self._settled:
            while (spent := await self._refusal(price)) is not None:
                if not self._reservations or self._is_spent():
                    raise BudgetSpentError(spent)
                self._waiting += 1
                try:
                    await self._settled.wait()
                finally:
                    self._waiting -= 1
            self._reserved_usd += price
            self._reservations += 1
        return price

    async def settle(self, reserved_usd: float, actual_usd: float) -> None:
        """Turn a reservation into what was charged."""
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

    async def _refusal(self, price: float) -> str | None:
        """Which bound a price does not fit into; where it fits, the shared budget holds it."""
        bound = self._max_cost_usd
        if bound is not None:
            over = self._spent_usd + self._reserved_usd + price > bound + _ROUNDING
            if over or self._is_spent():
                return f"max_cost of ${bound:.2f} is reached"
        if self._shared is None:
            return None
        shared, name = self._shared
        return None if await asyncio.to_thread(shared.reserve, price) else f"{name} is reached"

    def take_request(self) -> None:
        """Count a request about to be sent. Raises BudgetSpentError."""
        if self._max_requests is not None and self._requests >= self._max_requests:
            raise BudgetSpentError(f"max_requests of {self._max_requests} is reached")
        self._requests += 1
