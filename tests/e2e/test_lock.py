"""Two runs of one output directory: the second is refused, whatever became of the lock file."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.command import environment
from tests.e2e.counting import KEY, CountingProvider, counting, write_rows

ROWS = 12
FREE = 4


def nothing(_: Path) -> None:
    """Leave the lock file where it is."""


def remove(private: Path) -> None:
    (private / "lock").unlink()


def replace(private: Path) -> None:
    (private / "other").touch()
    (private / "other").replace(private / "lock")


@contextmanager
def running(provider: CountingProvider, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a run whose first requests are answered, and the others wait."""
    process = subprocess.Popen(
        provider.command("rows.csv", "-o", "out", "--concurrency", "3"),
        cwd=folder,
        env=environment(**KEY),
        stderr=subprocess.DEVNULL,
    )
    provider.until_billed(FREE + 1)
    try:
        yield process
    finally:
        provider.release()
        process.wait(60)


@pytest.mark.parametrize("change", [nothing, remove, replace])
def test_a_second_run_sends_nothing_and_the_first_goes_on(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    write_rows(tmp_path, ROWS)
    with counting(FREE) as provider:
        with running(provider, tmp_path) as first:
            change(tmp_path / "out" / ".batchgen")
            before = provider.requests
            second = provider.run("rows.csv", "-o", "out", cwd=tmp_path)
            assert (second.code, provider.requests - before <= 3) == (75, True)
            assert first.poll() is None
        assert first.returncode == 0
        assert (provider.requests, provider.twice) == (ROWS, [])


def test_a_second_run_is_refused_if_the_private_folder_was_renamed(tmp_path: Path) -> None:
    write_rows(tmp_path, ROWS)
    with counting(FREE) as provider:
        with running(provider, tmp_path) as first:
            (tmp_path / "out" / ".batchgen").rename(tmp_path / "out" / "old")
            assert provider.run("rows.csv", "-o", "out", cwd=tmp_path).code == 75
        assert first.returncode == 4  # its records are in the renamed folder
        assert provider.twice == []
