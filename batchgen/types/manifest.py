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
    """How serious a problem is: errors stop the run; warnings are only shown."""

    ERROR = "error"
    WARNING = "warning"


class Problem(msgspec.Struct, frozen=True):
    """A problem in a job or manifest; `line` counts from 1, 0 if it has no line."""

    file: str
    line: int
    message: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        label = "warning: " if self.severity is Severity.WARNING else ""
        return f"{place}: {label}{self.message}"


class Row(msgspec.Struct, frozen=True):
    """A row of a manifest as read, with its file and line (of the row's first character).

    textual: whether the row is from CSV, TSV or TXT. Every value is a string then, and is converted
    to the type of the model's parameter of that name.
    """

    file: str
    line: int
    fields: Mapping[str, Json]
    textual: bool = False


class LocalFile(msgspec.Struct, frozen=True):
    """A file of this machine that is part of a request.

    path: with links resolved. name: as in the row. media_type: by the file's bytes.
    sha256: of the bytes that were checked; no others may be sent.
    remedy: what to do if the file has changed.
    """

    path: Path
    name: str
    size_bytes: int
    sha256: str
    media_type: str
    remedy: str = "run the command again"


class Base64(msgspec.Struct, frozen=True):
    """A file that is bare base64 in a JSON body, without the `data:` prefix."""

    file: LocalFile


class UploadId(msgspec.Struct, frozen=True):
    """A placeholder for the id of an upload, which an earlier request of the task returns."""

    name: str


class Reference(msgspec.Struct, frozen=True):
    """A placeholder in a request for an artifact of another task: `{from: ID, n: N}`.

    source: the other task's id. n: the number of its artifact, from 1.
    families, media: accepted families and types of file; empty if all are.
    max_bytes: of the file; None if unknown.
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
    digest: 32 hex digits of a hash of the resolved request; if it changes, the row was edited.
    ordinal: the position in the manifest, from 0. line: of the row in `file`, from 1.
    filename: path below the output directory, in which `{n}` and `{ext}` are not yet replaced.
    params: the request's fields besides `model` and `prompt`; files are given by their paths.
    inputs: the parameters that name files, with the files as values, or with references to files
        that other tasks will generate.
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
