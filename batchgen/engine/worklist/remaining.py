"""The number and the price of the tasks that a run would do, for `plan`. Changes nothing."""

from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

from batchgen.engine.worklist.dependent import DependentWorklist
from batchgen.engine.worklist.selection import Selection
from batchgen.engine.worklist.worklist import watch_tasks
from batchgen.provider.pricing import Prices
from batchgen.storage.ledger import Ledger
from batchgen.types import Problem, Status, Task


class Remaining(msgspec.Struct):
    """Counts the selected tasks that a run would do, and their prices.

    tasks: all selected tasks. left: tasks to do, by model. left_usd: the sum of their known
    prices. left_unpriced: how many of them have no known price.
    """

    ledger: Ledger
    selection: Selection
    prices: Prices
    tasks: int = 0
    left: Counter[str] = msgspec.field(default_factory=Counter)
    left_usd: float = 0.0
    left_unpriced: int = 0

    def count_dependent(self, worklist: DependentWorklist) -> None:
        """Count again in the order of a run, because what is left depends on the sources."""
        self.left.clear()
        self.left_usd = 0.0
        self.left_unpriced = 0
        for work in worklist.items():
            if work is not None:
                worklist.mark_done(work, None)
                if work.ended is None or work.ended.status is Status.PENDING:
                    self._count(work.task)

    def watch(self, items: Iterable[Task | Problem]) -> Iterator[Task | Problem]:
        """Yield the selected tasks and the problems unchanged, and count the tasks."""
        return watch_tasks(items, self._look_up)

    def _look_up(self, tasks: list[Task]) -> None:
        priors = self.ledger.priors([task.key for task in tasks])
        for task in tasks:
            self.tasks += 1
            if self.selection.decide(task, priors.get(task.key)) is not None:
                self._count(task)

    def _count(self, task: Task) -> None:
        self.left[task.model] += 1
        price = self.prices.of(task)
        self.left_usd += price or 0.0
        self.left_unpriced += price is None
