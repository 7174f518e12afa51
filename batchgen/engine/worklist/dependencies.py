"""The artifacts that tasks take from other tasks: whose are ready, and what is sent of them."""

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

SOURCE = "source"  # the kind of failure of a task whose source did not succeed
_INPUT_FILE = "input_file"
_MOST_REMEMBERED = 2000
_REASON_WIDTH = 200
_NO_SUCCESS = {
    Status.FAILED: "failed",
    Status.REFUSED: "was refused",
    Status.SKIPPED: "was skipped",
}
_LEFT = Outcome(Status.PENDING)


class ResolvedTask(msgspec.Struct, frozen=True):
    """A task with its sources' artifacts in their places.

    ended: what it comes to where they cannot be sent; pending where it is not known yet whether
        they can.
    """

    task: Task
    ended: Outcome | None = None


class DependencyState(IntEnum):
    """How far a run has come with a source."""

    OPEN = auto()  # not come to yet, waiting, or under way
    STANDING = auto()  # as the ledger has it from an earlier run
    ENDED = auto()  # by this run, and in the ledger
    AWAY = auto()  # left for a later run, or not what the ledger has of it any more


class Dependencies:
    """The sources of one run, a byte each.

    directory: where their artifacts are.
    """

    def __init__(self, references: References, ledger: Ledger, directory: Path) -> None:
        self._references = references
        self._ledger = ledger
        self._directory = directory
        self._stands = bytearray([DependencyState.OPEN]) * references.source_count
        self._known: dict[int, Record | None] = {}

    def number(self, task: Task) -> int | None:
        """The number of a task that is a source, else None."""
        return self._references.number(task.id)

    def of(self, task: Task) -> set[int]:
        """The sources of a task."""
        found = (self._references.number(one.source) for _, one in references_of(task))
        return {number for number in found if number is not None}

    def open_of(self, task: Task) -> set[int]:
        """Those that it has to wait for."""
        return {number for number in self.of(task) if self._stands[number] == DependencyState.OPEN}

    def put(self, number: int, stand: DependencyState) -> None:
        """Say how a source stands now."""
        self._stands[number] = stand

    def all_open(self) -> list[int]:
        """The sources that nothing has been heard of."""
        return [
            number for number, stand in enumerate(self._stands) if stand == DependencyState.OPEN
        ]

    def any_ended(self, task: Task) -> bool:
        """Whether this run has changed what is known of the task's sources."""
        return any(self._stands[number] == DependencyState.ENDED for number in self.of(task))

    def look_up(self, tasks: Iterable[Task]) -> None:
        """Read what the ledger has of the sources that these tasks do not have to wait for."""
        wanted = {number for task in tasks if task.inputs for number in self.of(task)}
        missing = [
            n for n in wanted - self._known.keys() if self._stands[n] != DependencyState.OPEN
        ]
        if len(self._known) + len(missing) > _MOST_REMEMBERED:
            self._known.clear()
            missing = [number for number in wanted if self._stands[number] != DependencyState.OPEN]
        found = self._ledger.of_keys([self._references.key(number) for number in missing])
        for number in missing:
            self._known[number] = found.get(self._references.key(number))

    def feed(self, task: Task) -> ResolvedTask:
        """Put the artifacts of its sources into a task.

        Its digest covers their content then: other artifacts make another request of it.
        """
        self.look_up((task,))
        contents = []
        for name, reference in references_of(task):
            source = self._source(reference)
            if source is None:
                return ResolvedTask(task, _LEFT)
            if source.outcome.status is not Status.SUCCEEDED:
                return ResolvedTask(task, _skipped(name, source))
            contents.append(_content(source.outcome.artifacts, reference))
        task = structs.replace(task, digest=digest_with_artifacts(task.digest, contents))
        for name, reference in references_of(task):
            if told := self._unfit(reference):
                error = TaskError(_INPUT_FILE, None, f"`{name}`: {told}")
                return ResolvedTask(task, Outcome(Status.FAILED, error=error))
        inputs = {
            name: replace_references(value, self._file) for name, value in task.inputs.items()
        }
        return ResolvedTask(structs.replace(task, inputs=inputs))

    def _source(self, reference: Reference) -> Record | None:
        """How a source has ended; None where it has not, or not as it is to be by now."""
        number = self._references.number(reference.source)
        if number is None or self._stands[number] in (DependencyState.OPEN, DependencyState.AWAY):
            return None
        found = self._known.get(number)
        ended = found is not None and found.outcome.status in (Status.SUCCEEDED, *_NO_SUCCESS)
        return found if ended else None

    def _artifacts(self, reference: Reference) -> tuple[Artifact, ...]:
        source = self._source(reference)
        return () if source is None else source.outcome.artifacts

    def _unfit(self, reference: Reference) -> str | None:
        """Why an artifact cannot be sent, as far as the ledger tells."""
        source, artifacts = one_line(reference.source, 60), self._artifacts(reference)
        if reference.n > len(artifacts):
            files = "one file" if len(artifacts) == 1 else f"{len(artifacts)} files"
            return f"{source!r} came to {files}, and file {reference.n} is wanted"
        found = artifacts[reference.n - 1]
        family = family_of(found.media_type)
        if reference.families and family not in reference.families:
            wanted = " or ".join(reference.families)
            return f"{found.path} of {source!r} is {found.media_type}, and {wanted} is wanted"
        if reference.media and found.media_type not in reference.media:
            wanted = ", ".join(reference.media)
            return f"{found.path} of {source!r} is {found.media_type}; the model takes {wanted}"
        most = min(MAX_FILE_BYTES, reference.max_bytes or MAX_FILE_BYTES)
        if found.size_bytes > most:
            size = show_bytes(found.size_bytes)
            return f"{found.path} of {source!r} has {size}; {show_bytes(most)} are the most"
        return None

    def _file(self, reference: Reference) -> LocalFile:
        """An artifact that fits; whoever sends it holds its bytes against the ledger's hash."""
        found = self._artifacts(reference)[reference.n - 1]
        return LocalFile(
            self._directory / found.path, found.path, found.size_bytes, found.sha256,
            found.media_type, f"{self._mend} has it made again",
        )  # fmt: skip

    @property
    def _mend(self) -> str:
        return f"`batchgen verify {shlex.quote(str(self._directory))} --fix`"


def _content(artifacts: tuple[Artifact, ...], reference: Reference) -> str:
    return artifacts[reference.n - 1].sha256 if reference.n <= len(artifacts) else ""


def _skipped(name: str, source: Record) -> Outcome:
    error = source.outcome.error
    why = "" if error is None else f" ({error.kind}: {one_line(error.message, _REASON_WIDTH)})"
    became = _NO_SUCCESS[source.outcome.status]
    told = f"`{name}` is to be a file of {one_line(source.task.id, 60)!r}, which {became}{why}"
    return Outcome(Status.SKIPPED, error=TaskError(SOURCE, None, told))
