"""What a job and the command line come to, as frozen values."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from batchgen.job import keys
from batchgen.job.keys import Reading
from batchgen.job.limits import Limits
from batchgen.job.money import Quote, SharedBudgetSettings, TokenPrices
from batchgen.job.providers import Provider
from batchgen.types import Json, RetrySettings


class Conversion(msgspec.Struct, frozen=True):
    """A smaller copy of each picture; max_side: of the longer side, in pixels."""

    format: str
    quality: int = 85
    max_side: int | None = None


class Extras(msgspec.Struct, frozen=True):
    """What goes along with each artifact.

    embed_metadata: its story is in its own metadata. sidecar: a JSON file stands beside it.
    """

    embed_metadata: bool = False
    sidecar: bool = False
    convert: Conversion | None = None


def read_extras(output: Mapping[str, Any], reading: Reading) -> Extras:
    """What the `output` section asks for; what is wrong is noted in `reading`."""
    return Extras(
        embed_metadata=bool(output.get("embed_metadata")),
        sidecar=bool(output.get("sidecar")),
        convert=_conversion(output, reading),
    )


def _conversion(output: Mapping[str, Any], reading: Reading) -> Conversion | None:
    if output.get("convert") is None:
        return None
    place = ("output", "convert")
    found: dict[str, Any] = reading.section(output["convert"], keys.CONVERT, place)
    if "format" not in found:
        if "format" in output["convert"]:
            return None  # what is wrong with it is told already
        reading.complain(place, "`output.convert` needs a `format`: webp, jpeg, png or avif")
        return None
    return Conversion(**found)


DEFAULT_FILENAME = "{id}-{n}.{ext}"
OWN_KEYS = frozenset({"id", "prompt", "model", "filename", "vars", "repeat"})  # of a row


def default_output(name: str) -> Path:
    """Where the results of a job go that names no output directory."""
    return Path("out") / name


class Axis(msgspec.Struct, frozen=True):
    """An axis of the matrix, with the line it stands on."""

    name: str
    values: tuple[Json, ...]
    line: int


class Job(msgspec.Struct, frozen=True):
    """Everything that a run needs to know besides the rows.

    overrides: parameters (and `model`) set by flags, as text; they beat every row.
    check: whether models' limits are checked before anything is sent.
    prices: US dollars for an image, by model, where nobody else is to be asked.
    token_prices: those of models that are charged by tokens, which are counted afterwards.
    quotes: what the provider says, by model, where it was asked.
    require_price: whether a task without a known price is an error.
    """

    name: str
    provider: Provider
    output_dir: Path
    filename: str = DEFAULT_FILENAME
    defaults: Mapping[str, Json] = msgspec.field(default_factory=dict)
    overrides: Mapping[str, str] = msgspec.field(default_factory=dict)
    limits: Limits = msgspec.field(default_factory=Limits)
    retry: RetrySettings = msgspec.field(default_factory=RetrySettings)
    matrix: tuple[Axis, ...] = ()
    check: bool = True
    prices: Mapping[str, float] = msgspec.field(default_factory=dict)
    token_prices: Mapping[str, TokenPrices] = msgspec.field(default_factory=dict)
    quotes: Mapping[str, Quote] = msgspec.field(default_factory=dict)
    require_price: bool = False
    budget: SharedBudgetSettings | None = None
    extras: Extras = msgspec.field(default_factory=Extras)

    def has_default_output(self) -> bool:
        """Whether the output directory is the one that the job's name gives."""
        return self.output_dir == default_output(self.name)


class Flags(msgspec.Struct, frozen=True):
    """What the command line sets of a job; None is not given.

    today: what `{date}` in the output directory stands for.
    """

    output: Path | None = None
    provider: str | None = None
    base_url: str | None = None
    api_key_env: str | None = None
    model: str | None = None
    parameters: Mapping[str, str] = msgspec.field(default_factory=dict)
    concurrency: int | None = None
    rpm: float | None = None
    attempts: int | None = None
    timeout_s: float | None = None
    max_cost_usd: float | None = None
    max_requests: int | None = None
    deadline_s: float | None = None
    drain_timeout_s: float | None = None
    max_tasks: int | None = None
    today: date | None = None
    allow_files: tuple[Path, ...] = ()
    check: bool = True
    require_price: bool = False
