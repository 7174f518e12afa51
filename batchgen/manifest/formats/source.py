"""A manifest file: its format, its bytes (gzip or plain), and its rows."""

import gzip
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path, PurePath
from typing import BinaryIO, assert_never, cast

import msgspec

from batchgen.errors import ManifestError
from batchgen.manifest.formats.decoding import TextLines
from batchgen.manifest.formats.delimited import read_csv, read_tsv
from batchgen.manifest.formats.lines import read_jsonl, read_txt
from batchgen.types import Problem, Row

_GZIP_MAGIC = b"\x1f\x8b"


class Format(StrEnum):
    """File format of a manifest."""

    YAML = "yaml"
    CSV = "csv"
    TSV = "tsv"
    JSONL = "jsonl"
    TXT = "txt"


_SUFFIXES = {
    ".yaml": Format.YAML,
    ".yml": Format.YAML,
    ".csv": Format.CSV,
    ".tsv": Format.TSV,
    ".tab": Format.TSV,
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".txt": Format.TXT,
}


class Source(msgspec.Struct, frozen=True):
    """A manifest on disk; `label` is its name in messages."""

    path: Path
    label: str
    format: Format


def format_of(name: str) -> Format | None:
    """Return the format that the extension of a file name shows, or None; `.gz` is ignored."""
    lowered = name.lower().removesuffix(".gz")
    return _SUFFIXES.get(PurePath(lowered).suffix)


@contextmanager
def open_binary(source: Source) -> Iterator[BinaryIO]:
    """Open a manifest's bytes; decompress them if they begin with gzip's magic number.

    Raise ManifestError if the file cannot be opened and, on reads inside the `with` block, if the
    gzip data is damaged or ends too early.
    """
    try:
        with source.path.open("rb") as raw:
            if raw.peek(2).startswith(_GZIP_MAGIC):
                with gzip.GzipFile(fileobj=raw) as unpacked:
                    yield cast("BinaryIO", unpacked)
            else:
                yield raw
    except EOFError as error:
        reason = "the gzip data ends too early; download or compress the file again"
        raise ManifestError(reason, file=source.label) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        reason = f"the gzip data is damaged ({error}); download or compress the file again"
        raise ManifestError(reason, file=source.label) from error
    except OSError as error:
        raise ManifestError(_why_unreadable(error), file=source.label) from error


def copy_to_file(stream: BinaryIO, path: Path) -> None:
    """Copy standard input or a pipe to a file, because a manifest is read more than once.

    Raise ManifestError if the file cannot be written.
    """
    try:
        with path.open("wb") as target:
            shutil.copyfileobj(stream, target, 1 << 20)
    except OSError as error:
        reason = f"cannot copy standard input to this file: {error.strerror or error}"
        raise ManifestError(reason, file=str(path)) from error


def _why_unreadable(error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "there is no such file"
        case IsADirectoryError():
            return "this is a directory; give the manifest file in it"
        case PermissionError():
            return "no permission to read this file; change its permissions"
        case _:
            return f"the file cannot be read: {error.strerror or error}"


def read_rows(source: Source, *, needs_prompt: bool = True) -> Iterator[Row | Problem]:
    """Yield the rows of a CSV, TSV, JSONL or TXT manifest in order, one at a time.

    A bad row is a Problem in its place; if the rest cannot be read, one Problem is the last item.
    An empty file is a Problem; a file with only a header or comments has no rows.
    needs_prompt: a CSV or TSV file without a prompt column is a Problem.
    Raise ManifestError if the file cannot be opened or its gzip data is damaged, ValueError for
    YAML, which `yaml_job` reads.
    """
    with open_binary(source) as stream:
        lines = TextLines(stream, source.label)
        match source.format:
            case Format.CSV:
                yield from read_csv(lines, source.label, needs_prompt=needs_prompt)
            case Format.TSV:
                yield from read_tsv(lines, source.label, needs_prompt=needs_prompt)
            case Format.JSONL:
                yield from read_jsonl(lines, source.label)
            case Format.TXT:
                yield from read_txt(lines, source.label)
            case Format.YAML:
                raise ValueError(f"{source.label} is YAML; read it with yaml_job")
            case _:
                assert_never(source.format)
