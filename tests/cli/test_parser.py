"""The command line: help, examples, suggestions, completion."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from batchgen.cli.examples import EXAMPLES
from batchgen.cli.parser import parser as cli_parser
from batchgen.job import Limits
from batchgen.types import RetrySettings
from tests.e2e.command import batchgen
from tests.readme_tables import _subparsers


def _error(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as exited:
        cli_parser().parse_args(words)
    assert exited.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["rnu", "job.yaml"], "run"),
        (["stauts", "out"], "status"),
        (["run", "job.yaml", "--concurency", "3"], "--concurrency"),
        (["run", "job.yaml", "--concurency=3"], "--concurrency"),
        (["plan", "job.yaml", "--jsn"], "--json"),
        (["results", "out", "--format", "cvs"], "csv"),
    ],
)
def test_a_typo_gets_a_suggestion(
    words: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"did you mean {meant}?" in _error(capsys, *words)


@pytest.mark.parametrize(
    "words",
    [
        ["run", "job.yaml", "--set", "size"],
        ["run", "job.yaml", "--concurrency", "x"],
        ["run", "job.yaml", "--limit"],
        ["run", "job.yaml", "--format", "jso"],  # json is one of --log-format
        [
            "plan",
            "job.yaml",
            "--retry-failed",
        ],  # only `run` has it, and no option of `plan` is similar
    ],
)
def test_an_invalid_value_gets_no_option_as_a_suggestion(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    error = _error(capsys, *words)
    assert "did you mean" not in error.replace("did you mean jsonl?", "")


def test_a_suggestion_is_given_once(capsys: pytest.CaptureFixture[str]) -> None:
    error = _error(capsys, "results", "out", "--status", "faild")
    assert error.count("did you mean") == 1
    assert "did you mean failed?" in error


def test_a_manifest_that_an_option_took_as_its_value_gets_a_hint(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = _error(capsys, "run", "--retry-failed", "job.yaml")
    assert "required: MANIFEST; --retry-failed takes the word after it as its value" in error
    assert "takes the word" not in _error(capsys, "run", "--retry-failed", "--quiet")


def test_a_word_that_is_like_no_other_gets_no_suggestion(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "did you mean" not in _error(capsys, "run", "job.yaml", "--zzzzzz")
    assert "did you mean" not in _error(capsys, "zzzzzz")


def test_an_unknown_option_shows_the_usage_of_its_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "usage: batchgen status" in _error(capsys, "status", "out", "--frobnicate")


def test_every_command_has_examples() -> None:
    assert set(EXAMPLES) == {"", *_subparsers()}
    for name, parser in _subparsers().items():
        assert EXAMPLES[name] in parser.format_help()


@pytest.mark.parametrize(
    "line", [line.strip() for lines in EXAMPLES.values() for line in lines.splitlines()]
)
def test_every_example_is_parsed(line: str) -> None:
    words = shlex.split(line.split("   ", maxsplit=1)[0])
    while words:
        command, words = _first_command(words)
        if command[0] == "batchgen":
            assert cli_parser().parse_args(command[1:]).call


def _first_command(words: list[str]) -> tuple[list[str], list[str]]:
    ends = [index for index, word in enumerate(words) if word in ("&&", "|", ">")]
    if not ends:
        return words, []
    rest = words[ends[0] + 1 :]
    return words[: ends[0]], [] if words[ends[0]] == ">" else rest


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_completion_script_is_valid_in_its_shell(shell: str, tmp_path: Path) -> None:
    ended = batchgen("completion", shell, cwd=tmp_path)
    assert ended.code == 0
    assert "--retry-failed" in ended.out
    command = shutil.which(shell)
    if command is None:
        pytest.skip(f"needs {shell}: apt-get install {shell}")
    script = tmp_path / "script"
    script.write_text(ended.out)
    done = subprocess.run([command, "-n", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_help_has_the_actual_defaults() -> None:
    run = _subparsers()["run"]
    help_texts = {action.dest: action.help for action in run._actions}
    limits, retry = Limits(), RetrySettings()
    for option, default in (
        ("concurrency", limits.concurrency),
        ("attempts", retry.attempts),
        ("timeout", f"{limits.timeout_s:g}"),
        ("max_tasks", limits.max_tasks),
    ):
        assert f"(default {default})" in (help_texts[option] or "")


_LOADED_BY_HELP = """
import contextlib, io, runpy, sys

sys.argv = ["batchgen", *sys.argv[1:]]
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    runpy.run_module("batchgen", run_name="__main__")
print(*sys.modules)
"""
_SLOW_TO_LOAD = {"aiohttp", "yaml", "batchgen.job", "batchgen.manifest", "batchgen.provider"}


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["--version"]])
def test_help_loads_nothing_that_is_slow_to_load(words: list[str]) -> None:
    program = [sys.executable, "-c", _LOADED_BY_HELP, *words]
    ended = subprocess.run(program, capture_output=True, check=True, text=True, timeout=60)
    loaded = set(ended.stdout.split())
    assert "batchgen.errors" in loaded
    assert loaded & _SLOW_TO_LOAD == set()


_INTERRUPTED_WHILE_LOADING = """
import runpy, sys

class Interrupt:
    def find_spec(self, name, *_):
        if name == "batchgen.cli.parser":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupt())
runpy.run_module("batchgen", run_name="__main__")
"""


def test_an_interrupt_while_the_command_loads_gives_no_traceback() -> None:
    words = [sys.executable, "-c", _INTERRUPTED_WHILE_LOADING]
    ended = subprocess.run(words, capture_output=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, b"", b"")
