"""The wait that a provider asks for, wherever it is named."""

import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.provider.endpoints.durations import read_duration_s
from batchgen.provider.endpoints.waits import poll_wait_s, requested_wait_s
from batchgen.types import HttpResponse

NOW = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
AN_HOUR_AGO = "Tue, 01 Dec 2026 11:00:00 GMT"
IN_9_S = int(NOW.timestamp()) + 9


def reply(body: Any = "", status: int = 429, **headers: str) -> HttpResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    text = body if isinstance(body, str) else json.dumps(body)
    return HttpResponse(status, named, text.encode())


def wait(body: Any = "", status: int = 429, **headers: str) -> float | None:
    return requested_wait_s(reply(body, status, **headers), NOW)


def about(seconds: float | None) -> Any:
    return None if seconds is None else pytest.approx(seconds)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "9"}, 9),
        ({"retry_after": "0.5"}, 0.5),
        ({"retry_after": "9s"}, 9),
        ({"retry_after": "9 seconds"}, 9),
        ({"retry_after": "in 9 seconds"}, 9),
        ({"retry_after": "9, 9"}, 9),
        ({"retry_after": '"9"'}, 9),
        ({"retry_after": str(IN_9_S)}, 9),
        ({"retry_after": "2026-12-01T12:00:09Z"}, 9),
        ({"retry_after": format_datetime(NOW + timedelta(seconds=9), usegmt=True)}, 9),
        ({"retry_after": "-1"}, None),
        ({"retry_after": "0"}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after": format_datetime(NOW - timedelta(seconds=9), usegmt=True)}, None),
        ({"retry_after_ms": "900"}, 0.9),
        ({"x_retry_after": "9"}, 9),
        ({"x_ms_retry_after_ms": "900"}, 0.9),
        ({"x_ratelimit_retry_after": "9"}, 9),
        ({"x_should_retry": "true", "x_retry_count": "3"}, None),
        ({"x_queue_wait_ms": "900"}, None),
    ],
)
def test_a_wait_in_retry_after_and_headers_like_it(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert wait("", 429, **headers) == about(seconds)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x_ratelimit_reset_requests": "1m30s"}, 90),
        ({"x_ratelimit_reset_tokens": "120ms"}, 0.12),
        ({"x_ratelimit_reset_images": "9s", "x_ratelimit_remaining_images": "0"}, 9),
        ({"x_ratelimit_reset_input_images": "9"}, 9),
        ({"x_ratelimit_reset_project_tokens": "9s"}, 9),
        ({"x_ratelimit_reset": str(IN_9_S)}, 9),
        ({"x_ratelimit_reset": str(1000 * IN_9_S)}, 9),
        ({"x_ratelimit_reset": "PT1M30S"}, 90),
        ({"x_ratelimit_reset": "Tue, 01 Dec 2026 12:00:09 GMT"}, 9),
        ({"x_rate_limit_reset": str(IN_9_S)}, 9),
        ({"x_ratelimit_reset_after": "9", "x_ratelimit_remaining": "0"}, 9),
        ({"x_ratelimit_reset_ms": "900"}, 0.9),
        ({"x_ratelimit_reset": "9, 60", "x_ratelimit_remaining": "0, 55"}, 9),
        ({"ratelimit_reset": "9", "ratelimit_remaining": "0", "ratelimit_policy": "5;w=60"}, 9),
        ({"ratelimit": "limit=5, remaining=0, reset=9"}, 9),
        ({"ratelimit": '"default";r=0;t=9'}, 9),
        ({"ratelimit": '"default";r=3;t=9'}, None),
        ({"ratelimit": '"burst";r=3;t=2, "daily";r=0;t=9'}, 9),
        ({"anthropic_ratelimit_requests_reset": "2026-12-01T12:00:09Z"}, 9),
        ({"x_ratelimit_reset_images": "2s", "x_ratelimit_remaining_images": "0",
          "x_ratelimit_reset_requests": "1h", "x_ratelimit_remaining_requests": "7"}, 2),
        ({"x_ratelimit_reset_images": "2s", "x_ratelimit_remaining_images": "0",
          "x_ratelimit_reset_requests": "9s", "x_ratelimit_remaining_requests": "0"}, 9),
        ({"x_ratelimit_reset_images": "2s", "x_ratelimit_remaining_images": "0",
          "x_ratelimit_reset_requests": "1h"}, 2),
        ({"x_ratelimit_reset_requests": "9s", "x_ratelimit_remaining_requests": "-1"}, 9),
        ({"x_ratelimit_reset_requests": "1h", "x_ratelimit_remaining_requests": "7"}, None),
        ({"x_ratelimit_reset_requests": "99999999999999999999"}, None),
        ({"x_ratelimit_reset": str(IN_9_S - 20)}, None),
    ],
)  # fmt: skip
def test_the_limit_that_is_used_up_counts(headers: dict[str, str], seconds: float | None) -> None:
    assert wait("", 429, **headers) == about(seconds)


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ({"error": {"details": [{"retryDelay": "2s"}]}}, 2),
        ({"error": {"details": [{"retryDelay": {"seconds": 2, "nanos": 500000000}}]}}, 2.5),
        ({"error": {"details": [{"retryDelay": {"seconds": "2"}}]}}, 2),
        ({"error": {"retry_after": 2}}, 2),
        ({"retry_after_ms": 1900}, 1.9),
        ({"retryAfterMs": "1900"}, 1.9),
        ({"retryAfter": "2"}, 2),
        ({"retry_after_seconds": 2}, 2),
        ({"retry_in": "1m30s"}, 90),
        ({"wait": 2}, 2),
        ({"wait": "PT2S"}, 2),
        ({"msBeforeNext": 1200}, 1.2),
        ({"cooldown_seconds": 5}, 5),
        ({"seconds_until_reset": 4}, 4),
        ({"time_to_wait": "0:00:04"}, 4),
        ({"rate_limit": {"reset_in": 3}}, 3),
        ({"reset_at": IN_9_S}, 9),
        ({"resetAtMs": 1000 * IN_9_S}, 9),
        ({"reset_at": "2026-12-01T12:00:09.123456789Z"}, 9.123456),
        ({"next_allowed_at": "2026-12-01 12:00:09 UTC"}, 9),
        ({"error": {"metadata": {"headers": {
            "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(1000 * IN_9_S)}}}}, 9),
        ({"error": {"response": {"headers": {"Retry-After": ["9"]}}}}, 9),
        ({"error": {"metadata": {"raw": '{"error": {"retry_after": 2}}'}}}, 2),
        ([{"error": {"retry_after": 2}}], 2),
        ({"limits": {"requests": {"remaining": 5, "reset": "1h"},
                     "images": {"remaining": 0, "reset": "9s"}}}, 9),
        ({"retry_after": True}, None),
        ({"retry_after": -3}, None),
        ({"max_retry_delay": 60, "max_wait": 60, "default_wait": 5}, None),
        ({"retries": 3, "retry_count": 3, "retry": 3, "available": 4, "limit": 5}, None),
        ({"window": "24h", "per": "1m", "limit": {"seconds": 60}}, None),
        ({"input": {"wait": 50}, "prompt": "retry after 50 s", "message": "no"}, None),
    ],
)  # fmt: skip
def test_a_wait_in_fields_of_the_body(body: Any, seconds: float | None) -> None:
    assert wait(body) == about(seconds)


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Rate limit exceeded. Limit: 5/1min. Please try again in 2s.", 2),
        ("Limit 3, used 3, requested 1. Please try again in 20s. See https://a.example/5m", 20),
        ("Please try again in 1900ms.", 1.9),
        ("Please try again in 1,900 ms.", 1.9),
        ("Request was throttled. Your rate limit resets in ~2s.", 2),
        ("Request was throttled. Expected available in 12 seconds.", 12),
        ("Please retry after 12 seconds", 12),
        ("retry after 12", 12),
        ("Retry-After: 12", 12),
        ('{"retry_after_ms": 1900', 1.9),
        ("Try again in 1 minute and 3 seconds.", 63),
        ("try again in 6m0s", 360),
        ("Please try your request again in 2.5 seconds", 2.5),
        ("please wait 5 minutes before the next request", 300),
        ("Please wait for 2 more seconds", 2),
        ("Wait time: 2 s", 2),
        ("try again in a minute", 60),
        ("try again in thirty seconds", 30),
        ("try again in half a minute", 30),
        ("try again in 2-3 seconds", 3),
        ("try again in **2s**", 2),
        ("retry in 0:00:02.5", 2.5),
        ("Too many requests, retry in 3 secs", 3),
        ("you may try again in 0.4s", 0.4),
        ("after 2 seconds you may try again", 2),
        ("in 2 seconds, you can make another request", 2),
        ("You've hit the limit. Try again in 2s. If it doesn't work, write to us", 2),
        ("Limit 1 image every 10 seconds; wait 4 seconds", 4),
        ("You have exceeded the limit of 20 requests per 10 minutes. Retry in 30 s.", 30),
        ("available again in 1.5s", 1.5),
        ("Next request allowed in 2s", 2),
        ("The limit is lifted in 2s", 2),
        ("You are blocked for 10 seconds", 10),
        ("Cooldown: 5s", 5),
        ("Back off for 2s", 2),
        ("12 seconds left", 12),
        ("Rate limited. 3s until reset", 3),
        ("quota resets at 2026-12-01T12:00:09Z", 9),
        ("Try again at 2026-12-01 12:00:09 UTC", 9),
        ("resets at Tue, 01 Dec 2026 12:00:09 GMT", 9),
        ("resets at 12:00:09 UTC", 9),
        (f"resets at {IN_9_S}", 9),
        ("请在2秒后重试", 2),
        ("请 1 分钟后再试", 60),
    ],
)  # fmt: skip
def test_a_wait_in_the_words_of_a_message(message: str, seconds: float) -> None:
    for body in (
        {"error": {"message": message}},
        {"title": "Too Many Requests", "detail": message},
        f"<html><style>p {{margin: 9s}}</style><p>{message}</p></html>",
        message,
    ):
        assert wait(body) == about(seconds), body


@pytest.mark.parametrize(
    "message",
    [
        "Limit of 5 images per 60 s",
        "at most 10 requests in a 24h window",
        "at most 5 per minute",
        "Too many requests in 60 s. Try again later.",
        "Please try again later. Limit 5 per 60 s",
        "Please try again later, at most 5 requests per 60 s",
        "We allow 5 requests in 60 s, please retry later",
        "The rate limit resets every 60 seconds",
        "Maximum wait is 60 s",
        "exceeded the 60 second limit, retry",
        "retry: 5 requests per 30 seconds",
        "Retry attempt 3 of 5 failed",
        "retry after 3 attempts",
        "prompt 'please wait 50 minutes here' is too long",
        "try another size",
        "try again shortly",
        "Retry with 1024x1024 or 512x512",
    ],
)
def test_other_numbers_of_a_message_are_no_wait(message: str) -> None:
    assert wait({"error": {"message": message}}) is None


def test_the_words_of_an_error_that_is_no_rate_limit_have_to_be_plain() -> None:
    assert wait({"message": "Timed out; retry in 5 s"}, status=500) == 5
    assert wait({"message": "retry, the request ran for 60 s"}, status=500) is None
    assert wait({"message": "the job is available for 60 s"}, status=500) is None


def test_what_asks_directly_goes_before_the_reset_of_a_limit() -> None:
    used_up = {"x_ratelimit_remaining_requests": "0", "x_ratelimit_reset_requests": "7m12s"}
    assert wait({"message": "try again in 20s"}, 429, **used_up) == 20
    assert wait({"message": "try again in 50s"}, 429, retry_after="2", **used_up) == 2
    assert wait({"message": "try again in 50s"}, retry_after="0") == 50


def test_an_error_in_a_2xx_reply_asks_for_a_wait_as_well() -> None:
    body = {"error": {"message": "Please try again in 2s", "code": "rate_limit_exceeded"}}
    assert requested_wait_s(reply(body, 200), NOW) == 2
    assert requested_wait_s(reply(body, 200), NOW, 429) == 2


def test_resets_count_for_refusals_of_the_rate_only() -> None:
    used_up = {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "9"}
    assert wait(status=500, **used_up) is None
    assert wait(status=403, **used_up) == 9
    assert wait(status=403, x_ratelimit_reset="9") is None
    assert wait(status=503, **used_up) == 9


def test_dates_are_read_by_the_clock_of_the_provider() -> None:
    at = "Tue, 01 Dec 2026 11:00:09 GMT"
    assert wait(retry_after=at, date=AN_HOUR_AGO) == 9
    assert wait({"reset_at": "2026-12-01T11:00:09Z"}, date=AN_HOUR_AGO) == 9
    in_9_s = "Tue, 01 Dec 2026 12:00:09 GMT"
    assert wait(retry_after=in_9_s, date="Tue, 01 Dec 2026 11:59:58 GMT") == 9
    assert wait(retry_after=in_9_s, date="Thu, 01 Jan 1970 00:00:00 GMT") == 9


@pytest.mark.parametrize(
    ("body", "headers", "seconds"),
    [
        ({"id": "a"}, {"retry_after": "9"}, 9),
        ({"id": "a", "retry_after": 9}, {}, 9),
        ({"id": "a", "data": {"next_poll_in_ms": 900}}, {}, 0.9),
        ({"id": "a", "polling_interval": "9s"}, {}, 9),
        ({"id": "a", "wait": 9, "prompt": "retry after 9 s", "eta": 9}, {}, None),
        ({"id": "a"}, {"x_ratelimit_reset_after": "9", "x_ratelimit_remaining": "0"}, None),
        ("", {}, None),
    ],
)
def test_a_reply_about_a_remote_job_names_its_next_poll(
    body: Any, headers: dict[str, str], seconds: float | None
) -> None:
    assert poll_wait_s(reply(body, 200, **headers), NOW) == about(seconds)


_PIECES = st.sampled_from(
    ["try again in", "wait", "resets", "retry after", "~", "2", "30", "s", "ms", " minutes", "and",
     ".", ",", ":", " ", "at", "2026-12-01", "12:00", "per", "'", '"', "{", "<", "秒后", "\n", "-"]
)  # fmt: skip


@given(st.lists(_PIECES, max_size=30).map(" ".join) | st.text(), st.text(max_size=80))
def test_no_reply_makes_it_fail(body: str, header: str) -> None:
    headers = {"retry-after": header, "x-ratelimit-reset": header, "ratelimit": header}
    for name in (*headers, "date"):
        sent = HttpResponse(429, {name: header}, body.encode("utf-8", "replace"))
        found = requested_wait_s(sent, NOW)
        assert found is None or found > 0
        poll_wait_s(sent, NOW)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["retry_after", "retryDelay", "seconds", "nanos", "headers", "reset_at",
                         "remaining", "wait", "data", "error", "message"]),
        inner,
        max_size=4,
    ),
    max_leaves=20,
)  # fmt: skip


@given(_JSON)
def test_no_json_makes_it_fail(body: Any) -> None:
    for status in (200, 429, 500):
        found = wait(json.dumps(body), status)
        assert found is None or found > 0
        poll_wait_s(reply(json.dumps(body), status), NOW)


@given(st.integers(1, 600), st.sampled_from(["try again in {}", "Please wait {}.", "resets in {}"]))
def test_every_way_to_write_a_duration_is_read(seconds: int, sentence: str) -> None:
    minutes, rest = divmod(seconds, 60)
    for text in (
        f"{seconds}s", f"{seconds} seconds", f"{1000 * seconds}ms", f"{seconds}.0 sec",
        f"{minutes}m{rest}s", f"{minutes} minutes and {rest} seconds", f"{minutes} min {rest} s",
    ):  # fmt: skip
        assert wait({"message": "Limit 5 per 60 s. " + sentence.format(text)}) == seconds


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59))
def test_a_duration_of_units_is_their_sum(hours: int, minutes: int, seconds: int) -> None:
    total = 3600 * hours + 60 * minutes + seconds
    assert read_duration_s(f"{hours}h{minutes}m{seconds}s") == total
    assert read_duration_s(f"{hours} hours, {minutes} min and {seconds} seconds") == total
    assert read_duration_s(f"PT{hours}H{minutes}M{seconds}S") == total
    assert read_duration_s(f"{hours}:{minutes:02}:{seconds:02}") == total


@pytest.mark.parametrize("piece", ["wait ", "try again ", "2 s, ", "1" * 50, "resets at ", "'a"])
def test_a_long_message_takes_no_long_time(piece: str) -> None:
    body = json.dumps({"errors": [{"message": piece * 4000} for _ in range(40)]})
    began = time.process_time()
    wait(body)
    assert time.process_time() - began < 1.0
