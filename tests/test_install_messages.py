"""What messages and documentation say about installation.

The name `batchgen` on the public package index belongs to another project.
"""

import re
import subprocess
from pathlib import Path

import pytest

from batchgen.errors import not_installed

_ROOT = Path(__file__).resolve().parents[1]
_FROM_THE_INDEX = re.compile(rb"pipx? install[\s\"'-]*batchgen|batchgen\[[a-z]")


def _files() -> list[str]:
    if not (_ROOT / ".git").exists():
        pytest.skip("needs a git checkout: clone the project")
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(words, cwd=_ROOT, check=True, capture_output=True, text=True).stdout
    return [name for name in listed.split("\0") if (_ROOT / name).is_file()]


def test_no_file_installs_batchgen_from_the_package_index() -> None:
    files = _files()
    assert "README.md" in files
    assert [name for name in files if _FROM_THE_INDEX.search((_ROOT / name).read_bytes())] == []


@pytest.mark.parametrize(
    "line",
    [
        "pip install {}",
        "pip install '{}[parquet]'",
        'pip install"\n    " {}',
        "the extra {}[metrics]",
    ],
)
def test_these_lines_would_be_found(line: str) -> None:
    assert _FROM_THE_INDEX.search(line.format("batchgen").encode())


def test_a_missing_library_is_reported_with_the_command_that_installs_it() -> None:
    message = not_installed("--metrics-file", "prometheus-client")
    assert message == (
        "--metrics-file needs prometheus-client, which is not installed:"
        " pip install prometheus-client"
    )
