"""What is retried and when: delays, jitter, and which failures a policy covers."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glidepath_server.core.failure import Failure, FailureKind
from glidepath_server.core.retry import Budget, GiveUp, Retry, RetryPolicy, decide_retry, spread

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BROKEN = Failure(FailureKind.APPLICATION, "requests.exceptions.ConnectionError", "broken")


def delays(policy: RetryPolicy, count: int, key: tuple[object, ...] = ()) -> list[float]:
    found = []
    for tries in range(1, count + 1):
        again = decide_retry(policy, BROKEN, tries, NOW, (*key, tries))
        assert isinstance(again, Retry)
        found.append((again.at - NOW).total_seconds())
    return found


def test_delays_double_up_to_their_cap() -> None:
    policy = RetryPolicy(10, delay_seconds=300, backoff=2, delay_max_seconds=3600)
    assert delays(policy, 6) == [300, 600, 1200, 2400, 3600, 3600]


def test_a_list_gives_each_delay_and_its_last_one_repeats() -> None:
    assert delays(RetryPolicy(5, delays_seconds=(60, 300, 900)), 5) == [60, 300, 900, 900, 900]


@given(seed=st.binary(max_size=16), share=st.floats(0.01, 1))
def test_jitter_only_lengthens_and_is_the_same_each_time(seed: bytes, share: float) -> None:
    policy = RetryPolicy(4, delay_seconds=100, backoff=2, delay_max_seconds=400, jitter=share)
    plain = [100, 200, 400, 400]
    found = delays(policy, 4, (seed,))
    assert found == delays(policy, 4, (seed,))
    assert all(least <= each <= least * (1 + share) + 1e-5 for least, each in zip(plain, found, strict=True))


def test_what_failed_together_does_not_come_back_together() -> None:
    policy = RetryPolicy(1, delay_seconds=100, jitter=1)
    found = sorted(delays(policy, 1, (run, 7))[0] for run in range(2_000))
    assert 145 < sum(found) / len(found) < 155
    assert max(later - each for each, later in itertools.pairwise(found)) < 2
    assert len(set(found)) > 1_990


@given(st.lists(st.integers() | st.binary(max_size=16) | st.text(max_size=5), max_size=4))
def test_a_spread_lies_between_0_and_1(key: list[object]) -> None:
    assert 0 <= spread(*key) < 1


def test_a_longer_wish_of_the_failure_counts_before_the_delay_and_is_not_spread() -> None:
    asked = Failure(FailureKind.APPLICATION, "E", "x", retry_after_seconds=500)
    again = decide_retry(RetryPolicy(1, delay_seconds=100, jitter=1), asked, 1, NOW)
    assert again == Retry(NOW + timedelta(seconds=500))


@pytest.mark.parametrize(
    ("only_on", "never_on", "covered"),
    [
        ((), (), True),
        (("ConnectionError",), (), True),
        (("requests.exceptions.ConnectionError",), (), True),
        (("application",), (), True),
        (("timeout", "out_of_memory"), (), False),
        (("Error",), (), False),
        (("exceptions.ConnectionError",), (), False),
        ((), ("ConnectionError",), False),
        ((), ("timeout",), True),
        (("application",), ("ConnectionError",), False),
    ],
)
def test_which_failures_a_policy_covers(only_on: tuple[str, ...], never_on: tuple[str, ...], covered: bool) -> None:
    policy = RetryPolicy(3, only_on=only_on, never_on=never_on)
    assert policy.covers(BROKEN) is covered
    decided = decide_retry(policy, BROKEN, 1, NOW)
    if covered:
        assert isinstance(decided, Retry)
    else:
        assert isinstance(decided, GiveUp) and decided.budget is Budget.NONE
        assert decided.reason == "not among the failures that are retried: " + BROKEN.summary()


def test_an_error_is_covered_by_what_it_is_a_kind_of() -> None:
    reset = Failure(FailureKind.APPLICATION, "ConnectionResetError", "gone", base_types=("ConnectionError", "OSError"))
    assert RetryPolicy(only_on=("OSError",)).covers(reset)
    assert not RetryPolicy(never_on=("ConnectionError",)).covers(reset)
    assert Failure.from_json(reset.to_json()) == reset


def test_an_error_that_says_itself_what_is_to_become_of_it_is_not_looked_up() -> None:
    asked = Failure(FailureKind.APPLICATION, "Retry", "later", retryable=True)
    assert isinstance(decide_retry(RetryPolicy(1, only_on=("timeout",)), asked, 1, NOW), Retry)


def test_attempts_go_to_the_other_queue_after_so_many_that_ended() -> None:
    assert [RetryPolicy(reroute_queue="big", reroute_after=2).reroutes(ended) for ended in range(4)] == [False] * 2 + [
        True
    ] * 2
    assert not RetryPolicy(reroute_after=1).reroutes(9)


def test_a_kind_is_covered_by_its_name() -> None:
    killed = Failure(FailureKind.OUT_OF_MEMORY, message="over 512 MiB")
    assert RetryPolicy(only_on=("out_of_memory",)).covers(killed)
    assert not RetryPolicy(never_on=("out_of_memory",)).covers(killed)
