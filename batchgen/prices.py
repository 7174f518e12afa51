"""What a task's request costs, as far as anybody knows: the job, the provider, the catalogue."""

from batchgen import catalog
from batchgen.catalog.translate import COUNT_KEYS
from batchgen.job import Job
from batchgen.types import Task

_MOST_IMAGES = 1000  # beyond what any model makes in a request


class Prices:
    """Prices in US dollars: those of the job before the provider's own, the catalogue's last."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._catalog = job.provider.catalog
        self._last: tuple[str, object, float | None] = ("", None, None)

    def of(self, task: Task) -> float | None:
        """The price of one generation; None where it is unknown."""
        model, params, usd = self._last  # equal requests share their parameters
        if task.params is not params or task.model != model:
            usd = self._priced(task)
            self._last = (task.model, task.params, usd)
        return usd

    def _priced(self, task: Task) -> float | None:
        own = self._job.prices.get(task.model)
        quote = self._job.quotes.get(task.model)
        if own is None and quote is not None:
            own = quote.usd(task.params)
        return self._catalogued(task) if own is None else own * images_of(task)

    def _catalogued(self, task: Task) -> float | None:
        model = catalog.find(task.model, self._catalog)
        try:
            return None if model is None else model.of_family(task.endpoint).price(task.params)
        except OverflowError:  # a count of hundreds of digits that nobody checked
            return None


def images_of(task: Task) -> int:
    """How many images a request asks for; a count that cannot be one is one."""
    for key in COUNT_KEYS:
        count = task.params.get(key)
        if isinstance(count, int) and 1 <= count <= _MOST_IMAGES:
            return count
    return 1
