"""How long something takes is learnt from how long it took."""

from __future__ import annotations

import math
import random
from statistics import fmean, median, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glidepath_server.core.durations import COUNT_MAX, Belief, Summary, believe

SECONDS = st.lists(st.floats(0.01, 1e6), max_size=30)
NONE = Summary()


@given(SECONDS, SECONDS)
def test_merged_summaries_are_the_summary_of_all(one: list[float], other: list[float]) -> None:
    merged, together = Summary.of(one).merged(Summary.of(other)), Summary.of(one + other)
    assert merged.count == together.count
    assert merged.mean == pytest.approx(together.mean, abs=1e-9)
    assert merged.squares == pytest.approx(together.squares, abs=1e-6)


def test_a_faded_summary_keeps_mean_and_variance_and_weighs_less() -> None:
    whole = Summary.of([1.0, 2.0, 4.0, 8.0] * 100)
    faded = whole.faded(COUNT_MAX)
    assert (faded.count, faded.mean) == (COUNT_MAX, whole.mean)
    assert faded.squares / faded.count == pytest.approx(whole.squares / whole.count)
    assert faded.faded(COUNT_MAX) is faded


def test_a_task_that_has_changed_is_followed() -> None:
    kept = Summary.of([60.0] * 1000).faded(COUNT_MAX)
    for _ in range(200):
        kept = kept.merged(Summary.of([120.0])).faded(COUNT_MAX)
    assert math.exp(kept.mean) == pytest.approx(120, rel=0.1)


def test_with_much_seen_the_belief_is_the_distribution() -> None:
    chance = random.Random(1)
    belief = believe(Summary.of(60 * math.exp(chance.gauss(0, 0.4)) for _ in range(400)), NONE, NONE)
    logs = [math.log(each) for each in belief.draws(0, 128)]
    assert math.exp(fmean(logs)) == pytest.approx(60, rel=0.05)
    assert pstdev(logs) == pytest.approx(0.4, rel=0.08)


def test_the_less_was_seen_the_wider_the_belief() -> None:
    widths = []
    for count in (1, 3, 10, 100):
        draws = sorted(believe(Summary.of([60.0] * count), NONE, NONE).draws(0, 128))
        widths.append(draws[-10] / draws[9])
    assert widths == sorted(widths, reverse=True)


def test_nothing_seen_is_a_guess_and_says_so() -> None:
    belief = believe(NONE, NONE, NONE)
    assert (belief.count, belief.median) == (0, pytest.approx(60))


def test_older_versions_are_a_prior_that_own_runs_outweigh_and_other_code_weighs_less() -> None:
    own, older = Summary.of([100.0] * 20), Summary.of([10.0] * 100)
    alone, same, other = believe(own, NONE, NONE), believe(own, older, NONE), believe(own, NONE, older)
    assert same.median < other.median < alone.median
    assert same.median > 40
    assert believe(NONE, older, NONE).median == pytest.approx(10)


@pytest.mark.parametrize("freedom", [3, 7, 30, 200])
def test_what_has_lasted_a_while_lasts_longer(freedom: int) -> None:
    belief = Belief(math.log(60), 0.4, freedom)
    draws = belief.longest(5, 128, over=90)
    assert min(draws) > 90
    fresh = [each for stream in range(400) for each in belief.draws(stream, 128) if each > 90]
    assert median(draws) == pytest.approx(median(fresh), rel=0.05)


@pytest.mark.parametrize("freedom", [3, 200])
def test_something_that_hangs_goes_on_hanging(freedom: int) -> None:
    belief = Belief(math.log(60), 0.4, freedom)
    for over in (600.0, 6e4, 6e9):
        assert all(over <= each < math.inf for each in belief.longest(0, 64, over=over))


def test_the_longest_of_many_is_longer() -> None:
    belief = Belief(math.log(60), 0.4, 200)
    draws = belief.longest(0, 128, of=20)
    most = [max(belief.draws(stream, 128)[place] for stream in range(20)) for place in range(128)]
    assert median(draws) == pytest.approx(median(most), rel=0.05)


def test_draws_are_the_same_each_time_and_independent_of_another_streams() -> None:
    belief = Belief(0.0, 1.0, 200)
    one, other = belief.draws(3, 128), belief.draws(4, 128)
    assert one == belief.draws(3, 128)
    logs = [(math.log(a), math.log(b)) for a, b in zip(one, other, strict=True)]
    assert abs(fmean(a * b for a, b in logs)) < 0.25
    assert sorted(one) == sorted(other)
