"""Fixtures of the tests that kill runs."""

from collections.abc import Iterator

import pytest

from tests.torture.runs import Launcher, start_launcher


@pytest.fixture(scope="session")
def launcher() -> Iterator[Launcher]:
    with start_launcher() as launcher:
        yield launcher
