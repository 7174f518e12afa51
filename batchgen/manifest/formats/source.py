"""Where a manifest's bytes come from: a file, gzip or not, or standard input kept in a file."""

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
    """How the rows of a manifest are written."""

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
    """A manifest on disk; `label` is how messages name it."""

    path: Path
    label: str
    format: Format


def format_of(name: str) -> Format | None:
    """Tell the format by the suffix of a file name, in any case; a final `.gz` does not count."""
    lowered = name.lower().removesuffix(".gz")
    return _SUFFIXES.get(PurePath(lowered).suffix)


@contextmanager
def open_binary(source: Source) -> Iterator[BinaryIO]:
    """Open the manifest's bytes, unpacked where they begin with gzip's magic number.

    Raises ManifestError for a file that cannot be opened, and, from reads inside the `with`
    block, for gzip data that is damaged or ends too early.
    """
    try:
        with source.path.open("rb") as raw:
            if raw.peek(2).startswith(_GZIP_MAGIC):
                with gzip.GzipFile(fileobj=raw) as unpacked:
                    yield cast("BinaryIO", unpacked)
            else:
                yield raw
    except EOFError as error:
        reason = "the gzip data ends too early; the file is incomplete, fetch or pack it again"
        raise ManifestError(reason, file=source.label) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        reason = f"the gzip data is damaged ({error}); fetch or pack the file again"
        raise ManifestError(reason, file=source.label) from error
    except OSError as error:
        raise ManifestError(_why_unreadable(error), file=source.label) from error


def spool(stream: BinaryIO, path: Path) -> None:
    """Copy a stream, such as standard input, to a file, because a manifest is read twice.

    Raises ManifestError naming the file when it cannot be written.
    """
    try:
        with path.open("wb") as target:
            shutil.copyfileobj(stream, target, 1 << 20)
    except OSError as error:
        reason = f"standard input could not be kept here: {error.strerror or error}"
        raise ManifestError(reason, file=str(path)) from error


def _why_unreadable(error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "there is no such file"
        case IsADirectoryError():
            return "this is a directory; name the manifest file in it"
        case PermissionError():
            return "no permission to read this file"
        case _:
            return f"the file cannot be read: {error.strerror or error}"


def read_rows(source: Source, *, needs_prompt: bool = True) -> Iterator[Row | Problem]:
    """Read the rows of a CSV, TSV, JSONL or TXT manifest in order, streaming.

    What is wrong with one row is a Problem in its place; what makes the rest unreadable is one
    Problem and the end. A file of no bytes is a Problem; one of a header or comments only is not.
    needs_prompt: a CSV or TSV without a prompt column is a Problem.
    Raises ManifestError when the file cannot be opened or its gzip data is damaged, ValueError for
    a YAML source, whose rows are read by `yaml_job`.
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
                raise ValueError(f"{source.label} is YAML, which is not read as rows")
            case _:
                assert_never(source.format)
