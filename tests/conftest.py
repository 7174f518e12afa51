"""Settings and fixtures of all tests."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from batchgen.storage.ledger import Ledger
from tests.given import a_ledger

# A test must not fail on a busy machine: no example has a deadline.
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
    """A new ledger in the test's folder, with a run that has started."""
    with a_ledger(tmp_path) as new:
        yield new
