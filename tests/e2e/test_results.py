"""Results in other formats: a manifest to run again, Parquet, CSV for a spreadsheet."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pyarrow import parquet

from batchgen.report.export_parquet import COLUMNS
from tests.e2e.command import batchgen, environment, results

JOB = """\
name: mixed
provider: simulator
defaults: {model: dall-e-2, size: 256x256}
prompts:
  - {id: good, prompt: "A {{b}}, =1+1", vars: {sku: "=A17"}}
  - {id: plain, prompt: "a plain thing"}
"""


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    (tmp_path / "mixed.yaml").write_text(JOB)
    ended = batchgen("run", "mixed.yaml", "--quiet", cwd=tmp_path)
    assert ended.code == 0, ended.err
    return tmp_path


def test_results_as_a_manifest_give_the_same_tasks(mixed: Path) -> None:
    words = ["results", "out/mixed", "--status", "succeeded,failed", "--format", "yaml"]
    ended = batchgen(*words, "-o", "again.yaml", cwd=mixed)
    job = yaml.safe_load((mixed / "again.yaml").read_text())

    again = batchgen("run", "again.yaml", "--quiet", cwd=mixed)

    assert (ended.code, again.code) == (0, 0), again.err
    assert (job["name"], job["provider"]) == ("mixed-failed-succeeded", "simulator")
    first, second = (results(mixed / "out" / name)[0] for name in ("mixed", job["name"]))
    assert {k: first[k] for k in ("key", "id", "prompt", "params", "vars")} == {
        k: second[k] for k in ("key", "id", "prompt", "params", "vars")
    }


def test_a_manifest_without_results_is_a_job_without_prompts(mixed: Path) -> None:
    ended = batchgen("results", "out/mixed", "--status", "failed", "--format", "yaml", cwd=mixed)
    assert yaml.safe_load(ended.out)["prompts"] == []


def test_parquet_has_the_documented_columns_and_every_row(mixed: Path) -> None:
    ended = batchgen("results", "out/mixed", "--format", "parquet", "-o", "x.parquet", cwd=mixed)
    assert ended.code == 0, ended.err
    untyped: Any = parquet
    table = untyped.read_table(mixed / "x.parquet")
    rows = table.to_pylist()
    lines = results(mixed / "out" / "mixed")
    assert table.column_names == list(COLUMNS)
    assert [row["id"] for row in rows] == ["good", "plain"]
    assert rows[0]["artifacts"] == lines[0]["artifacts"]
    assert json.loads(rows[0]["vars"]) == {"sku": "=A17"}
    assert rows[0]["finished_at"].isoformat(timespec="milliseconds") == lines[0]["finished_at"]


def test_without_pyarrow_the_message_says_what_to_install(mixed: Path) -> None:
    (mixed / "pyarrow.py").write_text("raise ImportError")
    ended = subprocess.run(
        [sys.executable, "-m", "batchgen", "results", "out/mixed", "--format", "parquet"],
        cwd=mixed,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "pip install pyarrow" in ended.stderr


def test_a_csv_file_opens_correctly_in_a_spreadsheet(mixed: Path) -> None:
    words = ["results", "out/mixed", "--format", "csv"]
    batchgen(*words, "-o", "x.csv", cwd=mixed)
    data = (mixed / "x.csv").read_bytes()
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))

    assert data.startswith(b"\xef\xbb\xbf")
    assert rows[0]["sku"] == "'=A17"
    assert batchgen(*words, cwd=mixed).out.encode() == data[3:]


def test_an_unknown_status_is_reported(mixed: Path) -> None:
    ended = batchgen("results", "out/mixed", "--status", "faild", cwd=mixed)
    assert ended.code == 2
    assert "did you mean failed?" in ended.err
