"""How a job's requests are put to its provider, and what its replies cost."""

from dataclasses import replace

from msgspec import structs

from batchgen import catalog
from batchgen.endpoints import ENDPOINTS
from batchgen.job import Job
from batchgen.types import Finished, HttpRequest, HttpResponse, Pending, Task, Unusable


class Dialect:
    """The endpoints as the job's provider has them: its paths, its models' limits and prices."""

    def __init__(self, job: Job) -> None:
        self._provider = job.provider
        self._splits = job.check
        # Most jobs have one model.
        self._last: tuple[str, str, catalog.Model | None] = ("", "", None)

    def requests(self, task: Task) -> tuple[HttpRequest, ...]:
        """What is sent for a task, in this order: several where it wants more images than one
        request of its model makes.
        """
        model = self._model(task)
        whole = model is None or not self._splits
        parts = (task.params,) if whole or model is None else model.split(task.params)
        build = ENDPOINTS[task.endpoint].build_request
        path = self._provider.paths.get(task.endpoint)
        requests = (build(structs.replace(task, params=params)) for params in parts)
        return tuple(replace(one, path=path) if path else one for one in requests)

    def parse(self, task: Task, response: HttpResponse) -> Finished | Pending | Unusable:
        """Read a 2xx reply to one of them; tokens become money where their price is known."""
        found = ENDPOINTS[task.endpoint].parse_response(response)
        model = self._model(task)
        if not isinstance(found, Finished) or found.cost_usd is not None or model is None:
            return found
        return replace(found, cost_usd=model.token_cost(found.tokens))

    def _model(self, task: Task) -> catalog.Model | None:
        if self._last[:2] != (task.model, task.endpoint):
            model = catalog.find(task.model, self._provider.catalog)
            model = None if model is None else model.of_family(task.endpoint)
            self._last = (task.model, task.endpoint, model)
        return self._last[2]
