"""Moments as texts."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from batchgen.text import stamp


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_stamp_is_what_isoformat_says(moment: datetime) -> None:
    assert stamp(moment) == moment.isoformat()
    whole = moment.replace(microsecond=0)
    assert stamp(whole) == whole.isoformat()


def test_a_stamp_is_in_utc_whatever_zone_a_moment_comes_with() -> None:
    east = timezone(timedelta(hours=2))
    assert stamp(datetime(2026, 1, 2, 14, tzinfo=east)) == "2026-01-02T12:00:00+00:00"
    naive = datetime(2026, 1, 2, 12)  # noqa: DTZ001  # as another tool may write it
    assert stamp(naive) == "2026-01-02T12:00:00+00:00"
