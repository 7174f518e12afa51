"""The closing summary of a run and its job: `summary.json` and what a person reads."""

import shlex
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path, PurePath
from textwrap import wrap

import msgspec

from batchgen.storage.artifacts import write_atomically
from batchgen.storage.counts import JobCounts, RunCounts, Spend
from batchgen.text import one_line, show_bytes, show_count, show_duration
from batchgen.types import Json, Outcome, Status, Task

SUMMARY_NAME = "summary.json"
SCHEMA = 1
MAX_GROUPS = 50
_MESSAGE_WIDTH = 300
_LABEL_WIDTH = 10
_GROUPS_SHOWN = 10
_NARROWEST = 40
_OTHER = "other"
_NOT_SUCCEEDED = ("failed", "refused", "unknown", "skipped", "pending")
_USELESS_AS_THEY_ARE = frozenset({"invalid_request"})  # kinds whose rows have to be edited
_GROUPED = frozenset({Status.FAILED, Status.REFUSED, Status.UNKNOWN, Status.SKIPPED})


class Ending(StrEnum):
    """How a run ended."""

    COMPLETE = "complete"  # every task has succeeded
    INCOMPLETE = "incomplete"  # all was tried; some failed, were refused, skipped or are unknown
    HALTED = "halted"  # a dead end: key, credit, budget, deadline, failures in a row
    INTERRUPTED = "interrupted"  # a signal


class Example(msgspec.Struct, frozen=True):
    """One task that stands for a group of failures; `line` is 0 when none applies."""

    id: str
    file: str
    line: int
    message: str

    def to_json(self) -> dict[str, Json]:
        """The `example` object of a failure in `summary.json`."""
        return {"id": self.id, "file": self.file, "line": self.line, "message": self.message}


class FailureGroup(msgspec.Struct, frozen=True):
    """Tasks that did not succeed for one cause: our kind, the provider's code, the HTTP status.

    retryable: whether `--retry-failed` takes its tasks up (it does not: refused, unknown, skipped).
    """

    kind: str
    code: str | None
    http_status: int | None
    count: int
    example: Example
    retryable: bool = True

    @property
    def cause(self) -> str:
        """The cause in words: `server, HTTP 503, model_busy`."""
        parts = [self.kind, f"HTTP {self.http_status}" if self.http_status else "", self.code or ""]
        return ", ".join(part for part in parts if part)

    def to_json(self) -> dict[str, Json]:
        """An element of `failures` in `summary.json`."""
        return {
            "kind": self.kind,
            "code": self.code,
            "http_status": self.http_status,
            "count": self.count,
            "example": self.example.to_json(),
        }


class _Tally(msgspec.Struct):
    example: Example
    retryable: bool
    count: int = 0


class FailureGroups:
    """Collects outcomes that are no success, by cause.

    At most 50 causes are kept apart, so that a provider with a new message code a reply cannot
    fill the memory; what comes after them is counted together under the kind `other`.
    """

    def __init__(self) -> None:
        self._tallies: dict[tuple[str, str | None, int | None], _Tally] = {}
        self._rest: _Tally | None = None

    def add(self, task: Task, outcome: Outcome) -> None:
        """Count an outcome; successes and tasks that are still open are passed over."""
        error = outcome.error
        if error is None or outcome.status not in _GROUPED:
            return
        message = one_line(error.message, _MESSAGE_WIDTH)
        example = Example(task.id, task.file, task.line, message)
        new = _Tally(example, retryable=outcome.status is Status.FAILED)
        key = (error.kind, error.code, outcome.http_status)
        if key in self._tallies or len(self._tallies) < MAX_GROUPS:
            tally = self._tallies.setdefault(key, new)
        else:
            tally = self._rest = self._rest or new
        tally.count += 1
        tally.retryable |= new.retryable

    def groups(self) -> tuple[FailureGroup, ...]:
        """The groups, the largest first; `other`, where there is one, comes last."""
        named = [
            FailureGroup(*key, tally.count, tally.example, retryable=tally.retryable)
            for key, tally in self._tallies.items()
        ]
        named.sort(key=lambda group: -group.count)
        rest = self._rest
        if rest:
            other = FailureGroup(_OTHER, None, None, rest.count, rest.example, rest.retryable)
            named.append(other)
        return tuple(named)


class Summary(msgspec.Struct, frozen=True):
    """How a run ended and where its job stands.

    reason: why it halted or was interrupted, for a person. advice: what to do before going on.
    selected: the counts of what --limit, --only or --shard chose; None is all of the job.
    simulated: the spend is what it would have been.
    command: the words that run the job again, `("batchgen", "run", MANIFEST, ...)`.
    output: the output directory as the person named it.
    """

    name: str
    ending: Ending
    tasks: JobCounts
    run: RunCounts
    command: tuple[str, ...]
    output: str
    exit_code: int
    reason: str | None = None
    spend: Spend = Spend()
    artifacts: int = 0
    size_bytes: int = 0
    failures: tuple[FailureGroup, ...] = ()
    advice: str | None = None
    selected: JobCounts | None = None
    simulated: bool = False

    def to_json(self) -> dict[str, Json]:
        """What DIR/summary.json holds."""
        return {
            "schema": SCHEMA,
            "name": self.name,
            "status": self.ending.value,
            "reason": self.reason,
            "tasks": self.tasks.to_json(),
            "run": self.run.to_json(),
            **self.spend.to_json(),
            "artifacts": self.artifacts,
            "bytes": self.size_bytes,
            "failures": [group.to_json() for group in self.failures],
            "exit_code": self.exit_code,
        }

    def to_text(self, width: int = 80) -> str:
        """The closing summary for a person, its lines about `width` characters at most.

        Commands and paths are never cut or broken: they are there to be copied.
        """
        width = max(width, _NARROWEST)
        lines = wrap(one_line(self._title(), _MESSAGE_WIDTH), width, subsequent_indent="  ")
        for label, told in self._figures():
            lines += wrap(told, width, initial_indent=_label(label), subsequent_indent=_label(""))
        lines += _failure_lines(self.failures, width)
        lines += [_label(label) + told for label, told in self._next_steps()]
        return "\n".join(lines) + "\n"

    def to_line(self) -> str:
        """The summary in one line, for cron's mail."""
        tasks = self.selected or self.tasks
        counts = ((name, getattr(tasks, name)) for name in _NOT_SUCCEEDED)
        told = [f"{show_count(count)} {name}" for name, count in counts if count]
        done = _of(tasks.succeeded, tasks.total)
        causes = f" ({self.failures[0].cause})" if self.failures else ""
        title = one_line(self._title(), _MESSAGE_WIDTH)
        steps = dict(self._next_steps())
        first = f"; first {self.advice}" if self.advice else ""
        where = f"see {PurePath(self.output, 'summary.json')}"
        goes_on = f"go on with: {steps['go on']}" if "go on" in steps else where
        counted = f"{done} succeeded, {', '.join(told) or 'none failed'}{causes}"
        return f"{title}; {counted}{first}; {goes_on}"

    def _title(self) -> str:
        words = "finished, not all succeeded," if self.ending is Ending.INCOMPLETE else self.ending
        reason = f": {self.reason}" if self.reason else ""
        return f"{self.name}: {words} after {show_duration(self.run.duration_s)}{reason}"

    def _figures(self) -> Iterator[tuple[str, str]]:
        tasks, run = self.selected or self.tasks, self.run
        chosen = " selected" if self.selected else ""
        yield "succeeded", f"{_of(tasks.succeeded, tasks.total)}{chosen}{_here(run, tasks)}"
        for label, count in (("failed", tasks.failed), ("refused", tasks.refused)):
            if count:
                yield label, show_count(count)
        if tasks.unknown:
            yield (
                "unknown",
                f"{show_count(tasks.unknown)} sent, and what came of it is not known",
            )
        if tasks.skipped:
            yield "skipped", f"{show_count(tasks.skipped)}, for rows that they take files from"
        if run.settled:
            of = f"of {show_count(run.found_unknown)} unknown, by the provider's usage log"
            yield "settled", f"{show_count(run.settled)} {of}"
        if run.resent:
            yield "resent", f"{show_count(run.resent)} of unknown outcome, under the same key"
        if tasks.pending:
            yield "pending", f"{show_count(tasks.pending)}{self._paid()}"
        yield "artifacts", f"{show_count(self.artifacts)}, {show_bytes(self.size_bytes)}"
        yield "requests", f"{show_count(run.requests)} in this run"
        both = str(run.spend) != str(self.spend)
        told = f"{run.spend} in this run; {self.spend} in all" if both else f"{self.spend}"
        yield "spend", f"{told} (simulated: nothing was paid)" if self.simulated else told

    def _paid(self) -> str:
        """What is told beside the pending tasks of those that are paid for."""
        count = self.tasks.pending_paid
        if not count:
            return ""
        of = "tasks of the job" if self.selected else "of them"
        return f"; {show_count(count)} {of} are paid for, the next run only fetches them"

    def _next_steps(self) -> Iterator[tuple[str, str]]:
        tasks = self.selected or self.tasks
        if self.advice:
            yield "first", self.advice
        if tasks.pending or tasks.unknown:
            yield "go on", shlex.join(self.command)
        failed = list(dict.fromkeys(group.kind for group in self.failures if group.retryable))
        if wrong := [kind for kind in failed if kind in _USELESS_AS_THEY_ARE]:
            yield "edit", f"the rows of {', '.join(wrong)}, then {shlex.join(self.command)}"
        kinds = [kind for kind in failed if kind not in _USELESS_AS_THEY_ARE]
        named = [kind for kind in kinds if kind != _OTHER]
        retry = (*self.command, "--retry-failed")
        if kinds[1:] or kinds != named:
            yield "retry all", shlex.join(retry)
        if named:
            yield "retry", shlex.join((*retry, named[0]))
        yield "results", str(PurePath(self.output, "results.jsonl"))


def _label(label: str) -> str:
    return f"  {label:<{_LABEL_WIDTH}} "


def _of(count: int, total: int) -> str:
    return f"{show_count(count)} of {show_count(total)}"


def _here(run: RunCounts, tasks: JobCounts) -> str:
    same = run.succeeded == tasks.succeeded
    return "" if same else f" ({show_count(run.succeeded)} in this run)"


def _indented(text: str, width: int, *, indent: int) -> str:
    return " " * indent + one_line(text, width - indent)


def _failure_lines(failures: tuple[FailureGroup, ...], width: int) -> Iterator[str]:
    """Failures by cause, the first ten of them with an example each."""
    if failures:
        yield "causes"
    for group in failures[:_GROUPS_SHOWN]:
        example = group.example
        where = f"{example.file}:{example.line}" if example.line else example.file
        yield _indented(f"{show_count(group.count)} x {group.cause}", width, indent=2)
        yield _indented(f"{example.id} ({where}): {example.message}", width, indent=6)
    hidden = failures[_GROUPS_SHOWN:]
    if hidden:
        count = show_count(sum(group.count for group in hidden))
        yield f"  {count} more of {len(hidden)} other causes, all in summary.json"


def write_summary(summary: Mapping[str, Json], directory: Path) -> None:
    """Write summary.json of an output directory. Raises StorageError."""
    encoded = msgspec.json.format(msgspec.json.encode(summary), indent=2)
    write_atomically(directory / SUMMARY_NAME, encoded + b"\n")
