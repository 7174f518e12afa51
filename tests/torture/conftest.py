"""What the torture begins with."""

from collections.abc import Iterator

import pytest

from tests.torture.runs import Launcher, launching


@pytest.fixture(scope="session")
def launcher() -> Iterator[Launcher]:
    with launching() as found:
        yield found
