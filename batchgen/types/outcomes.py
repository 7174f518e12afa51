"""What became of a task: artifacts, statuses, outcomes, and work that is left."""

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
    """Where a task stands.

    The first three are on the way and live in the ledger only; the others are outcomes.
    """

    SENT = "sent"  # an intent is committed; the request may be under way
    SUBMITTED = "submitted"  # the remote id is committed; the provider works on it
    RECEIVED = "received"  # the result's URLs are committed; the download may be under way
    PENDING = "pending"  # nothing of it is under way
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # will not succeed as it is, or attempts used up
    REFUSED = "refused"  # the provider's content rules
    UNKNOWN = "unknown"  # sent, and no way to learn what came of it
    SKIPPED = "skipped"  # nothing was sent: a task whose artifact it needs did not succeed


class TaskError(msgspec.Struct, frozen=True):
    """Why a task did not succeed: our kind, the provider's code, a message for a person."""

    kind: str
    code: str | None
    message: str


class Outcome(msgspec.Struct, frozen=True):
    """The state of a task when its worker lets go of it.

    attempts: requests sent for this generation of the task, over all runs.
    cost_usd: None where the provider told nothing and no price is known.
    uploads: the ids that an upload brought; only of a part of a task.
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


class Prior(msgspec.Struct, frozen=True):
    """What the ledger knew of a task before this run took it up.

    generation: counts deliberate generations of the task, from 1.
    attempts: requests sent so far for this generation.
    received: the reply whose URLs are committed and not yet stored.
    error_kind: why it failed, where it did.
    parts: what the requests of a task that takes several have brought so far, in their order.
    """

    status: Status
    digest: str
    generation: int
    attempts: int
    error_kind: str | None = None
    remote_id: str | None = None
    received: Finished | None = None
    parts: tuple[Outcome, ...] = ()


class WorkItem(msgspec.Struct, frozen=True):
    """A task that a run has to do something about; `prior` is None for a task never begun.

    generation: the generation to be made; the idempotency key follows from it.
    ended: what it comes to where nothing can be sent for it; pending leaves it to a later run.
    """

    task: Task
    generation: int
    prior: Prior | None = None
    ended: Outcome | None = None


class Record(msgspec.Struct, frozen=True):
    """A task with its outcome, as the ledger holds it and the results manifest shows it."""

    task: Task
    outcome: Outcome
