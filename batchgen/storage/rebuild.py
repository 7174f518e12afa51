"""Rebuilds a ledger that is damaged, lost, or knows less than results.jsonl.

A ledger that can be read is kept as far as it goes: requests in flight, remote jobs and earlier
versions are only there. Lines that it does not know are added.

Write order and crashes: the new ledger is written beside the old one and is complete before the
old one is renamed. A crash leaves the old one or none; the next `--rebuild` starts again.
"""

import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import count, islice
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from batchgen.errors import StorageError
from batchgen.job.canonical import canonical
from batchgen.manifest.expand.identity import request_digest
from batchgen.provider import catalog
from batchgen.provider.endpoints import DEFAULT_ENDPOINT
from batchgen.storage.comparison import ResultState, is_ahead
from batchgen.storage.directory import ledger_path
from batchgen.storage.files import DATABASE_SUFFIXES, PRIVATE, TEMPORARY, Folder, stays_inside
from batchgen.storage.ledger.identity import FILE_NAME as IDENTITY
from batchgen.storage.ledger.identity import read_identity
from batchgen.storage.ledger.restore import LedgerBuilder, RestoredTask, copy_ledger, read_meta
from batchgen.storage.ledger.states import StatesFile
from batchgen.storage.results import FILE_NAME, public_status, stamp
from batchgen.types import Artifact, Outcome, Problem, Record, Status, Task, TaskError

_DEFAULT_PROVIDER = "aimlapi"
_LINES_PER_TRANSACTION = 500
_MAX_PROBLEMS = 20
_VERSION = re.compile(r"\.v([1-9]\d{0,6})(?:~\d+)?\.\w+$")  # as in the file names of a run
_Count = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]


class _ArtifactJson(msgspec.Struct):
    path: str
    bytes: _Count
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    media_type: str
    width: _Count | None
    height: _Count | None


class _ErrorJson(msgspec.Struct):
    kind: str
    code: str | None
    message: str


class _Line(msgspec.Struct):
    schema: Literal[1]
    id: str
    key: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
    line: _Count
    status: Status
    model: str
    prompt: str
    params: dict[str, Any]
    vars: dict[str, Any]
    artifacts: list[_ArtifactJson]
    attempts: _Count
    http_status: _Count | None
    error: _ErrorJson | None
    revised_prompt: str | None
    request_id: str | None
    cost_usd: float | None
    started_at: datetime | None
    finished_at: datetime | None
    duration_s: float | None
    reply: str | None = None  # lines of version 0.1 have none


_decode = msgspec.json.Decoder(_Line).decode


class RebuildResult(msgspec.Struct):
    """What a rebuild did.

    lines: all that were read. skipped: lines that are not a task record.
    problems: the first 20 of the skipped lines.
    identity: whether tasks in flight keep their idempotency keys.
    added: tasks of the old ledger that results.jsonl knows more of; None if it could not be read.
    aside: the new path of the old ledger; None if there was none.
    """

    tasks: int = 0
    lines: int = 0
    skipped: int = 0
    problems: list[Problem] = msgspec.field(default_factory=list)
    identity: bool = False
    added: int | None = None
    aside: Path | None = None


def rebuild(directory: Path, *, now: datetime, keep: bool = False) -> RebuildResult:
    """Replace the ledger by one made from results.jsonl; the old one is renamed.

    keep: begin with all that is in the old one, which has to be sound.
    Artifacts are not compared with their files; run `Verification` with `fix` afterwards. Raises
    StorageError if results.jsonl is missing or a file cannot be read or written.
    """
    result = RebuildResult()
    ledger = ledger_path(directory)
    folder = Folder(directory)
    new = directory / TEMPORARY / f"{secrets.token_hex(16)}.part"
    try:
        with folder.open_folder(TEMPORARY, make=True):
            pass
        if keep:
            copy_ledger(ledger, new)
            result.added = 0
        meta = _meta(ledger)
        result.identity = IDENTITY in meta
        with LedgerBuilder(new, now) as builder:
            provider = meta.get("provider", _DEFAULT_PROVIDER)
            tasks = _tasks(folder, result, provider)
            while batch := list(islice(tasks, _LINES_PER_TRANSACTION)):
                if result.added is not None:
                    batch = list(_unknown(batch, builder))
                    result.added += len(batch)
                builder.add(batch)
            result.tasks = builder.finish(meta)
        result.aside = _move_aside(folder, ledger, f"{now:%Y%m%dT%H%M%SZ}")
        folder.rename(f"{TEMPORARY}/{new.name}", f"{PRIVATE}/{ledger.name}")
        folder.sync(PRIVATE)
    except OSError as error:
        raise StorageError(
            f"cannot rebuild {ledger}: {error.filename or ''} ({error.strerror or error}); nothing"
            " was deleted"
        ) from error
    return result


def _unknown(batch: Sequence[RestoredTask], ledger: StatesFile) -> Iterator[RestoredTask]:
    """Yield the tasks that the ledger does not know, with generations after those that it has."""
    states = ledger.states([restored.record.task.key for restored in batch])
    for restored in batch:
        task, outcome = restored.record.task, restored.record.outcome
        state = states.get(task.key)
        if not is_ahead(_state_of(task, outcome), state):
            continue
        generation = restored.generation
        if state is not None:
            generation = max(generation, state.generation + state.has_artifacts)
        yield RestoredTask(restored.record, generation)


def _state_of(task: Task, outcome: Outcome) -> ResultState:
    return ResultState(
        task.key, public_status(outcome.status).value, outcome.attempts,
        stamp(outcome.started_at), stamp(outcome.finished_at), task.id,
    )  # fmt: skip


def _meta(ledger: Path) -> dict[str, str]:
    """Return the facts about the job that can still be read; the identity from its own file."""
    meta = read_meta(ledger) if ledger.is_file() else {}
    identity = read_identity(ledger.parent)
    return meta if identity is None else {**meta, IDENTITY: identity}


def _move_aside(folder: Folder, ledger: Path, stamp: str) -> Path | None:
    for number in count(1):
        suffix = f"~{number}" if number > 1 else ""
        aside = ledger.with_name(f"{ledger.name}.damaged-{stamp}{suffix}")
        if not os.path.lexists(aside):
            break
    moved = False
    for suffix in DATABASE_SUFFIXES:
        with suppress(FileNotFoundError):
            folder.rename(f"{PRIVATE}/{ledger.name}{suffix}", f"{PRIVATE}/{aside.name}{suffix}")
            moved = moved or not suffix
    return aside if moved else None


def _tasks(folder: Folder, result: RebuildResult, provider: str) -> Iterator[RestoredTask]:
    path = folder.root / FILE_NAME
    with folder.open_to_read(FILE_NAME) as file:
        for number, text in enumerate(file, 1):
            result.lines += 1
            try:
                # Ordinals count from 1 here and from 0 in a manifest. So the next run treats every
                # task as moved, and adds the manifest's name, which a line does not have.
                yield _restored(_decode(text), number, provider)
            except (msgspec.DecodeError, ValueError, RecursionError) as error:
                if not text.endswith(b"\n"):
                    continue  # a crash has cut the last line off
                result.skipped += 1
                if len(result.problems) < _MAX_PROBLEMS:
                    reason = f"not a task record ({error}); skipped"
                    result.problems.append(Problem(str(path), number, reason))


def _restored(line: _Line, number: int, provider: str) -> RestoredTask:
    """Return the task of a line. Raises ValueError if an artifact is outside of the directory."""
    artifacts = tuple(
        Artifact(
            artifact.path, artifact.bytes, artifact.sha256, artifact.media_type, artifact.width,
            artifact.height,
        )
        for artifact in line.artifacts
    )  # fmt: skip
    for artifact in artifacts:
        if not stays_inside(artifact.path):
            raise ValueError(f"{artifact.path!r} leaves the output directory")
    record = Record(_task(line, number, provider), _outcome(line, artifacts))
    version = _VERSION.search(artifacts[0].path) if artifacts else None
    return RestoredTask(record, int(version[1]) if version else 1)


def _task(line: _Line, number: int, provider: str) -> Task:
    endpoint = _endpoint(line, provider)
    digest = request_digest(endpoint, line.model, line.prompt, canonical(line.params))
    return Task(
        key=line.key, digest=digest, id=line.id, ordinal=number, file=FILE_NAME, line=line.line,
        endpoint=endpoint, model=line.model, prompt=line.prompt, params=line.params,
        vars=line.vars, filename="",
    )  # fmt: skip


def _endpoint(line: _Line, provider: str) -> str:
    """Return the endpoint of the line's model; the line itself does not have it."""
    model = catalog.find(line.model, provider)
    return DEFAULT_ENDPOINT if model is None else model.for_parameters(line.params.keys()).family


def _outcome(line: _Line, artifacts: tuple[Artifact, ...]) -> Outcome:
    error = line.error
    is_empty = line.status is Status.SUCCEEDED and not artifacts
    return Outcome(
        status=Status.PENDING if is_empty else line.status, artifacts=artifacts,
        error=None if error is None else TaskError(error.kind, error.code, error.message),
        attempts=line.attempts, http_status=line.http_status, request_id=line.request_id,
        revised_prompt=line.revised_prompt, cost_usd=line.cost_usd, started_at=line.started_at,
        finished_at=line.finished_at, duration_s=line.duration_s, reply=line.reply,
    )  # fmt: skip
