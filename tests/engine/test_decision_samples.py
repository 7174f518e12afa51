"""Recorded replies of providers, and what the built-in table decides about each.

The replies come from the references and error lists of providers and from public reports; a few are
near misses, made up to go with one that was reported.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.engine.decisions import classify
from batchgen.provider.endpoints.images import parse_response
from batchgen.types import HttpResponse, RetrySettings, Verb

_WORDS = ["error", "code", "message", "data", "status", "type", "raw", "detail", "errors", "x"]


def json_values() -> st.SearchStrategy[Any]:
    """Return JSON values with the names of fields that providers use."""
    leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(_WORDS), inner, max_size=4)
        ),
        max_leaves=12,
    )


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


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_429_that_names_a_wait_is_pacing_whatever_stands_beside_it(
    sample: dict[str, Any],
) -> None:
    text = sample["text"] if "text" in sample else json.dumps(sample["json"])
    reply = HttpResponse(429, {"retry-after": "3"}, text.encode())

    decision = classify(reply, parse=parse_response, settings=RetrySettings(), model="m", now=NOW)

    assert (decision.verb, decision.kind, decision.hold) == ("retry", "rate_limited", True)
    assert decision.after_s == 3


@given(st.sampled_from([200, 202, 400, 403, 422, 429, 500, 503]), json_values())
def test_any_json_is_decided(status: int, value: Any) -> None:
    reply = HttpResponse(status, {}, json.dumps(value).encode())
    decision = classify(reply, parse=parse_response, settings=RetrySettings(), model="m", now=NOW)
    assert decision.verb in Verb
    assert decision.verb is Verb.ACCEPT or (decision.kind and decision.message)
