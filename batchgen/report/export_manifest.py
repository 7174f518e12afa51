"""The results as a manifest: a YAML job with rows to edit and to run again."""

from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

import yaml

from batchgen.text import one_line
from batchgen.types import Json, Record

_MESSAGE_WIDTH = 200
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def write_manifest(
    records: Iterable[Record], file: BinaryIO, *, name: str, provider: str | None
) -> None:
    """Write a job whose rows are these tasks as they were sent.

    It gets its own name and so its own output directory: the original job keeps all of its rows.
    provider: None if the ledger does not have it.
    """
    head: dict[str, Json] = {"name": name}
    if provider is not None:
        head["provider"] = provider
    file.write(_yaml(head))
    file.write(b"# Copy limits, retry rules and your own `providers:` from the job file.\n")
    file.write(b"prompts:\n")
    empty = True
    for record in records:
        empty = False
        file.write(_comment(record).encode("utf-8", "backslashreplace"))
        file.write(_indented(_yaml([_row(record)])))
    if empty:
        file.write(b"  []\n")


def _comment(record: Record) -> str:
    outcome = record.outcome
    http = f", HTTP {outcome.http_status}" if outcome.http_status else ""
    error = f": {outcome.error.kind}{http}: {outcome.error.message}" if outcome.error else ""
    return f"  # {one_line(f'{outcome.status}{error}', _MESSAGE_WIDTH)}\n"


def _row(record: Record) -> dict[str, Json]:
    task = record.task
    row: dict[str, Json] = {"id": _literal(task.id), "model": task.model}
    if task.prompt:
        row["prompt"] = _literal(task.prompt)
    row |= {name: _literal(value) for name, value in task.params.items()}
    if task.vars:
        row["vars"] = dict(task.vars)
    return row


def _literal(value: Json) -> Json:
    """Double the braces of texts, so that they are no templates; mappings have no templates."""
    if isinstance(value, list):
        return [_literal(item) for item in value]
    return value.replace("{", "{{").replace("}", "}}") if isinstance(value, str) else value


def _yaml(value: Mapping[str, Json] | list[dict[str, Json]]) -> bytes:
    dumped: bytes = yaml.dump(
        value, Dumper=_DUMPER, sort_keys=False, allow_unicode=True, width=2**20, encoding="utf-8"
    )
    return dumped


def _indented(text: bytes) -> bytes:
    return b"".join(b"  " + line for line in text.splitlines(keepends=True))
