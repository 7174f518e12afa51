"""Generate assets from a manifest of prompts, with a results manifest.

async for done in batchgen.run("job.yaml"):
    print(done.task.id, done.outcome.status)

summary = batchgen.run_sync("job.yaml", flags=batchgen.Flags(max_cost_usd=5.0))
"""

from importlib import import_module
from typing import TYPE_CHECKING

from batchgen._version import __version__ as __version__

if TYPE_CHECKING:
    from batchgen.api import Run, run, run_sync
    from batchgen.engine.worklist.selection import OnUnknown, Selection
    from batchgen.errors import BatchgenError, LockedError, ManifestError, StorageError, UsageError
    from batchgen.job import Flags
    from batchgen.storage.summary import Summary
    from batchgen.types import Artifact, Outcome, Record, Status, Task, TaskError

__all__ = [
    "Artifact", "BatchgenError", "Flags", "LockedError", "ManifestError", "OnUnknown", "Outcome",
    "Record", "Run", "Selection", "Status", "StorageError", "Summary", "Task", "TaskError",
    "UsageError", "run", "run_sync",
]  # fmt: skip

_HOMES = {
    "api": ("Run", "run", "run_sync"),
    "errors": ("BatchgenError", "LockedError", "ManifestError", "StorageError", "UsageError"),
    "job": ("Flags",),
    "storage.summary": ("Summary",),
    "types": ("Artifact", "Outcome", "Record", "Status", "Task", "TaskError"),
    "engine.worklist.selection": ("OnUnknown", "Selection"),
}


def __getattr__(name: str) -> object:
    """Import a public name on first use: the command must start without what only programs use."""
    home = next((home for home, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module 'batchgen' has no attribute {name!r}")
    return getattr(import_module(f"batchgen.{home}"), name)
