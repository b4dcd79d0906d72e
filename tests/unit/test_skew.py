"""How far a host's clock is off: what is true lies within the bound, whatever the network did."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from glidepath_server.core.skew import ClockOffset, HostReading, offset_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
delays = st.floats(0, 30)


@given(st.floats(-4000, 4000), delays, delays, delays, delays, delays)
def test_the_true_offset_lies_within_the_bound(
    ahead: float, there: float, back: float, pause: float, asking: float, answering: float
) -> None:
    """`ahead`: by how much the database's clock is. The instants are those of our monotonic clock."""
    read_at = there
    heard_at = read_at + back
    asked_at = heard_at + pause
    database_at = asked_at + asking
    reading = HostReading(NOON + timedelta(seconds=read_at), 0.0, heard_at)
    now = NOON + timedelta(seconds=database_at + ahead)
    found = offset_of(reading, now, asked_at, database_at + answering)
    assert abs(found.seconds - ahead) <= found.bound_seconds + 1e-4
    assert found.bound_seconds <= (there + back + asking + answering) / 2 + 1e-6


def test_what_says_nothing_new_is_not_written_down() -> None:
    known = ClockOffset(5.0, 0.01)
    assert ClockOffset(5.0, 0.01).tells_more_than(None)
    assert not ClockOffset(5.05, 0.02).tells_more_than(known), "the same within what can be told"
    assert not ClockOffset(0.0, 30.0).tells_more_than(known), "a slow answer says nothing of a good one"
    assert ClockOffset(-3595.0, 0.01).tells_more_than(known), "the clock was set"
    assert ClockOffset(5.0, 0.001).tells_more_than(known), "known better"
