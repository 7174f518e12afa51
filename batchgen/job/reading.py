"""Reads a job: every bad key is told with its file and line."""

import os
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from batchgen.job import keys, template
from batchgen.job.canonical import UnstorableError, canonical, describe_value
from batchgen.job.keys import Place, Reading
from batchgen.job.limits import read_limits
from batchgen.job.money import read_budget, read_prices
from batchgen.job.providers import Wish, read_provider
from batchgen.job.rules import read_rules
from batchgen.job.template import MAX_NAME_BYTES
from batchgen.job.values import (
    DEFAULT_FILENAME,
    OWN_KEYS,
    Axis,
    Flags,
    Job,
    default_output,
    read_extras,
)
from batchgen.text import one_line
from batchgen.types import Json, Problem, RetrySettings


def read_job(
    values: Mapping[str, Json], lines: Mapping[Place, int], label: str, flags: Flags
) -> tuple[Job, list[Problem]]:
    """The checked job; what is wrong in the file comes back beside it, with file and line."""
    reading = Reading(label, lines)
    found: dict[str, Any] = reading.section(_sound(values, reading), keys.JOB)
    name = found.get("name") or stem(label)
    output: dict[str, Any] = reading.section(found.get("output"), keys.OUTPUT, ("output",))
    prices, token_prices = read_prices(found.get("prices"), reading)
    job = Job(
        name=name,
        provider=read_provider(
            found, Wish(flags.provider, flags.base_url, flags.api_key_env), reading
        ),
        output_dir=_output_dir(output.get("dir"), name, flags, reading),
        filename=_filename(output.get("filename"), reading),
        defaults=found.get("defaults") or {},
        overrides=_overrides(flags, reading),
        limits=read_limits(found.get("limits"), flags, reading),
        retry=_retry(found.get("retry"), flags, reading),
        matrix=_matrix(found.get("matrix") or {}, lines, reading),
        check=flags.check,
        require_price=flags.require_price,
        prices=prices,
        token_prices=token_prices,
        budget=read_budget(found.get("budget"), reading),
        extras=read_extras(output, reading),
    )
    return job, reading.problems


def _output_dir(given: str | None, name: str, flags: Flags, reading: Reading) -> Path:
    directory = _dated(
        flags.output or (Path(given) if given else default_output(name)), flags.today
    )
    for part in directory.parts:
        if len(os.fsencode(part)) > MAX_NAME_BYTES:
            told = f"the output directory's name {one_line(part, 60)!r} is over 255 bytes long"
            if flags.output:
                reading.refuse_flag("-o", told)
            else:
                reading.complain(("output", "dir") if given else ("name",), told)
    return directory


def _dated(directory: Path, today: date | None) -> Path:
    return Path(str(directory).replace("{date}", today.isoformat())) if today else directory


def _sound(values: Mapping[str, Json], reading: Reading) -> dict[str, Json]:
    """The keys whose values JSON and the ledger can hold; the others are told."""
    sound: dict[str, Json] = {}
    for key, value in values.items():
        try:
            canonical({key: value})
            sound[key] = value
        except UnstorableError as error:
            reading.complain((key,), str(error))
    return sound


def _filename(pattern: str | None, reading: Reading) -> str:
    if pattern is None:
        return DEFAULT_FILENAME
    try:
        template.names(pattern)
    except template.TemplateError as error:
        reading.complain(("output", "filename"), f"`output.filename`: {error}")
        return DEFAULT_FILENAME
    return pattern


def _overrides(flags: Flags, reading: Reading) -> dict[str, str]:
    given = {**flags.parameters, **({"model": flags.model} if flags.model else {})}
    for name, value in given.items():
        flag = f"--set {one_line(name, 60)}"
        if name in OWN_KEYS and name != "model":
            reading.refuse_flag(flag, "this is a row's own and no parameter of requests")
        try:
            canonical({name: value})
        except UnstorableError as error:
            reading.refuse_flag(flag, str(error))
    return given


def stem(label: str) -> str:
    """A file's name without its endings: `out/prompts.csv.gz` gives `prompts`."""
    name = Path(label).name.strip("<>")
    for _ in range(2):
        name = Path(name).stem or name
    return name or "job"


def _retry(value: Json, flags: Flags, reading: Reading) -> RetrySettings:
    found: dict[str, Any] = reading.section(value, keys.RETRY, ("retry",))
    backoff: dict[str, Any] = reading.section(
        found.get("backoff"), keys.BACKOFF, ("retry", "backoff")
    )
    given: dict[str, Any] = {
        "attempts": flags.attempts or found.get("attempts"),
        "initial_s": backoff.get("initial"),
        "max_s": backoff.get("max"),
        "jitter": backoff["jitter"] == "full" if "jitter" in backoff else None,
        "max_wait_s": found.get("max_wait"),
    }
    rules = read_rules(found.get("rules") or [], reading)
    return RetrySettings(
        **{name: value for name, value in given.items() if value is not None}, rules=rules
    )


def _matrix(
    value: Mapping[str, Json], lines: Mapping[Place, int], reading: Reading
) -> tuple[Axis, ...]:
    axes = []
    for name, values in value.items():
        place: Place = ("matrix", name)
        if name in OWN_KEYS and name != "model":
            reading.complain(place, f"`{name}` cannot be an axis: set it in each row")
        elif not isinstance(values, list) or not values:
            reading.complain(place, f"axis `{name}` is not a list of values such as [a, b]")
        elif (twice := _repeated(values)) is not None:
            reading.complain(place, f"axis `{name}` has {describe_value(values[twice])} twice")
        elif name == "model" and (wrong := [one for one in values if not _is_model(one)]):
            reading.complain(
                place, f"axis `model` has {describe_value(wrong[0])}, which is no model's id"
            )
        else:
            axes.append(Axis(name, tuple(values), lines.get(place, 1)))
    return tuple(axes)


def _is_model(value: Json) -> bool:
    """Whether an axis may have it: an id, or null for the model that the row has anyway."""
    return value is None or (isinstance(value, str) and value.strip() != "")


def _repeated(values: Sequence[Json]) -> int | None:
    """The place of the first value that stood before; None where all differ."""
    seen: set[bytes] = set()
    for index, value in enumerate(values):
        encoded = canonical(value)
        if encoded in seen:
            return index
        seen.add(encoded)
    return None
