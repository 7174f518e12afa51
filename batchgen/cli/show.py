"""`batchgen show`: how a picture was made, from its own metadata or by its hash from the ledger."""

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
from batchgen.text import one_line
from batchgen.types import Json

_LABEL_WIDTH = 16
_VALUE_WIDTH = 4000
_NOT_SHOWN = frozenset({"schema"})


def show_command(arguments: argparse.Namespace) -> int:
    """`batchgen show`."""
    path: Path = arguments.file
    try:
        story = _own_story(path)
        if story is None:
            story = _in_ledger(path, arguments.output)
    except OSError as error:
        raise UsageError(f"cannot read {path} ({error.strerror or error})") from error
    if arguments.json:
        sys.stdout.write(msgspec.json.encode(story).decode() + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in _lines(story))
    return Exit.OK


def _own_story(path: Path) -> dict[str, Json] | None:
    """What the file tells of itself; None where it tells nothing."""
    with path.open("rb") as file:
        media = sniff(file.read(4096))
        text = None if media is None else read_metadata(file, media)
    if text is None:
        return None
    try:
        told = msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return {"source": "its own metadata", **told} if isinstance(told, dict) else None


def _in_ledger(path: Path, directory: Path | None) -> dict[str, Json]:
    """The task whose artifact has these bytes, in the output directory around the file."""
    found = directory or _directory_around(path)
    if found is None or not ledger_path(found).is_file():
        raise UsageError(
            f"{path} tells nothing of itself and lies in no output directory: name the one that"
            " it came from with -o"
        )
    sha256 = sha256_of(path)
    with Ledger(ledger_path(found)) as ledger:
        record = ledger.made(sha256)
    if record is None:
        raise UsageError(
            f"{path} tells nothing of itself, and no artifact in the ledger of {found} has its"
            f" bytes (sha256 {sha256})"
        )
    return {"source": f"the ledger of {found}", **line_of(record)}


def _directory_around(path: Path) -> Path | None:
    folders = path.absolute().parents
    return next((folder for folder in folders if ledger_path(folder).is_file()), None)


def _lines(story: Mapping[str, Json], *, indent: str = "") -> Iterator[str]:
    for name, value in story.items():
        if value is None or value in ({}, []) or name in _NOT_SHOWN:
            continue
        label = f"{indent}{one_line(name, _VALUE_WIDTH):<{_LABEL_WIDTH - len(indent)}}"
        match value:
            case dict():
                yield label.rstrip()
                yield from _lines(value, indent=indent + "  ")
            case list():
                yield label.rstrip()
                for one in value:
                    yield f"{indent}  {one_line(msgspec.json.encode(one).decode(), _VALUE_WIDTH)}"
            case _:
                yield f"{label} {one_line(str(value), _VALUE_WIDTH)}"
