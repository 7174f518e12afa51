"""The recorded behaviours of real services; run by `make cases`."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cases.case import problems
from tests.shared import shared_path

pytestmark = [pytest.mark.cases, pytest.mark.timeout(600)]

_PARTS = 12
_AT_ONCE = 3


def _cases() -> list[dict[str, Any]]:
    lines = shared_path("cases", "providers", "cases.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("part", range(_PARTS))
async def test_what_real_services_answer(part: int, tmp_path: Path) -> None:
    places = asyncio.Semaphore(_AT_ONCE)

    async def run(case: dict[str, Any]) -> tuple[str, list[str]]:
        async with places:
            return case["name"], await problems(case, tmp_path / case["name"])

    found = await asyncio.gather(*map(run, _cases()[part::_PARTS]))
    assert {name: problem for name, problem in found if problem} == {}
