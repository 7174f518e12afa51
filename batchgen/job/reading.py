"""Read a job file and flags into a `Job`; report every invalid key with file and line."""

import os
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from batchgen.job import keys, template
from batchgen.job.canonical import UnstorableError, canonical, describe_value
from batchgen.job.keys import KeyPath, SectionReader
from batchgen.job.limits import read_limits
from batchgen.job.money import read_budget, read_prices
from batchgen.job.providers import ProviderFlags, read_provider
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
from batchgen.text import one_line, readable
from batchgen.types import Json, Problem, RetrySettings


def read_job(
    values: Mapping[str, Json], lines: Mapping[KeyPath, int], label: str, flags: Flags
) -> tuple[Job, list[Problem]]:
    """Return the checked job, and the problems in the file and flags, with file and line."""
    reader = SectionReader(label, lines)
    section: dict[str, Any] = reader.section(_storable(values, reader), keys.JOB)
    name = section.get("name") or stem(label)
    output: dict[str, Any] = reader.section(section.get("output"), keys.OUTPUT, ("output",))
    prices, token_prices = read_prices(section.get("prices"), reader)
    job = Job(
        name=name,
        provider=read_provider(
            section, ProviderFlags(flags.provider, flags.base_url, flags.api_key_env), reader
        ),
        output_dir=_output_dir(output.get("dir"), name, flags, reader),
        filename=_filename(output.get("filename"), reader),
        defaults=section.get("defaults") or {},
        overrides=_overrides(flags, reader),
        limits=read_limits(section.get("limits"), flags, reader),
        retry=_retry(section.get("retry"), flags, reader),
        matrix=_matrix(section.get("matrix") or {}, lines, reader),
        check=flags.check,
        require_price=flags.require_price,
        prices=prices,
        token_prices=token_prices,
        budget=read_budget(section.get("budget"), reader),
        extras=read_extras(output, reader),
    )
    return job, reader.problems


def _output_dir(from_file: str | None, name: str, flags: Flags, reader: SectionReader) -> Path:
    directory = _dated(
        flags.output or (Path(from_file) if from_file else default_output(name)), flags.today
    )
    for part in directory.parts:
        if len(os.fsencode(part)) > MAX_NAME_BYTES:
            message = f"the output directory's name {one_line(part, 60)!r} is over 255 bytes long"
            if flags.output:
                reader.add_flag_problem("-o", message)
            else:
                reader.add_problem(("output", "dir") if from_file else ("name",), message)
    return directory


def _dated(directory: Path, today: date | None) -> Path:
    return Path(str(directory).replace("{date}", today.isoformat())) if today else directory


def _storable(values: Mapping[str, Json], reader: SectionReader) -> dict[str, Json]:
    """Return the keys whose values JSON and the ledger can store; report the others."""
    storable: dict[str, Json] = {}
    for key, value in values.items():
        try:
            canonical({key: value})
            storable[key] = value
        except UnstorableError as error:
            reader.add_problem((key,), str(error))
    return storable


def _filename(pattern: str | None, reader: SectionReader) -> str:
    if pattern is None:
        return DEFAULT_FILENAME
    try:
        template.names(pattern)
    except template.TemplateError as error:
        reader.add_problem(("output", "filename"), f"`output.filename`: {error}")
        return DEFAULT_FILENAME
    return pattern


def _overrides(flags: Flags, reader: SectionReader) -> dict[str, str]:
    overrides = {**flags.parameters, **({"model": flags.model} if flags.model else {})}
    for name, value in overrides.items():
        flag = f"--set {one_line(name, 60)}"
        if name in OWN_KEYS and name != "model":
            reader.add_flag_problem(
                flag, "this key belongs to a row and is not a request parameter"
            )
        try:
            canonical({name: value})
        except UnstorableError as error:
            reader.add_flag_problem(flag, str(error))
    return overrides


def stem(label: str) -> str:
    """Return a file's name without its extensions: `out/prompts.csv.gz` gives `prompts`."""
    name = Path(label).name.strip("<>")
    for _ in range(2):
        name = Path(name).stem or name
    return readable(name) or "job"


def _retry(value: Json, flags: Flags, reader: SectionReader) -> RetrySettings:
    section: dict[str, Any] = reader.section(value, keys.RETRY, ("retry",))
    backoff: dict[str, Any] = reader.section(
        section.get("backoff"), keys.BACKOFF, ("retry", "backoff")
    )
    settings: dict[str, Any] = {
        "attempts": flags.attempts or section.get("attempts"),
        "initial_s": backoff.get("initial"),
        "max_s": backoff.get("max"),
        "jitter": backoff["jitter"] == "full" if "jitter" in backoff else None,
        "max_wait_s": section.get("max_wait"),
    }
    rules = read_rules(section.get("rules") or [], reader)
    return RetrySettings(
        **{name: value for name, value in settings.items() if value is not None}, rules=rules
    )


def _matrix(
    value: Mapping[str, Json], lines: Mapping[KeyPath, int], reader: SectionReader
) -> tuple[Axis, ...]:
    axes = []
    for name, values in value.items():
        path: KeyPath = ("matrix", name)
        if name in OWN_KEYS and name != "model":
            reader.add_problem(path, f"`{name}` cannot be an axis: set it in each row")
        elif not isinstance(values, list) or not values:
            reader.add_problem(path, f"axis `{name}` is not a list of values such as [a, b]")
        elif (repeated := _repeated(values)) is not None:
            reader.add_problem(path, f"axis `{name}` has {describe_value(values[repeated])} twice")
        elif name == "model" and (invalid := [value for value in values if not _is_model(value)]):
            reader.add_problem(
                path, f"axis `model` has {describe_value(invalid[0])}, which is not a model id"
            )
        else:
            axes.append(Axis(name, tuple(values), lines.get(path, 1)))
    return tuple(axes)


def _is_model(value: Json) -> bool:
    """Return whether a `model` axis may have this value: an id, or null for the row's own model."""
    return value is None or (isinstance(value, str) and value.strip() != "")


def _repeated(values: Sequence[Json]) -> int | None:
    """Return the index of the first repeated value; None if all are different."""
    earlier: set[bytes] = set()
    for index, value in enumerate(values):
        encoded = canonical(value)
        if encoded in earlier:
            return index
        earlier.add(encoded)
    return None
