"""The summary at the end of a run: `summary.json`, and the text for a person."""

import shlex
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path, PurePath
from textwrap import wrap

import msgspec

from batchgen.errors import write_error
from batchgen.storage.counts import JobCounts, RunCounts, Spend
from batchgen.storage.files import Folder
from batchgen.text import one_line, show_bytes, show_count, show_duration, show_money
from batchgen.types import Json, Outcome, Status, Task

SUMMARY_NAME = "summary.json"
SCHEMA = 1
MAX_GROUPS = 50
_MESSAGE_WIDTH = 300
_LABEL_WIDTH = 10
_MAX_GROUPS_IN_TEXT = 10
_MIN_WIDTH = 40
_OTHER = "other"
_NOT_SUCCEEDED = ("failed", "refused", "unknown", "skipped", "pending")
_NEEDS_EDIT = frozenset({"invalid_request"})  # kinds that a retry of the same row cannot fix
_GROUPED = frozenset({Status.FAILED, Status.REFUSED, Status.UNKNOWN, Status.SKIPPED})


class Ending(StrEnum):
    """How a run ended."""

    COMPLETE = "complete"  # every task has succeeded
    INCOMPLETE = "incomplete"  # all was tried; some failed, were refused, skipped or are unknown
    HALTED = "halted"  # it could not go on: key, credit, budget, deadline, failures in a row
    INTERRUPTED = "interrupted"  # by a signal


class Example(msgspec.Struct, frozen=True):
    """One task of a group of failures; `line` is 0 if the task has no line."""

    id: str
    file: str
    line: int
    message: str

    def to_json(self) -> dict[str, Json]:
        """Return the `example` object of a failure in `summary.json`."""
        return {"id": self.id, "file": self.file, "line": self.line, "message": self.message}


class FailureGroup(msgspec.Struct, frozen=True):
    """Tasks that did not succeed, with the same error kind, provider's code and HTTP status.

    retryable: whether `--retry-failed` retries them; it does not if all are refused, unknown or
    skipped.
    """

    kind: str
    code: str | None
    http_status: int | None
    count: int
    example: Example
    retryable: bool = True

    @property
    def cause(self) -> str:
        """Return the cause as text: `server, HTTP 503, model_busy`."""
        parts = [self.kind, f"HTTP {self.http_status}" if self.http_status else "", self.code or ""]
        return ", ".join(part for part in parts if part)

    def to_json(self) -> dict[str, Json]:
        """Return an element of `failures` in `summary.json`."""
        return {
            "kind": self.kind,
            "code": self.code,
            "http_status": self.http_status,
            "count": self.count,
            "example": self.example.to_json(),
        }


class _GroupCount(msgspec.Struct):
    example: Example
    retryable: bool
    count: int = 0


class FailureGroups:
    """Groups the outcomes that are not a success by cause.

    Causes beyond the first 50 are counted together under the kind `other`, so that memory stays
    bounded even if every reply of a provider has a new code.
    """

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str | None, int | None], _GroupCount] = {}
        self._other: _GroupCount | None = None

    def add(self, task: Task, outcome: Outcome) -> None:
        """Count an outcome; successes and pending tasks are ignored."""
        error = outcome.error
        if error is None or outcome.status not in _GROUPED:
            return
        message = one_line(error.message, _MESSAGE_WIDTH)
        example = Example(task.id, task.file, task.line, message)
        new = _GroupCount(example, retryable=outcome.status is Status.FAILED)
        key = (error.kind, error.code, outcome.http_status)
        if key in self._counts or len(self._counts) < MAX_GROUPS:
            group = self._counts.setdefault(key, new)
        else:
            group = self._other = self._other or new
        group.count += 1
        group.retryable |= new.retryable

    def groups(self) -> tuple[FailureGroup, ...]:
        """Return the groups, the largest first and `other` last."""
        groups = [
            FailureGroup(*key, group.count, group.example, retryable=group.retryable)
            for key, group in self._counts.items()
        ]
        groups.sort(key=lambda group: -group.count)
        other = self._other
        if other:
            groups.append(
                FailureGroup(_OTHER, None, None, other.count, other.example, other.retryable)
            )
        return tuple(groups)


class Summary(msgspec.Struct, frozen=True):
    """How a run ended, and the state of its job.

    tasks, spend, artifacts, size_bytes, failures: of the whole job, over all runs.
    run: of this run alone.
    possibly_charged_usd: for requests that brought no result, besides the spend.
    reason: why it halted or was interrupted, for a person.
    advice: what to do before the job is run again.
    selected: counts of the tasks that --limit, --only or --shard selected; None for the whole job.
    simulated: nothing was paid; the spend is what a paid run would have cost.
    command: runs the job again: `("batchgen", "run", MANIFEST, ...)`.
    output: the output directory as the user named it.
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
    possibly_charged_usd: float = 0.0

    def to_json(self) -> dict[str, Json]:
        """Return the content of DIR/summary.json."""
        return {
            "schema": SCHEMA,
            "name": self.name,
            "status": self.ending.value,
            "reason": self.reason,
            "tasks": self.tasks.to_json(),
            "run": self.run.to_json(),
            **self.spend.to_json(),
            "possibly_charged_usd": round(self.possibly_charged_usd, 6),
            "artifacts": self.artifacts,
            "bytes": self.size_bytes,
            "failures": [group.to_json() for group in self.failures],
            "exit_code": self.exit_code,
        }

    def to_text(self, width: int = 80) -> str:
        """Return the summary for a person, with lines of about `width` characters at most.

        Commands and paths are never cut or wrapped, so that they can be copied.
        """
        width = max(width, _MIN_WIDTH)
        lines = wrap(one_line(self._title(), _MESSAGE_WIDTH), width, subsequent_indent="  ")
        for label, text in self._figures():
            lines += wrap(text, width, initial_indent=_label(label), subsequent_indent=_label(""))
        lines.append(_label("results") + str(PurePath(self.output, "results.jsonl")))
        lines += _failure_lines(self.failures, width)
        if steps := [_label(label) + text for label, text in self._next_steps()]:
            lines += ["next steps", *steps]
        return "\n".join(lines) + "\n"

    def to_line(self) -> str:
        """Return the summary in one line, for cron's mail."""
        tasks = self.selected or self.tasks
        counts = ((name, getattr(tasks, name)) for name in _NOT_SUCCEEDED)
        rest = [f"{show_count(count)} {name}" for name, count in counts if count]
        title = one_line(self._title(), _MESSAGE_WIDTH)
        done = f"{_of(tasks.succeeded, tasks.total)} succeeded, {', '.join(rest) or 'none failed'}"
        steps = dict(self._next_steps())
        first = f"; first: {self.advice}" if self.advice else ""
        command = steps.get("continue")
        summary = PurePath(self.output, SUMMARY_NAME)
        following = f"continue with: {command}" if command else f"see {summary}"
        return f"{title}; {done}{self._main_cause()}{first}; {following}"

    def _main_cause(self) -> str:
        if not self.failures:
            return ""
        often = "most often " if len(self.failures) > 1 else ""
        return f" ({often}{self.failures[0].cause})"

    def _title(self) -> str:
        is_incomplete = self.ending is Ending.INCOMPLETE
        ending = "finished" if is_incomplete else self.ending
        unfinished = ", not all tasks succeeded" if is_incomplete else ""
        reason = f": {self.reason}" if self.reason else ""
        return (
            f"{self.name}: {ending} after {show_duration(self.run.duration_s)}{unfinished}{reason}"
        )

    def _figures(self) -> Iterator[tuple[str, str]]:
        """Yield the label and the text of each figure."""
        tasks, run = self.selected or self.tasks, self.run
        noun = "selected tasks" if self.selected else "tasks"
        yield "succeeded", f"{_of(tasks.succeeded, tasks.total)} {noun}{_in_this_run(run, tasks)}"
        for label, count in (("failed", tasks.failed), ("refused", tasks.refused)):
            if count:
                yield label, show_count(count)
        if tasks.unknown:
            yield (
                "unknown",
                f"{show_count(tasks.unknown)} (sent, outcome not known; may have been charged)",
            )
        if tasks.skipped:
            yield "skipped", f"{show_count(tasks.skipped)} (a row they depend on did not succeed)"
        if tasks.pending:
            yield "pending", f"{show_count(tasks.pending)}{self._paid()}"
        if run.settled:
            of = f"of {show_count(run.found_unknown)} unknown tasks"
            yield "resolved", f"{show_count(run.settled)} {of}, from the provider's usage log"
        if run.resent:
            requests = _counted(run.resent, "request")
            yield "resent", f"{requests} after one without a result; may have been charged twice"
        yield "artifacts", f"{_counted(self.artifacts, 'file')}, {show_bytes(self.size_bytes)}"
        yield "requests", f"{show_count(run.requests)} in this run"
        yield "spend", self._spend()
        if self.possibly_charged_usd or run.possibly_charged_usd:
            yield "at risk", self._at_risk()

    def _at_risk(self) -> str:
        here, total = (
            show_money(self.run.possibly_charged_usd),
            show_money(self.possibly_charged_usd),
        )
        text = total if here == total else f"{here} in this run; total {total}"
        return f"{text} (requests without a result, which may have been charged besides)"

    def _spend(self) -> str:
        here, total = str(self.run.spend), str(self.spend)
        text = total if here == total else f"{here} in this run; total {total}"
        return f"{text} (simulated: nothing was paid)" if self.simulated else text

    def _paid(self) -> str:
        """Return what to add to the pending tasks about those that are paid for."""
        count = self.tasks.pending_paid
        if not count:
            return ""
        noun = f"{_counted(count, 'task')} of the job" if self.selected else show_count(count)
        verb = "is" if count == 1 else "are"
        return f" ({noun} {verb} already paid for: the next run only fetches the results)"

    def _next_steps(self) -> Iterator[tuple[str, str]]:
        """Yield the label and the text of what the user can do now."""
        tasks = self.selected or self.tasks
        if self.advice:
            yield "first", self.advice
        if tasks.pending or tasks.unknown:
            yield "continue", shlex.join(self.command)
        failed = list(dict.fromkeys(group.kind for group in self.failures if group.retryable))
        if to_edit := [kind for kind in failed if kind in _NEEDS_EDIT]:
            yield "edit rows", f"with {', '.join(to_edit)}, then run: {shlex.join(self.command)}"
        kinds = [kind for kind in failed if kind not in _NEEDS_EDIT]
        named = [kind for kind in kinds if kind != _OTHER]
        retry = (*self.command, "--retry-failed")
        if kinds[1:] or kinds != named:
            yield "retry all", shlex.join(retry)
        if named:
            yield "retry", shlex.join((*retry, named[0]))


def _label(label: str) -> str:
    return f"  {label:<{_LABEL_WIDTH}} "


def _of(count: int, total: int) -> str:
    return f"{show_count(count)} of {show_count(total)}"


def _counted(count: int, noun: str) -> str:
    return f"{show_count(count)} {noun}{'' if count == 1 else 's'}"


def _in_this_run(run: RunCounts, tasks: JobCounts) -> str:
    same = run.succeeded == tasks.succeeded
    return "" if same else f" ({show_count(run.succeeded)} in this run)"


def _indented(text: str, width: int, *, indent: int) -> str:
    return " " * indent + one_line(text, width - indent)


def _failure_lines(failures: tuple[FailureGroup, ...], width: int) -> Iterator[str]:
    """Yield the failures by cause, with an example each; at most ten causes."""
    if failures:
        yield "failures by cause"
    for group in failures[:_MAX_GROUPS_IN_TEXT]:
        example = group.example
        place = f"{example.file}:{example.line}" if example.line else example.file
        eg = "e.g. " if group.count > 1 else ""
        yield _indented(f"{show_count(group.count)} x {group.cause}", width, indent=2)
        yield _indented(f"{eg}{example.id} ({place}): {example.message}", width, indent=6)
    hidden = failures[_MAX_GROUPS_IN_TEXT:]
    if hidden:
        count = show_count(sum(group.count for group in hidden))
        yield f"  {count} more, with {_counted(len(hidden), 'other cause')}: see {SUMMARY_NAME}"


def write_summary(summary: Mapping[str, Json], directory: Path) -> None:
    """Write summary.json of an output directory. Raises StorageError."""
    encoded = msgspec.json.format(msgspec.json.encode(summary), indent=2)
    try:
        Folder(directory).replace(SUMMARY_NAME, encoded + b"\n")
    except OSError as error:
        raise write_error(directory / SUMMARY_NAME, error) from error
