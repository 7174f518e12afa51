"""The limits on money and requests."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.engine.throttle import Budget, BudgetSpentError
from tests.given import run_pending


@given(
    prices=st.lists(st.integers(0, 40).map(lambda cents: cents / 100), min_size=64, max_size=64),
    bound=st.integers(0, 400).map(lambda cents: cents / 100),
    charged=st.lists(st.booleans(), min_size=64, max_size=64),
)
def test_64_workers_together_never_exceed_the_budget(
    prices: Sequence[float], bound: float, charged: Sequence[bool]
) -> None:
    async def run() -> float:
        budget = Budget(max_cost_usd=bound, max_requests=None)
        spent = 0.0

        async def worker(price: float, *, paid: bool) -> None:
            nonlocal spent
            try:
                reserved = await budget.reserve(price)
            except BudgetSpentError:
                return
            await asyncio.sleep(0)
            spent += price if paid else 0.0
            await budget.book(reserved, price if paid else 0.0)

        pairs = zip(prices, charged, strict=True)
        async with asyncio.timeout(10):
            await asyncio.gather(*(worker(price, paid=paid) for price, paid in pairs))
        return spent

    assert asyncio.run(run()) <= bound + 1e-6


async def test_a_task_waits_for_money_that_others_may_free() -> None:
    budget = Budget(max_cost_usd=1.0, max_requests=None)
    reserved = await budget.reserve(0.7)
    waiting = asyncio.create_task(budget.reserve(0.5))
    await run_pending()
    assert not waiting.done()

    await budget.book(reserved, 0.0)

    assert await waiting == 0.5


async def test_a_rounding_error_never_keeps_a_task_waiting() -> None:
    budget = Budget(max_cost_usd=0.35, max_requests=None)
    for price in (await budget.reserve(0.1), await budget.reserve(0.2)):
        await budget.book(price, 0.0)
    async with asyncio.timeout(5):
        with pytest.raises(BudgetSpentError):
            await budget.reserve(0.4)


async def test_the_cost_of_earlier_runs_counts() -> None:
    budget = Budget(max_cost_usd=1.0, max_requests=None, spent_usd=0.8)
    with pytest.raises(BudgetSpentError, match=r"max_cost of \$1\.00 is reached"):
        await budget.reserve(0.3)


async def test_a_task_without_a_price_is_refused_when_the_budget_is_spent() -> None:
    budget = Budget(max_cost_usd=1.0, max_requests=None)
    await budget.book(await budget.reserve(None), 1.0)
    with pytest.raises(BudgetSpentError):
        await budget.reserve(None)


async def test_requests_are_counted_up_to_max_requests() -> None:
    budget = Budget(max_cost_usd=None, max_requests=2)
    budget.count_request()
    budget.count_request()
    with pytest.raises(BudgetSpentError, match="max_requests of 2 is reached"):
        budget.count_request()


async def test_without_limits_everything_is_allowed() -> None:
    budget = Budget(max_cost_usd=None, max_requests=None)
    for _ in range(100):
        budget.count_request()
        await budget.book(await budget.reserve(1e9), 1e9)


async def test_a_budget_reports_whether_a_task_waits_for_it() -> None:
    budget = Budget(max_cost_usd=1.0, max_requests=None)
    first = await budget.reserve(0.8)
    assert not budget.is_waited_for()
    waiting = asyncio.create_task(budget.reserve(0.5))
    await run_pending()
    assert budget.is_waited_for()
    await budget.book(first, 0.1)
    assert await waiting == 0.5
    assert not budget.is_waited_for()


async def test_requests_without_a_result_count_as_spent_and_are_named() -> None:
    budget = Budget(max_cost_usd=1.0, max_requests=None, spent_usd=0.3, at_risk_usd=0.4)
    await budget.book(await budget.reserve(0.2), 0.2, at_risk_usd=0.2)

    with pytest.raises(BudgetSpentError, match=r"\$0\.60 of it for requests without a result"):
        await budget.reserve(0.2)
