"""The money of a task: attempts without a result count at their price."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.engine.risk import Risk, counted_usd, may_be_charged, request_prices
from batchgen.engine.throttle import Budget, BudgetSpentError
from batchgen.types import (
    Decision,
    FaultKind,
    HttpRequest,
    HttpResponse,
    NetworkFault,
    Outcome,
    Prior,
    Reply,
    Status,
    Verb,
)

ACCEPTED = Decision(Verb.ACCEPT)
LOST = Decision(Verb.RETRY, "connection", sent=True)
ANSWERED = Decision(Verb.RETRY, "server", http_status=503)
GOOD = HttpResponse(200, {}, b"{}")
BUSY = HttpResponse(503, {}, b"{}")
RESET = NetworkFault(FaultKind.CONNECTION, "reset", sent=True)
NOT_SENT = NetworkFault(FaultKind.CONNECTION, "refused", sent=False)
ATTEMPTS: dict[str, tuple[Decision, Reply]] = {
    "ok": (ACCEPTED, GOOD),
    "lost": (LOST, RESET),
    "answered": (ANSWERED, BUSY),
}


class Bill:
    """What a provider that ignores idempotency keys charges."""

    def __init__(self) -> None:
        self.usd = 0.0


async def carry_out(risk: Risk, price: float, events: Sequence[str], bill: Bill) -> bool:
    """Make attempts as the engine does; return whether the last one was accepted."""
    for event in events:
        await risk.set_aside([price])
        risk.open_attempt(price)
        bill.usd += price if event in ("ok", "lost") else 0.0
        await asyncio.sleep(0)
        await risk.close(*ATTEMPTS[event])
        if event == "ok":
            risk.accept(Outcome(Status.SUCCEEDED), price)
            return True
    return False


@given(
    tasks=st.lists(
        st.tuples(
            st.integers(1, 40).map(lambda cents: cents / 100),
            st.lists(st.sampled_from(sorted(ATTEMPTS)), min_size=1, max_size=6),
        ),
        max_size=40,
    ),
    bound=st.integers(0, 400).map(lambda cents: cents / 100),
)
def test_tasks_together_never_cost_more_than_the_budget(
    tasks: Sequence[tuple[float, Sequence[str]]], bound: float
) -> None:
    bill, counted = Bill(), []

    async def run() -> None:
        budget = Budget(max_cost_usd=bound, max_requests=None)

        async def worker(price: float, events: Sequence[str]) -> None:
            risk = Risk(price, purse=budget)
            try:
                await risk.begin()
                await carry_out(risk, price, events, bill)
            except BudgetSpentError:
                pass
            finally:
                counted.append(risk.spent_usd)
                await risk.end()

        async with asyncio.timeout(10):
            await asyncio.gather(*(worker(*task) for task in tasks))

    asyncio.run(run())
    assert bill.usd <= bound + 1e-6
    assert bill.usd <= sum(counted) + 1e-6


async def test_nothing_stays_reserved_while_a_task_waits_for_the_money_of_others() -> None:
    budget = Budget(max_cost_usd=1.0, max_requests=None)
    first, second = Risk(0.4, purse=budget), Risk(0.4, purse=budget)
    for risk in (first, second):
        await risk.begin()
        risk.open_attempt(0.4)
        await risk.close(LOST, RESET)

    async with asyncio.timeout(5):
        for risk in (first, second):
            with pytest.raises(BudgetSpentError):
                await risk.set_aside([0.4])


async def test_a_task_that_is_sent_again_reserves_its_own_price() -> None:
    """What an earlier run may have paid counts already, and is not the price of this attempt."""
    prior = Prior(Status.UNKNOWN, "", 1, 1, at_risk_usd=0.02)
    budget = Budget(max_cost_usd=0.03, max_requests=None, at_risk_usd=0.02)
    with pytest.raises(BudgetSpentError):
        await Risk(0.02, prior, budget).begin()

    budget.set_max_cost(0.04)
    risk, bill = Risk(0.02, prior, budget), Bill()
    await risk.begin()
    assert await carry_out(risk, 0.02, ["ok"], bill)
    await risk.end()

    assert (risk.resent, risk.added_usd) == (1, 0.0)
    assert risk.spent_usd == pytest.approx(0.04)
    assert risk.at_risk_usd == pytest.approx(0.02)
    with pytest.raises(BudgetSpentError):
        await budget.reserve(0.01)


@pytest.mark.parametrize("known_cost", [None, 0.03])
async def test_a_job_of_an_earlier_run_needs_no_further_money(known_cost: float | None) -> None:
    prior = Prior(Status.SUBMITTED, "", 1, 1, remote_id="j-7", at_risk_usd=0.02)
    budget = Budget(max_cost_usd=0.02, max_requests=None, at_risk_usd=0.02)
    risk = Risk(0.02, prior, budget)
    await risk.begin()
    risk.reopen(0.02)

    outcome = risk.accept(Outcome(Status.SUCCEEDED, cost_usd=known_cost), 0.02)
    await risk.end()

    assert outcome.cost_usd == (known_cost or 0.02)
    assert (outcome.at_risk_usd, risk.spent_usd) == (0.0, known_cost or 0.02)


def test_a_ledger_without_recorded_prices_counts_unknown_tasks_at_theirs() -> None:
    old = Prior(Status.UNKNOWN, "", 1, 1)
    assert counted_usd(old, 0.02) == 0.02
    assert counted_usd(old, None) == 0.0
    assert counted_usd(Prior(Status.PENDING, "", 1, 0), 0.02) == 0.0


@pytest.mark.parametrize(
    ("decision", "reply", "may_cost"),
    [
        (LOST, RESET, True),
        (Decision(Verb.RETRY, "connection"), NOT_SENT, False),
        (Decision(Verb.RETRY, "server", sent=True), HttpResponse(504, {}, b""), True),
        (ANSWERED, BUSY, False),
        (Decision(Verb.FAIL, "bad_response"), HttpResponse(200, {}, b""), True),
        (Decision(Verb.REFUSE, "content_policy"), GOOD, True),
        (Decision(Verb.REFUSE, "content_policy"), HttpResponse(400, {}, b""), False),
        (Decision(Verb.HALT, "auth"), GOOD, False),
        (Decision(Verb.RETRY, "rate_limited", hold=True), GOOD, False),
    ],
)
def test_money_goes_by_what_was_sent(decision: Decision, reply: Reply, *, may_cost: bool) -> None:
    assert may_be_charged(decision, reply) is may_cost


def test_the_price_of_a_request_goes_by_its_number_of_images() -> None:
    upload = HttpRequest("POST", "/upload", {}, required_ids=("voice",))
    requests = [upload, HttpRequest("POST", "/", {"n": 2}), HttpRequest("POST", "/", {"n": 1})]
    assert request_prices(0.06, requests) == pytest.approx([0.0, 0.04, 0.02])
    assert request_prices(None, requests[:1]) == [0.0]
