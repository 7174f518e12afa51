from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchgen.engine.outcomes import expires_at


@pytest.mark.parametrize(
    ("query", "end"),
    [
        ("se=2026-08-21T10%3A30%3A00Z&sp=r&sv=2025-01-05&sig=a%2Bb", (2026, 8, 21, 10, 30)),
        ("se=2026-08-21T12:30:00+02:00&sig=a", (2026, 8, 21, 10, 30)),
        ("se=2026-08-21&sig=a", (2026, 8, 21)),
        ("X-Amz-Date=20260821T103000Z&X-Amz-Expires=600", (2026, 8, 21, 10, 40)),
        ("X-Goog-Date=20260821T103000Z&X-Goog-Expires=604800", (2026, 8, 28, 10, 30)),
        ("X-Tos-Date=20260821T103000Z&X-Tos-Expires=86400", (2026, 8, 22, 10, 30)),
        ("x-oss-date=20260821T103000Z&x-oss-expires=3600", (2026, 8, 21, 11, 30)),
        ("Expires=1787308200&OSSAccessKeyId=a&Signature=b", (2026, 8, 21, 10, 30)),
        ("Expires=1787308200&Key-Pair-Id=a&Signature=b", (2026, 8, 21, 10, 30)),
    ],
)
def test_the_expiry_of_a_signed_url_is_read(query: str, end: tuple[int, ...]) -> None:
    year, month, day, *clock = end
    hour, minute = clock or (0, 0)
    expected = datetime(year, month, day, hour, minute, tzinfo=UTC)
    assert expires_at(f"https://x.test/a.png?{query}") == expected


@pytest.mark.parametrize(
    "query",
    [
        "",
        "se=2026-08-21T10:30:00Z",
        "se=soon&sig=a",
        "Expires=3600",
        "Expires=never",
        "Expires=" + "9" * 30,
        "Expires=" + "9" * 5000,
        "X-Amz-Expires=600",
        "X-Amz-Date=20260821&X-Amz-Expires=600",
        "X-Amz-Date=20260821T103000Z&X-Amz-Expires=" + "9" * 20,
    ],
)
def test_a_url_without_a_valid_signature_has_no_expiry(query: str) -> None:
    assert expires_at(f"https://x.test/a.png?{query}") is None


@given(st.text())
@example("http://[")
def test_any_text_in_place_of_a_url_raises_nothing(text: str) -> None:
    expires_at(text)
    expires_at(f"http://example.test/?{text}")
