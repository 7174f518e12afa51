"""What a job says of money: its own prices, and a budget that it shares with other jobs."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from batchgen import settings as keys
from batchgen.settings import Reading
from batchgen.types import Json

_MOST = 1e6


class Period(StrEnum):
    """For how long a budget is; days and months are those of UTC."""

    DAY = "day"
    MONTH = "month"
    TOTAL = "total"


@dataclass(frozen=True, slots=True)
class SharedBudget:
    """What all jobs that name the same file may spend together in a period (USD)."""

    usd: float
    per: Period
    path: Path


def read_budget(value: Json, reading: Reading) -> SharedBudget | None:
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
    return SharedBudget(found["usd"], Period(found.get("per", Period.TOTAL)), path)


def read_prices(value: Mapping[str, Json] | None, reading: Reading) -> dict[str, float]:
    """US dollars for an image, by model; what is wrong is noted in `reading`."""
    prices: dict[str, float] = {}
    for model, price in (value or {}).items():
        if isinstance(price, int | float) and not isinstance(price, bool) and 0 <= price < _MOST:
            prices[model] = float(price)
        else:
            reading.complain(
                ("prices", model),
                f"`prices.{model}`: {price!r:.60} is not US dollars for an image such as 0.04",
            )
    return prices
