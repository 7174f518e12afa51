"""`python -m tests.bench.filled_ledger MANIFEST FOLDER GROUP`: fill a ledger as a run would.

It commits the intents and outcomes of all tasks of the manifest, without the images. GROUP: the
number of tasks whose commits are awaited together.
"""

import asyncio
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from batchgen.job import Flags
from batchgen.manifest.open import Manifest, open_manifest, source_of
from batchgen.storage.ledger import Ledger
from batchgen.types import Artifact, Outcome, Status, Task


async def _fill(manifest: Manifest, ledger: Ledger, group: int) -> None:
    tasks = (task for task in manifest.tasks(check=False) if isinstance(task, Task))
    now = datetime.now(UTC)
    while chunk := list(islice(tasks, group)):
        await asyncio.gather(*(ledger.record_sent(task, 1, attempts=1, now=now) for task in chunk))
        await asyncio.gather(
            *(ledger.record_outcome(task, 1, outcome) for task, outcome in _done(chunk))
        )


def _done(tasks: list[Task]) -> Iterator[tuple[Task, Outcome]]:
    now = datetime.now(UTC)
    for task in tasks:
        artifact = Artifact(f"{task.id}-1.png", 12_000, "0" * 64, "image/png", 64, 64)
        yield task, Outcome(
            Status.SUCCEEDED, (artifact,), attempts=1, http_status=200, cost_usd=0.02,
            started_at=now, finished_at=now, duration_s=1.0,
        )  # fmt: skip


def _main(path: str, output: Path, group: int) -> None:
    manifest = open_manifest(source_of(path, None, None), Flags(model="dall-e-2"))
    ledger_path = output / ".batchgen" / "ledger.sqlite3"
    ledger_path.parent.mkdir()
    with Ledger(ledger_path) as ledger:
        ledger.set_meta("provider_kind", "real")
        ledger.begin_run(pid=1, total=0, now=datetime.now(UTC))
        asyncio.run(_fill(manifest, ledger, group))
        ledger.end_run(reason="complete", now=datetime.now(UTC))


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
