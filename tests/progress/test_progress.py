"""Progress of a running job, on a real pseudo-terminal and elsewhere."""

import fcntl
import io
import json
import math
import os
import re
import struct
import termios
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.errors import UsageError
from batchgen.progress import (
    CompletionRate,
    JsonEvents,
    Progress,
    ProgressBar,
    Sink,
    StatusLine,
    TextLines,
    make_progress,
)
from batchgen.progress.lines import EVENTS
from batchgen.progress.metrics import METRICS
from batchgen.types import Artifact, Decision, Outcome, Status, Task, TaskError, Verb

SUCCESS = Outcome(Status.SUCCEEDED, cost_usd=0.01, attempts=1)
BAD_SIZE = Outcome(
    Status.FAILED,
    error=TaskError("invalid_request", None, "size 1000 is not a multiple of 32"),
    http_status=400,
)
RETRY = Decision(Verb.RETRY, "server", http_status=503, message="busy")


class FakeClock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Terminal:
    """A pseudo-terminal of a given width that returns what was written to it."""

    def __init__(self) -> None:
        self._master, slave = os.openpty()
        self.stream = os.fdopen(slave, "w", encoding="utf-8")
        os.set_blocking(self._master, False)

    def resize(self, columns: int) -> None:
        fcntl.ioctl(self.stream, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def read(self) -> str:
        output = b""
        try:
            while part := os.read(self._master, 65536):
                output += part
        except BlockingIOError:
            return output.decode()
        return output.decode()

    def close(self) -> None:
        self.stream.close()
        os.close(self._master)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    pseudo = Terminal()
    pseudo.resize(120)
    yield pseudo
    pseudo.close()


@pytest.fixture
def task() -> Task:
    return Task(
        key="0" * 32,
        digest="1" * 32,
        id="hero",
        ordinal=0,
        file="products.csv",
        line=12,
        endpoint="images",
        model="flux/schnell",
        prompt="A fox\nin \x1b[31mink",
        params={},
        vars={},
        filename="{id}-{n}.{ext}",
    )


def finish_tasks(progress: Progress, task: Task, outcome: Outcome, count: int = 1) -> None:
    for _ in range(count):
        progress.task_started(task)
        progress.task_finished(task, outcome)


def drawn_lines(output: str) -> list[str]:
    """Return every line that was drawn, also those that were overwritten."""
    return [part.rstrip() for part in re.split(r"[\r\n]+", output) if part.strip()]


def text_of(line: StatusLine) -> str:
    return ", ".join(field.text for field in line.fields())


def test_the_rate_is_that_of_recent_completions(clock: FakeClock) -> None:
    rate = CompletionRate(clock)
    assert rate.per_s() is None
    for _ in range(1000):
        clock.now_s += 0.01
        rate.record()
    for _ in range(200):
        clock.now_s += 1.0
        rate.record()
    assert rate.per_s() == pytest.approx(1.0)


def test_the_rate_of_a_slow_run_covers_more_than_half_a_minute(clock: FakeClock) -> None:
    rate = CompletionRate(clock)
    for _ in range(10):
        clock.now_s += 60.0
        rate.record()
    assert rate.per_s() == pytest.approx(1 / 60)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=600))
def test_the_window_stays_small_and_the_rate_positive(steps_s: list[float]) -> None:
    clock = FakeClock()
    rate = CompletionRate(clock)
    for step_s in steps_s:
        clock.now_s += step_s
        rate.record()
    clock.now_s += 1.0
    per_s = rate.per_s()
    assert per_s is not None
    assert 0 < per_s < math.inf
    assert (
        len(rate._marks)
        <= CompletionRate.WINDOW_S / CompletionRate._RESOLUTION_S
        + CompletionRate.MIN_COMPLETIONS
        + 2
    )


def test_a_status_line_shows_counts_rate_wait_spend_and_time_left(
    clock: FakeClock, task: Task
) -> None:
    line = StatusLine(clock, total=1632)
    line.tasks_skipped(412)
    for outcome in (SUCCESS, SUCCESS, BAD_SIZE):
        line.task_started()
        clock.now_s += 0.5
        line.task_finished(outcome)
    line.task_started()
    line.attempt_failed(RETRY)
    line.gate_closed(task.model, 12.0, "rate limit")
    assert text_of(line) == (
        "415 of 1,632, 1 failed, 1 in flight, 1 retry, 2.0/s, waiting 12 s (rate limit), "
        "$0.02, 10 min 08 s left"
    )
    clock.now_s += 12.0
    assert "rate limit" not in text_of(line)


def test_tasks_left_to_the_next_run_are_neither_in_flight_nor_done(clock: FakeClock) -> None:
    line = StatusLine(clock, total=5)
    line.task_started()
    line.task_finished(Outcome(Status.SUBMITTED))
    assert text_of(line) == "0 of 5"


def test_spend_with_unknown_prices_is_a_lower_bound(clock: FakeClock) -> None:
    line = StatusLine(clock, total=2)
    for outcome in (SUCCESS, Outcome(Status.SUCCEEDED)):
        line.task_started()
        line.task_finished(outcome)
    assert "at least $0.01" in text_of(line)


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
def test_the_bar_is_never_wider_than_its_terminal(
    terminal: Terminal, clock: FakeClock, task: Task, columns: int
) -> None:
    terminal.resize(columns)
    bar = ProgressBar(Sink(terminal.stream), clock=clock)
    bar.start(name="x", total=100_000)
    for _ in range(20):
        clock.now_s += 0.3
        finish_tasks(bar, task, SUCCESS)
    bar.gate_closed(task.model, 30, "rate limit")
    bar.tick()
    states = drawn_lines(terminal.read())
    bar.close()
    assert any("20 of 100,000" in state for state in states)
    assert all(len(state) < columns for state in states)


def test_a_wide_bar_shows_all_fields_and_a_narrow_one_the_important_ones(
    terminal: Terminal, clock: FakeClock, task: Task
) -> None:
    bar = ProgressBar(Sink(terminal.stream), clock=clock)
    bar.start(name="x", total=10)
    clock.now_s += 1
    finish_tasks(bar, task, BAD_SIZE)
    bar.gate_closed(task.model, 30, "rate limit")
    bar.tick()
    wide = drawn_lines(terminal.read())[-1]
    terminal.resize(50)
    bar.tick()
    narrow = drawn_lines(terminal.read())[-1]
    bar.close()
    assert wide.endswith("1 of 10, 1 failed, 1.0/s, waiting 30 s (rate limit), 9 s left")
    assert wide.startswith("|")
    assert narrow == "1 of 10, 1 failed, waiting 30 s (rate limit)"


@pytest.mark.parametrize("no_color", ["", "1"])
def test_the_bar_has_no_colour_with_or_without_no_color(
    terminal: Terminal,
    clock: FakeClock,
    task: Task,
    no_color: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TQDM_COLOUR", "red")
    bar = ProgressBar(Sink(terminal.stream), clock=clock)
    bar.start(name="x", total=10)
    finish_tasks(bar, task, BAD_SIZE)
    bar.tick()
    bar.close()
    assert "\x1b[" not in terminal.read().replace("\x1b[A", "")


def test_messages_are_printed_above_the_bar_and_the_bar_is_cleared_at_the_end(
    terminal: Terminal, clock: FakeClock
) -> None:
    bar = ProgressBar(Sink(terminal.stream), clock=clock)
    bar.log("before the start")
    bar.start(name="spring", total=10)
    bar.tasks_skipped(4)
    bar.log("interrupted: finishing\x07 2 tasks")
    bar.finish({"status": "interrupted"})
    bar.log("after the end")
    bar.close()
    lines = terminal.read().split("\r\n")
    assert lines[0] == "before the start"
    assert lines[1] == "spring: 10 tasks"
    assert lines[2].split("\r")[-1].strip() == "interrupted: finishing 2 tasks"
    assert lines[3].split("\r")[-1].strip() == "after the end"


def test_a_bar_starts_no_thread(terminal: Terminal, clock: FakeClock) -> None:
    before = threading.active_count()
    bar = ProgressBar(Sink(terminal.stream), clock=clock)
    bar.start(name="x", total=10)
    assert threading.active_count() == before
    bar.close()


def test_only_the_first_failure_of_a_cause_is_logged(clock: FakeClock, task: Task) -> None:
    stream = io.StringIO()
    lines = TextLines(Sink(stream), clock=clock)
    lines.start(name="x", total=10)
    finish_tasks(lines, task, BAD_SIZE, count=5)
    assert stream.getvalue().splitlines() == [
        "x: 10 tasks",
        (
            "failed: hero (products.csv:12): invalid_request, HTTP 400:"
            " size 1000 is not a multiple of 32"
        ),
    ]


def test_a_status_line_is_printed_every_interval_and_at_the_end(
    clock: FakeClock, task: Task
) -> None:
    stream = io.StringIO()
    lines = TextLines(Sink(stream), clock=clock, interval_s=30.0)
    lines.start(name="x", total=90)
    for _ in range(65):
        lines.task_started(task)
        clock.now_s += 1.0
        lines.task_finished(task, SUCCESS)
    lines.finish({"status": "interrupted"})
    assert stream.getvalue().splitlines()[1:] == [
        "30 of 90, 1.0/s, $0.30, 1 min 00 s left",
        "60 of 90, 1.0/s, $0.60, 30 s left",
        "interrupted: 65 of 90, 1.0/s, $0.65",
    ]


def test_a_tick_prints_why_a_run_waits(clock: FakeClock) -> None:
    stream = io.StringIO()
    lines = TextLines(Sink(stream), clock=clock, interval_s=30.0)
    lines.start(name="x", total=9)
    lines.gate_closed("flux/schnell", 20.0, "rate limit")
    lines.gate_closed("flux/schnell", 50.0, "rate limit")
    clock.now_s += 31.0
    lines.tick()
    assert stream.getvalue().splitlines()[1:] == [
        "flux/schnell: no requests for 50 s (rate limit)",
        "0 of 9, waiting 19 s (rate limit)",
    ]


@pytest.mark.parametrize("interval_s", [30.0, math.inf])
def test_a_long_wait_is_logged_with_its_end_also_without_status_lines(
    interval_s: float, clock: FakeClock
) -> None:
    stream = io.StringIO()
    lines = TextLines(Sink(stream), clock=clock, interval_s=interval_s)
    lines.start(name="x", total=9)
    lines.gate_closed("flux/schnell", 61.0, "rate limit")
    lines.gate_closed("flux/schnell", 86_400.0, "rate limit")
    short, long = stream.getvalue().splitlines()[1:]
    assert re.fullmatch(
        r"flux/schnell: waiting until (\d{4}-\d\d-\d\d )?\d\d:\d\d \(1 min 01 s\): rate limit",
        short,
    )
    assert re.fullmatch(
        r"flux/schnell: waiting until \d{4}-\d\d-\d\d \d\d:\d\d \(24 h 00 min\): rate limit", long
    )


def test_json_events_are_objects_with_event_and_utc_time(task: Task) -> None:
    stream = io.StringIO()
    progress = JsonEvents(Sink(stream), now=lambda: datetime(2026, 11, 23, 9, tzinfo=UTC))
    artifact = Artifact("hero-1.png", 3, "ab", "image/png", 1, 1)
    progress.start(name="x", total=2)
    progress.task_started(task)
    progress.attempt_failed(task, 1, RETRY, 2.5)
    progress.gate_closed(task.model, 12.0, "rate limit")
    progress.task_finished(task, Outcome(Status.SUCCEEDED, artifacts=(artifact,), cost_usd=0.04))
    progress.log("gr\u00fc\u00dfe \ud800")
    progress.finish({"status": "complete"})
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [event["event"] for event in events] == [
        "run_started",
        "attempt_failed",
        "gate_closed",
        "task_finished",
        "message",
        "run_finished",
    ]
    assert {event["time"] for event in events} == {"2026-11-23T09:00:00.000+00:00"}
    assert events[1]["wait_s"] == 2.5
    assert events[3]["prompt"] == "A fox in [31mink"
    assert events[3]["artifacts"] == ["hero-1.png"]
    assert events[5]["summary"] == {"status": "complete"}
    assert stream.getvalue().isascii()
    for event in events:
        keys, _ = EVENTS[event["event"]]
        assert set(event) == {"event", "time", *keys.split(", ")}, "docs/events.md lists its keys"
    # run_failed is written to log files only.
    assert {event["event"] for event in events} == set(EVENTS) - {"run_failed"}


def test_a_status_line_shows_what_limits_the_run(clock: FakeClock, task: Task) -> None:
    line = StatusLine(clock, total=9)
    line.set_bottleneck(lambda in_flight: "concurrency 2" if in_flight >= 2 else None)
    line.task_started()
    assert text_of(line) == "0 of 9, 1 in flight"
    line.task_started()
    assert text_of(line) == "0 of 9, 2 in flight, limited by concurrency 2"
    line.gate_closed(task.model, 5, "rate limit")
    assert text_of(line) == "0 of 9, 2 in flight, waiting 5 s (rate limit)"


def test_metrics_are_replaced_every_ten_seconds_and_at_the_end(
    tmp_path: Path, clock: FakeClock, task: Task
) -> None:
    path = tmp_path / "batchgen.prom"
    progress = make(io.StringIO(), clock, quiet=True, metrics_file=path)
    assert "batchgen_run_exit_code -1.0" in path.read_text()
    progress.start(name="x", total=3)
    finish_tasks(progress, task, SUCCESS, count=2)
    progress.attempt_failed(task, 1, RETRY, 2.5)
    progress.gate_closed(task.model, 12.0, "rate limit")
    progress.tick()
    assert "flux/schnell" not in path.read_text()
    clock.now_s += 10
    progress.tick()
    text = path.read_text()
    ended = 'batchgen_tasks_finished_total{model="flux/schnell",status="succeeded"} 2.0'
    assert ended in text
    assert 'batchgen_cost_usd_total{model="flux/schnell"} 0.02' in text
    assert 'batchgen_attempts_failed_total{kind="server",model="flux/schnell"} 1.0' in text
    assert 'batchgen_gate_closed_seconds_total{model="flux/schnell"} 12.0' in text
    progress.finish({"status": "complete", "exit_code": 0})
    progress.close()
    assert "batchgen_run_exit_code 0.0" in path.read_text()
    assert all(f"# TYPE {name} " in path.read_text() for name in METRICS)
    assert list(tmp_path.iterdir()) == [path]


def test_a_metrics_file_that_cannot_be_written_is_reported_before_the_run(
    tmp_path: Path, clock: FakeClock
) -> None:
    with pytest.raises(UsageError, match=r"metrics file .* cannot be written: No such file"):
        make(io.StringIO(), clock, metrics_file=tmp_path / "missing" / "x.prom")


def make(
    stream: io.StringIO,
    clock: FakeClock,
    *,
    log_format: Literal["text", "json"] = "text",
    log_file: Path | None = None,
    quiet: bool = False,
    bar: bool = True,
    metrics_file: Path | None = None,
) -> Progress:
    return make_progress(
        stream=stream,
        terminal=False,
        log_format=log_format,
        log_file=log_file,
        quiet=quiet,
        bar=bar,
        interval_s=30.0,
        metrics_file=metrics_file,
        clock=clock,
    )


def test_quiet_prints_nothing_and_logs_everything_to_the_log_file(
    tmp_path: Path, clock: FakeClock, task: Task
) -> None:
    stream = io.StringIO()
    log = tmp_path / "run.log"
    progress = make(stream, clock, log_file=log, quiet=True)
    progress.start(name="x", total=1)
    finish_tasks(progress, task, BAD_SIZE)
    progress.finish({"status": "incomplete"})
    progress.close()
    progress.close()
    assert stream.getvalue() == ""
    lines = log.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 3
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", line) for line in lines)


def test_a_log_file_has_the_log_format_and_is_appended_to(tmp_path: Path, clock: FakeClock) -> None:
    log = tmp_path / "run.log"
    for _ in range(2):
        progress = make(io.StringIO(), clock, log_format="json", log_file=log)
        progress.log("hello")
        progress.close()
    assert [json.loads(line)["message"] for line in log.read_text().splitlines()] == ["hello"] * 2


def test_no_progress_prints_messages_but_no_status_lines(clock: FakeClock, task: Task) -> None:
    stream = io.StringIO()
    progress = make(stream, clock, bar=False)
    progress.start(name="x", total=2)
    clock.now_s += 3600
    finish_tasks(progress, task, SUCCESS)
    progress.log("hello")
    progress.finish({"status": "complete"})
    assert stream.getvalue().splitlines() == ["x: 2 tasks", "hello"]


def test_a_log_file_that_cannot_be_written_is_reported_before_the_run(
    tmp_path: Path, clock: FakeClock
) -> None:
    with pytest.raises(UsageError, match="cannot be written: No such file or directory"):
        make(io.StringIO(), clock, log_file=tmp_path / "missing" / "run.log")


class BrokenPipe(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError(text)


def test_a_closed_pipe_does_not_end_the_run(clock: FakeClock, task: Task) -> None:
    progress = make(BrokenPipe(), clock)
    progress.start(name="x", total=1)
    finish_tasks(progress, task, SUCCESS)
    progress.close()


def test_a_closed_terminal_does_not_end_the_run(
    terminal: Terminal, clock: FakeClock, task: Task
) -> None:
    bar = ProgressBar(Sink(BrokenPipe()), clock=clock)
    bar.start(name="x", total=1)
    finish_tasks(bar, task, BAD_SIZE)
    bar.close()
    assert terminal.read() == ""
