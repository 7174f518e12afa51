"""Output directories as runs leave them, made with the ledger's own API."""

import hashlib
from pathlib import Path

from batchgen.job.canonical import canonical
from batchgen.manifest.expand.identity import key_of_id, request_digest
from batchgen.storage.directory import ledger_path
from batchgen.storage.ledger import Ledger
from batchgen.storage.ledger.identity import identity_of
from batchgen.storage.ledger.inventory import Inventory
from batchgen.storage.results import ResultsFile, encode_rows
from batchgen.storage.verify import Finding, Verification
from batchgen.types import Artifact, Outcome, Record, Task
from tests.given import NOW, a_ledger, a_png, a_task, succeeded


def a_named_task(number: int) -> Task:
    """Return a task whose key and digest follow from its id and request."""
    task = a_task(number)
    digest = request_digest(task.endpoint, task.model, task.prompt, canonical(dict(task.params)))
    return a_task(number, key=key_of_id(task.id), digest=digest)


def write_artifact(directory: Path, path: str, data: bytes) -> Artifact:
    """Write an artifact's file and return the artifact."""
    (directory / path).parent.mkdir(parents=True, exist_ok=True)
    (directory / path).write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    return Artifact(path, len(data), digest, "image/png", 64, 32)


def an_image(directory: Path, number: int, n: int = 1, suffix: str = "") -> Artifact:
    """Write image `n` of a task and return the artifact."""
    return write_artifact(
        directory, f"fox-{number}-{n}{suffix}.png", a_png(pixel=bytes([number, n]))
    )


async def record_task(ledger: Ledger, task: Task, outcome: Outcome, *, generation: int = 1) -> None:
    """Record a task with its outcome in the ledger."""
    await ledger.record_sent(task, generation, attempts=1, now=NOW)
    await ledger.record_outcome(task, generation, outcome)


def a_new_ledger(directory: Path, *, total: int = 0) -> Ledger:
    """Return the ledger of a directory, both created if missing, in which a run has begun."""
    directory.mkdir(exist_ok=True)
    ledger = a_ledger(directory, total=total)
    identity_of(ledger)
    return ledger


async def an_output(directory: Path, *numbers: int, each: int = 1) -> None:
    """Make the directory of a complete run of tasks with these numbers, `each` images per task."""
    with a_new_ledger(directory, total=len(numbers)) as ledger:
        for number in numbers:
            images = [an_image(directory, number, n) for n in range(1, each + 1)]
            await record_task(ledger, a_named_task(number), succeeded(*images))
        end_run(directory, ledger)


def end_run(directory: Path, ledger: Ledger) -> None:
    """Write the results manifest and end the run."""
    ResultsFile(directory).rewrite(map(encode_rows, ledger.result_rows()))
    ledger.end_run(reason="complete", now=NOW)


def records(directory: Path) -> list[Record]:
    """Return the records of a directory's ledger, in order."""
    with Ledger(ledger_path(directory)) as ledger:
        return list(ledger.records())


def findings(directory: Path, *, fix: bool = False) -> list[Finding]:
    """Return the findings of `verify`."""
    with Inventory(ledger_path(directory)) as inventory:
        return list(Verification(directory, inventory, fix=fix).findings())


def finding_lines(directory: Path, *, fix: bool = False) -> list[str]:
    """Return the findings of `verify` as lines, sorted."""
    return sorted(str(finding) for finding in findings(directory, fix=fix))


def names(directory: Path) -> set[str]:
    """Return the files of a directory without the ledger and the results manifest."""
    paths = {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}
    return {path for path in paths if not path.startswith((".batchgen/", "results.jsonl"))}
