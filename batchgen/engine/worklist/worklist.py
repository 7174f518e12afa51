"""What a run has to do: the manifest's tasks, narrowed by flags, less what the ledger has done."""

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
    """The tasks that are left, looked up in the ledger chunk by chunk.

    tell_passed: hears how many more tasks nothing has to be done about. passed: how those stand.
    all_done: how many tasks are selected, where all are known to have succeeded; else 0.
    """

    manifest: Manifest
    ledger: Ledger
    selection: Selection
    tell_passed: Callable[[int], None] = lambda _: None
    all_done: int = 0
    passed: Counter[Status] = msgspec.field(default_factory=Counter)

    def items(self) -> Iterator[WorkItem | None]:
        """What is left, in manifest order; None after each chunk, so that others may run.

        Raises RejectedError when the manifest no longer reads as it was checked.
        """
        if self.all_done:
            self.pass_all()
            return
        tasks = self.selection.narrow(self.manifest.tasks(check=False), to_the_end=False)
        sound = without_problems(tasks)
        for chunk in self.ledger.with_priors(sound, _key):
            before = self.passed.total()
            for task, prior in chunk:
                work = self.selection.decide(task, prior)
                if work is not None:
                    yield work
                elif prior is not None:
                    self.passed[public_status(prior.status)] += 1
            self.tell_passed(self.passed.total() - before)
            yield None

    def pass_all(self) -> None:
        """Pass over tasks that are all done."""
        self.passed[Status.SUCCEEDED] += self.all_done
        self.tell_passed(self.all_done)

    def settle(self, work: WorkItem, outcome: Outcome | None) -> None:
        """Hear what came of a work: no other waits for it."""

    async def turn(self) -> None:
        """Let others run."""
        await asyncio.sleep(0)


def _key(task: Task) -> str:
    return task.key


def without_problems(items: Iterable[Task | Problem]) -> Iterator[Task]:
    """The tasks; raises RejectedError for what is wrong."""
    for item in items:
        if isinstance(item, Task):
            yield item
        elif item.severity is Severity.ERROR:
            raise RejectedError([item])


def watch_tasks(
    items: Iterable[Task | Problem], look_up: Callable[[list[Task]], None]
) -> Iterator[Task | Problem]:
    """Pass items on as they are; call `look_up` with the tasks among them, a chunk at a time."""
    chunk: list[Task] = []
    for item in items:
        if isinstance(item, Task):
            chunk.append(item)
            if len(chunk) >= TASKS_PER_QUERY:
                look_up(chunk)
                chunk = []
        yield item
    look_up(chunk)
