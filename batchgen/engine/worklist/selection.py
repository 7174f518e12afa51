"""Selects tasks by the options of a run, and decides what to do about each."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import assert_never

import msgspec

from batchgen.errors import UsageError
from batchgen.storage.ledger import Ledger
from batchgen.types import Prior, Problem, Status, Task, WorkItem

ANY_KIND = "*"
_NOT_STARTED = (Status.PENDING, Status.SKIPPED)


class OnUnknown(StrEnum):
    """What to do about tasks that were sent and whose outcome is unknown."""

    RESEND = "resend"
    HOLD = "hold"
    FAIL = "fail"


class Selection(msgspec.Struct, frozen=True):
    """Which tasks to run, and which ended tasks to run again.

    limit: the first N tasks. only: a pattern of ids with `*` and `?`.
    shard: (number from 1, count of shards), by the hash of the key.
    retry_failed: an error kind, or `*` for all; None retries no failed tasks.
    """

    limit: int | None = None
    only: str | None = None
    shard: tuple[int, int] | None = None
    retry_failed: str | None = None
    on_unknown: OnUnknown = OnUnknown.RESEND

    def narrow(
        self, items: Iterable[Task | Problem], *, to_the_end: bool
    ) -> Iterator[Task | Problem]:
        """Yield the selected tasks, and every problem.

        to_the_end: read the items after the limit too, for their problems.
        """
        return self._narrowed(items, to_the_end=to_the_end) if self.is_partial() else iter(items)

    def _narrowed(
        self, items: Iterable[Task | Problem], *, to_the_end: bool
    ) -> Iterator[Task | Problem]:
        selected = 0
        for item in items:
            if isinstance(item, Problem):
                yield item
            elif self.limit is not None and selected >= self.limit:
                if not to_the_end:
                    return
            elif self.selects(item):
                selected += 1
                yield item

    def is_partial(self) -> bool:
        """Return whether the selection may exclude tasks of the manifest."""
        return not (self.limit is None and self.only is None and self.shard is None)

    def selects(self, task: Task) -> bool:
        """Return whether --only and --shard include a task; --limit counts those tasks."""
        return (self.only is None or fnmatchcase(task.id, self.only)) and self.is_in_shard(task)

    def is_in_shard(self, task: Task) -> bool:
        """Return whether a task belongs to this run's shard."""
        if self.shard is None:
            return True
        number, count = self.shard
        return int(task.key[:8], 16) % count == number - 1

    def decide(self, task: Task, prior: Prior | None) -> WorkItem | None:
        """Return the work on a task, by its row in the ledger; None if there is none."""
        if prior is None:
            return WorkItem(task, 1)
        if prior.digest != task.digest:
            started = prior.status not in _NOT_STARTED or prior.attempts > 0
            return WorkItem(task, prior.generation + 1 if started else prior.generation, prior)
        match prior.status:
            case Status.SUCCEEDED:
                return None
            case Status.FAILED | Status.REFUSED:
                is_retried = self._is_retried(prior)
                return WorkItem(task, prior.generation + 1, prior) if is_retried else None
            case Status.UNKNOWN | Status.SENT:
                is_polled = prior.remote_id is not None  # no request is sent again
                is_resumed = is_polled or self.on_unknown is OnUnknown.RESEND
                return WorkItem(task, prior.generation, prior) if is_resumed else None
            case Status.PENDING | Status.RECEIVED | Status.SUBMITTED | Status.SKIPPED:
                return WorkItem(task, prior.generation, prior)
            case _:
                assert_never(prior.status)

    def _is_retried(self, prior: Prior) -> bool:
        if self.retry_failed is None:
            return False
        if self.retry_failed == ANY_KIND:
            return prior.status is Status.FAILED
        return self.retry_failed in (prior.error_kind, prior.status)


def failed_kinds(ledger: Ledger) -> frozenset[str]:
    """Return what --retry-failed can name: error kinds, and `refused` and `unknown`."""
    kinds: set[str] = set()
    for record in ledger.unsuccessful():
        if record.outcome.status is Status.SKIPPED:  # it is retried with its source
            continue
        kinds.add(str(record.outcome.status))
        if record.outcome.error is not None:
            kinds.add(record.outcome.error.kind)
    return frozenset(kinds - {"failed"})


def parse_shard(text: str) -> tuple[int, int]:
    """Parse `I/N`, from 1/N to N/N. Raises UsageError."""
    number, slash, count = text.partition("/")
    if slash and number.isascii() and count.isascii() and number.isdigit() and count.isdigit():
        shard = int(number), int(count)
        if 1 <= shard[0] <= shard[1]:
            return shard
    raise UsageError(f"--shard {text!r} is not I/N, such as 1/4, 2/4, 3/4 and 4/4")
