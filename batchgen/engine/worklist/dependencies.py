"""Dependencies between tasks: the state of their sources, and the artifacts that are sent."""

import shlex
from collections.abc import Iterable
from enum import IntEnum, auto
from pathlib import Path

import msgspec
from msgspec import structs

from batchgen.manifest.dependencies import References, references_of, replace_references
from batchgen.manifest.expand.identity import digest_with_artifacts
from batchgen.manifest.input_files import MAX_FILE_BYTES
from batchgen.media.formats import family_of
from batchgen.storage.files import resolves_inside
from batchgen.storage.ledger import Ledger
from batchgen.text import one_line, show_bytes
from batchgen.types import (
    Artifact,
    LocalFile,
    Outcome,
    Record,
    Reference,
    Status,
    Task,
    TaskError,
)

SOURCE = "source"  # the error kind of a task whose source did not succeed
_INPUT_FILE = "input_file"
_MAX_CACHED = 2000
_REASON_WIDTH = 200
_UNSUCCESSFUL = {
    Status.FAILED: "failed",
    Status.REFUSED: "was refused",
    Status.SKIPPED: "was skipped",
}
_PENDING = Outcome(Status.PENDING)


class ResolvedTask(msgspec.Struct, frozen=True):
    """A task with references replaced by its sources' artifacts.

    ended: its outcome if they cannot be sent; pending if that is not known yet.
    """

    task: Task
    ended: Outcome | None = None


class DependencyState(IntEnum):
    """The state of a source in this run."""

    OPEN = auto()  # not started, waiting, or in flight
    UNCHANGED = auto()  # the ledger's outcome of an earlier run is valid
    ENDED = auto()  # in this run, and committed
    UNAVAILABLE = auto()  # left to a later run, or edited since the ledger's outcome


_WITHOUT_OUTCOME = (DependencyState.OPEN, DependencyState.UNAVAILABLE)


class Dependencies:
    """The state of every source of a run, in one byte each, and a cache of their outcomes.

    directory: the output directory with their artifacts.
    """

    def __init__(self, references: References, ledger: Ledger, directory: Path) -> None:
        self._references = references
        self._ledger = ledger
        self._directory = directory
        self._states = bytearray([DependencyState.OPEN]) * references.source_count
        self._cache: dict[int, Record | None] = {}

    def number(self, task: Task) -> int | None:
        """Return the number of a task that is a source, else None."""
        return self._references.number(task.id)

    def sources_of(self, task: Task) -> set[int]:
        """Return the numbers of a task's sources."""
        numbers = (self._references.number(ref.source) for _, ref in references_of(task))
        return {number for number in numbers if number is not None}

    def open_sources_of(self, task: Task) -> set[int]:
        """Return the numbers of the sources that a task has to wait for."""
        return {n for n in self.sources_of(task) if self._states[n] == DependencyState.OPEN}

    def set_state(self, number: int, state: DependencyState) -> None:
        """Set the state of a source."""
        self._states[number] = state

    def all_open(self) -> list[int]:
        """Return the numbers of the sources that have not ended."""
        return [
            number for number, state in enumerate(self._states) if state == DependencyState.OPEN
        ]

    def any_ended(self, task: Task) -> bool:
        """Return whether any source of a task has ended in this run."""
        return any(
            self._states[number] == DependencyState.ENDED for number in self.sources_of(task)
        )

    def look_up(self, tasks: Iterable[Task]) -> None:
        """Load the outcomes of the sources that these tasks do not have to wait for."""
        wanted = {number for task in tasks if task.inputs for number in self.sources_of(task)}
        missing = [
            n for n in wanted - self._cache.keys() if self._states[n] != DependencyState.OPEN
        ]
        if len(self._cache) + len(missing) > _MAX_CACHED:
            self._cache.clear()
            missing = [number for number in wanted if self._states[number] != DependencyState.OPEN]
        records = self._ledger.records_by_key([self._references.key(number) for number in missing])
        for number in missing:
            self._cache[number] = records.get(self._references.key(number))

    def resolve(self, task: Task) -> ResolvedTask:
        """Replace a task's references by the artifacts of its sources.

        The digest then covers the content of the artifacts, so that a changed artifact changes the
        request.
        """
        self.look_up((task,))
        hashes = []
        for name, reference in references_of(task):
            source = self._source(reference)
            if source is None:
                return ResolvedTask(task, _PENDING)
            if source.outcome.status is not Status.SUCCEEDED:
                return ResolvedTask(task, _skipped_outcome(name, source))
            hashes.append(_sha256_of(source.outcome.artifacts, reference))
        task = structs.replace(task, digest=digest_with_artifacts(task.digest, hashes))
        for name, reference in references_of(task):
            if reason := self._mismatch(reference):
                error = TaskError(_INPUT_FILE, None, f"`{name}`: {reason}")
                return ResolvedTask(task, Outcome(Status.FAILED, error=error))
        inputs = {
            name: replace_references(value, self._local_file) for name, value in task.inputs.items()
        }
        return ResolvedTask(structs.replace(task, inputs=inputs))

    def _source(self, reference: Reference) -> Record | None:
        """Return the record of a source that has ended; None if it has no valid outcome."""
        number = self._references.number(reference.source)
        if number is None or self._states[number] in _WITHOUT_OUTCOME:
            return None
        record = self._cache.get(number)
        ended = record is not None and record.outcome.status in (Status.SUCCEEDED, *_UNSUCCESSFUL)
        return record if ended else None

    def _artifacts(self, reference: Reference) -> tuple[Artifact, ...]:
        source = self._source(reference)
        return () if source is None else source.outcome.artifacts

    def _mismatch(self, reference: Reference) -> str | None:
        """Return why an artifact cannot be sent, by its data in the ledger; None if it can."""
        source, artifacts = one_line(reference.source, 60), self._artifacts(reference)
        if reference.n > len(artifacts):
            files = "one file" if len(artifacts) == 1 else f"{len(artifacts)} files"
            return f"{source!r} produced {files}; file {reference.n} does not exist"
        artifact = artifacts[reference.n - 1]
        family = family_of(artifact.media_type)
        if reference.families and family not in reference.families:
            needed = " or ".join(reference.families)
            return f"{artifact.path} of {source!r} is {artifact.media_type}; needed: {needed}"
        if reference.media and artifact.media_type not in reference.media:
            needed = ", ".join(reference.media)
            return f"{artifact.path} of {source!r} is {artifact.media_type}; needed: {needed}"
        limit = min(MAX_FILE_BYTES, reference.max_bytes or MAX_FILE_BYTES)
        if not resolves_inside(self._directory, artifact.path):
            return f"{artifact.path} of {source!r} is not in the output directory"
        if artifact.size_bytes > limit:
            size = show_bytes(artifact.size_bytes)
            return f"{artifact.path} of {source!r} has {size}; the limit is {show_bytes(limit)}"
        return None

    def _local_file(self, reference: Reference) -> LocalFile:
        """Return an artifact as an input; its bytes are compared with the hash when it is sent."""
        artifact = self._artifacts(reference)[reference.n - 1]
        repair = f"`batchgen verify {shlex.quote(str(self._directory))} --fix`"
        return LocalFile(
            self._directory / artifact.path, artifact.path, artifact.size_bytes, artifact.sha256,
            artifact.media_type, f"run {repair} to generate it again",
        )  # fmt: skip


def _sha256_of(artifacts: tuple[Artifact, ...], reference: Reference) -> str:
    return artifacts[reference.n - 1].sha256 if reference.n <= len(artifacts) else ""


def _skipped_outcome(name: str, source: Record) -> Outcome:
    error = source.outcome.error
    reason = "" if error is None else f" ({error.kind}: {one_line(error.message, _REASON_WIDTH)})"
    ended = _UNSUCCESSFUL[source.outcome.status]
    message = f"`{name}` needs a file of {one_line(source.task.id, 60)!r}, which {ended}{reason}"
    return Outcome(Status.SKIPPED, error=TaskError(SOURCE, None, message))
