"""Recorded replies of providers, and what the built-in table decides about each.

The replies come from the references and error lists of providers and from public reports; a few are
near misses, made up to go with one that was reported.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from batchgen.engine.decisions import classify
from batchgen.provider.endpoints.images import parse_response
from batchgen.types import HttpResponse, RetrySettings

NOW = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
FOLDER = Path(__file__).parents[1] / "samples" / "decisions"
SAMPLES = [
    pytest.param(json.loads(line), id=f"{path.stem}-{number}")
    for path in sorted(FOLDER.glob("*.jsonl"))
    for number, line in enumerate(path.read_text().splitlines(), 1)
]


def test_there_are_samples_of_every_kind() -> None:
    assert len(SAMPLES) > 250


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_recorded_reply_is_decided(sample: dict[str, Any]) -> None:
    text = sample["text"] if "text" in sample else json.dumps(sample["json"])
    reply = HttpResponse(sample["status"], sample.get("headers", {}), text.encode())

    decision = classify(reply, parse=parse_response, settings=RetrySettings(), model="m", now=NOW)

    assert (decision.verb, decision.kind) == (sample["verb"], sample["kind"]), decision.message
    if "probe" in sample:
        assert decision.probe is sample["probe"]
    assert decision.message
