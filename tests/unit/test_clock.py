"""Ids carry the time they are made from, ascend, and keep ascending when the clock is set back a little."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from glidepath_server import clock

NOW = datetime(2030, 1, 2, 3, 4, 5, 678_900, tzinfo=UTC)


def test_an_id_is_a_version_7_uuid_of_its_time() -> None:
    made = clock.uuid7(NOW)
    assert made.version == 7 and made.variant == "specified in RFC 4122"
    assert clock.uuid7_time(made) == NOW.replace(microsecond=678_000)
    assert clock.uuid7_time(UUID("00000000-0000-4000-8000-000000000000")) is None


def test_the_bits_are_where_the_rfc_puts_them() -> None:
    made = clock.uuid7(datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC))
    assert str(made).startswith("017f22e2-79b0-7")


def test_ids_of_one_instant_ascend_and_are_distinct() -> None:
    made = [*clock.new_ids(NOW, 5000), clock.uuid7(NOW), *clock.new_ids(NOW, 5000)]
    assert made == sorted(made) and len(set(made)) == 10_001


def test_ids_ascend_when_the_clock_is_set_back_a_little_and_follow_it_far_back() -> None:
    first = clock.uuid7(NOW + timedelta(hours=1))
    second = clock.uuid7(NOW + timedelta(hours=1) - timedelta(seconds=9))
    assert second > first
    assert clock.uuid7_time(clock.uuid7(NOW)) == NOW.replace(microsecond=678_000)


def test_a_full_millisecond_runs_over_into_the_next() -> None:
    ids = clock._Ids()
    (first,) = ids.take(NOW, 1)
    ids._tail = (1 << 74) - 1
    (second,) = ids.take(NOW, 1)
    assert second > first and clock.uuid7_time(second) == clock.uuid7_time(first) + timedelta(milliseconds=1)


def test_secrets_have_the_length_of_their_entropy_and_differ() -> None:
    assert len(clock.token_secret()) == 52 and len(clock.token_name()) == 16 and len(clock.key_bytes()) == 32
    assert len({clock.token_secret() for _ in range(100)}) == 100
