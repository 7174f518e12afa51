"""What holds for every test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from batchgen.ledger import Ledger
from tests.given import a_ledger

# A busy machine is no failure: no test asserts how long an example takes.
settings.register_profile("batchgen", deadline=None)
settings.load_profile("batchgen")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A new ledger in the test's folder, in which a run has begun."""
    with a_ledger(tmp_path) as one:
        yield one
