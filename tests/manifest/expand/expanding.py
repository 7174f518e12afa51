"""Expand rows with a job as a manifest does."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from batchgen.job import Flags, Job, read_job
from batchgen.manifest.expand import Expander
from batchgen.types import Json, Problem, Row, Task

Fields = Mapping[str, Json]


def job_of(values: Mapping[str, Json] | None = None, **flags: Any) -> Job:
    job, problems = read_job(values or {}, {}, "job.yaml", Flags(**{"provider": "aimlapi"} | flags))
    assert [str(problem) for problem in problems] == []
    return job


def expand(
    job: Job,
    rows: Iterable[Fields],
    *,
    entry: Fields | None = None,
    textual: bool = False,
    referenced: Sequence[str] = (),
    identify: bool = True,
) -> list[Task | Problem]:
    expander = Expander(job, referenced=frozenset(referenced), identify=identify)
    numbered = (Row("m.csv", line, fields, textual=textual) for line, fields in enumerate(rows, 1))
    return list(expander.expand([(numbered, entry)], "job.yaml"))


def tasks(job: Job, *rows: Fields, **options: Any) -> list[Task]:
    items = expand(job, rows, **options)
    assert [str(item) for item in items if isinstance(item, Problem)] == []
    return [task for task in items if isinstance(task, Task)]


def problems(job: Job, *rows: Fields, **options: Any) -> list[str]:
    return [str(item) for item in expand(job, rows, **options) if isinstance(item, Problem)]


def task(job: Job, fields: Fields, **options: Any) -> Task:
    (single,) = tasks(job, fields, **options)
    return single


DALLE2 = job_of({"defaults": {"model": "dall-e-2"}})
LAB: dict[str, Json] = {
    "provider": "lab",
    "providers": {"lab": {"base_url": "http://127.0.0.1:1/v1"}},
    "defaults": {"model": "own-model"},
}
