"""Merges the output directories of shards into one.

Write order and crashes: artifacts first, then the ledger's rows of some hundred tasks in one
transaction, then results.jsonl and summary.json. A crash leaves artifacts that the ledger does not
know; the next merge adopts them.
"""

import errno
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from batchgen.errors import Exit, StorageError, UsageError
from batchgen.storage.artifacts import candidate_paths
from batchgen.storage.counts import JobCounts, RunCounts, Spend
from batchgen.storage.directory import ledger_path
from batchgen.storage.files import Folder, real_path, resolves_inside
from batchgen.storage.ledger import Ledger
from batchgen.storage.ledger.merge_target import MergeTarget, SourceArtifact, SourceTask, TargetTask
from batchgen.storage.results import ResultsFile, count_paid, public_status, write_in_manifest_order
from batchgen.storage.summary import Ending, FailureGroups, Summary, write_summary
from batchgen.text import printable_path
from batchgen.types import Status

# Hard links are not possible between these two places.
_NO_LINKS = frozenset(
    {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS}
)
_CHUNK_BYTES = 1 << 20
_PROVIDER_KIND = "provider_kind"


class MergeCounts(msgspec.Struct):
    """What a merge did.

    taken: tasks that were added or replaced. same: tasks that were there already.
    older: tasks left out, because the output directory has a better result.
    damaged: files left out, because they are missing or of the wrong size. A task is left out if
        its newest file is damaged.
    linked, copied: files.
    """

    taken: int = 0
    same: int = 0
    older: int = 0
    damaged: int = 0
    linked: int = 0
    copied: int = 0


class Merge(msgspec.Struct):
    """A merge of other output directories into `out`.

    report: is called with a line for each task or file that is replaced, renamed or left out.
    """

    out: Path
    report: Callable[[str], None]
    counts: MergeCounts = msgspec.field(default_factory=MergeCounts)
    _folders: set[str] = msgspec.field(default_factory=set)

    def take(self, directories: Sequence[Path]) -> None:
        """Add the tasks and artifacts of other output directories. Raises BatchgenError.

        The caller has to lock the directories and `out`.
        """
        _check_provider_kinds(self.out, directories)
        with Ledger(ledger_path(self.out)) as ledger:
            ledger.mark_results_stale()
            ledger.mark_results_corrected()
        with MergeTarget(ledger_path(self.out)) as target:
            for directory in directories:
                with target.attach(ledger_path(directory)):
                    for page in target.pages():
                        self._take_page(target, directory, page)

    def _take_page(self, target: MergeTarget, directory: Path, page: list[SourceTask]) -> None:
        artifacts = defaultdict(list)
        for artifact in target.artifacts([source.task for source in page]):
            artifacts[artifact.task].append(artifact)
        try:
            with target.changing():
                for source in page:
                    self._take_task(target, directory, source, artifacts[source.task])
                for folder in self._folders:
                    Folder(self.out).sync(folder)
        except OSError as error:
            raise StorageError(
                f"cannot merge {directory} into {self.out}: {error.filename2 or error.filename}"
                f" ({error.strerror or error}); fix the cause and merge again"
            ) from error
        self._folders.clear()

    def _take_task(
        self,
        target: MergeTarget,
        directory: Path,
        source: SourceTask,
        artifacts: list[SourceArtifact],
    ) -> None:
        if self._is_left_out(directory, source):
            return
        to_copy = _artifacts_to_copy(source, artifacts)
        damaged = {artifact for artifact in to_copy if not _is_whole(directory, artifact)}
        self.counts.damaged += len(damaged)
        for artifact in damaged:
            self.report(f"damaged  {artifact.path} (task {source.id} of {directory}): left out")
        if any(artifact.generation == source.generation for artifact in damaged):
            return
        newest = _generation(source)
        task = target.take(source, newest)
        for artifact in to_copy:
            if artifact not in damaged:
                is_newest = artifact.generation == source.generation
                path = self._place(target, directory, artifact)
                generation = newest if is_newest else artifact.generation
                target.take_artifact(task, generation, path, artifact)
        self.counts.taken += 1

    def _is_left_out(self, directory: Path, source: SourceTask) -> bool:
        """Return whether the output directory already has the same or a better result."""
        existing = source.existing
        if existing is None:
            return False
        if _is_same(source, existing):
            self.counts.same += 1
            return True
        if not is_better(source, existing):
            self.counts.older += 1
            self.report(
                f"older    {source.id} (of {directory}): left out, {self.out} has a better result"
            )
            return True
        self.report(f"newer    {source.id} (of {directory}): replaces the result in {self.out}")
        return False

    def _place(self, target: MergeTarget, directory: Path, artifact: SourceArtifact) -> str:
        """Link or copy the file into the output directory; return its path there."""
        path = self._free_path(target, artifact)
        if path != artifact.path:
            self.report(f"renamed  {artifact.path} (of {directory}) to {path}")
        folder = Folder(self.out)
        self._folders.add(path.rpartition("/")[0])
        if folder.exists(path):  # an orphan of a merge that was interrupted
            return path
        original = real_path(directory, artifact.path)
        try:
            folder.link(original, path)
            self.counts.linked += 1
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            _copy(original, folder, path)
            self.counts.copied += 1
        return path

    def _free_path(self, target: MergeTarget, artifact: SourceArtifact) -> str:
        folder = Folder(self.out)
        for path in candidate_paths(artifact.path):
            if target.is_known(path):
                continue
            if not folder.exists(path):
                return path
            if folder.is_file(path) and folder.sha256_of(path) == artifact.sha256:
                return path
        raise AssertionError("numbers do not end")


def is_better(source: SourceTask, existing: TargetTask) -> bool:
    """Return whether a result replaces the existing one: successes first, then the newer one."""
    return _rank(source) > _rank(existing)


def write_results(out: Path, command: tuple[str, ...], *, now: datetime, exit_code: Exit) -> None:
    """Write results.jsonl and summary.json of `out`, and record the merge as a run.

    Raises StorageError.
    """
    with Ledger(ledger_path(out)) as ledger:
        total = sum(ledger.totals().counts.values())
        ledger.begin_run(pid=os.getpid(), total=total, now=now)
        write_in_manifest_order(ResultsFile(out), ledger, unchanged=False)
        summary = _summary(ledger, out, command, now).to_json() | {"exit_code": exit_code}
        write_summary(summary, out)
        ledger.end_run(reason="merged", now=now)


def _summary(ledger: Ledger, out: Path, command: tuple[str, ...], now: datetime) -> Summary:
    totals = ledger.totals()
    counts = Counter[str]()
    for status, number in totals.counts.items():
        counts[public_status(status)] += number
    total = counts.total()
    tasks = JobCounts.of(total, counts, pending_paid=count_paid(totals.counts))
    failures = FailureGroups()
    for record in ledger.unsuccessful():
        failures.add(record.task, record.outcome)
    return Summary(
        name=printable_path(out.absolute().name),
        ending=Ending.COMPLETE if tasks.succeeded == total else Ending.INCOMPLETE,
        tasks=tasks,
        run=RunCounts(now, now),
        command=command,
        output=str(out),
        exit_code=Exit.OK,
        spend=Spend(ledger.spent_usd(), totals.unpriced),
        artifacts=totals.artifacts,
        size_bytes=totals.size_bytes,
        failures=failures.groups(),
        possibly_charged_usd=ledger.at_risk_usd(),
    )


def _check_provider_kinds(out: Path, directories: Sequence[Path]) -> None:
    """Raise UsageError if simulated and paid results would be mixed; record the kind of `out`."""
    with Ledger(ledger_path(out)) as ledger:
        known = ledger.meta(_PROVIDER_KIND)
        for directory in directories:
            with Ledger(ledger_path(directory), create=False) as other:
                kind = other.meta(_PROVIDER_KIND)
            if known is not None and kind not in (None, known):
                raise UsageError(
                    f"{directory} holds {kind} results and the others {known} ones: merge them"
                    " into separate directories"
                )
            known = known or kind
        if known is not None:
            ledger.set_meta(_PROVIDER_KIND, known)


def _is_same(source: SourceTask, existing: TargetTask) -> bool:
    return source.same_request and _result_of(source) == _result_of(existing)


def _result_of(task: SourceTask | TargetTask) -> tuple[str, str, Status]:
    return task.moment, task.hashes, public_status(task.status)


def _rank(task: SourceTask | TargetTask) -> tuple[bool, str]:
    return task.status is Status.SUCCEEDED, task.moment


def _generation(source: SourceTask) -> int:
    """Return the number of the newest generation in `out`: after the existing artifacts."""
    existing = source.existing
    if existing is None:
        return source.generation
    has_artifacts = existing.hashes != "[]"
    return max(source.generation, existing.generation + has_artifacts)


def _artifacts_to_copy(source: SourceTask, artifacts: list[SourceArtifact]) -> list[SourceArtifact]:
    """Return the artifacts of the newest generation, and of those that `out` does not have."""
    existing = 0 if source.existing is None else source.existing.generation
    return [
        artifact
        for artifact in artifacts
        if artifact.generation == source.generation or artifact.generation > existing
    ]


def _is_whole(directory: Path, artifact: SourceArtifact) -> bool:
    file = real_path(directory, artifact.path)
    try:
        return (
            resolves_inside(directory, artifact.path)
            and file.is_file()
            and file.stat().st_size == artifact.size_bytes
        )
    except OSError:
        return False


def _copy(source: Path, folder: Folder, path: str) -> None:
    with source.open("rb") as file:
        folder.replace(path, iter(lambda: file.read(_CHUNK_BYTES), b""))
