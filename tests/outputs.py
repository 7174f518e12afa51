"""Output directories as runs leave them, made through the ledger's own API."""

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
    """A task whose key and digest are those that its id and request have."""
    task = a_task(number)
    digest = request_digest(task.endpoint, task.model, task.prompt, canonical(dict(task.params)))
    return a_task(number, key=key_of_id(task.id), digest=digest)


def stored(directory: Path, path: str, data: bytes) -> Artifact:
    """An artifact whose file is there."""
    (directory / path).parent.mkdir(parents=True, exist_ok=True)
    (directory / path).write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    return Artifact(path, len(data), digest, "image/png", 64, 32)


def a_picture(directory: Path, number: int, n: int = 1, suffix: str = "") -> Artifact:
    """Artifact `n` of a task, in its file."""
    return stored(directory, f"fox-{number}-{n}{suffix}.png", a_png(pixel=bytes([number, n])))


async def carry(ledger: Ledger, task: Task, outcome: Outcome, *, generation: int = 1) -> None:
    """Put a task into the ledger with its outcome."""
    await ledger.record_sent(task, generation, attempts=1, now=NOW)
    await ledger.record_outcome(task, generation, outcome)


def a_new_ledger(directory: Path, *, total: int = 0) -> Ledger:
    """The ledger of a directory that is made if need be, with a run begun as runs begin."""
    directory.mkdir(exist_ok=True)
    ledger = a_ledger(directory, total=total)
    identity_of(ledger)
    return ledger


async def an_output(directory: Path, *numbers: int, each: int = 1) -> None:
    """A directory in which a run has made tasks of these numbers, `each` artifacts for one."""
    with a_new_ledger(directory, total=len(numbers)) as ledger:
        for number in numbers:
            pictures = [a_picture(directory, number, n) for n in range(1, each + 1)]
            await carry(ledger, a_named_task(number), succeeded(*pictures))
        close(directory, ledger)


def close(directory: Path, ledger: Ledger) -> None:
    """End the run as a run ends."""
    ResultsFile(directory).rewrite(map(encode_rows, ledger.result_rows()))
    ledger.end_run(reason="complete", now=NOW)


def records(directory: Path) -> list[Record]:
    """What the ledger of a directory has, in order."""
    with Ledger(ledger_path(directory)) as ledger:
        return list(ledger.records())


def findings(directory: Path, *, fix: bool = False) -> list[Finding]:
    """What `verify` finds."""
    with Inventory(ledger_path(directory)) as inventory:
        return list(Verification(directory, inventory, fix=fix).findings())


def found(directory: Path, *, fix: bool = False) -> list[str]:
    """What `verify` finds, as it is told, without regard to order."""
    return sorted(str(finding) for finding in findings(directory, fix=fix))


def names(directory: Path) -> set[str]:
    """The files of a directory, batchgen's own left out."""
    found = {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}
    return {name for name in found if not name.startswith((".batchgen/", "results.jsonl"))}
