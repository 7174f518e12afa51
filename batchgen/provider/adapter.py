"""How a job's requests are put to its provider, and what its replies cost."""

from collections.abc import Mapping

from msgspec import structs

from batchgen.job import Job
from batchgen.provider import catalog
from batchgen.provider.endpoints import ENDPOINTS, READERS_OF_TASKS, REMOTE, UPLOADERS
from batchgen.types import (
    Finished,
    HttpRequest,
    HttpResponse,
    Json,
    Pending,
    Polling,
    Task,
    Unusable,
)


class Adapter:
    """The endpoints as the job's provider has them: its paths, its models' limits and prices."""

    def __init__(self, job: Job) -> None:
        self._provider = job.provider
        self._asking = job.limits.polling
        self._splits = job.check
        self._token_prices = job.token_prices
        # Most jobs have one model.
        self._last: tuple[str, str, catalog.Model | None] = ("", "", None)

    def requests(self, task: Task) -> tuple[HttpRequest, ...]:
        """What is sent for a task, in this order: several where it wants more images than one
        request of its model makes, or where files are uploaded first.
        """
        model = self._model(task)
        whole = model is None or not self._splits
        parts = (task.params,) if whole or model is None else model.split(task.params)
        found = tuple(self._request(task, params, model) for params in parts)
        if task.inputs and task.endpoint in UPLOADERS:
            return (*UPLOADERS[task.endpoint].build_uploads(task), *found)
        return found

    def _request(
        self, task: Task, params: Mapping[str, Json], model: catalog.Model | None
    ) -> HttpRequest:
        part = task if params is task.params else structs.replace(task, params=params)
        words = (model.prompt.name,) if model and model.prompt else ()
        request = ENDPOINTS[task.endpoint].build_request(part, *words)
        path = self._path(task)
        if path is None or path == request.path:
            return request
        return structs.replace(request, path=path)

    def parse_upload(
        self, task: Task, request: HttpRequest, response: HttpResponse
    ) -> Finished | Unusable:
        """Read a 2xx reply to an upload; KeyError for a family without any."""
        return UPLOADERS[task.endpoint].parse_upload(request, response)

    def parse(self, task: Task, response: HttpResponse) -> Finished | Pending | Unusable:
        """Read a 2xx reply to one of them; tokens become money where their price is known."""
        found = _read(task, response)
        if not isinstance(found, Finished) or found.cost_usd is not None:
            return found
        own, model = self._token_prices.get(task.model), self._model(task)
        if own is not None:
            return structs.replace(found, cost_usd=own.usd(found.tokens))
        if model is None or found.tokens is None:
            return found
        return structs.replace(found, cost_usd=model.token_cost(found.tokens))

    def polling(self, task: Task) -> Polling | None:
        """When the provider is asked for the result of a task; None where its reply has it."""
        remote = REMOTE.get(task.endpoint)
        return None if remote is None else self._asking.applied_to(remote.POLLING)

    def poll(self, task: Task, remote_id: str) -> HttpRequest:
        """Ask how the remote job of a task stands; KeyError for a family without any."""
        remote = REMOTE[task.endpoint]
        return remote.build_poll(self._path(task) or remote.PATH, remote_id)

    def parse_poll(self, task: Task, response: HttpResponse) -> Finished | Pending | Unusable:
        """Read a 2xx reply to that."""
        return REMOTE[task.endpoint].parse_poll(response)

    def _path(self, task: Task) -> str | None:
        """Where the task's model answers; None where it is the family's usual path."""
        own = self._provider.paths.get(task.endpoint)
        model = None if own else self._model(task)
        return own or (model.path_for(task.params) if model else None)

    def _model(self, task: Task) -> catalog.Model | None:
        if self._last[:2] != (task.model, task.endpoint):
            model = catalog.find(task.model, self._provider.catalog)
            model = None if model is None else model.of_family(task.endpoint)
            self._last = (task.model, task.endpoint, model)
        return self._last[2]


def _read(task: Task, response: HttpResponse) -> Finished | Pending | Unusable:
    reader = READERS_OF_TASKS.get(task.endpoint)
    if reader is not None:
        return reader.parse_for(task, response)
    return ENDPOINTS[task.endpoint].parse_response(response)
