"""The adapter between a job's tasks and its provider: requests, replies, polls, costs."""

from collections.abc import Mapping
from functools import partial

from msgspec import structs

from batchgen.job import Job
from batchgen.provider import catalog, gateway_jobs
from batchgen.provider.endpoints import ENDPOINTS, REMOTE, TASK_READERS, UPLOADERS
from batchgen.provider.file_count import limit_files
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
    """The endpoints with the paths, model limits and token prices of one job's provider."""

    def __init__(self, job: Job) -> None:
        self._provider = job.provider
        self._polling = job.limits.polling
        self._splits_counts = job.check
        self._token_prices = job.token_prices
        # Most jobs have one model.
        self._last: tuple[str, str, catalog.Model | None] = ("", "", None)

    def requests(self, task: Task) -> tuple[HttpRequest, ...]:
        """Return the requests of a task, in the order in which they are sent.

        There are several if the task wants more images than the model makes per request, or if
        files are uploaded first.
        """
        model = self._model(task)
        parts = model.split(task.params) if model and self._splits_counts else (task.params,)
        requests = tuple(self._request(task, params, model) for params in parts)
        if task.inputs and task.endpoint in UPLOADERS:
            return (*UPLOADERS[task.endpoint].build_uploads(task), *requests)
        return requests

    def _request(
        self, task: Task, params: Mapping[str, Json], model: catalog.Model | None
    ) -> HttpRequest:
        part = task if params is task.params else structs.replace(task, params=params)
        prompt_name = (model.prompt.name,) if model and model.prompt else ()
        request = ENDPOINTS[task.endpoint].build_request(part, *prompt_name)
        path = self._path(task)
        if path is None or path == request.path:
            return request
        return structs.replace(request, path=path)

    def parse_upload(
        self, task: Task, request: HttpRequest, response: HttpResponse
    ) -> Finished | Unusable:
        """Read a 2xx reply to an upload. Raise KeyError for a family without uploads."""
        return UPLOADERS[task.endpoint].parse_upload(request, response)

    def parse(self, task: Task, response: HttpResponse) -> Finished | Pending | Unusable:
        """Read a 2xx reply to a task's request; compute the cost from tokens if it has none."""
        result = limit_files(task, _read(task, response))
        if isinstance(result, Unusable) and (job := self._find_job(result, response)):
            return job
        if not isinstance(result, Finished) or result.cost_usd is not None:
            return result
        job_price, model = self._token_prices.get(task.model), self._model(task)
        if job_price is not None:
            return structs.replace(result, cost_usd=job_price.usd(result.tokens))
        if model is None or result.tokens is None:
            return result
        return structs.replace(result, cost_usd=model.token_cost(result.tokens))

    def polling(self, task: Task) -> Polling | None:
        """Return the polling intervals of a task; None if its reply contains the result."""
        if self._provider.jobs is not None:
            return self._polling.applied_to(gateway_jobs.POLLING)
        remote = REMOTE.get(task.endpoint)
        return None if remote is None else self._polling.applied_to(remote.POLLING)

    def poll(self, task: Task, remote_id: str) -> HttpRequest:
        """Return the request for the state of a remote job.

        Raise KeyError for a family without remote jobs.
        """
        if self._provider.jobs is not None:
            return gateway_jobs.build_poll(self._provider.jobs, remote_id)
        remote = REMOTE[task.endpoint]
        return remote.build_poll(self._path(task) or remote.PATH, remote_id)

    def parse_poll(self, task: Task, response: HttpResponse) -> Finished | Pending | Unusable:
        """Read a 2xx reply to a poll. Raise KeyError for a family without remote jobs."""
        jobs = self._provider.jobs
        if jobs is not None:
            result = gateway_jobs.parse_poll(jobs, response, partial(_read, task))
        else:
            result = REMOTE[task.endpoint].parse_poll(response)
        return limit_files(task, result)

    def _find_job(self, result: Unusable, response: HttpResponse) -> Pending | None:
        """Return the job that a reply without a result names, if the provider has such jobs."""
        jobs = self._provider.jobs
        if jobs is None or result.kind != "bad_response":
            return None
        return gateway_jobs.find_job(jobs, response, self._provider.base_url)

    def _path(self, task: Task) -> str | None:
        """Return the path of the task's model; None for the family's default path."""
        path = self._provider.paths.get(task.endpoint)
        model = None if path else self._model(task)
        return path or (model.path_for(task.params) if model else None)

    def _model(self, task: Task) -> catalog.Model | None:
        if self._last[:2] != (task.model, task.endpoint):
            model = catalog.find(task.model, self._provider.catalog)
            model = None if model is None else model.for_family(task.endpoint)
            self._last = (task.model, task.endpoint, model)
        return self._last[2]


def _read(task: Task, response: HttpResponse) -> Finished | Pending | Unusable:
    reader = TASK_READERS.get(task.endpoint)
    if reader is not None:
        return reader.parse_for_task(task, response)
    return ENDPOINTS[task.endpoint].parse_response(response)
