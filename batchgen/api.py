"""The Python interface: run a job as the command does.

    async for done in batchgen.run("job.yaml"):
        print(done.task.id, done.outcome.status)

Errors that a person has to fix raise a BatchgenError. Failed tasks and halted runs are values.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import yaml

from batchgen.engine.clock import SystemClock
from batchgen.engine.request import OnTaskDone
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
_MAX_QUEUED = 64  # ended tasks that the caller has not received; workers wait if there are more
_LABEL = "job"  # in messages, in place of a file name


class Run:
    """A run that has not begun: iterate over it once to get each task when it ends.

    Each task is a Record, committed to the ledger before it is yielded. A slow loop slows the run
    down. If the loop is left early, no more tasks are started, and requests in flight are finished
    and kept. `summary` is None until the run has ended.
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
        """Store the arguments, which are those of the command.

        job: the path of a manifest, or the content of a YAML job as a mapping (the paths of its
            `from:` files have to be absolute then).
        flags: the values of the command's options.
        selection: which tasks to run.
        environment: where the key's variable is looked up; None is os.environ.
        progress: receives the events of the run.
        """
        self.summary: Summary | None = None
        self._job = job
        self._flags = flags or Flags()
        self._selection = selection or Selection()
        self._environment = os.environ if environment is None else environment
        self._progress = progress or NoProgress()

    def sync(self, each: Callable[[Record], None] | None = None) -> Summary:
        """Run to the end without an event loop; call `each` with every task that ends.

        On SIGINT and SIGTERM requests in flight are finished, as for the command. Raises
        BatchgenError.
        """

        async def on_task_done(task: Task, outcome: Outcome) -> None:
            if each is not None and outcome.status in TERMINAL:
                each(Record(task, outcome))

        with _source(self._job) as source:
            self.summary = self._session(source, on_task_done, handle_signals=True).run()
        return self.summary

    async def __aiter__(self) -> AsyncGenerator[Record, None]:
        """Yield each task when it ends. Raises BatchgenError."""
        records: asyncio.Queue[Record | None] = asyncio.Queue(_MAX_QUEUED)  # None: the run ended
        stop = Stop(SystemClock())

        async def on_task_done(task: Task, outcome: Outcome) -> None:
            if outcome.status in TERMINAL:
                await records.put(Record(task, outcome))

        async def run() -> None:
            try:
                with _source(self._job) as source:
                    session = self._session(source, on_task_done, handle_signals=False)
                    self.summary = await session.run_async(stop)
            finally:
                await records.put(None)

        running = asyncio.create_task(run())
        has_ended = False
        try:
            while not has_ended:
                record = await records.get()
                has_ended = record is None
                if record is not None:
                    yield record
        finally:
            stop.set(StopReason.SIGNAL, "the caller left the loop")
            while not has_ended:
                has_ended = await records.get() is None
            await running

    def _session(
        self, source: Source, on_task_done: OnTaskDone, *, handle_signals: bool
    ) -> Session:
        manifest = open_manifest(source, self._flags)
        if manifest.problems:
            check(manifest, identify=False).raise_errors()
        return Session(
            manifest,
            self._selection,
            self._progress,
            ("batchgen", "run", source.label),
            access_of(manifest.job.provider, self._environment),
            on_task_done=on_task_done,
            handle_signals=handle_signals,
        )


def run(
    job: JobLike,
    *,
    flags: Flags | None = None,
    selection: Selection | None = None,
    environment: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Run:
    """Return a run to iterate over with `async for`; its `summary` is set when it has ended.

    See Run for the arguments.
    """
    return Run(job, flags=flags, selection=selection, environment=environment, progress=progress)


def run_sync(  # noqa: PLR0913  # all but the job are keyword-only
    job: JobLike,
    *,
    flags: Flags | None = None,
    selection: Selection | None = None,
    environment: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    each: Callable[[Record], None] | None = None,
) -> Summary:
    """Run a job to its end; call `each` with every task that ends. Return the summary.

    See Run for the other arguments. Raises BatchgenError.
    """
    job_run = Run(job, flags=flags, selection=selection, environment=environment, progress=progress)
    return job_run.sync(each)


@contextmanager
def _source(job: JobLike) -> Iterator[Source]:
    """Yield the manifest; a mapping is written to a file, since manifests are read twice."""
    if not isinstance(job, Mapping):
        yield source_of(os.fspath(job), None, None)
        return
    with tempfile.TemporaryDirectory(prefix="batchgen-") as folder:
        path = Path(folder) / "job.yaml"
        try:
            path.write_text(yaml.safe_dump(dict(job), sort_keys=False), encoding="utf-8")
        except yaml.YAMLError as error:
            raise UsageError(f"the job cannot be written as YAML: {error}") from error
        yield Source(path, _LABEL, Format.YAML)
