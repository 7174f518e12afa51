"""Fixtures of the report's tests."""

from collections.abc import Iterator

import pytest

from tests.report.browser import chromium


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a browser's DevTools."""
    with chromium(tmp_path_factory.mktemp("profile")) as url:
        yield url
