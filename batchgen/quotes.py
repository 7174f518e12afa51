"""Prices as the provider tells them: `GET /v1/models?include=pricing`. Pure.

FACTS section 7: `pricing` is `fixed` (units with a price), `variants` (a price for values of
parameters) or `variable` (no price can be told). A price is always for `per` units.
"""

import math
from collections.abc import Iterator

from batchgen.job.money import Quote, Variant, condition_text
from batchgen.types import Json

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
