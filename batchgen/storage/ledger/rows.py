"""Conversion between values such as Task and Outcome and the columns of the ledger."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby, takewhile
from typing import Any, TypeAlias

import msgspec
from msgspec.structs import replace

from batchgen.storage.ledger import sql
from batchgen.storage.ledger.writer import Statement
from batchgen.text import utc_isoformat
from batchgen.types import (
    Artifact,
    Decision,
    Finished,
    Outcome,
    Prior,
    Record,
    RemotePayload,
    Status,
    Task,
    TaskError,
)

# A task's position in the last manifest: key, row number, ordinal, line, listed (1 or 0), digest,
# status. A bare tuple, because there may be millions.
Position: TypeAlias = tuple[str, int, int, int, int, str, str]
# A row of RESULT_ROWS: the columns of a line of the results, then those of one artifact (None if
# the task has none).
ResultRow: TypeAlias = tuple[Any, ...]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def sent(  # noqa: PLR0913  # one per column; all but two are keyword-only
    task: Task,
    generation: int,
    *,
    run: int,
    attempts: int,
    now: datetime,
    idempotency_key: str | None,
    spent_usd: float = 0.0,
) -> tuple[Statement, ...]:
    """Return the statements for the intent to send an attempt; the first one resets the row.

    spent_usd: what the generation has cost or may have cost, this attempt included.
    """
    if attempts > 1:
        return ((sql.SENT_AGAIN, (attempts, run, idempotency_key, spent_usd, task.key)),)
    values = (
        task.key, task.id, task.ordinal, task.file, task.line, run, generation, task.digest,
        Status.SENT, task.endpoint, task.model, task.prompt, text(task.params), text(task.vars),
        attempts, utc_isoformat(now), idempotency_key, spent_usd,
    )  # fmt: skip
    return (*_keep_earlier(task, generation), (sql.SENT, values))


def unsent(
    task: Task, generation: int, ended: Outcome, *, run: int, now: datetime
) -> tuple[Statement, ...]:
    """Return the statements for the outcome of a generation without any request."""
    intent = sent(task, generation, run=run, attempts=1, now=now, idempotency_key=None)
    return (*intent, *outcome(task, generation, replace(ended, attempts=0)))


def _keep_earlier(task: Task, generation: int) -> Iterator[Statement]:
    """Yield the statements that keep an earlier generation before a later one replaces it."""
    if generation > 1:
        yield sql.KEEP_VERSION, (task.key, generation)
        carried = (generation, task.key, task.digest, generation)
        yield sql.CARRY_ARTIFACTS, carried
        yield sql.CARRY_PARTS, carried


def submitted(task: Task, remote_id: str, decision: Decision) -> Statement:
    """Return the statement for the id of a task's remote job."""
    return sql.SUBMITTED, (remote_id, decision.http_status, decision.request_id, task.key)


def received(task: Task, finished: Finished, outcome: Outcome) -> Statement:
    """Return the statement for the URLs of a result and the rest of their reply."""
    urls = [payload.url for payload in finished.payloads if isinstance(payload, RemotePayload)]
    values = (
        text(urls), outcome.http_status, outcome.request_id, finished.revised_prompt,
        _seed_text(finished.seed), outcome.cost_usd, outcome.at_risk_usd, task.key,
    )  # fmt: skip
    return sql.RECEIVED, values


def outcome(task: Task, generation: int, ended: Outcome) -> tuple[Statement, ...]:
    """Return the statements for the outcome of a task and its artifacts."""
    error = ended.error
    values = (
        ended.status, ended.status, ended.attempts, ended.http_status,
        error and error.kind, error and error.code, error and error.message,
        ended.revised_prompt, ended.request_id, _seed_text(ended.seed), ended.cost_usd,
        _iso(ended.started_at), _iso(ended.finished_at), ended.duration_s, ended.reply,
        ended.at_risk_usd, task.key,
    )  # fmt: skip
    return (sql.OUTCOME, values), *_artifacts(task, generation, ended, 1)


def _artifacts(task: Task, generation: int, ended: Outcome, first: int) -> Iterator[Statement]:
    for n, artifact in enumerate(ended.artifacts, first):
        values = (
            generation, n, artifact.path, artifact.size_bytes, artifact.sha256,
            artifact.media_type, artifact.width, artifact.height, task.key,
        )  # fmt: skip
        yield sql.INSERT_ARTIFACT, values


def part_done(task: Task, generation: int, parts: Sequence[Outcome]) -> Iterator[Statement]:
    """Yield the statements for the result of a task's latest request; the task becomes pending."""
    newest = replace(parts[-1], seed=None)  # a seed may be too large for JSON
    first = 1 + sum(len(part.artifacts) for part in parts[:-1])
    values = (generation, len(parts) - 1, first, len(newest.artifacts), text(newest), task.key)
    yield sql.PART_DONE, values
    yield from _artifacts(task, generation, newest, first)
    cost_usd = sum(part.cost_usd or 0.0 for part in parts)
    spent_usd = (newest.cost_usd or 0.0) + newest.at_risk_usd  # the costs of earlier parts included
    yield sql.BETWEEN_PARTS, (cost_usd, max(0.0, spent_usd - cost_usd), task.key)


def parts_of(part_rows: Iterable[sqlite3.Row]) -> dict[str, tuple[Outcome, ...]]:
    """Return the parts of each task up to the first one that is not complete, by the task's key."""
    by_key = groupby(part_rows, key=lambda row: str(row["key"]))
    return {
        key: tuple(
            msgspec.json.decode(row["outcome"], type=Outcome)
            for row in takewhile(lambda row: row["whole"], group)
        )
        for key, group in by_key
    }


def pending(task: Task, *, run: int) -> Statement:
    """Return the statement for a task that was not started."""
    values = (
        task.key, task.id, task.ordinal, task.file, task.line, run, task.digest, Status.PENDING,
        task.endpoint, task.model, task.prompt, text(task.params), text(task.vars),
    )  # fmt: skip
    return sql.PENDING, values


def text(value: object) -> str:
    """Return a value as JSON, for a column."""
    return _encode(value).decode()


def _seed_text(seed: int | None) -> str | None:
    return None if seed is None else str(seed)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else utc_isoformat(moment)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def prior(row: sqlite3.Row, parts: tuple[Outcome, ...] = ()) -> Prior:
    """Return the state of a task before this run, from a row of PRIORS and its parts."""
    received = None
    if row["urls"] is not None:
        received = Finished(
            tuple(RemotePayload(url) for url in _decode(row["urls"])),
            row["revised_prompt"],
            None if row["seed"] is None else int(row["seed"]),
            row["cost_usd"],
        )
    return Prior(
        Status(row["status"]), row["digest"], row["generation"], row["attempts"],
        row["error_kind"], row["remote_id"], received, parts, row["reply"],
        row["cost_usd"] or 0.0, row["at_risk_usd"],
    )  # fmt: skip


def records(rows: Iterable[sqlite3.Row]) -> Iterator[Record]:
    """Yield tasks with their artifacts, from rows of RECORDS: one per artifact, or one if none."""
    for _, group in groupby(rows, key=lambda row: row["task"]):
        first, *others = group
        artifacts = () if first["path"] is None else (_artifact(first), *map(_artifact, others))
        yield record(first, artifacts)


def record(row: sqlite3.Row, artifacts: tuple[Artifact, ...] = ()) -> Record:
    """Return a task with its outcome, from a row of `tasks`."""
    return Record(_task(row), _outcome(row, artifacts))


def _task(row: sqlite3.Row) -> Task:
    return Task(
        key=row["key"], digest=row["digest"], id=row["id"], ordinal=row["ordinal"],
        file=row["file"], line=row["line"], endpoint=row["endpoint"], model=row["model"],
        prompt=row["prompt"], params=_decode(row["params"]), vars=_decode(row["vars"]),
        filename="",
    )  # fmt: skip


def _outcome(row: sqlite3.Row, artifacts: tuple[Artifact, ...]) -> Outcome:
    error = None
    if row["error_kind"] is not None:
        error = TaskError(row["error_kind"], row["error_code"], row["error_message"])
    return Outcome(
        status=Status(row["status"]), artifacts=artifacts, error=error, attempts=row["attempts"],
        http_status=row["http_status"], request_id=row["request_id"],
        revised_prompt=row["revised_prompt"],
        seed=None if row["seed"] is None else int(row["seed"]), cost_usd=row["cost_usd"],
        started_at=_moment(row["started_at"]), finished_at=_moment(row["finished_at"]),
        duration_s=row["duration_s"], reply=row["reply"], at_risk_usd=row["at_risk_usd"],
    )  # fmt: skip


def _artifact(row: sqlite3.Row) -> Artifact:
    return Artifact(
        row["path"], row["size_bytes"], row["sha256"], row["media_type"], row["width"],
        row["height"],
    )  # fmt: skip
