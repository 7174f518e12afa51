"""Retries: a tenacity policy that repeats an attempt while its decision is to retry."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from tenacity import AsyncRetrying, RetryCallState, retry_if_result

from batchgen.types import Decision, RetrySettings, Verb

Attempt: TypeAlias = Callable[[], Awaitable[Decision]]

CAPPED = " cut to "  # in the message of a decision whose wait was longer than the job allows
_HELD = "held attempts"  # in the statistics of a policy
_JITTER_SHARE = 0.1
_MAX_JITTER_S = 0.5
_MAX_DOUBLINGS = 64  # beyond it every wait is at its limit, and a float would overflow


def retry_policy(
    settings: RetrySettings,
    *,
    sleep: Callable[[float], Awaitable[None]],
    random: Callable[[], float],
) -> AsyncRetrying:
    """Return a policy that repeats an attempt until its Decision is not to retry.

    `await retry_policy(...)(attempt)` returns the last Decision; use one policy per exchange.
    Exceptions of `attempt`, cancellation included, are raised without a retry.

    sleep: takes seconds. random: uniform in [0, 1).
    """
    return AsyncRetrying(
        sleep=sleep,
        retry=retry_if_result(lambda decision: decision.verb is Verb.RETRY),
        stop=lambda state: _attempts_used_up(state, settings),
        wait=lambda state: _wait_s(state, settings, random),
        retry_error_callback=_decision,
    )


async def run_attempts(attempt: Attempt, make_policy: Callable[[], AsyncRetrying]) -> Decision:
    """Make an attempt, and more as the policy says; return the last Decision.

    Most exchanges take one attempt, and making a policy costs more than classifying the reply: the
    policy is made after a first attempt that is to be retried, and replays that attempt.
    """
    first = await attempt()
    if first.verb is not Verb.RETRY:
        return first
    first_result = iter((first,))

    async def next_attempt() -> Decision:
        return next(first_result, None) or await attempt()

    last: Decision = await make_policy()(next_attempt)
    return last


def _decision(state: RetryCallState) -> Decision:
    if state.outcome is None:
        raise RuntimeError("tenacity asked for the outcome of an attempt that was not made")
    decision: Decision = state.outcome.result()
    return decision


def _attempts_used_up(state: RetryCallState, settings: RetrySettings) -> bool:
    """Apply the job's limit to all attempts, and the rule's limit to those that it decided.

    A rate limit that holds the whole model uses up no attempts: how long it may last is limited by
    the run, for all rows together.
    """
    decision = _decision(state)
    counts = state.retry_object.statistics  # each copy of the policy has its own
    count = counts[decision.kind] = counts.get(decision.kind, 0) + 1
    held = counts[_HELD] = counts.get(_HELD, 0) + decision.hold
    by_rule = decision.attempts is not None and count >= decision.attempts
    return by_rule or (not decision.hold and state.attempt_number - held >= settings.attempts)


def _wait_s(state: RetryCallState, settings: RetrySettings, random: Callable[[], float]) -> float:
    """Return seconds until the next attempt: the provider's wait and jitter, else the back-off."""
    after_s = _decision(state).after_s
    share = random() if settings.jitter else None
    if after_s is not None:  # never wait less; jitter keeps workers from starting all at once
        return after_s + (share or 0.0) * min(_MAX_JITTER_S, _JITTER_SHARE * after_s)
    doublings = min(state.attempt_number - 1, _MAX_DOUBLINGS)
    backoff_s = min(settings.max_s, settings.initial_s * 2.0**doublings)
    return backoff_s if share is None else share * backoff_s
