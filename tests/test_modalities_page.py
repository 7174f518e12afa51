"""docs/modalities.md agrees with the code."""

import re
from pathlib import Path

from batchgen.provider.endpoints import ENDPOINTS, REMOTE

PAGE = (Path(__file__).parents[1] / "docs" / "modalities.md").read_text()


def test_the_page_describes_every_family() -> None:
    described = re.findall(r"^\| `([a-z0-9]+)` \|.*\| (?:at once|later).*\|$", PAGE, re.MULTILINE)
    assert set(described) == ENDPOINTS.keys() - {"edits"}


def test_the_page_has_the_polling_intervals_of_every_family() -> None:
    row = re.compile(r"^\| `([a-z0-9]+)` \| (\d+) s \| (\d+) s \| (\d+) s \|$", re.MULTILINE)
    described = {name: tuple(map(float, numbers)) for name, *numbers in row.findall(PAGE)}
    defaults = {name: endpoint.POLLING for name, endpoint in REMOTE.items()}
    assert described == {
        name: (polling.first_s, polling.interval_s, polling.deadline_s)
        for name, polling in defaults.items()
    }
