"""What holds for every test."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from batchgen.storage.ledger import Ledger
from tests.given import a_ledger

# A busy machine is no failure: no test asserts how long an example takes.
settings.register_profile("batchgen", deadline=None)
settings.load_profile("batchgen")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many tests were skipped for each reason; pytest's `-rs` has a line per test."""
    reports = terminalreporter.getreports("skipped")
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ")
        for report in reports
        if isinstance(report, pytest.TestReport) and isinstance(report.longrepr, tuple)
    )
    if reasons:
        terminalreporter.section("skipped tests")
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count:4}  {reason}")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A new ledger in the test's folder, in which a run has begun."""
    with a_ledger(tmp_path) as one:
        yield one
