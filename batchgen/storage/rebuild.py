"""Makes a ledger anew from results.jsonl, for one that is damaged or gone.

Write order, and what a crash leaves: the new ledger is written beside the old one and is whole
before the old one is moved away. A crash leaves the old one or none, and a further `--rebuild`
begins again.
"""

import os
import re
from collections.abc import Iterator
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
from batchgen.provider.endpoints import USUAL_ENDPOINT
from batchgen.storage.artifacts import fsync_folder
from batchgen.storage.directory import ledger_path
from batchgen.storage.ledger.identity import FILE_NAME as IDENTITY
from batchgen.storage.ledger.identity import read_identity
from batchgen.storage.ledger.restore import LedgerBuilder, RestoredTask, facts_of
from batchgen.storage.results import FILE_NAME
from batchgen.storage.verify import stays_inside
from batchgen.types import Artifact, Outcome, Problem, Record, Status, Task, TaskError

_USUAL_PROVIDER = "aimlapi"
_PARTS = ("", "-wal", "-shm")  # an SQLite file and what SQLite keeps beside it
_LINES_AT_ONCE = 500
_KEPT_PROBLEMS = 20
_VERSION = re.compile(r"\.v([1-9]\d{0,6})(?:~\d+)?\.\w+$")  # as perform.versioned and the store


_Count = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]


class _Artifact(msgspec.Struct):
    path: str
    bytes: _Count
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    media_type: str
    width: _Count | None
    height: _Count | None


class _Error(msgspec.Struct):
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
    artifacts: list[_Artifact]
    attempts: _Count
    http_status: _Count | None
    error: _Error | None
    revised_prompt: str | None
    request_id: str | None
    cost_usd: float | None
    started_at: datetime | None
    finished_at: datetime | None
    duration_s: float | None


_decode = msgspec.json.Decoder(_Line).decode


class RebuildResult(msgspec.Struct):
    """What came of it.

    lines: those that were read. skipped: those that tell no task, the first 20 as problems.
    identity: whether tasks in flight keep their idempotency keys.
    aside: where the old ledger is now.
    """

    tasks: int = 0
    lines: int = 0
    skipped: int = 0
    problems: list[Problem] = msgspec.field(default_factory=list)
    identity: bool = False
    aside: Path | None = None


def rebuild(directory: Path, *, now: datetime) -> RebuildResult:
    """Put a ledger made from results.jsonl in the place of the old one, which is kept aside.

    Artifacts are taken as the lines tell them: `verify` with `fix` comes next. Raises
    StorageError where there is no results.jsonl, or the disk refuses.
    """
    rebuilt = RebuildResult()
    ledger = ledger_path(directory)
    new = ledger.with_name(f"{ledger.name}.part")
    try:
        for part in _PARTS:
            with suppress(FileNotFoundError):
                Path(f"{new}{part}").unlink()
        facts = _facts(ledger)
        rebuilt.identity = IDENTITY in facts
        with LedgerBuilder(new, now) as restoring:
            provider = facts.get("provider", _USUAL_PROVIDER)
            tasks = _tasks(directory / FILE_NAME, rebuilt, provider)
            while batch := list(islice(tasks, _LINES_AT_ONCE)):
                restoring.add(batch)
            rebuilt.tasks = restoring.finish(facts)
        rebuilt.aside = _move_aside(ledger, f"{now:%Y%m%dT%H%M%SZ}")
        new.rename(ledger)
        fsync_folder(ledger.parent)
    except OSError as error:
        raise StorageError(
            f"cannot rebuild {ledger}: {error.filename or ''} {error.strerror or error}; what"
            " was there is still there"
        ) from error
    return rebuilt


def _facts(ledger: Path) -> dict[str, str]:
    """What is still known of the job; the identity from its own file first."""
    facts = facts_of(ledger) if ledger.is_file() else {}
    identity = read_identity(ledger.parent)
    return facts if identity is None else {**facts, IDENTITY: identity}


def _move_aside(ledger: Path, stamp: str) -> Path | None:
    for number in count(1):
        again = f"~{number}" if number > 1 else ""
        aside = ledger.with_name(f"{ledger.name}.damaged-{stamp}{again}")
        if not os.path.lexists(aside):
            break
    moved = False
    for part in _PARTS:
        with suppress(FileNotFoundError):
            Path(f"{ledger}{part}").rename(f"{aside}{part}")
            moved = moved or not part
    return aside if moved else None


def _tasks(path: Path, rebuilt: RebuildResult, provider: str) -> Iterator[RestoredTask]:
    with path.open("rb") as file:
        for number, text in enumerate(file, 1):
            rebuilt.lines += 1
            try:
                # Places count from 1 here and from 0 in a manifest: the next run finds every
                # task moved, and tells it its manifest's name, which no line has.
                yield _restored(_decode(text), number, provider)
            except (msgspec.DecodeError, ValueError, RecursionError) as error:
                rebuilt.skipped += 1
                if len(rebuilt.problems) < _KEPT_PROBLEMS:
                    reason = f"tells no task ({error}): skipped"
                    rebuilt.problems.append(Problem(str(path), number, reason))


def _restored(line: _Line, number: int, provider: str) -> RestoredTask:
    """The task of a line. Raises ValueError for an artifact outside of the output directory."""
    artifacts = tuple(
        Artifact(one.path, one.bytes, one.sha256, one.media_type, one.width, one.height)
        for one in line.artifacts
    )
    for artifact in artifacts:
        if not stays_inside(artifact.path):
            raise ValueError(f"{artifact.path!r} leaves the output directory")
    record = Record(_task(line, number, provider), _outcome(line, artifacts))
    found = _VERSION.search(artifacts[0].path) if artifacts else None
    return RestoredTask(record, int(found[1]) if found else 1)


def _task(line: _Line, number: int, provider: str) -> Task:
    endpoint = _endpoint(line, provider)
    digest = request_digest(endpoint, line.model, line.prompt, canonical(line.params))
    return Task(
        key=line.key, digest=digest, id=line.id, ordinal=number, file=FILE_NAME, line=line.line,
        endpoint=endpoint, model=line.model, prompt=line.prompt, params=line.params,
        vars=line.vars, filename="",
    )  # fmt: skip


def _endpoint(line: _Line, provider: str) -> str:
    """Where the request went, which no line tells: where the model's requests go."""
    model = catalog.find(line.model, provider)
    return USUAL_ENDPOINT if model is None else model.given(line.params.keys()).family


def _outcome(line: _Line, artifacts: tuple[Artifact, ...]) -> Outcome:
    error = line.error
    empty = line.status is Status.SUCCEEDED and not artifacts
    return Outcome(
        status=Status.PENDING if empty else line.status, artifacts=artifacts,
        error=None if error is None else TaskError(error.kind, error.code, error.message),
        attempts=line.attempts, http_status=line.http_status, request_id=line.request_id,
        revised_prompt=line.revised_prompt, cost_usd=line.cost_usd, started_at=line.started_at,
        finished_at=line.finished_at, duration_s=line.duration_s,
    )  # fmt: skip
