"""A checked job, and the flags of the command that change it, as frozen values."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from batchgen.job import keys
from batchgen.job.keys import SectionReader
from batchgen.job.limits import Limits
from batchgen.job.money import Quote, SharedBudgetSettings, TokenPrices
from batchgen.job.providers import Provider
from batchgen.types import Json, RetrySettings


class Conversion(msgspec.Struct, frozen=True):
    """Settings of the smaller copy of each image; max_side: of the longer side, in pixels."""

    format: str
    quality: int = 85
    max_side: int | None = None


class Extras(msgspec.Struct, frozen=True):
    """What is written in addition to each artifact.

    embed_metadata: metadata in the image itself. sidecar: a JSON file beside it.
    """

    embed_metadata: bool = False
    sidecar: bool = False
    convert: Conversion | None = None


def read_extras(output: Mapping[str, Any], reader: SectionReader) -> Extras:
    """Return the extras of the `output` section; problems are added to `reader`."""
    return Extras(
        embed_metadata=bool(output.get("embed_metadata")),
        sidecar=bool(output.get("sidecar")),
        convert=_conversion(output, reader),
    )


def _conversion(output: Mapping[str, Any], reader: SectionReader) -> Conversion | None:
    if output.get("convert") is None:
        return None
    path = ("output", "convert")
    section: dict[str, Any] = reader.section(output["convert"], keys.CONVERT, path)
    if "format" not in section:
        if "format" in output["convert"]:
            return None  # the problem is reported already
        reader.add_problem(path, "`output.convert` needs a `format`: webp, jpeg, png or avif")
        return None
    return Conversion(**section)


DEFAULT_FILENAME = "{id}-{n}.{ext}"
OWN_KEYS = frozenset({"id", "prompt", "model", "filename", "vars", "repeat"})  # of a row


def default_output(name: str) -> Path:
    """Return the output directory of a job that does not set one."""
    return Path("out") / name


class Axis(msgspec.Struct, frozen=True):
    """An axis of the matrix, with its line in the job file."""

    name: str
    values: tuple[Json, ...]
    line: int


class Job(msgspec.Struct, frozen=True):
    """Everything that a run needs besides the rows.

    overrides: parameters (and `model`) set by flags, as text; they replace those of every row.
    check: whether parameters are checked against the models' limits before anything is sent.
    prices: US dollars per result, by model; they replace those of the catalogue.
    token_prices: of models that are charged by tokens, which are counted afterwards.
    quotes: the provider's own prices, by model, if they were requested.
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
        """Return whether the output directory is the default for the job's name."""
        return self.output_dir == default_output(self.name)


class Flags(msgspec.Struct, frozen=True):
    """Settings of a job from the command line; None if not given.

    today: the date that replaces `{date}` in the output directory.
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
