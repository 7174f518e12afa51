"""The price of a task: from the job, the provider's price list, or the catalogue."""

import math
from collections.abc import Iterator

from batchgen.job import Job
from batchgen.job.money import Quote, Variant, condition_text
from batchgen.provider import catalog
from batchgen.provider.catalog.translate import COUNT_KEYS
from batchgen.types import Json, Task

QUOTES_PATH = "/v1/models?include=pricing"
_MAX_IMAGES = 1000  # more than any model makes in one request


class Prices:
    """Prices in USD: the job's own first, then the provider's, then the catalogue's."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._catalog = job.provider.catalog
        self._last: tuple[str, object, float | None] = ("", None, None)

    def of(self, task: Task) -> float | None:
        """Return the price of one generation in USD; None if it is unknown."""
        model, params, usd = self._last  # equal requests share their parameters
        if task.params is not params or task.model != model:
            usd = self._price(task)
            self._last = (task.model, task.params, usd)
        return usd

    def _price(self, task: Task) -> float | None:
        per_image = self._job.prices.get(task.model)
        quote = self._job.quotes.get(task.model)
        if per_image is None and quote is not None:
            per_image = quote.usd(task.params)
        return self._catalog_price(task) if per_image is None else per_image * image_count(task)

    def _catalog_price(self, task: Task) -> float | None:
        model = catalog.find(task.model, self._catalog)
        try:
            return None if model is None else model.for_family(task.endpoint).price(task.params)
        except OverflowError:  # an unchecked count of hundreds of digits
            return None


def image_count(task: Task) -> int:
    """Return how many images a task asks for; 1 if its count is missing or impossible."""
    for key in COUNT_KEYS:
        count = task.params.get(key)
        if isinstance(count, int) and 1 <= count <= _MAX_IMAGES:
            return count
    return 1


def read_quotes(body: Json) -> dict[str, Quote]:
    """Return the image prices of a list of models by id and alias; skip what cannot be read."""
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
            # The sum of several units (input and output tokens) is not the price of an image.
            if isinstance(units, list) and len(units) == 1:
                yield from _variant(units[0])
        case "variants":
            variants = pricing.get("variants")
            for variant in variants if isinstance(variants, list) else []:
                yield from _variant(variant)


def _variant(value: Json) -> Iterator[Variant]:
    """Yield the variant if its unit is the image and it has a price."""
    if not isinstance(value, dict):
        return
    unit_names = (value.get("unit"), value.get("name"), value.get("measure"))
    price, per = _amount(value.get("price")), _amount(value.get("per", 1))
    when = value.get("when", {})
    is_per_image = any("image" in str(name).casefold() for name in unit_names)
    if is_per_image and price is not None and per and isinstance(when, dict):
        conditions = tuple((name, condition_text(wanted)) for name, wanted in when.items())
        yield Variant(conditions, price / per)


def _amount(value: Json) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None
