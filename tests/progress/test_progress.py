"""What a running job tells, on a real pseudo-terminal and elsewhere."""

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
from batchgen.progress import Bar, JsonLines, Lines, Pace, Progress, Sink, Tally, make_progress
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
    """A pseudo-terminal of a given width; what is written to it can be looked at."""

    def __init__(self) -> None:
        self._master, slave = os.openpty()
        self.stream = os.fdopen(slave, "w", encoding="utf-8")
        os.set_blocking(self._master, False)

    def resize(self, columns: int) -> None:
        fcntl.ioctl(self.stream, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def read(self) -> str:
        found = b""
        try:
            while part := os.read(self._master, 65536):
                found += part
        except BlockingIOError:
            return found.decode()
        return found.decode()

    def close(self) -> None:
        self.stream.close()
        os.close(self._master)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    one = Terminal()
    one.resize(120)
    yield one
    one.close()


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


def shown(output: str) -> list[str]:
    """Every state that the terminal's lines have had."""
    return [part.rstrip() for part in re.split(r"[\r\n]+", output) if part.strip()]


def told(tally: Tally) -> str:
    return ", ".join(field.text for field in tally.fields())


def test_the_rate_is_that_of_recent_completions(clock: FakeClock) -> None:
    pace = Pace(clock)
    assert pace.per_s() is None
    for _ in range(1000):
        clock.now_s += 0.01
        pace.mark()
    for _ in range(200):
        clock.now_s += 1.0
        pace.mark()
    assert pace.per_s() == pytest.approx(1.0)


def test_a_slow_run_is_judged_by_more_than_its_last_half_minute(clock: FakeClock) -> None:
    pace = Pace(clock)
    for _ in range(10):
        clock.now_s += 60.0
        pace.mark()
    assert pace.per_s() == pytest.approx(1 / 60)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=600))
def test_the_window_stays_small_and_the_rate_positive(steps_s: list[float]) -> None:
    clock = FakeClock()
    pace = Pace(clock)
    for step_s in steps_s:
        clock.now_s += step_s
        pace.mark()
    clock.now_s += 1.0
    rate = pace.per_s()
    assert rate is not None
    assert 0 < rate < math.inf
    assert len(pace._marks) <= Pace.SPAN_S / Pace._GRAIN_S + Pace.LEAST + 2


def test_a_status_line_tells_counts_rate_hold_spend_and_time_left(
    clock: FakeClock, task: Task
) -> None:
    tally = Tally(clock, total=1632)
    tally.skipped(412)
    for outcome in (SUCCESS, SUCCESS, BAD_SIZE):
        tally.task_started()
        clock.now_s += 0.5
        tally.task_finished(outcome)
    tally.task_started()
    tally.attempt_failed(RETRY)
    tally.gate_closed(task.model, 12.0, "rate limit")
    assert told(tally) == (
        "415 of 1,632, 1 failed, 1 in flight, 1 retry, 2.0/s, rate limit for 12 s more, "
        "$0.02, 10 min 08 s left"
    )
    clock.now_s += 12.0
    assert "rate limit" not in told(tally)


def test_open_outcomes_leave_the_flight_and_settle_nothing(clock: FakeClock) -> None:
    tally = Tally(clock, total=5)
    tally.task_started()
    tally.task_finished(Outcome(Status.SUBMITTED))
    assert told(tally) == "0 of 5"


def test_a_spend_with_unknown_prices_is_a_lower_bound(clock: FakeClock) -> None:
    tally = Tally(clock, total=2)
    for outcome in (SUCCESS, Outcome(Status.SUCCEEDED)):
        tally.task_started()
        tally.task_finished(outcome)
    assert "at least $0.01" in told(tally)


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
def test_the_bar_never_outgrows_its_terminal(
    terminal: Terminal, clock: FakeClock, task: Task, columns: int
) -> None:
    terminal.resize(columns)
    bar = Bar(Sink(terminal.stream), clock=clock)
    bar.start(name="x", total=100_000)
    for _ in range(20):
        clock.now_s += 0.3
        finish_tasks(bar, task, SUCCESS)
    bar.gate_closed(task.model, 30, "rate limit")
    bar.tick()
    states = shown(terminal.read())
    bar.close()
    assert any("20 of 100,000" in state for state in states)
    assert all(len(state) < columns for state in states)


def test_a_wide_bar_tells_all_and_a_narrow_one_what_matters(
    terminal: Terminal, clock: FakeClock, task: Task
) -> None:
    bar = Bar(Sink(terminal.stream), clock=clock)
    bar.start(name="x", total=10)
    clock.now_s += 1
    finish_tasks(bar, task, BAD_SIZE)
    bar.gate_closed(task.model, 30, "rate limit")
    bar.tick()
    wide = shown(terminal.read())[-1]
    terminal.resize(50)
    bar.tick()
    narrow = shown(terminal.read())[-1]
    bar.close()
    assert wide.endswith("1 of 10, 1 failed, 1.0/s, rate limit for 30 s more, 9 s left")
    assert wide.startswith("|")
    assert narrow == "1 of 10, 1 failed, rate limit for 30 s more"


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
    bar = Bar(Sink(terminal.stream), clock=clock)
    bar.start(name="x", total=10)
    finish_tasks(bar, task, BAD_SIZE)
    bar.tick()
    bar.close()
    assert "\x1b[" not in terminal.read().replace("\x1b[A", "")


def test_messages_stand_above_the_bar_and_the_bar_is_cleared_at_the_end(
    terminal: Terminal, clock: FakeClock
) -> None:
    bar = Bar(Sink(terminal.stream), clock=clock)
    bar.say("before the start")
    bar.start(name="spring", total=10)
    bar.tasks_skipped(4)
    bar.say("interrupted: finishing\x07 2 tasks")
    bar.finish({"status": "interrupted"})
    bar.say("after the end")
    bar.close()
    lines = terminal.read().split("\r\n")
    assert lines[0] == "before the start"
    assert lines[1] == "spring: 10 tasks"
    assert lines[2].split("\r")[-1].strip() == "interrupted: finishing 2 tasks"
    assert lines[3].split("\r")[-1].strip() == "after the end"


def test_a_bar_starts_no_thread(terminal: Terminal, clock: FakeClock) -> None:
    before = threading.active_count()
    bar = Bar(Sink(terminal.stream), clock=clock)
    bar.start(name="x", total=10)
    assert threading.active_count() == before
    bar.close()


def test_only_the_first_failure_of_a_cause_gets_a_line(clock: FakeClock, task: Task) -> None:
    stream = io.StringIO()
    lines = Lines(Sink(stream), clock=clock)
    lines.start(name="x", total=10)
    finish_tasks(lines, task, BAD_SIZE, count=5)
    assert stream.getvalue().splitlines() == [
        "x: 10 tasks",
        (
            "failed: hero (products.csv:12): invalid_request, HTTP 400:"
            " size 1000 is not a multiple of 32"
        ),
    ]


def test_a_status_line_comes_every_interval_and_with_the_end(clock: FakeClock, task: Task) -> None:
    stream = io.StringIO()
    lines = Lines(Sink(stream), clock=clock, interval_s=30.0)
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


def test_a_tick_alone_tells_what_holds_a_waiting_run(clock: FakeClock) -> None:
    stream = io.StringIO()
    lines = Lines(Sink(stream), clock=clock, interval_s=30.0)
    lines.start(name="x", total=9)
    lines.gate_closed("flux/schnell", 20.0, "rate limit")
    lines.gate_closed("flux/schnell", 50.0, "rate limit")
    clock.now_s += 31.0
    lines.tick()
    assert stream.getvalue().splitlines()[1:] == [
        "flux/schnell: rate limit, nothing is sent for 50 s",
        "0 of 9, rate limit for 19 s more",
    ]


def test_json_events_are_objects_with_event_and_utc_time(task: Task) -> None:
    stream = io.StringIO()
    events = JsonLines(Sink(stream), now=lambda: datetime(2026, 11, 23, 9, tzinfo=UTC))
    artifact = Artifact("hero-1.png", 3, "ab", "image/png", 1, 1)
    events.start(name="x", total=2)
    events.task_started(task)
    events.attempt_failed(task, 1, RETRY, 2.5)
    events.gate_closed(task.model, 12.0, "rate limit")
    events.task_finished(task, Outcome(Status.SUCCEEDED, artifacts=(artifact,), cost_usd=0.04))
    events.say("gr\u00fc\u00dfe \ud800")
    events.finish({"status": "complete"})
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [one["event"] for one in found] == [
        "run_started",
        "attempt_failed",
        "gate_closed",
        "task_finished",
        "message",
        "run_finished",
    ]
    assert {one["time"] for one in found} == {"2026-11-23T09:00:00.000+00:00"}
    assert found[1]["wait_s"] == 2.5
    assert found[3]["prompt"] == "A fox in [31mink"
    assert found[3]["artifacts"] == ["hero-1.png"]
    assert found[5]["summary"] == {"status": "complete"}
    assert stream.getvalue().isascii()
    for one in found:
        keys, _ = EVENTS[one["event"]]
        assert set(one) == {"event", "time", *keys.split(", ")}, "docs/events.md tells its keys"
    assert {one["event"] for one in found} == set(EVENTS) - {"run_failed"}, "a log file's"


def test_a_status_line_tells_what_holds_the_run_back(clock: FakeClock, task: Task) -> None:
    tally = Tally(clock, total=9)
    tally.explain_by(lambda in_flight: "concurrency 2" if in_flight >= 2 else None)
    tally.task_started()
    assert told(tally) == "0 of 9, 1 in flight"
    tally.task_started()
    assert told(tally) == "0 of 9, 2 in flight, held by concurrency 2"
    tally.gate_closed(task.model, 5, "rate limit")
    assert told(tally) == "0 of 9, 2 in flight, rate limit for 5 s more"


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


def test_a_metrics_file_that_cannot_be_written_is_told_before_the_run(
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


def test_quiet_tells_nothing_on_the_stream_and_all_in_the_log_file(
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


def test_a_log_file_takes_the_format_of_the_log_and_is_appended_to(
    tmp_path: Path, clock: FakeClock
) -> None:
    log = tmp_path / "run.log"
    for _ in range(2):
        progress = make(io.StringIO(), clock, log_format="json", log_file=log)
        progress.say("hello")
        progress.close()
    assert [json.loads(line)["message"] for line in log.read_text().splitlines()] == ["hello"] * 2


def test_no_progress_leaves_messages_and_drops_status_lines(clock: FakeClock, task: Task) -> None:
    stream = io.StringIO()
    progress = make(stream, clock, bar=False)
    progress.start(name="x", total=2)
    clock.now_s += 3600
    finish_tasks(progress, task, SUCCESS)
    progress.say("hello")
    progress.finish({"status": "complete"})
    assert stream.getvalue().splitlines() == ["x: 2 tasks", "hello"]


def test_a_log_file_that_cannot_be_written_is_told_before_the_run(
    tmp_path: Path, clock: FakeClock
) -> None:
    with pytest.raises(UsageError, match="cannot be written: No such file or directory"):
        make(io.StringIO(), clock, log_file=tmp_path / "missing" / "run.log")


class BrokenPipe(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError(text)


def test_a_reader_that_went_away_does_not_end_the_run(clock: FakeClock, task: Task) -> None:
    progress = make(BrokenPipe(), clock)
    progress.start(name="x", total=1)
    finish_tasks(progress, task, SUCCESS)
    progress.close()


def test_a_terminal_that_went_away_does_not_end_the_run(
    terminal: Terminal, clock: FakeClock, task: Task
) -> None:
    bar = Bar(Sink(BrokenPipe()), clock=clock)
    bar.start(name="x", total=1)
    finish_tasks(bar, task, BAD_SIZE)
    bar.close()
    assert terminal.read() == ""
