"""The request to run a job: its manifest, its selection, and the hooks of the caller."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec

from batchgen.engine.clock import Clock, SystemClock
from batchgen.engine.worklist.selection import Selection
from batchgen.job import Access
from batchgen.manifest.open import Manifest
from batchgen.progress import Progress
from batchgen.types import Outcome, Task

ReloadJob: TypeAlias = Callable[[], Manifest]
OnTaskDone: TypeAlias = Callable[[Task, Outcome], Awaitable[None]]


async def do_nothing(task: Task, outcome: Outcome) -> None:
    """Ignore a task that has ended: the default hook."""


class RunRequest(msgspec.Struct, frozen=True):
    """What to run, and how.

    command: the words that run the job again.
    access: the provider's key and other secrets.
    reload_job: reads the job file again, for its limits (SIGUSR1).
    preflight: whether to check the key and the balance first.
    on_task_done: called with each task that has ended, after its commit to the ledger; its worker
        waits for it.
    handle_signals: whether the run handles SIGINT, SIGTERM, SIGHUP and SIGUSR1.
    """

    manifest: Manifest
    selection: Selection
    progress: Progress
    command: tuple[str, ...]
    access: Access = msgspec.field(default_factory=Access)
    reload_job: ReloadJob | None = None
    preflight: bool = False
    on_task_done: OnTaskDone = do_nothing
    handle_signals: bool = True
    clock: Clock = msgspec.field(default_factory=SystemClock)
