"""Moments as texts."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from batchgen.clock import stamp


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_stamp_is_what_isoformat_says(moment: datetime) -> None:
    assert stamp(moment) == moment.isoformat()
    whole = moment.replace(microsecond=0)
    assert stamp(whole) == whole.isoformat()
