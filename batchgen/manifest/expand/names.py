"""Unique ids, keys and file names for the tasks of one manifest."""

import os
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import msgspec

from batchgen.job import DEFAULT_FILENAME, template
from batchgen.job.canonical import as_text
from batchgen.job.template import MAX_NAME_BYTES
from batchgen.manifest.expand import filenames
from batchgen.manifest.expand.drafts import COUNT_KEYS
from batchgen.manifest.expand.fields import RowError
from batchgen.manifest.expand.identity import Occurrences, key_of_id, key_of_request, slug
from batchgen.text import one_line, readable
from batchgen.types import Input, Json, Row, Task

_AFTER_ID = DEFAULT_FILENAME.removeprefix("{id}")
_USUAL_PATH_BYTES = 4096
_SPARE_BYTES = 128  # for suffixes of a file's name, and for its temporary name
_SPARE_NAME_BYTES = 24  # for "-12", ".v2", "~2" and the extension
_HASH_DIGITS = 8
_LONG_HASH_DIGITS = 16  # among a million ids with one slug, a hundred pairs are equal in 8 digits


class Resolved(msgspec.Struct, frozen=True):
    """A request with rendered templates and checked parameters."""

    endpoint: str
    model: str
    prompt: str
    params: Mapping[str, Json]
    variables: Mapping[str, Json]
    digest: str
    inputs: Mapping[str, Input] = {}


class TaskNamer:
    """Gives the tasks of a manifest, in order, their ids, keys and file names.

    root: the output directory. identify: see Expander.
    """

    def __init__(self, root: Path = Path(), *, identify: bool = True) -> None:
        self._max_bytes = _max_path_bytes() - len(os.fsencode(root.absolute())) - _SPARE_BYTES
        self._max_name = _max_name_bytes(root) - _SPARE_NAME_BYTES
        self._is_tight = min(self._max_bytes, self._max_name) < MAX_NAME_BYTES - _SPARE_NAME_BYTES
        self._identify = identify
        self._plain_ids = Occurrences()  # ids whose file name is the id and the default suffix
        self._identities = Occurrences()  # keys of other ids, and digests of requests without one
        self._filenames = Occurrences()  # of all tasks without a plain id

    def task(
        self, row: Row, resolved: Resolved, row_id: str | None, pattern: str, ordinal: int
    ) -> Task:
        """Return the task of a request; row_id: its id, if the row has one.

        pattern: the template of its file name. ordinal: the number of the task, from 0.
        Raise RowError for an id or file name that is not unique, NamingError for an invalid one.
        """
        if row_id is None:
            key, task_id, filename = self._generated(resolved, pattern, ordinal)
        elif pattern == DEFAULT_FILENAME and filenames.is_plain(row_id):
            key, task_id, filename = self._key_of_plain(row_id), row_id, row_id + _AFTER_ID
            if self._is_tight:
                self._check_length(filename)
        else:
            key, task_id = self._key_of(row_id), row_id
            filename = self._filename(resolved, pattern, row_id, key, ordinal)
            if self._is_taken(filename):
                raise RowError(_taken(filename))
        return Task(
            key, resolved.digest, task_id, ordinal, _source(row.file), row.line, resolved.endpoint,
            resolved.model, resolved.prompt, resolved.params, resolved.variables, filename,
            resolved.inputs,
        )  # fmt: skip

    def member(self, resolved: Resolved, row_id: str | None) -> str:
        """Return the id of a row that becomes part of a batch; raise errors as `task` does."""
        if row_id is not None:
            self._key_of(row_id)
            return row_id
        key = key_of_request(resolved.digest, self._identities.add(resolved.digest))
        return f"{slug(resolved.prompt) or 'task'}-{key[:_HASH_DIGITS]}"

    def batch(
        self, row: Row, resolved: Resolved, batch_id: str, pattern: str, ordinal: int
    ) -> Task:
        """Return the task of a batch. Raise errors as `task` does."""
        filename = ""
        # The second id is for two first rows with equal hashes in their ids.
        for task_id in (batch_id, f"{batch_id}-{resolved.digest[:_HASH_DIGITS]}"):
            key = key_of_id(task_id)
            filename = self._filename(resolved, pattern, task_id, key, ordinal)
            if not self._is_taken(filename):
                return Task(
                    key, resolved.digest, task_id, ordinal, _source(row.file), row.line,
                    resolved.endpoint, resolved.model, "", resolved.params, resolved.variables,
                    filename,
                )  # fmt: skip
        raise RowError(_taken(filename))

    def _generated(self, resolved: Resolved, pattern: str, ordinal: int) -> tuple[str, str, str]:
        """Return the key, a generated id and the file name of a task whose row has no id."""
        key = key_of_request(resolved.digest, self._identities.add(resolved.digest))
        words = slug(resolved.prompt) or "task"
        filename = ""
        for digits in (_HASH_DIGITS, _LONG_HASH_DIGITS):
            task_id = f"{words}-{key[:digits]}"
            if pattern == DEFAULT_FILENAME:
                filename = task_id + _AFTER_ID  # a slug and a hash are safe and short
                filenames.check_encodable(filename)
                if self._is_tight:
                    self._check_length(filename)
            else:
                filename = self._filename(resolved, pattern, task_id, key, ordinal)
            if not self._is_taken(filename):
                return key, task_id, filename
        raise RowError(_taken(filename))

    def _key_of(self, task_id: str) -> str:
        filenames.check_id(task_id)
        key = key_of_id(task_id)
        if self._identities.add(key) or self._plain_ids.has(task_id):
            raise RowError(_duplicate(task_id))
        return key

    def _key_of_plain(self, task_id: str) -> str:
        """Return the key of an id that is also its file name, so one look-up checks both."""
        has_others = not self._identities.is_empty
        key = key_of_id(task_id) if has_others or self._identify else ""
        if has_others and self._identities.has(key):
            raise RowError(_duplicate(task_id))
        if self._plain_ids.add(task_id):
            raise RowError(_duplicate(task_id))
        if not self._filenames.is_empty and self._filenames.has(task_id + _AFTER_ID):
            raise RowError(_taken(task_id + _AFTER_ID))
        return key

    def _filename(
        self, resolved: Resolved, pattern: str, task_id: str, key: str, ordinal: int
    ) -> str:
        filename = _rendered(resolved, pattern, task_id, key, ordinal)
        filenames.check_encodable(filename)
        self._check_length(filename)
        return filename

    def _check_length(self, filename: str) -> None:
        """Raise NamingError for a path that is too long for the operating system."""
        parts = [len(part.encode("utf-8", "surrogatepass")) for part in filename.split("/")]
        if max(parts) > self._max_name:
            raise filenames.NamingError(
                f"file name {one_line(filename, 80)!r} is too long for this file system; shorten"
                " the `id` or `filename`"
            )
        if sum(parts) + len(parts) - 1 > self._max_bytes:
            raise filenames.NamingError(
                f"file name {one_line(filename, 80)!r} is too long for a path below the output"
                " directory; use fewer folders in `filename`"
            )

    def _is_taken(self, filename: str) -> bool:
        """Add the file name of a task without a plain id; return whether another task has it."""
        stem = filename.removesuffix(_AFTER_ID)
        is_plain_id = stem != filename and self._plain_ids.has(stem)
        return self._filenames.add(filename) > 0 or is_plain_id


@lru_cache(maxsize=16)
def _source(file: str) -> str:
    """Return the name of a row's file as the ledger and the results have it."""
    return readable(file)


def _max_name_bytes(root: Path) -> int:
    """Return the longest file name of the file system that has, or will have, this folder."""
    for folder in (root, *root.absolute().parents):
        with suppress(OSError, ValueError):
            return os.pathconf(folder, "PC_NAME_MAX")
    return MAX_NAME_BYTES


def _max_path_bytes() -> int:
    limit = os.pathconf("/", "PC_PATH_MAX") if hasattr(os, "pathconf") else 0
    return limit if limit > 0 else _USUAL_PATH_BYTES


def _duplicate(task_id: str) -> str:
    return f"duplicate id {task_id!r}; ids must be unique in a manifest"


def _taken(filename: str) -> str:
    return (
        f"file name {one_line(filename, 80)!r} is used by an earlier row; add {{id}} or another"
        " variable to `filename`"
    )


def _rendered(resolved: Resolved, pattern: str, task_id: str, key: str, ordinal: int) -> str:
    def values() -> dict[str, str]:
        fields = {**resolved.params, **resolved.variables}
        return {
            **{name: filenames.safe_value(as_text(value)) for name, value in fields.items()},
            "model": filenames.safe_value(resolved.model),
            "id": filenames.safe_id(task_id),
            "slug": slug(resolved.prompt) or "task",
            "hash": key[:_HASH_DIGITS],
            "ordinal": str(ordinal + 1),
            "n": "{n}",
            "ext": "{ext}",
        }

    several = any(resolved.params.get(name) not in (None, 1) for name in COUNT_KEYS)
    return filenames.finish_filename(template.render(pattern, values), several=several)
