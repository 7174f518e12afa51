"""The wait that a provider asks for, wherever it is named."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.provider.endpoints.durations import read_duration_s
from batchgen.provider.endpoints.waits import requested_wait_s
from batchgen.types import HttpResponse

NOW = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
IN_9_S = int(NOW.timestamp()) + 9


def wait(body: Any = "", status: int = 429, **headers: str) -> float | None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    text = body if isinstance(body, str) else json.dumps(body)
    return requested_wait_s(HttpResponse(status, named, text.encode()), NOW)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "9"}, 9),
        ({"retry_after": "0.5"}, 0.5),
        ({"retry_after": "9s"}, 9),
        ({"retry_after": format_datetime(NOW + timedelta(seconds=9), usegmt=True)}, 9),
        ({"retry_after": "-1"}, None),
        ({"retry_after": "0"}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after_ms": "900"}, 0.9),
        ({"x_ratelimit_reset_requests": "1m30s"}, 90),
        ({"x_ratelimit_reset_tokens": "120ms"}, 0.12),
        ({"x_ratelimit_reset_images": "9s", "x_ratelimit_remaining_images": "0"}, 9),
        ({"x_ratelimit_reset_input_images": "9"}, 9),
        ({"x_ratelimit_reset": str(IN_9_S)}, 9),
        ({"x_ratelimit_reset": str(1000 * IN_9_S)}, 9),
        ({"x_ratelimit_reset_after": "9"}, 9),
        ({"ratelimit_reset": "9"}, 9),
        ({"ratelimit": "limit=5, remaining=0, reset=9"}, 9),
        ({"ratelimit": '"default";r=0;t=9'}, 9),
        ({"ratelimit": '"default";r=3;t=9'}, None),
        ({"anthropic_ratelimit_requests_reset": "2026-12-01T12:00:09Z"}, 9),
        ({"x_ratelimit_reset_images": "2s", "x_ratelimit_remaining_images": "0",
          "x_ratelimit_reset_requests": "1h", "x_ratelimit_remaining_requests": "7"}, 2),
        ({"x_ratelimit_reset_images": "2s", "x_ratelimit_remaining_images": "0",
          "x_ratelimit_reset_requests": "9s", "x_ratelimit_remaining_requests": "0"}, 9),
        ({"x_ratelimit_reset_requests": "99999999999999999"}, None),
    ],
)  # fmt: skip
def test_a_wait_in_headers(headers: dict[str, str], seconds: float | None) -> None:
    assert wait("", 429, **headers) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ({"error": {"message": "Limit: 5/1min. Please try again in 2s."}}, 2),
        ({"error": {"message": "Please try again in 1900ms."}}, 1.9),
        ({"detail": "Your rate limit resets in ~2s."}, 2),
        ({"message": "Please retry after 12 seconds"}, 12),
        ({"message": "retry after 12"}, 12),
        ({"message": "Try again in 1 minute and 3 seconds."}, 63),
        ({"message": "please wait 5 minutes before the next request"}, 300),
        ({"message": "try again in 6m0s"}, 360),
        ({"message": "quota resets at 2026-12-01T12:00:09Z"}, 9),
        ({"message": "available again in 1.5s"}, 1.5),
        ("Too many requests, retry in 3 secs", 3),
        ({"error": {"details": [{"retryDelay": "2s"}]}}, 2),
        ({"error": {"details": [{"retryDelay": {"seconds": 2, "nanos": 500000000}}]}}, 2.5),
        ({"error": {"retry_after": 2}}, 2),
        ({"retry_after_ms": 1900}, 1.9),
        ({"retryAfter": "2"}, 2),
        ({"reset_at": IN_9_S}, 9),
        ({"error": {"metadata": {"headers": {
            "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(1000 * IN_9_S)}}}}, 9),
        ({"message": "Limit of 5 images per 60 s"}, None),
        ({"message": "at most 10 requests in a 24h window"}, None),
        ({"message": "prompt 'please wait 50 minutes here' is too long"}, None),
        ({"message": "try another size"}, None),
        ({"retry_after": True}, None),
    ],
)  # fmt: skip
def test_a_wait_in_the_body(body: Any, seconds: float | None) -> None:
    assert wait(body) == (None if seconds is None else pytest.approx(seconds))


def test_a_header_goes_before_the_words() -> None:
    assert wait({"message": "try again in 50s"}, retry_after="2") == 2


def test_the_body_of_a_good_reply_asks_for_nothing() -> None:
    assert wait({"data": [{"revised_prompt": "please try again in 50s"}]}, status=200) is None
    assert wait({"error": {"message": "try again in 5s"}}, status=200) is None


def test_the_reset_of_a_limit_that_is_not_used_up_is_no_wait() -> None:
    assert wait(status=200, x_ratelimit_reset_requests="1h") is None
    assert wait(status=500, x_ratelimit_reset_requests="1h") is None


@given(st.text() | st.binary().map(repr), st.text(max_size=80))
def test_no_reply_makes_it_fail(body: str, header: str) -> None:
    headers = {"retry-after": header, "x-ratelimit-reset": header, "ratelimit": header}
    found = requested_wait_s(HttpResponse(429, headers, body.encode("utf-8", "replace")), NOW)
    assert found is None or found > 0


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59))
def test_a_duration_of_units_is_their_sum(hours: int, minutes: int, seconds: int) -> None:
    total = 3600 * hours + 60 * minutes + seconds
    assert read_duration_s(f"{hours}h{minutes}m{seconds}s") == total
    assert read_duration_s(f"{hours} hours, {minutes} min and {seconds} seconds") == total
