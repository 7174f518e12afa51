"""What the tasks of a manifest come to: requests, images and cost, for each model and in all."""

from collections.abc import Mapping

import msgspec

from batchgen.provider.adapter import Adapter
from batchgen.provider.pricing import Prices, image_count
from batchgen.types import HttpRequest, Json, Task

OTHER_MODELS = "other models"
_REMEMBERED_MODELS = 1000
_FIRST_REQUESTS = 3


class Estimate(msgspec.Struct):
    """What some tasks come to; cost_usd: the sum of the prices that are known."""

    tasks: int = 0
    requests: int = 0
    images: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0

    def add(self, other: "Estimate", times: int = 1) -> None:
        """Count what others come to, so many times."""
        self.tasks += times * other.tasks
        self.requests += times * other.requests
        self.images += times * other.images
        self.cost_usd += times * other.cost_usd
        self.unpriced += times * other.unpriced

    def known_usd(self) -> float | None:
        """What is known of the cost, in US dollars; None where nothing is."""
        return round(self.cost_usd, 6) if self.unpriced < self.tasks else None

    def to_json(self) -> dict[str, Json]:
        """An element of `by_model` in `plan --json`."""
        return {
            "tasks": self.tasks,
            "requests": self.requests,
            "images": self.images,
            "cost_usd": self.known_usd(),
            "unpriced": self.unpriced,
        }


class _Kind(msgspec.Struct, frozen=True):
    """Tasks of a model with the same parameters; one: what each of them comes to."""

    model: str
    params: Mapping[str, Json]
    one: Estimate


class Estimator:
    """Counts tasks; those of a kind that follow each other are added up together.

    whole: all of them. models: those of each model, the last ones together where there are very
    many. requests: the first that are sent. None is complete before `close`.
    """

    def __init__(self, prices: Prices, adapter: Adapter) -> None:
        self.whole = Estimate()
        self.models: dict[str, Estimate] = {}
        self.requests: list[HttpRequest] = []
        self._prices = prices
        self._dialect = adapter
        self._kind: _Kind | None = None
        self._times = 0

    def add(self, task: Task) -> bool:
        """Count a task; whether its price is known."""
        kind = self._kind
        # Rows that are alike share their parameters.
        if (
            kind is None
            or task.params is not kind.params
            or task.model != kind.model
            or task.inputs
        ):
            self.close()
            kind = self._kind = _Kind(task.model, task.params, self._one(task))
        self._times += 1
        if len(self.requests) < _FIRST_REQUESTS:
            self.requests += self._dialect.requests(task)[: _FIRST_REQUESTS - len(self.requests)]
        return not kind.one.unpriced

    def close(self) -> None:
        """Add up what was counted last."""
        kind, times = self._kind, self._times
        self._kind, self._times = None, 0
        if kind is None:
            return
        share = self.models.get(kind.model)
        if share is None:
            other = kind.model if len(self.models) < _REMEMBERED_MODELS else OTHER_MODELS
            share = self.models.setdefault(other, Estimate())
        share.add(kind.one, times)
        self.whole.add(kind.one, times)

    def _one(self, task: Task) -> Estimate:
        usd, images = self._prices.of(task), image_count(task)
        several = images > 1 or task.inputs
        requests = len(self._dialect.requests(task)) if several else 1
        return Estimate(1, requests, images, usd or 0.0, int(usd is None))
