"""What the steps of one task hand on to each other."""

from collections.abc import Callable
from datetime import datetime

import msgspec

from batchgen.engine.held_reply import HeldReply
from batchgen.engine.risk import Risk
from batchgen.types import Artifact, Decision, HttpRequest


class TaskState(msgspec.Struct):
    """What changes while a task is carried out."""

    attempts: int
    started_at: datetime
    started_s: float
    held: HeldReply
    earlier: Decision | None  # an accepted reply of an earlier run, which was not stored
    release_worker: Callable[[], None]
    risk: Risk
    ambiguous: bool = False  # an attempt without a usable reply may have been carried out
    submitted: bool = False  # a remote job exists, and its id is in the ledger
    missing: tuple[str, ...] = ()  # why items of the replies were left out


class Part(msgspec.Struct, frozen=True):
    """One request of a task, counted from 0; its artifacts are numbered from `first`.

    prices: of this request and of those after it, in US dollars.
    """

    number: int
    request: HttpRequest
    first: int
    prices: list[float]


class Stored(msgspec.Struct, frozen=True):
    """The stored artifacts of a reply; failed: the decision on the download that failed, if any."""

    artifacts: list[Artifact]
    failed: Decision | None = None
