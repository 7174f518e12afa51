"""How runs end: messages, counts, and advice."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.command import COMMAND, batchgen, environment, results
from tests.e2e.simulated import simulate, stats


def test_a_log_file_ends_with_the_causes(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("id,prompt\npot,a pot\ncup,a cup\n")
    typed = ("run", "m.csv", "--model", "dall-e-2", "--quiet", "--log-file", "log")
    with simulate("--faults", "400=1", cwd=tmp_path) as url:
        batchgen(*typed, "--base-url", url, cwd=tmp_path, AIMLAPI_API_KEY="k")

    last = (tmp_path / "log").read_text().splitlines()[-1]
    assert "2 x invalid_request, HTTP 400" in last
    assert ", for example " in last


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["bad.csv", "--provider", "simulator", "--model", "dall-e-2"], 2, "bad.csv:2: "),
        (["m.csv", "--model", "dall-e-2"], 2, "AIMLAPI_API_KEY"),
        (["m.csv", "--provider", "simulator", "--shard", "3/2"], 2, "--shard '3/2'"),
        (["m.csv", "--provider", "simulator", "--model", "dall-e-2", "-o", "m.csv"], 4, "m.csv"),
        (["m.csv", "--env-file", "none.env"], 2, "none.env"),
        (["m.csv", "--metrics-file", "none/m.prom"], 2, "the metrics file none/m.prom"),
    ],
)
def test_a_run_that_cannot_start_writes_the_reason_to_its_log_file(
    words: list[str], code: int, message: str, tmp_path: Path
) -> None:
    (tmp_path / "m.csv").write_text("prompt\na pot\n")
    (tmp_path / "bad.csv").write_text("prompt,size\na pot,1x1\na cup,2x2\n")
    ended = batchgen("run", *words, "--log-file", "log", cwd=tmp_path)

    assert (ended.code, message in ended.err) == (code, True)
    logged = (tmp_path / "log").read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in logged] == [
        f"error: {line}" for line in ended.err.removeprefix("batchgen: ").splitlines()
    ]


def test_a_run_that_cannot_start_writes_one_event_to_a_json_log_file(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("prompt\na pot\n")
    typed = ("run", "m.csv", "--model", "dall-e-2", "--log-format", "json", "--log-file", "log")
    ended = batchgen(*typed, cwd=tmp_path)

    assert ended.err.startswith("batchgen: ")
    (event,) = map(json.loads, (tmp_path / "log").read_text().splitlines())
    assert (event["event"], event["exit_code"]) == ("run_failed", 2)
    assert f"batchgen: {event['message']}\n" == ended.err


def test_a_manifest_that_becomes_invalid_halts_the_run_and_keeps_its_results(
    tmp_path: Path,
) -> None:
    manifest = tmp_path / "m.csv"
    note = "x" * 4000  # more than is read ahead
    rows = "".join(f"p{n},a pot,{note}\n" for n in range(4000))
    manifest.write_text("id,prompt,note\n" + rows)
    typed = ("run", "m.csv", "--model", "dall-e-2", "--concurrency", "4", "--set", "size=256x256")
    with (
        simulate("--latency", "20ms", cwd=tmp_path) as url,
        subprocess.Popen(
            [COMMAND, *typed, "--base-url", url, "--log-format", "json"],
            cwd=tmp_path,
            env=environment(AIMLAPI_API_KEY="k"),
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stderr is not None
        next(line for line in process.stderr if "task_finished" in line)
        manifest.write_text("id,prompt,note\n" + "x,,\n" * 4_500_000)
        last = json.loads(process.stderr.readlines()[-1])

    assert process.returncode == 3
    assert last["summary"]["reason"].startswith("the manifest was changed during the run: m.csv:")
    done = results(tmp_path / "out" / "m")
    assert sum(line["status"] == "succeeded" for line in done) == last["summary"]["artifacts"] > 0


_KILLED = """
import sys
from batchgen.cli.main import main as cli_main
from tests.torture.fault import Fault, inject
inject(Fault(sys.argv[1], call=1, after=False))
sys.exit(cli_main(sys.argv[2:]))
"""


@pytest.mark.parametrize(
    ("rows", "killed_at"),
    [
        (["pot,a pot", "cup,a cup"], "batchgen.storage.results:ResultsFile.append"),
        (["pot,a pot"], "batchgen.storage.artifacts:LocalStore.prepare"),
        (["cup,a cup", "pot,a pot"], "batchgen.storage.artifacts:LocalStore.prepare"),
    ],
)
def test_a_run_without_work_writes_the_results_that_a_killed_run_did_not(
    rows: list[str], killed_at: str, tmp_path: Path
) -> None:
    manifest, out = tmp_path / "m.csv", tmp_path / "out" / "m"
    manifest.write_text("id,prompt\npot,a pot\ncup,a cup\n")
    typed = ("run", "m.csv", "--model", "dall-e-2", "--set", "size=256x256")
    key = {"AIMLAPI_API_KEY": "k"}
    refused = ["--refuse", "cup"] if killed_at.endswith("append") else []
    with simulate(*refused, cwd=tmp_path) as url:
        batchgen(*typed, "--base-url", url, cwd=tmp_path, **key)
    manifest.write_text("\n".join(["id,prompt", *rows, ""]))
    with simulate(cwd=tmp_path) as url:
        again = (*typed, "--base-url", url)
        killed = subprocess.run(
            [sys.executable, "-c", _KILLED, killed_at, *again, "--retry-failed", "refused"],
            cwd=tmp_path,
            env=environment(**key, PYTHONPATH=str(Path(__file__).parents[2])),
            capture_output=True,
            check=False,
        )
        last = batchgen(*again, cwd=tmp_path, **key)

    assert (killed.returncode, last.code) == (-9, 0), killed.stderr
    statuses = [f"{line['id']} {line['status']}" for line in results(out)]
    assert statuses == [f"{row.split(',')[0]} succeeded" for row in rows]


def test_tasks_paid_but_not_fetched_are_counted_apart_from_tasks_not_started(
    tmp_path: Path,
) -> None:
    (tmp_path / "job.yaml").write_text(
        "defaults: {model: alibaba/wan-2-6-t2v}\n"
        "limits: {pending: 2, concurrency: 1}\n"
        "prompts: [a pot, a cup, a jug, a jar]\n"
    )
    with simulate("--work", "600s", cwd=tmp_path) as url:
        process = subprocess.Popen(
            [COMMAND, "run", "job.yaml", "--base-url", url],
            cwd=tmp_path,
            env=environment(AIMLAPI_API_KEY="k"),
            stderr=subprocess.PIPE,
            text=True,
        )
        while stats(url)["submits"] < 2:
            pass
        process.terminate()
        _, err = process.communicate(timeout=60)
    status = json.loads(batchgen("status", "out/job", "--json", cwd=tmp_path).out)
    summary = json.loads((tmp_path / "out" / "job" / "summary.json").read_text())

    assert (status["pending"], status["pending_paid"]) == (4, 2), err
    assert summary["tasks"]["pending_paid"] == 2
    assert "4 (2 are already paid for: the next run only fetches the results)" in err
    assert "paid for     2 of the pending tasks:" in batchgen("status", "out/job", cwd=tmp_path).out


def test_an_error_kind_without_failures_is_reported_with_the_existing_kinds(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("prompt\na pot\n")
    typed = ("run", "m.csv", "--model", "dall-e-2", "--retry-failed", "sever", "--base-url")
    with simulate("--faults", "400=1", cwd=tmp_path) as url:
        first = batchgen(*typed, url, cwd=tmp_path, AIMLAPI_API_KEY="k")
        again = batchgen(*typed, url, cwd=tmp_path, AIMLAPI_API_KEY="k")

    assert "--retry-failed sever: no task has failed\n" in first.err
    assert "sever: no task has failed with this kind; found: invalid_request\n" in again.err


def test_each_shard_counts_its_own_tasks_and_all_add_up(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("prompt\n" + "".join(f"pot {n}\n" for n in range(9)))
    typed = ("run", "m.csv", "--provider", "simulator", "--model", "dall-e-2")

    totals = []
    for shard in ("1/2", "2/2"):
        out = tmp_path / shard[0]
        ended = batchgen(*typed, "--shard", shard, "-o", out, cwd=tmp_path)
        status = json.loads(batchgen("status", out, "--json", cwd=tmp_path).out)
        assert (ended.code, status["pending"]) == (0, 0)
        assert f"{status['total']} of {status['total']} selected" in ended.err
        totals.append(status["total"])

    assert sum(totals) == 9


def test_a_rejected_key_is_reported_with_its_variable(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("prompt\na pot\n")
    typed = ("run", "m.csv", "--model", "dall-e-2", "--api-key-env", "LAB_KEY", "--base-url")
    with simulate("--faults", "401=1", cwd=tmp_path) as url:
        ended = batchgen(*typed, url, cwd=tmp_path, LAB_KEY="k")

    assert ended.code == 3
    assert "  first      set LAB_KEY to a key that aimlapi accepts" in ended.err
