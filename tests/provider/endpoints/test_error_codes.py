"""The codes in the message of an error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.provider.endpoints.error_codes import codes_in_text
from batchgen.provider.endpoints.error_fields import codes_of
from batchgen.types import Json


@pytest.mark.parametrize(
    ("message", "codes"),
    [
        ("CREDIT_EXHAUSTED", ["CREDIT_EXHAUSTED"]),
        ("content_moderation_failed", ["content_moderation_failed"]),
        ("InsufficientFunds: the wallet is empty", ["InsufficientFunds"]),
        ("Failed to generate image: IMAGE_SAFETY", ["IMAGE_SAFETY"]),
        ("Generation stopped: RECITATION", ["RECITATION"]),
        ("Error code: 400 - {'error': {'code': 'moderation_blocked'}}", ["moderation_blocked"]),
        (r"upstream said {\"type\": \"insufficient_quota\"}", ["insufficient_quota"]),
        ("prompt is too long", []),
        ("Unknown parameter: 'api_key'", []),
        ("n: must be at most 4", []),
    ],
)
def test_codes_are_read_from_a_message(message: str, codes: list[str]) -> None:
    assert list(dict.fromkeys(codes_in_text(message))) == codes


def test_the_codes_of_an_error_that_a_gateway_passes_on_as_json_are_read() -> None:
    raw = '{"error": {"code": "content_policy_violation", "message": "x"}}'
    body: Json = {"error": {"message": "Provider returned error", "metadata": {"raw": raw}}}
    assert "content_policy_violation" in codes_of(body)


@pytest.mark.parametrize(
    "body",
    [
        {"data": [{"url": None, "is_image_safe": False}]},
        {"images": [], "has_nsfw_concepts": [True]},
        {"data": [{"content_filter_results": {"hate": {"filtered": True}}}]},
        {"predictions": [{"raiFilteredReason": "filtered out"}]},
        {"choices": [{"message": {"refusal": "I cannot help with that"}}]},
    ],
)
def test_flags_of_a_content_filter_are_codes(body: Json) -> None:
    assert "content_filter" in codes_of(body)


@given(st.text())
def test_any_text_is_read_without_an_error(text: str) -> None:
    assert all(isinstance(code, str) for code in codes_in_text(text))
