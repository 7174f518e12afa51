"""Flags, streams and files that cannot be right, and what the command says to them."""

import subprocess
from pathlib import Path

import pytest

from tests.e2e.command import COMMAND, batchgen, environment


@pytest.mark.parametrize(
    "words",
    [
        ["--base-url", ""],
        ["--base-url="],
        ["--shard", ""],
        ["--timeout", "0"],
        ["--rpm", "nan"],
        ["--max-cost", "-1"],
        ["--concurrency", "0"],
        ["--limit", "x"],
        ["--set", "novalue"],
        ["--only"],
        ["--no-such-flag"],
    ],
)
def test_a_flag_that_cannot_be_right_is_told_and_nothing_is_made(
    words: list[str], tmp_path: Path
) -> None:
    (tmp_path / "m.txt").write_text("a fox\n")
    ended = batchgen("run", "m.txt", "--provider", "simulator", *words, cwd=tmp_path)
    assert ended.code == 2
    assert ended.err.startswith(("batchgen", "usage"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("redirect", [">&-", "2>&-", ">/dev/full"])
def test_a_stream_that_takes_nothing_is_no_reason_for_a_traceback(
    redirect: str, tmp_path: Path
) -> None:
    (tmp_path / "m.txt").write_text("a fox\n")
    ended = subprocess.run(
        ["sh", "-c", f"{COMMAND} plan m.txt --model dall-e-2 {redirect}"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        check=False,
        text=True,
    )
    assert ended.returncode == (4 if redirect == ">/dev/full" else 0)
    assert "Traceback" not in ended.stderr


def test_prompts_in_any_script_are_shown_in_any_locale(tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_text("山水画\n", encoding="utf-8")
    ended = batchgen(
        *("plan", "m.txt", "--model", "dall-e-2"),
        cwd=tmp_path,
        LC_ALL="C",
        PYTHONUTF8="0",
        PYTHONCOERCECLOCALE="0",
    )
    assert ended.code == 0, ended.err
    assert "山水画" in ended.out


def test_a_directory_whose_name_no_file_system_takes_is_told(tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_text("a fox\n")
    ended = batchgen("run", "m.txt", "--provider", "simulator", "-o", "x" * 300, cwd=tmp_path)
    assert ended.code == 4
    assert "File name too long" in ended.err
