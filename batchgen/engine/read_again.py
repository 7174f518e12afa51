"""Reads kept replies again before a run sends anything.

A new version, or a new key of the job file, may understand them. A task whose reply has a result or
names a remote job becomes `received`; the run then goes on from its reply, and buys nothing.
"""

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Protocol

import msgspec

from batchgen.engine.decisions import classify
from batchgen.engine.held_reply import discard_unused
from batchgen.engine.interfaces import Adapter, Store
from batchgen.engine.kept_replies import KeptReplies
from batchgen.storage.ledger import Ledger
from batchgen.types import Decision, Record, RetrySettings, Status, Task, TaskError, Verb


class Reading(msgspec.Struct):
    """How many kept replies have a result now, and how many tasks without an outcome have one."""

    readable: int = 0
    settled: int = 0


class _Reader(Protocol):
    async def __call__(self, task: Task, path: str) -> Decision | None: ...


async def read_kept_replies(  # noqa: PLR0913  # all but two are keyword-only
    ledger: Ledger,
    replies: KeptReplies,
    *,
    adapter: Adapter,
    store: Store,
    settings: RetrySettings,
    now: datetime,
) -> Reading:
    """Read the replies that earlier runs kept, and record in the ledger which have a result.

    now: aware UTC. Raises StorageError.
    """

    async def read(task: Task, path: str) -> Decision | None:
        reply = await replies.read(path)
        if reply is None:
            return None
        decision = classify(
            reply, parse=partial(adapter.parse, task), settings=settings, model=task.model, now=now
        )
        discard_unused(store, reply, Decision(Verb.FAIL))
        return decision

    reading = Reading()
    for record in list(ledger.kept_replies()):
        path = record.outcome.reply or ""
        decision = await read(record.task, path)
        if decision is not None and decision.verb is Verb.ACCEPT:
            ledger.mark_readable(record.task.key, path)
            reading.readable += 1
    await _settle(ledger, replies, read, reading)
    return reading


async def _settle(ledger: Ledger, replies: KeptReplies, read: _Reader, reading: Reading) -> None:
    """Take the files of tasks without an outcome as their replies; remove those of successes."""
    for record, path in _unsettled(ledger, replies):
        decision = await read(record.task, path)
        if decision is None:
            continue
        if decision.verb is Verb.ACCEPT:
            ledger.mark_readable(record.task.key, path)
            reading.readable += 1
        else:
            message = f"{decision.message}; the reply is kept in {path}"
            error = TaskError(decision.kind, decision.code, message)
            ledger.fail_unread(record.task.key, error, path)
        reading.settled += 1


def _unsettled(ledger: Ledger, replies: KeptReplies) -> Iterator[tuple[Record, str]]:
    for kept in replies.found():
        record = ledger.unknown_of(kept.key, kept.generation)
        if record is not None:
            if record.outcome.reply is None:
                yield record, kept.path
            continue
        prior = ledger.priors([kept.key]).get(kept.key)
        if (
            prior is not None
            and prior.status is Status.SUCCEEDED
            and (prior.generation == kept.generation)
        ):
            replies.remove(kept.path)
