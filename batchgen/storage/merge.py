"""Unites the output directories of shards in one.

Write order, and what a crash leaves: files first, then the ledger's rows of some hundred tasks in
one transaction, at last results.jsonl and summary.json. A crash leaves files that the ledger does
not know; merging again takes them over.
"""

import errno
import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from batchgen.errors import Exit, StorageError, UsageError
from batchgen.storage.artifacts import candidate_paths, fsync_folder, make_folder
from batchgen.storage.counts import JobCounts, RunCounts, Spend
from batchgen.storage.directory import ledger_path
from batchgen.storage.ledger import Ledger
from batchgen.storage.ledger.merge_target import MergeTarget, SourceArtifact, SourceTask, TargetTask
from batchgen.storage.results import ResultsFile, count_paid, encode_rows, public_status
from batchgen.storage.summary import Ending, FailureGroups, Summary, write_summary
from batchgen.storage.verify import sha256_of, stays_inside
from batchgen.types import Status

_NO_LINKS = frozenset(
    {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS}
)
_FACT = "provider_kind"


class MergeCounts(msgspec.Struct):
    """What a merge came to.

    same: tasks that were there already. older: tasks left out since there is a better result.
    damaged: files that are missing or of the wrong size; a task whose newest they are is left out.
    """

    taken: int = 0
    same: int = 0
    older: int = 0
    damaged: int = 0
    linked: int = 0
    copied: int = 0


class Merge(msgspec.Struct):
    """A merge under way; `tell` is given a line for whatever is not taken over as it stands."""

    out: Path
    report: Callable[[str], None]
    counts: MergeCounts = msgspec.field(default_factory=MergeCounts)
    _folders: set[Path] = msgspec.field(default_factory=set)

    def take(self, directories: Sequence[Path]) -> None:
        """Take over what the directories have; raises BatchgenError.

        All of them and `out` have to be locked by the caller.
        """
        _refuse_mixture(self.out, directories)
        with Ledger(ledger_path(self.out)) as ledger:
            ledger.mark_results_stale()
        with MergeTarget(ledger_path(self.out)) as union:
            for directory in directories:
                with union.beside(ledger_path(directory)):
                    for page in union.pages():
                        self._take_page(union, directory, page)

    def _take_page(self, union: MergeTarget, directory: Path, page: list[SourceTask]) -> None:
        artifacts = defaultdict(list)
        for artifact in union.artifacts([theirs.task for theirs in page]):
            artifacts[artifact.task].append(artifact)
        try:
            with union.changing():
                for theirs in page:
                    self._take_task(union, directory, theirs, artifacts[theirs.task])
                for folder in self._folders:
                    fsync_folder(folder)
        except OSError as error:
            raise StorageError(
                f"cannot merge {directory} into {self.out}: {error.filename2 or error.filename}"
                f" ({error.strerror or error}); mend it and merge again"
            ) from error
        self._folders.clear()

    def _take_task(
        self,
        union: MergeTarget,
        directory: Path,
        theirs: SourceTask,
        artifacts: list[SourceArtifact],
    ) -> None:
        if self._is_left(directory, theirs):
            return
        wanted = _wanted(theirs, artifacts)
        damaged = {one for one in wanted if not _is_whole(directory, one)}
        self.counts.damaged += len(damaged)
        for one in damaged:
            self.report(f"damaged  {one.path} (task {theirs.id} of {directory}): left out")
        if any(one.generation == theirs.generation for one in damaged):
            return
        generation = _generation(theirs)
        task = union.take(theirs, generation)
        for one in wanted:
            if one not in damaged:
                number = generation if one.generation == theirs.generation else one.generation
                path = self._place(union, directory, one)
                union.take_artifact(task, number, path, one)
        self.counts.taken += 1

    def _is_left(self, directory: Path, theirs: SourceTask) -> bool:
        """Whether there is nothing to take over, since ours is the same or better."""
        ours = theirs.ours
        if ours is None:
            return False
        if _is_same(theirs, ours):
            self.counts.same += 1
            return True
        if not is_better(theirs, ours):
            self.counts.older += 1
            self.report(f"older    {theirs.id} (of {directory}): {self.out} has a better one")
            return True
        self.report(f"newer    {theirs.id} (of {directory}): {self.out} had another")
        return False

    def _place(self, union: MergeTarget, directory: Path, one: SourceArtifact) -> str:
        """Have the file in the output directory; return its path there."""
        path = self._free_path(union, one)
        if path != one.path:
            self.report(f"renamed  {one.path} (of {directory}) is {path}")
        target = self.out / path
        self._folders.add(target.parent)
        if os.path.lexists(target):  # an orphan of a merge that broke off
            return path
        make_folder(target.parent)
        source = (directory / one.path).resolve()
        try:
            os.link(source, target)
            self.counts.linked += 1
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            _copy(source, target, self.out / ".batchgen" / "merge.part")
            self.counts.copied += 1
        return path

    def _free_path(self, union: MergeTarget, one: SourceArtifact) -> str:
        for path in candidate_paths(one.path):
            target = self.out / path
            if union.is_known(path):
                continue
            if not os.path.lexists(target):
                return path
            if target.is_file() and sha256_of(target) == one.sha256:
                return path
        raise AssertionError("numbers do not end")


def is_better(theirs: SourceTask, ours: TargetTask) -> bool:
    """Whether their result takes the place of ours: a success does, else the newer of two."""
    return _rank(theirs) > _rank(ours)


def write_results(out: Path, command: tuple[str, ...], *, now: datetime, exit_code: Exit) -> None:
    """Write results.jsonl and summary.json of the merged directory, and note the merge."""
    with Ledger(ledger_path(out)) as ledger:
        total = sum(ledger.totals().counts.values())
        ledger.begin_run(pid=os.getpid(), total=total, now=now)
        ResultsFile(out).rewrite(map(encode_rows, ledger.result_rows()))
        told = _summary(ledger, out, command, now).to_json() | {"exit_code": exit_code}
        write_summary(told, out)
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
        name=out.absolute().name,
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
    )


def _refuse_mixture(out: Path, directories: Sequence[Path]) -> None:
    """Keep simulated pictures apart from paid ones, as a run does; give `out` the one kind."""
    with Ledger(ledger_path(out)) as ledger:
        known = ledger.meta(_FACT)
        for directory in directories:
            with Ledger(ledger_path(directory), create=False) as other:
                kind = other.meta(_FACT)
            if known is not None and kind not in (None, known):
                raise UsageError(
                    f"{directory} holds {kind} results and the others {known} ones: merge them"
                    " into directories of their own"
                )
            known = known or kind
        if known is not None:
            ledger.set_meta(_FACT, known)


def _is_same(theirs: SourceTask, ours: TargetTask) -> bool:
    one, other = ((x.moment, x.hashes, public_status(x.status)) for x in (theirs, ours))
    return theirs.same_request and one == other


def _rank(one: SourceTask | TargetTask) -> tuple[bool, str]:
    return one.status is Status.SUCCEEDED, one.moment


def _generation(theirs: SourceTask) -> int:
    """The number that their newest generation gets: after ours, unless ours came to nothing."""
    ours = theirs.ours
    if ours is None:
        return theirs.generation
    taken = ours.hashes != "[]"
    return max(theirs.generation, ours.generation + taken)


def _wanted(theirs: SourceTask, artifacts: list[SourceArtifact]) -> list[SourceArtifact]:
    """Their artifacts of the newest generation, and of those that ours has not come to."""
    after = 0 if theirs.ours is None else theirs.ours.generation
    return [
        one for one in artifacts if one.generation == theirs.generation or one.generation > after
    ]


def _is_whole(directory: Path, one: SourceArtifact) -> bool:
    try:
        return (
            stays_inside(one.path)
            and (directory / one.path).is_file()
            and (directory / one.path).stat().st_size == one.size_bytes
        )
    except OSError:
        return False


def _copy(source: Path, target: Path, temporary: Path) -> None:
    shutil.copyfile(source, temporary)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.rename(target)
