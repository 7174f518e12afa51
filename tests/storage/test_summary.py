"""The summary at the end of a run."""

import json
import shlex
from datetime import UTC, datetime

from msgspec.structs import replace

from batchgen.storage.counts import JobCounts, RunCounts, Spend
from batchgen.storage.summary import MAX_GROUPS, Ending, FailureGroups, Summary
from batchgen.types import Outcome, Status, Task, TaskError

BEGAN = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
ENDED = datetime(2026, 11, 23, 9, 12, 5, tzinfo=UTC)


def make_task(task_id: str = "hero", line: int = 12) -> Task:
    return Task(
        key="0" * 32,
        digest="1" * 32,
        id=task_id,
        ordinal=0,
        file="products.csv",
        line=line,
        endpoint="images",
        model="flux/schnell",
        prompt="A fox",
        params={},
        vars={},
        filename="{id}-{n}.{ext}",
    )


def failed(kind: str, code: str | None = None, http_status: int | None = None) -> Outcome:
    error = TaskError(kind, code, f"the provider said {kind}")
    status = Status.REFUSED if kind == "content_policy" else Status.FAILED
    return Outcome(status, error=error, http_status=http_status)


def make_run(*, succeeded: int = 0, resent: int = 0, spend: Spend | None = None) -> RunCounts:
    spend = spend or Spend()
    return RunCounts(
        BEGAN, ENDED, 725.0, succeeded, resent=resent, requests=1700,
        cost_usd=spend.usd, unpriced=spend.unpriced,
    )  # fmt: skip


def mixed_summary() -> Summary:
    groups = FailureGroups()
    for number in range(9):
        groups.add(make_task(f"t{number}", number + 2), failed("invalid_request", "bad_size", 400))
    groups.add(make_task("rude"), failed("content_policy", None, 400))
    return Summary(
        name="spring",
        ending=Ending.INCOMPLETE,
        tasks=JobCounts(1632, succeeded=1622, failed=9, refused=1),
        run=make_run(succeeded=1200, resent=3, spend=Spend(1.24)),
        command=("batchgen", "run", "my products.csv"),
        output="out/spring",
        exit_code=1,
        spend=Spend(2.5, unpriced=4),
        artifacts=1622,
        size_bytes=2_300_000_000,
        failures=groups.groups(),
    )


def test_failures_are_grouped_by_kind_code_and_status_with_the_first_as_example() -> None:
    largest, smallest = mixed_summary().failures
    assert (largest.kind, largest.code, largest.http_status) == ("invalid_request", "bad_size", 400)
    assert (largest.count, largest.example.id, largest.example.line) == (9, "t0", 2)
    assert (smallest.kind, smallest.retryable) == ("content_policy", False)


def test_successes_and_pending_tasks_are_not_failures() -> None:
    groups = FailureGroups()
    groups.add(make_task(), Outcome(Status.SUCCEEDED))
    groups.add(make_task(), Outcome(Status.PENDING, error=TaskError("auth", None, "no")))
    assert groups.groups() == ()


def test_causes_beyond_the_limit_are_counted_together() -> None:
    groups = FailureGroups()
    for number in range(MAX_GROUPS + 7):
        groups.add(make_task(), failed("server", f"code-{number}", 500))
    groups.add(make_task(), failed("server", "code-0", 500))
    causes = groups.groups()
    assert len(causes) == MAX_GROUPS + 1
    assert (causes[0].code, causes[0].count) == ("code-0", 2)
    assert (causes[-1].kind, causes[-1].count) == ("other", 7)


def test_the_summary_document_has_the_documented_keys() -> None:
    document = json.loads(json.dumps(mixed_summary().to_json()))
    assert list(document) == [
        "schema",
        "name",
        "status",
        "reason",
        "tasks",
        "run",
        "cost_usd",
        "unpriced",
        "possibly_charged_usd",
        "artifacts",
        "bytes",
        "failures",
        "exit_code",
    ]
    assert document["status"] == "incomplete"
    assert document["run"]["started_at"] == "2026-11-23T09:00:00+00:00"
    assert document["run"]["cost_usd"] == 1.24
    assert document["failures"][0]["example"] == {
        "id": "t0",
        "file": "products.csv",
        "line": 2,
        "message": "the provider said invalid_request",
    }


def test_a_spend_without_any_known_price_is_null_and_unknown() -> None:
    assert Spend(unpriced=4).to_json() == {"cost_usd": None, "unpriced": 4}
    assert str(Spend(unpriced=4)) == "unknown"
    assert str(Spend(1.24, unpriced=4)) == "at least $1.24 (4 prices unknown)"
    assert Spend().to_json() == {"cost_usd": 0.0, "unpriced": 0}


def test_the_summary_shows_counts_then_failures_by_cause_then_next_steps() -> None:
    assert mixed_summary().to_text() == (
        "spring: finished after 12 min 05 s, not all tasks succeeded\n"
        "  succeeded  1,622 of 1,632 tasks (1,200 in this run)\n"
        "  failed     9\n"
        "  refused    1\n"
        "  resent     3 requests after one without a result; may have been charged twice\n"
        "  artifacts  1,622 files, 2.3 GB\n"
        "  requests   1,700 in this run\n"
        "  spend      $1.24 in this run; total at least $2.50 (4 prices unknown)\n"
        "  results    out/spring/results.jsonl\n"
        "failures by cause\n"
        "  9 x invalid_request, HTTP 400, bad_size\n"
        "      e.g. t0 (products.csv:2): the provider said invalid_request\n"
        "  1 x content_policy, HTTP 400\n"
        "      rude (products.csv:12): the provider said content_policy\n"
        "next steps\n"
        "  edit rows  with invalid_request, then run: batchgen run 'my products.csv'\n"
    )


def test_the_next_steps_retry_all_failures_or_one_kind() -> None:
    groups = FailureGroups()
    groups.add(make_task(), failed("server", None, 503))
    groups.add(make_task(), failed("timeout"))
    summary = Summary(
        name="spring",
        ending=Ending.HALTED,
        tasks=JobCounts(10, failed=2, pending=8),
        run=make_run(),
        command=("batchgen", "run", "a.csv"),
        output="out",
        exit_code=3,
        reason="max_cost of $1.00 is reached",
        failures=groups.groups(),
    )
    lines = summary.to_text().splitlines()
    assert lines[0] == "spring: halted after 12 min 05 s: max_cost of $1.00 is reached"
    assert "  results    out/results.jsonl" in lines
    assert lines[-4:] == [
        "next steps",
        "  continue   batchgen run a.csv",
        "  retry all  batchgen run a.csv --retry-failed",
        "  retry      batchgen run a.csv --retry-failed server",
    ]


def test_the_first_step_is_the_advice_and_counts_are_those_of_the_selection() -> None:
    summary = replace(
        mixed_summary(),
        ending=Ending.HALTED,
        reason="auth (401): no such key",
        advice="put a key into LAB_KEY",
        selected=JobCounts.of(10, {"succeeded": 4}),
        simulated=True,
    )
    text = summary.to_text()
    assert "  succeeded  4 of 10 selected tasks (1,200 in this run)\n" in text
    assert "  pending    6\n" in text
    assert "(simulated: nothing was paid)\n" in text
    assert "  first      put a key into LAB_KEY\n  continue   batchgen run 'my p" in text
    assert "4 of 10 succeeded, 6 pending" in summary.to_line()
    assert summary.to_line().endswith(
        "; first: put a key into LAB_KEY; continue with: batchgen run 'my products.csv'"
    )


def test_pending_tasks_that_are_paid_for_are_counted_apart() -> None:
    counts = {"succeeded": 4, "failed": 1}
    summary = replace(mixed_summary(), tasks=JobCounts.of(10, counts, pending_paid=3))
    chosen = replace(summary, selected=JobCounts.of(6, counts))
    assert "  pending    5 (3 are already paid for: the next run only" in summary.to_text()
    assert "  pending    1 (3 tasks of the job are already paid for: the" in chosen.to_text()
    assert summary.tasks.to_json()["pending_paid"] == 3
    assert "paid for" not in mixed_summary().to_text()


def test_a_narrow_summary_keeps_commands_whole() -> None:
    lines = mixed_summary().to_text(width=40).splitlines()
    command = next(line for line in lines if "batchgen run" in line)
    assert shlex.split(command)[-3:] == ["batchgen", "run", "my products.csv"]
    assert all(len(line) <= 40 for line in lines if "batchgen run" not in line)


def test_a_line_for_cron_says_what_to_do_next() -> None:
    ended = mixed_summary()
    halted = replace(
        ended,
        ending=Ending.HALTED,
        reason="max_cost of $2.00\nis reached",
        tasks=JobCounts(10, succeeded=2, pending=8),
        failures=(),
    )
    assert ended.to_line().startswith(
        "spring: finished after 12 min 05 s, not all tasks succeeded; "
    )
    assert ended.to_line().endswith("; see out/spring/summary.json")
    assert halted.to_line() == (
        "spring: halted after 12 min 05 s: max_cost of $2.00 is reached; 2 of 10 succeeded,"
        " 8 pending; continue with: batchgen run 'my products.csv'"
    )
