"""Requests, images and cost of a manifest's tasks, per model and in total."""

from collections.abc import Mapping

import msgspec

from batchgen.provider.adapter import Adapter
from batchgen.provider.pricing import Prices, image_count
from batchgen.types import HttpRequest, Json, Task

OTHER_MODELS = "other models"
_MAX_MODELS = 1000
_FIRST_REQUESTS = 3


class Estimate(msgspec.Struct):
    """Totals of some tasks.

    cost_usd: the sum of the known prices, in US dollars. unpriced: tasks without a known price.
    """

    tasks: int = 0
    requests: int = 0
    images: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0

    def add(self, other: "Estimate", times: int = 1) -> None:
        """Add another estimate, multiplied by `times`."""
        self.tasks += times * other.tasks
        self.requests += times * other.requests
        self.images += times * other.images
        self.cost_usd += times * other.cost_usd
        self.unpriced += times * other.unpriced

    def known_usd(self) -> float | None:
        """Return the known part of the cost in US dollars, or None if no price is known."""
        return round(self.cost_usd, 6) if self.unpriced < self.tasks else None

    def to_json(self) -> dict[str, Json]:
        """Return the value of a model in `by_model` of `plan --json`."""
        return {
            "tasks": self.tasks,
            "requests": self.requests,
            "images": self.images,
            "cost_usd": self.known_usd(),
            "unpriced": self.unpriced,
        }


class _Group(msgspec.Struct, frozen=True):
    """Consecutive tasks of one model with the same parameters; per_task: the totals of one."""

    model: str
    params: Mapping[str, Json]
    per_task: Estimate


class Estimator:
    """Adds up the estimates of tasks; consecutive tasks with equal parameters are one addition.

    total: of all tasks. models: of each model; from the 1,001st model on, `other models`.
    requests: the first three requests. None of them is complete before `close`.
    """

    def __init__(self, prices: Prices, adapter: Adapter) -> None:
        self.total = Estimate()
        self.models: dict[str, Estimate] = {}
        self.requests: list[HttpRequest] = []
        self._prices = prices
        self._adapter = adapter
        self._group: _Group | None = None
        self._group_size = 0

    def add(self, task: Task) -> bool:
        """Count a task. Return whether its price is known."""
        group = self._group
        # Rows from the row cache share the object of their parameters.
        if (
            group is None
            or task.params is not group.params
            or task.model != group.model
            or task.inputs
        ):
            self.close()
            group = self._group = _Group(task.model, task.params, self._estimate(task))
        self._group_size += 1
        if len(self.requests) < _FIRST_REQUESTS:
            self.requests += self._adapter.requests(task)[: _FIRST_REQUESTS - len(self.requests)]
        return not group.per_task.unpriced

    def close(self) -> None:
        """Add the tasks counted last to the totals."""
        group, size = self._group, self._group_size
        self._group, self._group_size = None, 0
        if group is None:
            return
        model = self.models.get(group.model)
        if model is None:
            name = group.model if len(self.models) < _MAX_MODELS else OTHER_MODELS
            model = self.models.setdefault(name, Estimate())
        model.add(group.per_task, size)
        self.total.add(group.per_task, size)

    def _estimate(self, task: Task) -> Estimate:
        usd, images = self._prices.of(task), image_count(task)
        several = images > 1 or task.inputs
        requests = len(self._adapter.requests(task)) if several else 1
        return Estimate(1, requests, images, usd or 0.0, int(usd is None))
