"""Asks the provider for what it works on, until there is an answer or the time is over."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

from msgspec.structs import replace

from batchgen.engine.clock import Clock
from batchgen.types import STOPPING, Decision, Pending, Polling, Reply, Verb

_MOST_DOUBLINGS = 3  # of the interval, while asking goes wrong


_LONGEST_S = 600.0  # beyond it the transport has given up


async def unless_leaving(
    send: Coroutine[None, None, Reply], wait: Callable[[float], Awaitable[None]]
) -> Reply | None:
    """What a server that lets questions wait has answered; None where the run left before.

    wait: returns early when the run leaves what the provider works on.
    """
    try:
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(send)
            leaving = group.create_task(_waited(wait))
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
            leaving.cancel()
            if not sending.done():
                sending.cancel()
                return None
    except BaseExceptionGroup as errors:  # of one: that of the sending
        raise errors.exceptions[0] from errors
    return sending.result()


async def _waited(wait: Callable[[float], Awaitable[None]]) -> None:
    await wait(_LONGEST_S)


async def result_of(  # noqa: PLR0913  # what it asks with, keyword-only
    ask: Callable[[], Awaitable[Decision]],
    polling: Polling,
    *,
    after_s: float,
    clock: Clock,
    wait: Callable[[float], Awaitable[None]],
    leaving: Callable[[], bool],
) -> Decision:
    """Ask until the remote job has ended; return what it came to.

    At the deadline that is a decision to try again (the next run asks under the same id), and to
    halt where the run leaves what is waited for.

    after_s: seconds until it is first asked. wait: may return early when `leaving`.
    """
    ends = clock.monotonic() + polling.deadline_s
    failures = 0
    while True:
        await wait(min(after_s, max(0.0, ends - clock.monotonic())))
        if leaving():
            return Decision(Verb.HALT, STOPPING)
        decision = await ask()
        if not _goes_on(decision):
            return decision
        failures = failures + 1 if decision.verb is Verb.RETRY else 0
        if decision.attempts is not None and failures >= decision.attempts:
            return replace(decision, verb=Verb.FAIL)
        if clock.monotonic() >= ends:
            return _too_late(decision, polling)
        after_s = decision.after_s or polling.interval_s * 2 ** min(failures, _MOST_DOUBLINGS)


def _goes_on(decision: Decision) -> bool:
    if decision.verb is Verb.ACCEPT:
        return isinstance(decision.result, Pending)
    return decision.verb is Verb.RETRY


def _too_late(last: Decision, polling: Polling) -> Decision:
    told = f"no result after {polling.deadline_s:.0f} s; the next run asks for it again"
    message = f"{told} ({last.message})" if last.message else told
    return replace(last, verb=Verb.RETRY, kind="timeout", message=message, result=None)
