"""Read manifests from bytes as a run reads them from disk."""

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
        file_format = format_of(name)
        assert file_format is not None
        yield Source(path, name, file_format)


def rows_of(
    content: str | bytes, name: str = "m.csv", *, needs_prompt: bool = True
) -> list[Row | Problem]:
    with on_disk(content, name) as source:
        return list(read_rows(source, needs_prompt=needs_prompt))


def fields_of(content: str | bytes, name: str = "m.csv") -> list[dict[str, Json]]:
    """Return the fields of every row; fail if there is a Problem."""
    items = rows_of(content, name)
    assert [str(item) for item in items if isinstance(item, Problem)] == []
    return [dict(item.fields) for item in items if isinstance(item, Row)]


def problems_of(content: str | bytes, name: str = "m.csv") -> list[str]:
    return [str(item) for item in rows_of(content, name) if isinstance(item, Problem)]


def settings_of(content: str | bytes) -> Settings:
    with on_disk(content, "job.yaml") as source:
        return load_settings(source)


def prompts_of(content: str | bytes) -> list[tuple[int, Json] | Problem]:
    with on_disk(content, "job.yaml") as source:
        return list(iter_prompts(source))
