"""Patience with files that are paid for: their addresses are asked again over minutes."""

from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from batchgen.engine.clock import Clock
from batchgen.types import STOPPING, Decision, Verb

_FIRST_WAIT_S = 1.0
_MAX_WAIT_S = 30.0


async def fetch_patiently(  # noqa: PLR0913  # all but one are keyword-only
    attempt: Callable[[], Awaitable[Decision]],
    *,
    deadline_s: float,
    clock: Clock,
    wait: Callable[[float], Awaitable[None]],
    is_abandoned: Callable[[], bool],
    random: Callable[[], float],
) -> Decision:
    """Fetch a file until it is there, is gone for good, or the deadline has passed.

    Return the last decision; after the deadline, or after as many of one kind in a row as its entry
    of the table allows, it is `retry`, and the next run asks again. If the run abandons its waits,
    the decision is `halt`. The waits grow from a second to half a minute, whatever `retry.backoff`
    says, and a wait that the host asks for is obeyed.

    deadline_s: seconds from the first attempt. wait: returns early when `is_abandoned` becomes
    true. random: uniform in [0, 1).
    """
    deadline = clock.monotonic() + deadline_s
    wait_s = _FIRST_WAIT_S
    count, kind = 0, ""
    while True:
        decision = await attempt()
        count = count + 1 if decision.kind == kind else 1
        kind = decision.kind
        left_s = deadline - clock.monotonic()
        is_used_up = decision.attempts is not None and count >= decision.attempts
        if decision.verb is not Verb.RETRY or is_used_up or left_s <= 0:
            return decision if decision.verb is not Verb.RETRY else _not_yet(decision)
        asked_s = decision.after_s
        jittered_s = wait_s * (1 + 0.1 * random())
        await wait(min(left_s, jittered_s if asked_s is None else max(asked_s, 0.1)))
        if is_abandoned():
            return Decision(Verb.HALT, STOPPING)
        wait_s = min(_MAX_WAIT_S, 2 * wait_s)


def _not_yet(last: Decision) -> Decision:
    message = f"{last.message}; the file is paid for, and the next run asks for it again"
    return replace(last, message=message)
