"""docs/speed.md names measurements that exist."""

import re
from pathlib import Path

from tests.bench.__main__ import MEASUREMENTS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "speed.md"


def test_the_page_on_speed_names_every_measurement_and_no_other() -> None:
    lines = re.findall(r"-m tests\.bench ([a-z][^#\n]*)", PAGE.read_text())
    words = {word for line in lines for word in line.split()}
    assert {word for word in words if word[0].isalpha()} == set(MEASUREMENTS)
