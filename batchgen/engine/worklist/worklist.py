"""The worklist: the selected tasks of the manifest without those that need nothing."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import msgspec

from batchgen.engine.worklist.selection import Selection
from batchgen.manifest.open import Manifest
from batchgen.manifest.problems import RejectedError
from batchgen.storage.ledger import Ledger
from batchgen.storage.ledger.sql import TASKS_PER_QUERY
from batchgen.storage.results import public_status
from batchgen.types import Outcome, Problem, Severity, Status, Task, WorkItem


class Worklist(msgspec.Struct):
    """The tasks that are left, compared with the ledger in chunks.

    on_untouched: called with the number of further tasks that need nothing.
    all_done: the number of selected tasks, if all are known to have succeeded; else 0.
    untouched: the number of tasks that need nothing, by status.
    """

    manifest: Manifest
    ledger: Ledger
    selection: Selection
    on_untouched: Callable[[int], None] = lambda _: None
    all_done: int = 0
    untouched: Counter[Status] = msgspec.field(default_factory=Counter)

    def items(self) -> Iterator[WorkItem | None]:
        """Yield the tasks that are left, in manifest order, and None after each chunk.

        Raises RejectedError if the manifest has an error that the check did not find.
        """
        if self.all_done:
            self.count_all_done()
            return
        tasks = without_problems(
            self.selection.narrow(self.manifest.tasks(check=False), to_the_end=False)
        )
        for chunk in self.ledger.with_priors(tasks, _key):
            before = self.untouched.total()
            for task, prior in chunk:
                work = self.selection.decide(task, prior)
                if work is not None:
                    yield work
                elif prior is not None:
                    self.untouched[public_status(prior.status)] += 1
            self.on_untouched(self.untouched.total() - before)
            yield None

    def count_all_done(self) -> None:
        """Count all tasks as untouched; for a run that has nothing to do."""
        self.untouched[Status.SUCCEEDED] += self.all_done
        self.on_untouched(self.all_done)

    def mark_done(self, work: WorkItem, outcome: Outcome | None) -> None:
        """Do nothing: no other task depends on this one."""

    async def yield_control(self) -> None:
        """Let other asyncio tasks run."""
        await asyncio.sleep(0)


def _key(task: Task) -> str:
    return task.key


def without_problems(items: Iterable[Task | Problem]) -> Iterator[Task]:
    """Yield the tasks; raise RejectedError at the first error."""
    for item in items:
        if isinstance(item, Task):
            yield item
        elif item.severity is Severity.ERROR:
            raise RejectedError([item])


def watch_tasks(
    items: Iterable[Task | Problem], look_up: Callable[[list[Task]], None]
) -> Iterator[Task | Problem]:
    """Yield the items unchanged; call `look_up` with the tasks among them, in chunks."""
    chunk: list[Task] = []
    for item in items:
        if isinstance(item, Task):
            chunk.append(item)
            if len(chunk) >= TASKS_PER_QUERY:
                look_up(chunk)
                chunk = []
        yield item
    look_up(chunk)
