"""What docs/families.md tells of the families, held against the code."""

import re
from pathlib import Path

from batchgen.endpoints import ENDPOINTS, REMOTE

PAGE = (Path(__file__).parents[1] / "docs" / "families.md").read_text()


def test_the_page_tells_of_every_family() -> None:
    told = re.findall(r"^\| `([a-z0-9]+)` \|.*\| (?:at once|later).*\|$", PAGE, re.MULTILINE)
    assert set(told) == ENDPOINTS.keys() - {"edits"}


def test_the_page_tells_when_each_family_is_asked() -> None:
    row = re.compile(r"^\| `([a-z0-9]+)` \| (\d+) s \| (\d+) s \| (\d+) s \|$", re.MULTILINE)
    told = {name: tuple(map(float, numbers)) for name, *numbers in row.findall(PAGE)}
    usual = {name: one.POLLING for name, one in REMOTE.items()}
    assert told == {
        name: (one.first_s, one.interval_s, one.deadline_s) for name, one in usual.items()
    }
