"""The Python interface: the same run as the command's, for programs.

    async for done in batchgen.run("job.yaml"):
        print(done.task.id, done.outcome.status)

Everything that a person has to mend first is a BatchgenError; what becomes of single tasks, and a
run that was halted, are values.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import yaml

from batchgen.engine.clock import SystemClock
from batchgen.engine.session import Session
from batchgen.engine.stop import Stop, StopReason
from batchgen.engine.worklist.selection import Selection
from batchgen.errors import UsageError
from batchgen.job import Flags, access_of
from batchgen.manifest.formats.source import Format, Source
from batchgen.manifest.open import open_manifest, source_of
from batchgen.manifest.plan import check
from batchgen.progress import NoProgress, Progress
from batchgen.progress.counts import TERMINAL
from batchgen.storage.summary import Summary
from batchgen.types import Json, Outcome, Record, Task

JobLike: TypeAlias = str | os.PathLike[str] | Mapping[str, Json]
_Hear: TypeAlias = Callable[[Task, Outcome], Awaitable[None]]
_WAITING = 64  # ended tasks that wait for the caller before workers do
_LABEL = "job"  # what problems of a job that has no file are told of


class Run:
    """A run about to begin: iterate over it once, and tasks come as they end.

    Each is a Record, committed to the ledger before it comes; a slow loop slows the run down. Where
    the loop is left early, no more tasks are begun, and what is under way is finished and kept.
    """

    def __init__(
        self,
        job: JobLike,
        *,
        flags: Flags | None = None,
        selection: Selection | None = None,
        environment: Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Take what the command takes.

        job: a manifest's path, or what a YAML job would hold as a mapping (the paths of its `from:`
        files are absolute then). flags: what the command's flags set. selection: which
        tasks. environment: where the key is looked for; None is os.environ. progress: hears the
        run's events.
        """
        self.summary: Summary | None = None
        self._job = job
        self._flags = flags or Flags()
        self._selection = selection or Selection()
        self._environment = os.environ if environment is None else environment
        self._progress = progress or NoProgress()

    def sync(self, each: Callable[[Record], None] | None = None) -> Summary:
        """Run to the end without an event loop; `each` is called with every task that ends.

        SIGINT and SIGTERM finish what is under way, as they do for the command.
        """

        async def hear(task: Task, outcome: Outcome) -> None:
            if each is not None and outcome.status in TERMINAL:
                each(Record(task, outcome))

        with _source(self._job) as source:
            self.summary = self._session(source, hear, handle_signals=True).run()
        return self.summary

    async def __aiter__(self) -> AsyncGenerator[Record, None]:
        """The tasks as they end. Raises BatchgenError."""
        ended: asyncio.Queue[Record | None] = asyncio.Queue(_WAITING)
        stop = Stop(SystemClock())

        async def hear(task: Task, outcome: Outcome) -> None:
            if outcome.status in TERMINAL:
                await ended.put(Record(task, outcome))

        async def go() -> None:
            try:
                with _source(self._job) as source:
                    session = self._session(source, hear, handle_signals=False)
                    self.summary = await session.go(stop)
            finally:
                await ended.put(None)

        running = asyncio.create_task(go())
        over = False
        try:
            while not over:
                record = await ended.get()
                over = record is None
                if record is not None:
                    yield record
        finally:
            stop.set(StopReason.SIGNAL, "the caller took no more")
            while not over:
                over = await ended.get() is None
            await running

    def _session(self, source: Source, hear: _Hear, *, handle_signals: bool) -> Session:
        manifest = open_manifest(source, self._flags)
        if manifest.problems:
            check(manifest, identify=False).raise_errors()
        return Session(
            manifest,
            self._selection,
            self._progress,
            ("batchgen", "run", source.label),
            access_of(manifest.job.provider, self._environment),
            hear=hear,
            handle_signals=handle_signals,
        )


def run(  # all but the job are keyword-only
    job: JobLike,
    *,
    flags: Flags | None = None,
    selection: Selection | None = None,
    environment: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Run:
    """A run to iterate over with `async for`; see Run. Its `summary` stands when it has ended."""
    return Run(job, flags=flags, selection=selection, environment=environment, progress=progress)


def run_sync(  # noqa: PLR0913  # as above
    job: JobLike,
    *,
    flags: Flags | None = None,
    selection: Selection | None = None,
    environment: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    each: Callable[[Record], None] | None = None,
) -> Summary:
    """Run a job to its end; `each` is called with every task that ends. Raises BatchgenError."""
    whole = Run(job, flags=flags, selection=selection, environment=environment, progress=progress)
    return whole.sync(each)


@contextmanager
def _source(job: JobLike) -> Iterator[Source]:
    """The manifest; a mapping is kept in a file, since a manifest is read more than once."""
    if not isinstance(job, Mapping):
        yield source_of(os.fspath(job), None, None)
        return
    with tempfile.TemporaryDirectory(prefix="batchgen-") as folder:
        path = Path(folder) / "job.yaml"
        try:
            path.write_text(yaml.safe_dump(dict(job), sort_keys=False), encoding="utf-8")
        except yaml.YAMLError as error:
            raise UsageError(f"the job holds what no YAML can: {error}") from error
        yield Source(path, _LABEL, Format.YAML)
