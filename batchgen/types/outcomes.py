"""The results of tasks: artifacts, statuses, outcomes; and the work that is left."""

from datetime import datetime
from enum import StrEnum

import msgspec

from batchgen.types.decisions import Finished
from batchgen.types.manifest import Task


class Artifact(msgspec.Struct, frozen=True):
    """A stored file; `path` is relative to the output directory, with forward slashes."""

    path: str
    size_bytes: int
    sha256: str
    media_type: str
    width: int | None
    height: int | None


class Status(StrEnum):
    """The status of a task.

    The first three are intermediate and occur in the ledger only; the others are outcomes.
    """

    SENT = "sent"  # an intent is committed; the request may be in flight
    SUBMITTED = "submitted"  # the remote id is committed; the provider works on it
    RECEIVED = "received"  # the result's URLs are committed; the download may be in progress
    PENDING = "pending"  # not started, or to be started again
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # permanent error, or retries exhausted
    REFUSED = "refused"  # by the provider's content policy
    UNKNOWN = "unknown"  # sent, without a usable result
    SKIPPED = "skipped"  # not sent: a task that it depends on did not succeed


class TaskError(msgspec.Struct, frozen=True):
    """Why a task did not succeed: batchgen's error kind, the provider's code, a message."""

    kind: str
    code: str | None
    message: str


class Outcome(msgspec.Struct, frozen=True):
    """The final state of a task in a run.

    attempts: requests sent for this generation of the task, in all runs.
    cost_usd: None if the provider does not report it and no price is known.
    at_risk_usd: what may have been charged besides, for attempts that brought no result.
    uploads: names and ids of uploaded files; only for a part of a task.
    reply: path of a paid reply that could not be used, relative to the output directory.
    """

    status: Status
    artifacts: tuple[Artifact, ...] = ()
    error: TaskError | None = None
    attempts: int = 0
    http_status: int | None = None
    request_id: str | None = None
    revised_prompt: str | None = None
    seed: int | None = None
    cost_usd: float | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    duration_s: float | None = None
    uploads: tuple[tuple[str, str], ...] = ()
    reply: str | None = None
    at_risk_usd: float = 0.0


class Prior(msgspec.Struct, frozen=True):
    """The state of a task in the ledger before this run.

    generation: counts deliberate generations of the task, from 1.
    attempts: requests sent so far for this generation.
    received: the reply whose URLs are committed, but not yet downloaded.
    error_kind: why it failed, if it did.
    parts: outcomes of the requests completed so far, in order, if the task takes several.
    reply: path of a paid reply that is kept, relative to the output directory.
    cost_usd, at_risk_usd: of this generation, as in Outcome; 0 if nothing is known.
    """

    status: Status
    digest: str
    generation: int
    attempts: int
    error_kind: str | None = None
    remote_id: str | None = None
    received: Finished | None = None
    parts: tuple[Outcome, ...] = ()
    reply: str | None = None
    cost_usd: float = 0.0
    at_risk_usd: float = 0.0


class WorkItem(msgspec.Struct, frozen=True):
    """A task with work to do in this run; `prior` is None for a task that was never started.

    generation: the generation to be made; the idempotency key follows from it.
    ended: the outcome if nothing can be sent for the task; pending leaves it to a later run.
    """

    task: Task
    generation: int
    prior: Prior | None = None
    ended: Outcome | None = None


class Record(msgspec.Struct, frozen=True):
    """A task with its outcome, as in the ledger and in the results manifest."""

    task: Task
    outcome: Outcome
