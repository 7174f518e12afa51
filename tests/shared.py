"""Paths in `../shared`, the folder beside the project with the API's specifications and data."""

import os
from pathlib import Path

import pytest

_SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared_path(*parts: str) -> Path:
    """Return a path in `../shared`; skip the test if it does not exist.

    With `BATCHGEN_REQUIRE_SHARED=1` the test fails instead.
    """
    path = _SHARED.joinpath(*parts)
    if path.exists():
        return path
    reason = f"needs ../shared{''.join(f'/{part}' for part in parts if _SHARED.exists())}"
    if os.environ.get("BATCHGEN_REQUIRE_SHARED"):
        pytest.fail(f"{reason}, which does not exist; BATCHGEN_REQUIRE_SHARED is set")
    pytest.skip(f"{reason}: put it beside the project's folder")
