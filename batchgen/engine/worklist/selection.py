"""What a run has to do: the manifest's tasks, narrowed by flags, less what the ledger has done."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import assert_never

import msgspec

from batchgen.errors import UsageError
from batchgen.storage.ledger import Ledger
from batchgen.types import Prior, Problem, Status, Task, WorkItem

ANY_KIND = "*"
_NOT_BEGUN = (Status.PENDING, Status.SKIPPED)


class OnUnknown(StrEnum):
    """What is done about tasks that were sent and whose outcome nobody knows."""

    RESEND = "resend"
    HOLD = "hold"
    FAIL = "fail"


class Selection(msgspec.Struct, frozen=True):
    """Which tasks a run is about, and which of the ended ones it takes up again.

    shard: (number from 1, of how many), by the key's hash.
    retry_failed: a kind of failure or `*`; None leaves failed tasks alone.
    """

    limit: int | None = None
    only: str | None = None
    shard: tuple[int, int] | None = None
    retry_failed: str | None = None
    on_unknown: OnUnknown = OnUnknown.RESEND

    def narrow(
        self, items: Iterable[Task | Problem], *, to_the_end: bool
    ) -> Iterator[Task | Problem]:
        """The selected tasks, and every problem; `to_the_end` goes on checking past the limit."""
        return self._narrowed(items, to_the_end=to_the_end) if self.is_partial() else iter(items)

    def _narrowed(
        self, items: Iterable[Task | Problem], *, to_the_end: bool
    ) -> Iterator[Task | Problem]:
        taken = 0
        for item in items:
            if isinstance(item, Problem):
                yield item
            elif self.limit is not None and taken >= self.limit:
                if not to_the_end:
                    return
            elif self.selects(item):
                taken += 1
                yield item

    def is_partial(self) -> bool:
        """Whether it may leave tasks of the manifest out."""
        return not (self.limit is None and self.only is None and self.shard is None)

    def selects(self, task: Task) -> bool:
        """Whether --only and --shard leave it in; --limit counts what they do."""
        return (self.only is None or fnmatchcase(task.id, self.only)) and self.is_in_shard(task)

    def is_in_shard(self, task: Task) -> bool:
        """Whether it belongs to the part of the manifest that this run is about."""
        if self.shard is None:
            return True
        number, of = self.shard
        return int(task.key[:8], 16) % of == number - 1

    def decide(self, task: Task, prior: Prior | None) -> WorkItem | None:
        """What has to be done about a task that the ledger knows so; None when nothing has."""
        if prior is None:
            return WorkItem(task, 1)
        if prior.digest != task.digest:
            started = prior.status not in _NOT_BEGUN or prior.attempts > 0
            return WorkItem(task, prior.generation + 1 if started else prior.generation, prior)
        match prior.status:
            case Status.SUCCEEDED:
                return None
            case Status.FAILED | Status.REFUSED:
                again = self._is_retried(prior)
                return WorkItem(task, prior.generation + 1, prior) if again else None
            case Status.UNKNOWN | Status.SENT:
                asked = prior.remote_id is not None  # which sends nothing anew
                again = asked or self.on_unknown is OnUnknown.RESEND
                return WorkItem(task, prior.generation, prior) if again else None
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
    """What --retry-failed may name in a job: kinds of failure, and `refused` and `unknown`."""
    found: set[str] = set()
    for record in ledger.unsuccessful():
        if record.outcome.status is Status.SKIPPED:  # taken up with what it was skipped for
            continue
        found.add(str(record.outcome.status))
        if record.outcome.error is not None:
            found.add(record.outcome.error.kind)
    return frozenset(found - {"failed"})


def parse_shard(text: str) -> tuple[int, int]:
    """Read `I/N`, from 1/N to N/N."""
    number, slash, of = text.partition("/")
    if slash and number.isascii() and of.isascii() and number.isdigit() and of.isdigit():
        found = int(number), int(of)
        if 1 <= found[0] <= found[1]:
            return found
    raise UsageError(f"--shard {text!r} is not I/N, such as 1/4, 2/4, 3/4 and 4/4")
