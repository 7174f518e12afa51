"""Values of a manifest: rows, problems, input files, tasks."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

import msgspec

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


# The API families, in the order in which messages list them; each has an adapter.
FAMILIES = (
    "images", "edits", "video", "music", "tts", "stt", "3d", "ocr", "embeddings", "chat",
    "moderation",
)  # fmt: skip


class Severity(StrEnum):
    """How much a problem weighs: an error forbids the run, a warning is only told."""

    ERROR = "error"
    WARNING = "warning"


class Problem(msgspec.Struct, frozen=True):
    """Something wrong in a job or manifest; `line` counts from 1, 0 when none applies."""

    file: str
    line: int
    message: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        label = "warning: " if self.severity is Severity.WARNING else ""
        return f"{where}: {label}{self.message}"


class Row(msgspec.Struct, frozen=True):
    """One raw mapping of a manifest with its file and line (of the row's first character).

    `textual` rows come from CSV, TSV and TXT: every value is a string and takes the type that
    the model's parameter of that name has.
    """

    file: str
    line: int
    fields: Mapping[str, Json]
    textual: bool = False


class LocalFile(msgspec.Struct, frozen=True):
    """A file of this machine that a request sends along.

    path: with links resolved. name: as the row has it. media_type: as its bytes tell.
    sha256: of the bytes that were looked at, which are the only ones that may be sent.
    remedy: what to do where its bytes are others now.
    """

    path: Path
    name: str
    size_bytes: int
    sha256: str
    media_type: str
    remedy: str = "run again to check it again"


class Base64(msgspec.Struct, frozen=True):
    """A file that a JSON body has as bare base64, without the `data:` that tells its type."""

    file: LocalFile


class UploadId(msgspec.Struct, frozen=True):
    """A text that an earlier request of the same task brings: the id of an upload."""

    name: str


class Reference(msgspec.Struct, frozen=True):
    """A place in a request where an artifact of another task goes: `{from: ID, n: N}`.

    source: the other task's id. n: which of its artifacts, from 1.
    families, media: kinds and types of file that may stand there; empty where any may.
    max_bytes: of the file; None where nothing is known.
    """

    source: str
    n: int = 1
    families: tuple[str, ...] = ()
    media: tuple[str, ...] = ()
    max_bytes: int | None = None


Input: TypeAlias = (
    "Json | LocalFile | Base64 | UploadId | Reference | Mapping[str, Input] | tuple[Input, ...]"
)


class Task(msgspec.Struct, frozen=True):
    """A checked row (one of its copies) with a stable key.

    key: 32 hex digits, from the id or else from the request and its occurrence number.
    digest: 32 hex digits over the resolved request; a change under one key is an edited row.
    filename: path below the output directory with `{n}` and `{ext}` still open.
    params: the request's fields besides `model` and `prompt`; a file is told by its path.
    inputs: those of the parameters that name files, with the files in their places; and with
        references in the places of files that other tasks have yet to make.
    """

    key: str
    digest: str
    id: str
    ordinal: int
    file: str
    line: int
    endpoint: str
    model: str
    prompt: str
    params: Mapping[str, Json]
    vars: Mapping[str, Json]
    filename: str
    inputs: Mapping[str, Input] = {}
