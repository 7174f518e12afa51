"""Where a manifest's bytes come from: a file, gzip or not, or standard input kept in a file."""

import gzip
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path, PurePath
from typing import BinaryIO, cast

import msgspec

from batchgen.errors import ManifestError

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
