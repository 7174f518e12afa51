"""Compares results.jsonl with the ledger: a ledger that knows less would pay for results again.

This happens if the ledger's write-ahead log was deleted, an older copy was put back, or an empty
ledger took its place. Every line of results.jsonl is written after the commit of what it says, so
after a crash the ledger knows all of them.

A line is known if its end is that of the task's newest generation or of an earlier one, whatever
the clock said. Only if it is not, and both have ended, do the times decide.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import msgspec

from batchgen.errors import StorageError, remedy
from batchgen.storage.directory import ledger_path
from batchgen.storage.files import Folder
from batchgen.storage.ledger.states import BEHIND, RESULTS, State, StatesFile
from batchgen.storage.results import FILE_NAME, fingerprint_of, to_milliseconds
from batchgen.text import show_count
from batchgen.types import Status

_LINES_PER_QUERY = 500
_MAX_LINE_BYTES = 64 * 1024 * 1024  # a longer one is no line of a run
_ENDED = frozenset({Status.SUCCEEDED, Status.FAILED, Status.REFUSED})


class ResultState(msgspec.Struct, frozen=True):
    """What a line of results.jsonl says of its task; moments in ISO 8601 and UTC."""

    key: str
    status: str
    attempts: int = 0
    started_at: str | None = None
    finished_at: str | None = None
    id: str = ""


class Surplus(msgspec.Struct, frozen=True):
    """Lines of results.jsonl that the ledger does not know: how many, and the first one's id."""

    count: int
    example: str

    def error(self, directory: Path) -> StorageError:
        """Return the error to raise."""
        lines = "1 result" if self.count == 1 else f"{show_count(self.count)} results"
        return StorageError(
            f"the ledger {ledger_path(directory)} lacks {lines} that {directory / FILE_NAME} has"
            f" (the first is {self.example!r}): was its -wal file deleted, or an older copy put"
            f" back? Run `batchgen verify {directory} --rebuild` to add them to the ledger; nothing"
            " was sent or overwritten"
        )


_decode = msgspec.json.Decoder(ResultState).decode


def ensure_not_behind(directory: Path) -> None:
    """Raise StorageError if results.jsonl knows more than the ledger."""
    surplus = find_surplus(directory)
    if surplus is not None:
        raise surplus.error(directory)


def find_surplus(directory: Path) -> Surplus | None:
    """Return what results.jsonl knows and the ledger does not; None if nothing.

    Raises StorageError if either cannot be read.
    """
    folder = Folder(directory)
    if not folder.is_file(FILE_NAME):
        return None
    with StatesFile(ledger_path(directory)) as ledger:
        meta = ledger.meta_values()
        if meta.get(RESULTS) == fingerprint_of(directory):
            return None  # the ledger has written this file
        count, example = 0, ""
        for lines in _pages(_lines(folder)):
            unclear = _without_known_ends(lines, ledger)
            states = ledger.states([line.key for line in unclear]) if unclear else {}
            for line in unclear:
                if is_ahead(line, states.get(line.key), corrected=BEHIND in meta):
                    count, example = count + 1, example or line.id
    return Surplus(count, example) if count else None


def is_ahead(line: ResultState, state: State | None, *, corrected: bool = False) -> bool:
    """Return whether the ledger, which has this state of the task, does not know the line.

    corrected: states were corrected in the ledger; only a task that it lacks counts.
    """
    was_sent = line.attempts > 0
    if state is None:
        return was_sent or line.status != Status.PENDING
    if corrected:
        return False
    if was_sent and state.status == Status.PENDING and not state.attempts:
        return True
    return line.status in _ENDED and not _is_known_end(line, state)


def _is_known_end(line: ResultState, state: State) -> bool:
    started_at, finished_at = map(to_milliseconds, (state.started_at, state.finished_at))
    ends = {finished_at, *map(to_milliseconds, state.earlier)}
    if line.finished_at is None or line.finished_at in ends:
        return True
    is_success, has_ended = line.status == Status.SUCCEEDED, state.status in _ENDED
    if is_success and not has_ended:
        return False
    if line.started_at == started_at:  # the same generation
        return not is_success or state.status == Status.SUCCEEDED
    if has_ended:
        return line.finished_at <= (finished_at or started_at or "")
    return (line.started_at or "") <= (started_at or "")


def _without_known_ends(lines: list[ResultState], ledger: StatesFile) -> list[ResultState]:
    """Return the lines whose end is not that of the newest generation: few, in most files."""
    ends = dict(ledger.ends([line.key for line in lines]))
    return [
        line
        for line in lines
        if not (line.finished_at and (ends.get(line.key) or "").startswith(line.finished_at[:-6]))
    ]


def _pages(lines: Iterable[ResultState]) -> Iterator[list[ResultState]]:
    lines = iter(lines)
    while page := list(islice(lines, _LINES_PER_QUERY)):
        yield page


def _lines(folder: Folder) -> Iterator[ResultState]:
    """Yield the lines that are task records; the last one may be incomplete after a crash."""
    try:
        with folder.open_to_read(FILE_NAME) as file:
            while text := file.readline(_MAX_LINE_BYTES):
                try:
                    yield _decode(text)
                except (msgspec.DecodeError, ValueError, RecursionError):
                    continue
    except OSError as error:
        path = folder.root / FILE_NAME
        raise StorageError(
            f"cannot read {path} ({error.strerror or error}): {remedy(error)}"
        ) from error
