"""What a reply means for its task, and the tenacity policy that obeys it.

The table is data: the job's rules are tried first, then `BUILT_IN`, and the first match wins.
Decisions are values; no exception carries control flow, so status and headers are never lost.
"""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from tenacity import AsyncRetrying, RetryCallState, retry_if_result

from batchgen.types import (
    Decision,
    RetrySettings,
    Verb,
)

Attempt: TypeAlias = Callable[[], Awaitable[Decision]]


def policy(
    settings: RetrySettings,
    *,
    sleep: Callable[[float], Awaitable[None]],
    random: Callable[[], float],
) -> AsyncRetrying:
    """Make the policy that repeats an attempt until its Decision is not to retry.

    `await policy(...)(attempt)` returns the last Decision; one policy serves one exchange.

    sleep: takes seconds. random: uniform in [0, 1).
    Exceptions of `attempt`, cancellation among them, pass through at once.
    """
    return AsyncRetrying(
        sleep=sleep,
        retry=retry_if_result(lambda decision: decision.verb is Verb.RETRY),
        stop=lambda state: _attempts_used_up(state, settings),
        wait=lambda state: _wait_s(state, settings, random),
        retry_error_callback=_decision,
    )


async def persist(attempt: Attempt, retrying: Callable[[], AsyncRetrying]) -> Decision:
    """Make an attempt, and more as the policy says; return the last Decision.

    Most exchanges take one attempt, and the policy's machinery costs more than all that is decided
    about it: the policy is made for those that are to be retried, and hears of the first attempt.
    """
    first = await attempt()
    if first.verb is not Verb.RETRY:
        return first
    made = iter((first,))

    async def next_attempt() -> Decision:
        return next(made, None) or await attempt()

    last: Decision = await retrying()(next_attempt)
    return last


CUT = " cut to "  # in the message of a decision whose wait was longer than is believed
_HERD_SHARE = 0.1
_HERD_S = 0.5
_MOST_DOUBLINGS = 64  # beyond it every wait is at its bound, and a float would overflow


def _decision(state: RetryCallState) -> Decision:
    if state.outcome is None:
        raise RuntimeError("tenacity asks for the outcome of an attempt that was not made")
    decision: Decision = state.outcome.result()
    return decision


def _attempts_used_up(state: RetryCallState, settings: RetrySettings) -> bool:
    """By the job's bound over all attempts, or the rule's own over those that it decided."""
    decision = _decision(state)
    tally = state.retry_object.statistics  # of this copy of the policy alone
    decided = tally[decision.kind] = tally.get(decision.kind, 0) + 1
    own = decision.attempts is not None and decided >= decision.attempts
    return own or state.attempt_number >= settings.attempts


def _wait_s(state: RetryCallState, settings: RetrySettings, random: Callable[[], float]) -> float:
    """Seconds until the next attempt: what was asked for and a little, else a random part."""
    after_s = _decision(state).after_s
    share = random() if settings.jitter else None
    if after_s is not None:  # never less, and a little more so that workers do not come as a herd
        return after_s + (share or 0.0) * min(_HERD_S, _HERD_SHARE * after_s)
    doublings = min(state.attempt_number - 1, _MOST_DOUBLINGS)
    whole = min(settings.max_s, settings.initial_s * 2.0**doublings)
    return whole if share is None else share * whole
