"""What of a manifest the ledger has done already: counted for `plan`, nothing is changed."""

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
    """How many of the selected tasks a run would take up, and what those cost.

    left: tasks by model. left_usd: the sum of the prices that are known; left_unpriced: of how
    many it is not.
    """

    ledger: Ledger
    selection: Selection
    prices: Prices
    tasks: int = 0
    left: Counter[str] = msgspec.field(default_factory=Counter)
    left_usd: float = 0.0
    left_unpriced: int = 0

    def count_dependent(self, feeding: DependentWorklist) -> None:
        """Look at tasks that take files from one another in the order in which a run would.

        What is left of them depends on how their sources stand.
        """
        self.left.clear()
        self.left_usd = 0.0
        self.left_unpriced = 0
        for work in feeding.items():
            if work is not None:
                feeding.settle(work, None)
                if work.ended is None or work.ended.status is Status.PENDING:
                    self._count(work.task)

    def watch(self, items: Iterable[Task | Problem]) -> Iterator[Task | Problem]:
        """Pass the selected tasks through and look each up."""
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
