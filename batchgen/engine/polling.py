"""Polling of remote jobs: ask the provider until a job has ended or its deadline has passed."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

from msgspec.structs import replace

from batchgen.engine.clock import Clock
from batchgen.types import STOPPING, Decision, Pending, Polling, Reply, Verb

_MAX_DOUBLINGS = 3  # of the interval, while polls fail
_OF_ACCOUNT = frozenset({"auth", "quota", "blocked"})
_MAX_WAIT_S = 600.0  # the transport times out earlier


async def send_unless_abandoned(
    send: Coroutine[None, None, Reply], wait: Callable[[float], Awaitable[None]]
) -> Reply | None:
    """Send a long poll; return its reply, or None if the run abandons remote jobs first.

    wait: returns early when the run abandons remote jobs.
    """

    async def until_abandoned() -> None:
        await wait(_MAX_WAIT_S)

    try:
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(send)
            abandoned = group.create_task(until_abandoned())
            await asyncio.wait((sending, abandoned), return_when=asyncio.FIRST_COMPLETED)
            abandoned.cancel()
            if not sending.done():
                sending.cancel()
                return None
    except BaseExceptionGroup as errors:  # it holds one error: that of `send`
        raise errors.exceptions[0] from errors
    return sending.result()


async def poll_until_done(  # noqa: PLR0913  # all but two are keyword-only
    poll: Callable[[], Awaitable[Decision]],
    polling: Polling,
    *,
    after_s: float,
    clock: Clock,
    wait: Callable[[float], Awaitable[None]],
    is_abandoned: Callable[[], bool],
) -> Decision:
    """Poll a remote job until it has ended; return the last decision.

    At the deadline the decision is `retry`: the next run polls the same job. So it is after as many
    failures in a row of one kind as its entry of the table allows, or `halt` if the account is the
    cause. If the run abandons remote jobs, the decision is `halt`.

    after_s: seconds until the first poll.
    wait: returns early when `is_abandoned` becomes true.
    """
    deadline = clock.monotonic() + polling.deadline_s
    failures, kind, of_kind = 0, "", 0
    while True:
        await wait(min(after_s, max(0.0, deadline - clock.monotonic())))
        if is_abandoned():
            return Decision(Verb.HALT, STOPPING)
        decision = await poll()
        if not _is_unfinished(decision):
            return decision
        failures = failures + 1 if decision.verb is Verb.RETRY else 0
        of_kind = of_kind + 1 if failures and decision.kind == kind else 1
        kind = decision.kind
        if decision.attempts is not None and of_kind >= decision.attempts:
            return _given_up(decision)
        if clock.monotonic() >= deadline:
            return _timed_out(decision, polling)
        after_s = decision.after_s or polling.interval_s * 2 ** min(failures, _MAX_DOUBLINGS)


def _is_unfinished(decision: Decision) -> bool:
    if decision.verb is Verb.ACCEPT:
        return isinstance(decision.result, Pending)
    return decision.verb is Verb.RETRY


def _given_up(last: Decision) -> Decision:
    """Leave the job to the next run; halt if its account is the cause."""
    if last.kind in _OF_ACCOUNT:
        return replace(last, verb=Verb.HALT)
    return replace(last, message=f"{last.message}; the next run asks for the job again")


def _timed_out(last: Decision, polling: Polling) -> Decision:
    message = f"no result after {polling.deadline_s:.0f} s; the next run asks for it again"
    if last.message:
        message += f" ({last.message})"
    return replace(last, verb=Verb.RETRY, kind="timeout", message=message, result=None)
