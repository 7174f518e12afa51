"""Reads a manifest given as bytes, the way a run reads one from disk."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from batchgen.manifest.formats.source import Source, format_of, read_rows
from batchgen.manifest.formats.yaml_job import Settings, iter_prompts, load_settings
from batchgen.types import Json, Problem, Row


def as_bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


@contextmanager
def on_disk(content: str | bytes, name: str) -> Iterator[Source]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(as_bytes(content))
        form = format_of(name)
        assert form is not None
        yield Source(path, name, form)


def rows_of(
    content: str | bytes, name: str = "m.csv", *, needs_prompt: bool = True
) -> list[Row | Problem]:
    with on_disk(content, name) as source:
        return list(read_rows(source, needs_prompt=needs_prompt))


def fields_of(content: str | bytes, name: str = "m.csv") -> list[dict[str, Json]]:
    """The fields of every row; fails on any Problem."""
    found = rows_of(content, name)
    assert [str(each) for each in found if isinstance(each, Problem)] == []
    return [dict(each.fields) for each in found if isinstance(each, Row)]


def problems_of(content: str | bytes, name: str = "m.csv") -> list[str]:
    return [str(each) for each in rows_of(content, name) if isinstance(each, Problem)]


def settings_of(content: str | bytes) -> Settings:
    with on_disk(content, "job.yaml") as source:
        return load_settings(source)


def prompts_of(content: str | bytes) -> list[tuple[int, Json] | Problem]:
    with on_disk(content, "job.yaml") as source:
        return list(iter_prompts(source))
