"""Budgets, halts and limits of the installed command, counted at the server."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import COMMAND, batchgen, environment, results
from tests.e2e.simulated import simulate, stats

KEY = {"AIMLAPI_API_KEY": "sk-canary-7731"}
TASKS = 120
PRICE_USD = 0.026


@pytest.fixture(autouse=True)
def manifest(tmp_path: Path) -> None:
    rows = "".join(f"picture {number}\n" for number in range(TASKS))
    (tmp_path / "m.csv").write_text(f"prompt\n{rows}")


def words(base_url: str, *more: str) -> list[str]:
    options = ["--model", "dall-e-2", "--set", "size=256x256", "-o", "out"]
    return ["run", "m.csv", "--base-url", base_url, *options, *more]


def summary(folder: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((folder / "out" / "summary.json").read_text())
    return summary


def test_64_workers_do_not_overshoot_max_cost(tmp_path: Path) -> None:
    with simulate("--latency", "100ms±0.1", cwd=tmp_path) as base_url:
        more = ("--concurrency", "64", "--max-cost", "1.00")
        ended = batchgen(*words(base_url, *more), cwd=tmp_path, **KEY)
        generated = stats(base_url)["generations"]

    assert ended.code == 3
    assert generated == int(1.00 / PRICE_USD)
    assert "max_cost of $1.00 is reached" in ended.err
    status = json.loads(batchgen("status", "out", "--json", cwd=tmp_path).out)
    spent = sum(line["cost_usd"] or 0 for line in results(tmp_path / "out"))
    assert status["spend_usd"] == summary(tmp_path)["cost_usd"] == pytest.approx(spent)
    assert spent == pytest.approx(generated * PRICE_USD)


def test_two_jobs_in_parallel_share_a_budget(tmp_path: Path) -> None:
    with simulate("--latency", "50ms", cwd=tmp_path) as base_url:
        runs = []
        for job in ("spring", "autumn"):
            (tmp_path / f"{job}.yaml").write_text(
                "defaults: {model: dall-e-2, size: 256x256}\n"
                "budget: {usd: 1.00, per: day, ledger: money.sqlite3}\n"
                "prompts: [{from: m.csv}]\n"
            )
            flags = ("--base-url", base_url, "-o", job, "--no-progress")
            runs.append(
                subprocess.Popen(
                    [COMMAND, "run", f"{job}.yaml", *flags],
                    cwd=tmp_path,
                    env=environment(**KEY),
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        messages = [run.communicate(timeout=60)[1] for run in runs]
        generated = stats(base_url)["generations"]

    assert [run.returncode for run in runs] == [3, 3], messages
    assert generated == int(1.00 / PRICE_USD)
    message = "the budget of $1.00 per day (UTC) in money.sqlite3 is reached"
    assert all(message in " ".join(err.split()) for err in messages), messages


def test_requests_in_flight_during_a_crash_count_as_spent(tmp_path: Path) -> None:
    with simulate("--latency", "60s", cwd=tmp_path) as never:
        run = subprocess.Popen(
            [COMMAND, *words(never, "--concurrency", "4")], cwd=tmp_path, env=environment(**KEY)
        )
        while stats(never)["in_flight"] < 4:
            pass
        run.kill()
        run.wait(60)
    with simulate(cwd=tmp_path) as base_url:
        more = ("--max-cost", str(10 * PRICE_USD), "--on-unknown")
        held = batchgen(*words(base_url, *more, "hold"), cwd=tmp_path, **KEY)
        assert (held.code, stats(base_url)["generations"]) == (3, 6)
        assert "$0.104 of it for requests without a result" in " ".join(held.err.split())

        # Whether the provider honours the key is not known, so each needs its price once more.
        assert batchgen(*words(base_url, *more, "resend"), cwd=tmp_path, **KEY).code == 3
        assert stats(base_url)["generations"] == 6
        more = ("--max-cost", str(14 * PRICE_USD), "--on-unknown")
        assert batchgen(*words(base_url, *more, "resend"), cwd=tmp_path, **KEY).code == 3
        assert stats(base_url)["generations"] == 10


def test_spent_credit_halts_and_leaves_the_rest_pending(tmp_path: Path) -> None:
    with simulate("--credit", "10", "--latency", "20ms", cwd=tmp_path) as base_url:
        ended = batchgen(*words(base_url, "--concurrency", "4"), cwd=tmp_path, **KEY)
        counts = stats(base_url)

    statuses = [line["status"] for line in results(tmp_path / "out")]
    assert ended.code == 3
    assert counts["generations"] == statuses.count("succeeded") == 10
    assert statuses.count("pending") == TASKS - 10
    assert counts["requests"]["403"] <= 4
    assert "quota (403)" in ended.err
    assert "batchgen run m.csv" in ended.err


def test_failures_in_a_row_halt_the_run(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(
        "defaults: {model: dall-e-2, size: 256x256}\n"
        "limits: {concurrency: 2, halt_after: 5}\n"
        "retry: {attempts: 1}\n"
        "prompts: [{from: m.csv}]\n"
    )
    with simulate("--faults", "500=1", cwd=tmp_path) as base_url:
        ended = batchgen(
            *("run", "job.yaml", "--base-url", base_url, "-o", "out"), cwd=tmp_path, **KEY
        )
        assert 5 <= stats(base_url)["requests"]["500"] <= 6

    assert ended.code == 3
    assert "5 failures in a row: server" in ended.err


def test_refusals_above_their_limit_halt_the_run(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(
        "defaults: {model: dall-e-2, size: 256x256}\n"
        "limits: {concurrency: 2, halt_refusals: 0.5}\n"
        "prompts: [{from: m.csv}]\n"
    )
    with simulate("--refuse", "picture", cwd=tmp_path) as base_url:
        ended = batchgen(
            *("run", "job.yaml", "--base-url", base_url, "-o", "out"), cwd=tmp_path, **KEY
        )
        counts = stats(base_url)

    assert ended.code == 3
    assert 100 <= counts["requests"]["400"] <= 101
    assert counts["generations"] == 0
    assert "of the last 100 tasks for their content" in " ".join(ended.err.split())


def test_a_deadline_stops_and_keeps_what_is_in_flight(tmp_path: Path) -> None:
    with simulate("--latency", "300ms", cwd=tmp_path) as base_url:
        more = ("--concurrency", "4", "--deadline", "500ms")
        ended = batchgen(*words(base_url, *more), cwd=tmp_path, **KEY)
        generated = stats(base_url)["generations"]

    statuses = [line["status"] for line in results(tmp_path / "out")]
    assert ended.code == 3
    assert "deadline" in ended.err
    assert statuses.count("succeeded") == generated > 0
    assert statuses.count("pending") == TASKS - generated


def test_the_ledger_counts_all_requests_that_the_server_received(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(
        "defaults: {model: dall-e-2, size: 256x256}\n"
        "retry: {attempts: 40, backoff: {initial: 10ms, max: 20ms}, rules: [\n"
        "  {code: bad_response, then: retry},\n"
        "  {status: 418, then: retry, after: 10ms},\n"
        "  {text: out of credits, status: 403, then: retry, attempts: 40}]}\n"
        "prompts: [{from: m.csv}]\n"
    )
    faults = "500=0.08,403=0.05,418=0.05,html=0.05,empty=0.05,lost=0.05,truncated=0.05,lying=0.03"
    with simulate("--faults", faults, "--seed", "3", cwd=tmp_path) as base_url:
        flags = ("--base-url", base_url, "-o", "out")
        ended = batchgen("run", "job.yaml", *flags, cwd=tmp_path, **KEY)
        counts = stats(base_url)

    assert ended.code == 0, ended.err
    assert counts["double_generations"] == 0
    attempts = sum(line["attempts"] for line in results(tmp_path / "out"))
    assert attempts == sum(counts["requests"].values()) > TASKS
    assert summary(tmp_path)["run"]["requests"] == attempts


def test_preflight_reports_a_balance_below_the_estimate(tmp_path: Path) -> None:
    with simulate("--balance", "1.50", cwd=tmp_path) as base_url:
        ended = batchgen(*words(base_url, "--preflight"), cwd=tmp_path, **KEY)
        counts = stats(base_url)

    assert "the balance of $1.50 is below the job's estimate of $3.12" in ended.err
    assert ended.code == 3
    assert counts["generations"] == int(1.50 / PRICE_USD)


def test_the_plan_uses_live_prices(tmp_path: Path) -> None:
    with simulate(cwd=tmp_path) as base_url:
        flags = ("--model", "openai/gpt-image-1", "--base-url", base_url, "--json")
        live = batchgen("plan", "m.csv", *flags, "--live-prices", cwd=tmp_path)
        catalogue = batchgen("plan", "m.csv", *flags, cwd=tmp_path)

    assert json.loads(live.out)["cost_usd"] == pytest.approx(TASKS * 0.03)
    assert json.loads(catalogue.out)["cost_usd"] is None


def test_tasks_without_a_price_are_reported_if_there_is_a_max_cost(tmp_path: Path) -> None:
    flags = ("--model", "openai/gpt-image-1", "--max-cost", "1")
    warned = batchgen("plan", "m.csv", *flags, cwd=tmp_path)
    refused = batchgen("plan", "m.csv", *flags, "--require-price", cwd=tmp_path)

    assert (warned.code, refused.code) == (0, 2)
    assert "120 of 120 tasks have no known price, so max_cost" in warned.err
    assert "no price is known for openai/gpt-image-1" in refused.err
