"""Formatting and parsing text for people."""

import os
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.text import (
    Field,
    did_you_mean,
    fit,
    one_line,
    parse_duration,
    printable_path,
    readable,
    seconds,
    show_bytes,
    show_count,
    show_duration,
    show_money,
    show_rate,
    utc_isoformat,
)
from batchgen.types import Json


@pytest.mark.parametrize(
    ("text", "expected_s"),
    [("50ms", 0.05), ("1.5s", 1.5), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), (" 5s ", 5)],
)
def test_durations_of_a_job_file_are_read(text: str, expected_s: float) -> None:
    assert parse_duration(text) == pytest.approx(expected_s)
    assert seconds(text) == pytest.approx(expected_s)


@pytest.mark.parametrize(
    "text", ["", "abc", "5", "30m1h", "-5s", "5 m", "1e3s", "٣s", "9" * 40 + "h"]
)
def test_an_invalid_duration_is_refused_with_examples_of_valid_ones(text: str) -> None:
    with pytest.raises(ValueError, match=r"1h30m|5s, 5m or 5h"):
        parse_duration(text)


def test_plain_numbers_are_seconds_in_yaml_but_not_in_text() -> None:
    assert seconds(90) == 90.0
    with pytest.raises(ValueError, match="no unit"):
        parse_duration("90")


@pytest.mark.parametrize("value", [True, None, [], {}, -1, float("nan"), float("inf"), 10**400])
def test_values_that_are_not_durations_are_refused(value: Json) -> None:
    with pytest.raises(ValueError, match="durations"):
        seconds(value)


@pytest.mark.parametrize(
    ("duration_s", "text"),
    [
        (0, "0 s"),
        (0.05, "50 ms"),
        (0.9996, "1 s"),
        (12.4, "12.4 s"),
        (59.96, "1 min 00 s"),
        (303, "5 min 03 s"),
        (3599.6, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (1e6, "11 d 14 h"),
    ],
)
def test_durations_are_formatted_in_two_units_at_most(duration_s: float, text: str) -> None:
    assert show_duration(duration_s) == text


@given(st.floats(1, 172_000))
def test_no_formatted_duration_has_sixty_seconds_or_minutes(duration_s: float) -> None:
    assert not re.search(r"\b60 (s|min)", show_duration(duration_s))


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (None, "unknown"),
        (0, "$0.00"),
        (1.24, "$1.24"),
        (0.0032, "$0.0032"),
        (0.00001, "under $0.0001"),
        (12345.6, "$12,345.60"),
        (-2, "-$2.00"),
    ],
)
def test_money_is_formatted_in_dollars(usd: float | None, text: str) -> None:
    assert show_money(usd) == text


def test_counts_sizes_and_rates_are_formatted_in_readable_units() -> None:
    assert show_count(1_234_567) == "1,234,567"
    assert [show_bytes(size) for size in (312, 4_600, 999_950, 1_200_000_000, 9 * 10**12)] == [
        "312 B",
        "4.6 kB",
        "1.0 MB",
        "1.2 GB",
        "9.0 TB",
    ]
    assert [show_rate(rate) for rate in (1234, 4.1, 0.2, 0.001)] == [
        "1,234.0/s",
        "4.1/s",
        "12.0/min",
        "3.6/h",
    ]


@given(st.text(), st.integers(1, 60))
def test_one_line_is_printable_and_no_longer_than_asked(text: str, width: int) -> None:
    line = one_line(text, width)
    assert len(line) <= width
    assert line.isprintable()


def test_one_line_removes_terminal_escapes() -> None:
    assert one_line("red\x1b[31m\r\nnext\u202e\tend", 80) == "red [31m next end"
    assert one_line("a" * 50, 10) == "a" * 9 + "…"


def test_fields_of_the_highest_rank_leave_a_short_line_first() -> None:
    fields = [Field(0, "3 of 9"), Field(2, "4.1/s"), Field(1, "1 failed")]
    assert fit(fields, 40) == "3 of 9, 4.1/s, 1 failed"
    assert fit(fields, 16) == "3 of 9, 1 failed"
    assert fit(fields, 4) == "3 o…"


def test_a_typo_is_recognised() -> None:
    assert did_you_mean("Promt", ["prompt", "model"]) == "prompt"
    assert did_you_mean("quux", ["prompt", "model"]) is None


@given(st.datetimes(timezones=st.just(UTC)))
def test_the_text_of_a_time_equals_isoformat(moment: datetime) -> None:
    assert utc_isoformat(moment) == moment.isoformat()
    whole = moment.replace(microsecond=0)
    assert utc_isoformat(whole) == whole.isoformat()


def test_the_text_of_a_time_is_in_utc_for_any_time_zone() -> None:
    east = timezone(timedelta(hours=2))
    assert utc_isoformat(datetime(2026, 1, 2, 14, tzinfo=east)) == "2026-01-02T12:00:00+00:00"
    naive = datetime(2026, 1, 2, 12)  # noqa: DTZ001  # as another tool may write it
    assert utc_isoformat(naive) == "2026-01-02T12:00:00+00:00"


@pytest.mark.parametrize(
    ("path", "readable_text", "line"),
    [
        ("a/fü 1.csv", "a/fü 1.csv", "a/fü 1.csv"),
        (os.fsdecode(b"m\xff.csv"), r"m\xff.csv", r"m\xff.csv"),
        (b"f\xc3\xbc".decode("ascii", "surrogateescape"), "fü", "fü"),
        ("\ud800", r"\ud800", r"\ud800"),
        ("a\x1b[2J\nb", "a\x1b[2J\nb", r"a\x1b[2J\nb"),
    ],
)
def test_bytes_that_are_not_utf8_are_escapes(path: str, readable_text: str, line: str) -> None:
    assert readable(path) == readable_text
    assert printable_path(path) == line
    readable(path).encode()
