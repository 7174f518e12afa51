"""A paid reply without a result: held until its task's last attempt, then kept in a file."""

from msgspec.structs import replace

from batchgen.engine.interfaces import Replies, Store
from batchgen.engine.outcomes import prior_of_generation
from batchgen.types import (
    Decision,
    Finished,
    HttpRequest,
    HttpResponse,
    Outcome,
    Reply,
    Verb,
    WorkItem,
)

_NOTHING_USED = Decision(Verb.FAIL)


class HeldReply:
    """The last paid reply of a task that has no result, with its payloads."""

    def __init__(self, replies: Replies, store: Store) -> None:
        self._replies = replies
        self._store = store
        self._held: HttpResponse | None = None

    def add(self, reply: Reply, decision: Decision, request: HttpRequest) -> None:
        """Hold a reply if it is paid for and has no result, else discard what is not used of it."""
        is_held = _is_paid(reply, decision, request)
        if self._held is not None and (is_held or decision.verb is Verb.ACCEPT):
            discard_unused(self._store, self._held, _NOTHING_USED)
            self._held = None
        if isinstance(reply, HttpResponse) and is_held:
            self._held = reply
        else:
            discard_unused(self._store, reply, decision)

    async def keep(self, work: WorkItem, part: int, outcome: Outcome) -> Outcome:
        """Write the held reply to its file; return the outcome with its path.

        Call it before the outcome is committed. A reply that was read again in vain stays in its
        file. part: the number of the request, from 0. Raises StorageError.
        """
        if self._held is None:
            prior = prior_of_generation(work)
            return outcome if prior is None else replace(outcome, reply=prior.reply)
        path = await self._replies.keep(work.task, work.generation, part, self._held)
        discard_unused(self._store, self._held, _NOTHING_USED)
        error = outcome.error
        if error is not None:
            error = replace(error, message=f"{error.message}; the reply is kept in {path}")
        return replace(outcome, error=error, reply=path)


def discard_unused(store: Store, reply: Reply, decision: Decision) -> None:
    """Discard the payloads of a reply that its result does not use."""
    if not isinstance(reply, HttpResponse):
        return
    used = decision.result.payloads if isinstance(decision.result, Finished) else ()
    for payload in reply.payloads:
        if payload not in used:
            store.discard(payload)


def _is_paid(reply: Reply, decision: Decision, request: HttpRequest) -> bool:
    """Return whether a reply is paid for although it has no result; uploads cost nothing."""
    if not isinstance(reply, HttpResponse) or request.required_ids:
        return False
    return reply.status // 100 == 2 and decision.sent  # noqa: PLR2004  # a class of statuses
