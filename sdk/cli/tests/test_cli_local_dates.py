"""Times of a range are local in its zone, and a date alone at its end is all of that day."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from glidepath_cli.local_dates import instant, zone_of

NOW = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)
KOLKATA, NEW_YORK = zone_of("Asia/Kolkata"), zone_of("America/New_York")


def test_a_time_without_an_offset_is_local() -> None:
    assert instant("2026-01-31", KOLKATA) == "2026-01-30T18:30:00+00:00"
    assert instant("2026-01-31T06:00", KOLKATA) == "2026-01-31T00:30:00+00:00"
    assert instant("2026-01-31T06:00Z", KOLKATA) == "2026-01-31T06:00:00+00:00"
    assert instant("2026-01-31", zone_of("no such zone")) == "2026-01-31T00:00:00+00:00"


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("2026-01-31", "2026-02-01T04:59:59.999999+00:00"),
        ("2026-03-08", "2026-03-09T03:59:59.999999+00:00"),  # a day of 23 hours
        ("2026-01-31T06:00", "2026-01-31T11:00:00+00:00"),
        ("2026-03-09", "2026-03-09T12:00:00+00:00"),  # today ends now
        ("2026-03-10", "2026-03-11T03:59:59.999999+00:00"),  # the future is refused by the server
    ],
)
def test_a_date_at_the_end_is_all_of_its_day(text: str, end: str) -> None:
    assert instant(text, NEW_YORK, now=NOW) == end
