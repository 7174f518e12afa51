"""Times as texts."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from batchgen.text import utc_isoformat


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
