"""What a run has to do: the manifest's tasks, narrowed by flags, less what the ledger has done."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from fnmatch import fnmatchcase
from itertools import islice
from typing import assert_never

import msgspec

from batchgen.errors import UsageError
from batchgen.manifest.open import Manifest
from batchgen.manifest.problems import RejectedError
from batchgen.storage.ledger import Ledger
from batchgen.storage.ledger.rows import Place
from batchgen.storage.ledger.sql import TASKS_AT_ONCE
from batchgen.storage.results import shown_status
from batchgen.types import Outcome, Prior, Problem, Severity, Status, Task, Work

_MOVED_AT_ONCE = 20_000  # moves committed together: a row put in at the top moves all the others
_AHEAD = 2000  # how far the ledger may run ahead of the manifest, or fall behind it
_MOST_NEAR = 4 * _AHEAD
_MORE = 4096  # tasks for which room is made at once
_SUCCEEDED = str(Status.SUCCEEDED)
ANY_KIND = "*"
_NOT_BEGUN = (Status.PENDING, Status.SKIPPED)


class OnUnknown(StrEnum):
    """What is done about tasks that were sent and whose outcome nobody knows."""

    RESEND = "resend"
    HOLD = "hold"
    FAIL = "fail"


class Selection(msgspec.Struct, frozen=True):
    """Which tasks a run is about, and which of the ended ones it takes up again.

    shard: (number from 1, of how many), by the key's hash.
    retry_failed: a kind of failure or `*`; None leaves failed tasks alone.
    """

    limit: int | None = None
    only: str | None = None
    shard: tuple[int, int] | None = None
    retry_failed: str | None = None
    on_unknown: OnUnknown = OnUnknown.RESEND

    def narrow(
        self, items: Iterable[Task | Problem], *, to_the_end: bool
    ) -> Iterator[Task | Problem]:
        """The selected tasks, and every problem; `to_the_end` goes on checking past the limit."""
        return self._narrowed(items, to_the_end=to_the_end) if self.is_partial() else iter(items)

    def _narrowed(
        self, items: Iterable[Task | Problem], *, to_the_end: bool
    ) -> Iterator[Task | Problem]:
        taken = 0
        for item in items:
            if isinstance(item, Problem):
                yield item
            elif self.limit is not None and taken >= self.limit:
                if not to_the_end:
                    return
            elif self.selects(item):
                taken += 1
                yield item

    def is_partial(self) -> bool:
        """Whether it may leave tasks of the manifest out."""
        return not (self.limit is None and self.only is None and self.shard is None)

    def selects(self, task: Task) -> bool:
        """Whether --only and --shard leave it in; --limit counts what they do."""
        return (self.only is None or fnmatchcase(task.id, self.only)) and self.is_in_shard(task)

    def is_in_shard(self, task: Task) -> bool:
        """Whether it belongs to the part of the manifest that this run is about."""
        if self.shard is None:
            return True
        number, of = self.shard
        return int(task.key[:8], 16) % of == number - 1

    def decide(self, task: Task, prior: Prior | None) -> Work | None:
        """What has to be done about a task that the ledger knows so; None when nothing has."""
        if prior is None:
            return Work(task, 1)
        if prior.digest != task.digest:
            started = prior.status not in _NOT_BEGUN or prior.attempts > 0
            return Work(task, prior.generation + 1 if started else prior.generation, prior)
        match prior.status:
            case Status.SUCCEEDED:
                return None
            case Status.FAILED | Status.REFUSED:
                again = self._is_retried(prior)
                return Work(task, prior.generation + 1, prior) if again else None
            case Status.UNKNOWN | Status.SENT:
                asked = prior.remote_id is not None  # which sends nothing anew
                again = asked or self.on_unknown is OnUnknown.RESEND
                return Work(task, prior.generation, prior) if again else None
            case Status.PENDING | Status.RECEIVED | Status.SUBMITTED | Status.SKIPPED:
                return Work(task, prior.generation, prior)
            case _:
                assert_never(prior.status)

    def _is_retried(self, prior: Prior) -> bool:
        if self.retry_failed is None:
            return False
        if self.retry_failed == ANY_KIND:
            return prior.status is Status.FAILED
        return self.retry_failed in (prior.error_kind, prior.status)


def failed_kinds(ledger: Ledger) -> frozenset[str]:
    """What --retry-failed may name in a job: kinds of failure, and `refused` and `unknown`."""
    found: set[str] = set()
    for record in ledger.unsuccessful():
        if record.outcome.status is Status.SKIPPED:  # taken up with what it was skipped for
            continue
        found.add(str(record.outcome.status))
        if record.outcome.error is not None:
            found.add(record.outcome.error.kind)
    return frozenset(found - {"failed"})


def parse_shard(text: str) -> tuple[int, int]:
    """Read `I/N`, from 1/N to N/N."""
    number, slash, of = text.partition("/")
    if slash and number.isascii() and of.isascii() and number.isdigit() and of.isdigit():
        found = int(number), int(of)
        if 1 <= found[0] <= found[1]:
            return found
    raise UsageError(f"--shard {text!r} is not I/N, such as 1/4, 2/4, 3/4 and 4/4")


class Worklist(msgspec.Struct):
    """The tasks that are left, looked up in the ledger chunk by chunk.

    tell_passed: hears how many more tasks nothing has to be done about. passed: how those stand.
    all_done: how many tasks are selected, where all are known to have succeeded; else 0.
    """

    manifest: Manifest
    ledger: Ledger
    selection: Selection
    tell_passed: Callable[[int], None] = lambda _: None
    all_done: int = 0
    passed: Counter[Status] = msgspec.field(default_factory=Counter)

    def works(self) -> Iterator[Work | None]:
        """What is left, in manifest order; None after each chunk, so that others may run.

        Raises RejectedError when the manifest no longer reads as it was checked.
        """
        if self.all_done:
            self.pass_all()
            return
        tasks = self.selection.narrow(self.manifest.tasks(check=False), to_the_end=False)
        sound = without_problems(tasks)
        for chunk in self.ledger.with_priors(sound, _key):
            before = self.passed.total()
            for task, prior in chunk:
                work = self.selection.decide(task, prior)
                if work is not None:
                    yield work
                elif prior is not None:
                    self.passed[shown_status(prior.status)] += 1
            self.tell_passed(self.passed.total() - before)
            yield None

    def pass_all(self) -> None:
        """Pass over tasks that are all done."""
        self.passed[Status.SUCCEEDED] += self.all_done
        self.tell_passed(self.all_done)

    def settle(self, work: Work, outcome: Outcome | None) -> None:
        """Hear what came of a work: no other waits for it."""

    async def turn(self) -> None:
        """Let others run."""
        await asyncio.sleep(0)


def _key(task: Task) -> str:
    return task.key


def without_problems(items: Iterable[Task | Problem]) -> Iterator[Task]:
    """The tasks; raises RejectedError for what is wrong."""
    for item in items:
        if isinstance(item, Task):
            yield item
        elif item.severity is Severity.ERROR:
            raise RejectedError([item])


def watch_tasks(
    items: Iterable[Task | Problem], look_up: Callable[[list[Task]], None]
) -> Iterator[Task | Problem]:
    """Pass items on as they are; call `look_up` with the tasks among them, a chunk at a time."""
    chunk: list[Task] = []
    for item in items:
        if isinstance(item, Task):
            chunk.append(item)
            if len(chunk) >= TASKS_AT_ONCE:
                look_up(chunk)
                chunk = []
        yield item
    look_up(chunk)


class Positions:
    """Tells the ledger where tasks stand in the manifest now, and which are no longer in it.

    Kept for each task of the ledger: one byte. counts: the tasks that make up the job's total,
    which of a shard are its own.
    done: tasks of the manifest that have succeeded as they stand in it now.
    has_changed: whether any task stands elsewhere than in the last manifest.
    """

    def __init__(
        self, ledger: Ledger | None = None, counts: Callable[[Task], bool] | None = None
    ) -> None:
        self._counts = counts
        self._ledger = None if ledger is None or ledger.is_empty() else ledger
        self._known = None if self._ledger is None else _Known(self._ledger)
        self._moved: list[tuple[int, str, int, int]] = []
        self._seen = bytearray()
        self._still_listed = 0  # tasks that the last manifest had as well
        self._tasks = 0
        self.count = 0
        self.done = 0
        self._moves = 0
        self.has_changed = True

    def watch(self, items: Iterable[Task | Problem]) -> Iterator[Task | Problem]:
        """Pass items through and note where each task stands."""
        return watch_tasks(items, self._note)

    def close(self) -> None:
        """The whole manifest was seen: what it does not have is unlisted."""
        if self._ledger is None or self._known is None:
            return
        self._known.close()
        gone = []
        if self._still_listed < self._ledger.count_listed():
            gone = [task for task in self._ledger.listed() if not self._is_seen(task)]
        if self._moved or gone:
            self._ledger.reposition(self._moved, gone)
        self.has_changed = bool(self._moves or gone)
        self._moved.clear()

    def is_all_done(self) -> bool:
        """Whether every task of the manifest has succeeded as it stands there now."""
        return self.done == self._tasks

    def _note(self, chunk: list[Task]) -> None:
        self._tasks += len(chunk)
        self.count += sum(map(self._counts, chunk)) if self._counts else len(chunk)
        if self._known is not None:
            self._place(chunk, self._known.places([task.key for task in chunk]))
            if len(self._moved) >= _MOVED_AT_ONCE and self._ledger is not None:
                self._ledger.reposition(self._moved, ())
                self._moved.clear()

    def _place(self, chunk: list[Task], places: Sequence[Place | None]) -> None:
        for task, place in zip(chunk, places, strict=True):
            if place is None:
                continue
            _, number, ordinal, line, listed, digest, status = place
            if number >= len(self._seen):
                self._seen.extend(bytes(number + _MORE - len(self._seen)))
            self._seen[number] = 1
            self._still_listed += listed
            self.done += status == _SUCCEEDED and digest == task.digest
            if ordinal != task.ordinal or line != task.line or not listed:
                self._moved.append((task.ordinal, task.file, task.line, number))
                self._moves += 1

    def _is_seen(self, number: int) -> bool:
        return number < len(self._seen) and self._seen[number] == 1


class _Known:
    """Finds tasks in the ledger at the pace of a manifest, which mostly has them in its order.

    The ledger is read beside the manifest from its first task to its last, which takes a tenth of
    looking each task up; what does not come in time is looked up.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._coming = ledger.places()
        self._near: dict[str, Place] = {}
        self._in_step = True

    def places(self, keys: list[str]) -> Sequence[Place | None]:
        """Where each of these tasks stands; None for one that the ledger does not know."""
        coming = list(islice(self._coming, len(keys)))
        if self._in_step:
            if keys == [place[0] for place in coming]:
                return coming
            self._in_step = False
            coming.extend(islice(self._coming, _AHEAD))
        return self._out_of_step(keys, coming)

    def _out_of_step(self, keys: list[str], coming: list[Place]) -> Sequence[Place | None]:
        near = self._near
        near.update((place[0], place) for place in coming)
        found = {key: near.pop(key) for key in keys if key in near}
        if len(near) > _MOST_NEAR:
            for key in list(islice(near, len(near) - _AHEAD)):
                del near[key]
        if len(found) < len(keys):
            missing = [key for key in keys if key not in found]
            found.update((place[0], place) for place in self._ledger.places_of(missing))
        return [found.get(key) for key in keys]

    def close(self) -> None:
        """Let go of the ledger."""
        self._coming.close()
