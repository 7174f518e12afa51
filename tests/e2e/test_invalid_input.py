"""Invalid options, streams and files, and the messages of the command."""

import subprocess
from pathlib import Path

import pytest

from tests.e2e.command import COMMAND, batchgen, environment, results


@pytest.mark.parametrize(
    "words",
    [
        ["--base-url", ""],
        ["--base-url="],
        ["--shard", ""],
        ["--shard", "1"],
        ["--timeout", "0"],
        ["--rpm", "nan"],
        ["--max-cost", "-1"],
        ["--concurrency", "0"],
        ["--concurrency", "10001"],
        ["--limit", "x"],
        ["--set", "novalue"],
        ["--only"],
        ["--no-such-flag"],
    ],
)
def test_an_invalid_option_is_reported_and_nothing_is_written(
    words: list[str], tmp_path: Path
) -> None:
    (tmp_path / "m.txt").write_text("a fox\n")
    ended = batchgen("run", "m.txt", "--provider", "simulator", *words, cwd=tmp_path)
    assert ended.code == 2
    assert ended.err.startswith(("batchgen", "usage"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("redirect", [">&-", "2>&-", ">/dev/full"])
def test_a_closed_or_full_output_stream_gives_no_traceback(redirect: str, tmp_path: Path) -> None:
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


def test_prompts_in_any_script_are_printed_in_any_locale(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("id,prompt\na,山水画\n", encoding="utf-8")
    ended = batchgen(
        *("plan", "m.csv", "--model", "dall-e-2"),
        cwd=tmp_path,
        LC_ALL="C",
        PYTHONUTF8="0",
        PYTHONCOERCECLOCALE="0",
    )
    assert ended.code == 0, ended.err
    assert "山水画" in ended.out


def test_an_output_directory_with_a_name_that_is_too_long_is_reported(tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_text("a fox\n")
    ended = batchgen("run", "m.txt", "--provider", "simulator", "-o", "x" * 300, cwd=tmp_path)
    assert ended.code == 2
    assert "-o: the output directory's name" in ended.err


def test_a_manifest_from_a_pipe_is_kept_and_read_twice(tmp_path: Path) -> None:
    words = "run <(printf 'a fox\\nan owl\\n') --format txt --provider simulator -o out"
    ended = subprocess.run(
        ["bash", "-c", f"{COMMAND} {words} --model dall-e-2"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert len(results(tmp_path / "out")) == 2


def test_a_symbolic_link_at_results_jsonl_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_text("a fox\n")
    (tmp_path / "mine").write_text("mine")
    typed = ("run", "m.txt", "--provider", "simulator", "--model", "dall-e-2", "-o", "out")
    assert batchgen(*typed, cwd=tmp_path).code == 0
    (tmp_path / "out" / "results.jsonl").unlink()
    (tmp_path / "out" / "results.jsonl").symlink_to(tmp_path / "mine")
    ended = batchgen(*typed, cwd=tmp_path)
    assert (ended.code, (tmp_path / "mine").read_text()) == (4, "mine")
    assert "is a symbolic link" in ended.err


def test_an_invalid_shard_is_reported_before_anything_else(tmp_path: Path) -> None:
    ended = batchgen("run", "none.csv", "--shard", "1", cwd=tmp_path)
    assert ended.err == "batchgen: --shard '1' is not I/N, such as 1/4, 2/4, 3/4 and 4/4\n"


def test_a_second_manifest_with_the_same_name_gets_a_warning_about_the_shared_output(
    tmp_path: Path,
) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "cats.txt").write_text("a cat\n")
    (tmp_path / "b" / "cats.txt").write_text("another cat\n")
    flags = ("--provider", "simulator", "--model", "dall-e-2")
    warning = "b/cats.txt: warning: out/cats holds results of cats.txt"

    assert "warning" not in batchgen("run", "cats.txt", *flags, cwd=tmp_path).err
    assert warning in batchgen("plan", "b/cats.txt", *flags, cwd=tmp_path).err
    assert warning in batchgen("run", "b/cats.txt", *flags, cwd=tmp_path).err
    assert "warning" not in batchgen("run", "b/cats.txt", *flags, cwd=tmp_path).err


def test_results_are_never_written_over_the_ledger(tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_text("a fox\n")
    typed = ("run", "m.txt", "--provider", "simulator", "--model", "dall-e-2", "-o", "out")
    assert batchgen(*typed, cwd=tmp_path).code == 0
    ended = batchgen("results", "out", "-o", "out/.batchgen/ledger.sqlite3", cwd=tmp_path)
    assert ended.code == 2
    assert batchgen("status", "out", cwd=tmp_path).code == 0
