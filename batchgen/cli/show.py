"""`batchgen show`: how a file was generated, from its metadata or by its hash from the ledger."""

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from batchgen.errors import Exit, UsageError
from batchgen.media.embed import read_metadata
from batchgen.media.formats import sniff
from batchgen.storage.directory import ledger_path
from batchgen.storage.ledger import Ledger
from batchgen.storage.results import line_of
from batchgen.storage.verify import sha256_of
from batchgen.text import one_line, printable_path
from batchgen.types import Json

_LABEL_WIDTH = 16
_VALUE_WIDTH = 4000
_HIDDEN = frozenset({"schema"})


def show_command(arguments: argparse.Namespace) -> int:
    """Print the metadata of a file. Raise UsageError if there is none."""
    path: Path = arguments.file
    try:
        metadata = _embedded(path)
        if metadata is None:
            metadata = _from_ledger(path, arguments.output)
    except OSError as error:
        raise UsageError(f"cannot read {path} ({error.strerror or error})") from error
    if arguments.json:
        sys.stdout.write(msgspec.json.encode(metadata).decode() + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in _lines(metadata))
    return Exit.OK


def _embedded(path: Path) -> dict[str, Json] | None:
    """Return the metadata in the file, None if there is none."""
    with path.open("rb") as file:
        media = sniff(file.read(4096))
        text = None if media is None else read_metadata(file, media)
    if text is None:
        return None
    try:
        metadata = msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return {"source": "its own metadata", **metadata} if isinstance(metadata, dict) else None


def _from_ledger(path: Path, directory: Path | None) -> dict[str, Json]:
    """Return the task of the artifact with these bytes, from `directory` or the one around it."""
    output = directory or _directory_around(path)
    if output is None or not ledger_path(output).is_file():
        raise UsageError(
            f"{path} has no embedded metadata and is not in an output directory; name its output"
            " directory with -o"
        )
    sha256 = sha256_of(path)
    with Ledger(ledger_path(output)) as ledger:
        record = ledger.find_by_hash(sha256)
    if record is None:
        raise UsageError(
            f"{path} has no embedded metadata, and the ledger of {output} has no artifact with its"
            f" SHA-256 ({sha256})"
        )
    return {"source": f"the ledger of {printable_path(output)}", **line_of(record)}


def _directory_around(path: Path) -> Path | None:
    folders = path.absolute().parents
    return next((folder for folder in folders if ledger_path(folder).is_file()), None)


def _lines(metadata: Mapping[str, Json], *, indent: str = "") -> Iterator[str]:
    for name, value in metadata.items():
        if value is None or value in ({}, []) or name in _HIDDEN:
            continue
        label = f"{indent}{one_line(name, _VALUE_WIDTH):<{_LABEL_WIDTH - len(indent)}}"
        match value:
            case dict():
                yield label.rstrip()
                yield from _lines(value, indent=indent + "  ")
            case list():
                yield label.rstrip()
                for item in value:
                    yield f"{indent}  {one_line(msgspec.json.encode(item).decode(), _VALUE_WIDTH)}"
            case _:
                yield f"{label} {one_line(str(value), _VALUE_WIDTH)}"
