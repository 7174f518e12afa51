"""Scheduled jobs: the files of jobs/cron, and the output that cron would mail."""

import re
import shlex
from datetime import datetime
from pathlib import Path

from batchgen.cli.parser import parser as cli_parser
from tests.e2e.command import batchgen
from tests.e2e.simulated import simulate
from tests.readme_tables import ROOT

CRON = ROOT / "jobs" / "cron"


def test_every_command_of_the_examples_is_parsed() -> None:
    files = (CRON / "crontab", CRON / "batchgen.service")
    commands = [
        line
        for file in files
        for line in re.findall(r"^[^#\n]*?batchgen (run .*)$", file.read_text(), re.MULTILINE)
    ]
    assert len(commands) == 3
    for line in commands:
        words = shlex.split(re.sub(r"\$\(.*?\)", "DAY", line))
        assert (ROOT / cli_parser().parse_args(words).manifest).is_file()


def test_the_nightly_job_has_one_output_directory_per_day(tmp_path: Path) -> None:
    before = datetime.now().astimezone().date()
    ended = batchgen("plan", CRON / "nightly.yaml", cwd=tmp_path)
    after = datetime.now().astimezone().date()
    assert ended.code == 0, ended.err
    assert any(f"output out/nightly/{day}\n" in ended.out for day in (before, after))


def test_the_output_option_replaces_date_too(tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_text("a fox\n")
    words = ["--provider", "simulator", "--model", "dall-e-2", "--quiet"]
    ended = batchgen("run", "m.txt", "-o", "out/{date}", *words, cwd=tmp_path)
    (created,) = (tmp_path / "out").iterdir()
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", created.name)


def test_a_quiet_run_with_failures_prints_one_line(tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_text("a fox\nan owl\n")
    with simulate("--faults", "400=1", cwd=tmp_path) as url:
        ended = batchgen(
            *("run", "m.txt", "--model", "dall-e-2", "--quiet", "--base-url", url),
            *("--api-key-env", "LAB_KEY"),
            cwd=tmp_path,
            LAB_KEY="k",
        )
    assert (ended.code, ended.out) == (1, "")
    (line,) = ended.err.splitlines()
    assert line.startswith("batchgen: m: finished after ")
    assert (
        ", not all tasks succeeded; 0 of 2 succeeded, 2 failed (invalid_request, HTTP 400" in line
    )
    assert line.endswith("; see out/m/summary.json")
