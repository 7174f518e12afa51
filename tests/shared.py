"""Where the tests find the facts and data that live beside the project."""

import os
from pathlib import Path

import pytest

_SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared_path(*parts: str) -> Path:
    """A path in ../shared; without it the test is skipped, or fails where CI requires it."""
    path = _SHARED.joinpath(*parts)
    if path.exists():
        return path
    if os.environ.get("BATCHGEN_REQUIRE_SHARED"):
        pytest.fail(f"{Path(*parts)} is required here and is not beside the project")
    pytest.skip(f"{Path(*parts)} is not beside this clone of the project")
