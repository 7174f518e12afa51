"""A job's own prices, and the budget that it shares with other jobs."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from batchgen.job import keys
from batchgen.job.keys import SectionReader
from batchgen.types import Json, Tokens

_MAX_USD = 1e6


class Period(StrEnum):
    """The period of a budget; days and months are in UTC."""

    DAY = "day"
    MONTH = "month"
    TOTAL = "total"


class SharedBudgetSettings(msgspec.Struct, frozen=True):
    """The US dollars that all jobs with the same budget file may spend in a period."""

    usd: float
    per: Period
    path: Path


def read_budget(value: Json, reader: SectionReader) -> SharedBudgetSettings | None:
    """Return the budget of a job file, if any; problems are added to `reader`."""
    if value is None:
        return None
    section: dict[str, Any] = reader.section(value, keys.BUDGET, ("budget",))
    missing = [key for key in ("usd", "ledger") if key not in section]
    if missing:
        reader.add_problem(
            ("budget",),
            f"`budget` needs `{missing[0]}`, as in {{usd: 50, per: day, ledger: spend.sqlite3}}",
        )
        return None
    path = Path(section["ledger"]).expanduser()
    return SharedBudgetSettings(section["usd"], Period(section.get("per", Period.TOTAL)), path)


class TokenPrices(msgspec.Struct, frozen=True):
    """US dollars per million input tokens and per million output tokens."""

    input: float
    output: float

    def usd(self, tokens: Tokens | None) -> float | None:
        """Return the cost of tokens in US dollars; None if the tokens are unknown."""
        if tokens is None:
            return None
        inputs = tokens.text_input + tokens.image_input
        return (inputs * self.input + tokens.output * self.output) / 1_000_000


def read_prices(
    value: Mapping[str, Json] | None, reader: SectionReader
) -> tuple[dict[str, float], dict[str, TokenPrices]]:
    """Return by model: US dollars per result, and US dollars per million tokens."""
    prices: dict[str, float] = {}
    of_tokens: dict[str, TokenPrices] = {}
    for model, price in (value or {}).items():
        tokens = _of_tokens(price)
        if tokens is not None:
            of_tokens[model] = tokens
        elif (usd := _usd(price)) is not None:
            prices[model] = usd
        else:
            reader.add_problem(
                ("prices", model),
                f"`prices.{model}`: {price!r:.60} is neither US dollars per result such as 0.04,"
                " nor per million tokens such as {input: 2.50, output: 10.00}",
            )
    return prices, of_tokens


def _of_tokens(value: Json) -> TokenPrices | None:
    if not isinstance(value, dict) or not {"input"} <= value.keys() <= {"input", "output"}:
        return None
    inputs, outputs = _usd(value["input"]), _usd(value.get("output", 0))
    return None if inputs is None or outputs is None else TokenPrices(inputs, outputs)


def _usd(value: Json) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if 0 <= value < _MAX_USD else None


class Variant(msgspec.Struct, frozen=True):
    """US dollars per image if the parameters in `when` have these values."""

    when: tuple[tuple[str, str], ...]
    usd: float


class Quote(msgspec.Struct, frozen=True):
    """The price of a model's images; the first matching variant counts."""

    variants: tuple[Variant, ...]

    def usd(self, params: Mapping[str, Json]) -> float | None:
        """Return US dollars per image with these parameters; None if no variant matches."""
        for variant in self.variants:
            if all(condition_text(params.get(name)) == value for name, value in variant.when):
                return variant.usd
        return None


def condition_text(value: Json) -> str:
    """Return a parameter's value for comparison with price conditions: text in lower case."""
    return str(value).casefold()
