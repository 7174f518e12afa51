"""What a job says of money: its own prices, and a budget that it shares with other jobs."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from batchgen.job import keys
from batchgen.job.keys import Reading
from batchgen.types import Json, Tokens

_MOST = 1e6


class Period(StrEnum):
    """For how long a budget is; days and months are those of UTC."""

    DAY = "day"
    MONTH = "month"
    TOTAL = "total"


class SharedBudgetSettings(msgspec.Struct, frozen=True):
    """What all jobs that name the same file may spend together in a period (USD)."""

    usd: float
    per: Period
    path: Path


def read_budget(value: Json, reading: Reading) -> SharedBudgetSettings | None:
    """The budget of a job file; what is wrong is noted in `reading`."""
    if value is None:
        return None
    found: dict[str, Any] = reading.section(value, keys.BUDGET, ("budget",))
    missing = [key for key in ("usd", "ledger") if key not in found]
    if missing:
        reading.complain(
            ("budget",),
            f"`budget` needs `{missing[0]}`, as in {{usd: 50, per: day, ledger: spend.sqlite3}}",
        )
        return None
    path = Path(found["ledger"]).expanduser()
    return SharedBudgetSettings(found["usd"], Period(found.get("per", Period.TOTAL)), path)


class TokenPrices(msgspec.Struct, frozen=True):
    """US dollars for a million tokens that a model reads, and that it writes."""

    input: float
    output: float

    def usd(self, tokens: Tokens | None) -> float | None:
        """What counted tokens cost; None where nobody counted them."""
        if tokens is None:
            return None
        read = tokens.text_input + tokens.image_input
        return (read * self.input + tokens.output * self.output) / 1_000_000


def read_prices(
    value: Mapping[str, Json] | None, reading: Reading
) -> tuple[dict[str, float], dict[str, TokenPrices]]:
    """By model: US dollars for an image or the like, or for a million tokens of either kind."""
    prices: dict[str, float] = {}
    of_tokens: dict[str, TokenPrices] = {}
    for model, price in (value or {}).items():
        tokens = _of_tokens(price)
        if tokens is not None:
            of_tokens[model] = tokens
        elif (usd := _usd(price)) is not None:
            prices[model] = usd
        else:
            reading.complain(
                ("prices", model),
                f"`prices.{model}`: {price!r:.60} is not US dollars for an image such as 0.04,"
                " nor for a million tokens such as {input: 2.50, output: 10.00}",
            )
    return prices, of_tokens


def _of_tokens(value: Json) -> TokenPrices | None:
    if not isinstance(value, dict) or not {"input"} <= value.keys() <= {"input", "output"}:
        return None
    read, written = _usd(value["input"]), _usd(value.get("output", 0))
    return None if read is None or written is None else TokenPrices(read, written)


def _usd(value: Json) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if 0 <= value < _MOST else None


class Variant(msgspec.Struct, frozen=True):
    """US dollars for an image where the parameters in `when` have these values."""

    when: tuple[tuple[str, str], ...]
    usd: float


class Quote(msgspec.Struct, frozen=True):
    """What an image of a model costs; the first variant that fits counts."""

    variants: tuple[Variant, ...]

    def usd(self, params: Mapping[str, Json]) -> float | None:
        """US dollars for an image with these parameters; None where no variant fits."""
        for variant in self.variants:
            if all(condition_text(params.get(name)) == value for name, value in variant.when):
                return variant.usd
        return None


def condition_text(value: Json) -> str:
    """Return a parameter's value as conditions of prices compare it: as text, in lower case."""
    return str(value).casefold()
