"""Ids, keys and file names of the tasks of one manifest: no two tasks share any of them."""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from batchgen.job import DEFAULT_FILENAME, template
from batchgen.job.canonical import as_text
from batchgen.manifest.expand import filenames
from batchgen.manifest.expand.drafts import COUNT_KEYS
from batchgen.manifest.expand.fields import RowError
from batchgen.manifest.expand.identity import Occurrences, key_of_id, key_of_request, slug
from batchgen.text import one_line
from batchgen.types import Input, Json, Row, Task

_AFTER_ID = DEFAULT_FILENAME.removeprefix("{id}")
_USUAL_PATH_BYTES = 4096
_SPARE_BYTES = 128  # for what is added to a file's name, and its temporary one
_HASH = 8
_LONG_HASH = 16  # among a million ids with one slug, a hundred pairs agree in 8 digits


class Resolved(msgspec.Struct, frozen=True):
    """A request with everything filled in."""

    endpoint: str
    model: str
    prompt: str
    params: Mapping[str, Json]
    variables: Mapping[str, Json]
    digest: str
    inputs: Mapping[str, Input] = {}


class TaskNamer:
    """Names the tasks of a manifest, in their order.

    root: what the file names are below. identify: see Expander.
    """

    def __init__(self, root: Path = Path(), *, identify: bool = True) -> None:
        self._room = _path_bytes() - len(os.fsencode(root.absolute())) - _SPARE_BYTES
        self._identify = identify
        self._usual = Occurrences()  # ids whose file names are made of nothing else
        self._identities = Occurrences()  # other ids, and requests without one
        self._filenames = Occurrences()  # of all but the usual ids

    def task(
        self, row: Row, resolved: Resolved, given: str | None, pattern: str, ordinal: int
    ) -> Task:
        """The task of a request; `given` is its id where it has one.

        pattern: the template of its file name. ordinal: counts tasks from 0.
        Raises RowError for an id or a file name that is taken, NamingError for a bad one.
        """
        if given is None:
            key, task_id, filename = self._unnamed(resolved, pattern, ordinal)
        elif pattern == DEFAULT_FILENAME and filenames.is_plain(given):
            key, task_id, filename = self._as_usual(given), given, given + _AFTER_ID
        else:
            key, task_id = self._key_of(given), given
            filename = self._filename(resolved, pattern, given, key, ordinal)
            if self._is_taken(filename):
                raise RowError(_taken(filename))
        return Task(
            key, resolved.digest, task_id, ordinal, row.file, row.line, resolved.endpoint,
            resolved.model, resolved.prompt, resolved.params, resolved.variables, filename,
            resolved.inputs,
        )  # fmt: skip

    def member(self, resolved: Resolved, given: str | None) -> str:
        """The id of a row that becomes part of a batch; raises as `task` does."""
        if given is not None:
            self._key_of(given)
            return given
        key = key_of_request(resolved.digest, self._identities.add(resolved.digest))
        return f"{slug(resolved.prompt) or 'task'}-{key[:_HASH]}"

    def batch(self, row: Row, resolved: Resolved, given: str, pattern: str, ordinal: int) -> Task:
        """The task of a batch, whose rows have their ids already; raises as `task` does."""
        filename = ""
        for task_id in (given, f"{given}-{resolved.digest[:_HASH]}"):  # where two hashes agree
            key = key_of_id(task_id)
            filename = self._filename(resolved, pattern, task_id, key, ordinal)
            if not self._is_taken(filename):
                return Task(
                    key, resolved.digest, task_id, ordinal, row.file, row.line, resolved.endpoint,
                    resolved.model, "", resolved.params, resolved.variables, filename,
                )  # fmt: skip
        raise RowError(_taken(filename))

    def _unnamed(self, resolved: Resolved, pattern: str, ordinal: int) -> tuple[str, str, str]:
        """The key of a task without an id, an id made from it, and its file name."""
        key = key_of_request(resolved.digest, self._identities.add(resolved.digest))
        words = slug(resolved.prompt) or "task"
        filename = ""
        for digits in (_HASH, _LONG_HASH):
            task_id = f"{words}-{key[:digits]}"
            if pattern == DEFAULT_FILENAME:
                filename = task_id + _AFTER_ID  # of a slug and a hash: safe and short
            else:
                filename = self._filename(resolved, pattern, task_id, key, ordinal)
            if not self._is_taken(filename):
                return key, task_id, filename
        raise RowError(_taken(filename))

    def _key_of(self, task_id: str) -> str:
        filenames.check_id(task_id)
        key = key_of_id(task_id)
        if self._identities.add(key) or self._usual.has(task_id):
            raise RowError(_duplicate(task_id))
        return key

    def _as_usual(self, task_id: str) -> str:
        """The key of an id that is its own file name: one look finds both taken or neither."""
        among_others = not self._identities.is_empty
        key = key_of_id(task_id) if among_others or self._identify else ""
        if among_others and self._identities.has(key):
            raise RowError(_duplicate(task_id))
        if self._usual.add(task_id):
            raise RowError(_duplicate(task_id))
        if not self._filenames.is_empty and self._filenames.has(task_id + _AFTER_ID):
            raise RowError(_taken(task_id + _AFTER_ID))
        return key

    def _filename(
        self, resolved: Resolved, pattern: str, task_id: str, key: str, ordinal: int
    ) -> str:
        filename = _rendered(resolved, pattern, task_id, key, ordinal)
        if len(filename.encode("utf-8", "surrogatepass")) > self._room:
            raise filenames.NamingError(
                f"file name {one_line(filename, 80)!r} is too long for a path below the output"
                " directory: write fewer folders in `filename`"
            )
        return filename

    def _is_taken(self, filename: str) -> bool:
        """Whether a file name, no usual one, is another task's; it is taken from now on."""
        stem = filename.removesuffix(_AFTER_ID)
        taken = stem != filename and self._usual.has(stem)
        return self._filenames.add(filename) > 0 or taken


def _path_bytes() -> int:
    """How long a path may be here."""
    told = os.pathconf("/", "PC_PATH_MAX") if hasattr(os, "pathconf") else 0
    return told if told > 0 else _USUAL_PATH_BYTES


def _duplicate(task_id: str) -> str:
    return f"duplicate id {task_id!r}: every id stands once in a manifest"


def _taken(filename: str) -> str:
    return (
        f"file name {one_line(filename, 80)!r} is taken by an earlier row: add {{id}} or a"
        " variable that tells them apart to `filename`"
    )


def _rendered(resolved: Resolved, pattern: str, task_id: str, key: str, ordinal: int) -> str:
    def values() -> dict[str, str]:
        given = {**resolved.params, **resolved.variables}
        return {
            **{name: filenames.safe_value(as_text(value)) for name, value in given.items()},
            "model": filenames.safe_value(resolved.model),
            "id": filenames.safe_id(task_id),
            "slug": slug(resolved.prompt) or "task",
            "hash": key[:_HASH],
            "ordinal": str(ordinal + 1),
            "n": "{n}",
            "ext": "{ext}",
        }

    several = any(resolved.params.get(name) not in (None, 1) for name in COUNT_KEYS)
    return filenames.finish_filename(template.render(pattern, values), several=several)
