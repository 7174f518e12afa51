"""What a run is asked for, and of whom."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec

from batchgen.engine.clock import Clock, SystemClock
from batchgen.engine.worklist.selection import Selection
from batchgen.job import Access
from batchgen.manifest.open import Manifest
from batchgen.progress import Progress
from batchgen.types import Outcome, Task

Reread: TypeAlias = Callable[[], Manifest]


async def alone(task: Task, outcome: Outcome) -> None:
    """Nobody else is to hear of a task that has ended."""


class RunRequest(msgspec.Struct, frozen=True):
    """What a run is asked for.

    access: the provider's key and what else is secret. command: the words that run the job again.
    reread: reads the job file anew, for its limits. preflight: ask for key and balance first.
    hear: is told of each task that has ended, once it is in the ledger, and may have the run wait.
    heed_signals: whether SIGINT, SIGTERM, SIGHUP and SIGUSR1 are this run's.
    """

    manifest: Manifest
    selection: Selection
    progress: Progress
    command: tuple[str, ...]
    access: Access = msgspec.field(default_factory=Access)
    reload_job: Reread | None = None
    preflight: bool = False
    hear: Callable[[Task, Outcome], Awaitable[None]] = alone
    handle_signals: bool = True
    clock: Clock = msgspec.field(default_factory=SystemClock)
