"""What a task's request costs, as far as anybody knows: the job, the provider, the catalogue."""

import math
from collections.abc import Iterator

from batchgen.job import Job
from batchgen.job.money import Quote, Variant, condition_text
from batchgen.provider import catalog
from batchgen.provider.catalog.translate import COUNT_KEYS
from batchgen.types import Json, Task

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
        return self._catalogued(task) if own is None else own * image_count(task)

    def _catalogued(self, task: Task) -> float | None:
        model = catalog.find(task.model, self._catalog)
        try:
            return None if model is None else model.for_family(task.endpoint).price(task.params)
        except OverflowError:  # a count of hundreds of digits that nobody checked
            return None


def image_count(task: Task) -> int:
    """How many images a request asks for; a count that cannot be one is one."""
    for key in COUNT_KEYS:
        count = task.params.get(key)
        if isinstance(count, int) and 1 <= count <= _MOST_IMAGES:
            return count
    return 1


PATH = "/v1/models?include=pricing"


def read_quotes(body: Json) -> dict[str, Quote]:
    """The quotes of a list of models by id and alias; what cannot be read is left out."""
    models = body.get("data") if isinstance(body, dict) else None
    quotes: dict[str, Quote] = {}
    for model in models if isinstance(models, list) else []:
        if isinstance(model, dict) and (variants := tuple(_variants(model.get("pricing")))):
            aliases = model.get("aliases")
            for name in (model.get("id"), *(aliases if isinstance(aliases, list) else ())):
                if isinstance(name, str):
                    quotes[name] = Quote(variants)
    return quotes


def _variants(pricing: Json) -> Iterator[Variant]:
    if not isinstance(pricing, dict):
        return
    match pricing.get("kind"):
        case "fixed":
            units = pricing.get("units")
            # Several units (input and output tokens) add up to no price of an image.
            if isinstance(units, list) and len(units) == 1:
                yield from _variant(units[0])
        case "variants":
            found = pricing.get("variants")
            for one in found if isinstance(found, list) else []:
                yield from _variant(one)


def _variant(value: Json) -> Iterator[Variant]:
    """A variant, unless its unit is not the image or its price is none."""
    if not isinstance(value, dict):
        return
    words = (value.get("unit"), value.get("name"), value.get("measure"))
    price, per = _amount(value.get("price")), _amount(value.get("per", 1))
    when = value.get("when", {})
    of_images = any("image" in str(word).casefold() for word in words)
    if of_images and price is not None and per and isinstance(when, dict):
        conditions = tuple((name, condition_text(one)) for name, one in when.items())
        yield Variant(conditions, price / per)


def _amount(value: Json) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None
