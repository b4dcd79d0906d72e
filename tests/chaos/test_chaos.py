"""Episodes of chaos from seeds: all that was asked for ends, and the checker finds no broken promise."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.chaos.batch import Batch
from tests.chaos.episode import Broken
from tests.chaos.plan import FAULT_SECONDS, KINDS, plan

SHORT = range(2)
LONG = range(5, 55)


@pytest.fixture(scope="module")
def batch() -> Iterator[Batch]:
    with Batch() as batch:
        yield batch
        print(batch.totals())


def check(batch: Batch, seed: int) -> None:
    try:
        print(batch.live(seed))
    except Broken as broken:
        pytest.fail(str(broken), pytrace=False)


def test_a_seed_is_one_plan() -> None:
    assert plan(7) == plan(7) != plan(8)
    assert {blow.kind for seed in LONG for blow in plan(seed).blows} == set(KINDS)
    assert all(blow.at + blow.seconds <= FAULT_SECONDS + 0.01 for seed in LONG for blow in plan(seed).blows)


@pytest.mark.parametrize("seed", SHORT)
def test_an_episode_keeps_every_promise(batch: Batch, seed: int) -> None:
    check(batch, seed)


@pytest.mark.prove
@pytest.mark.parametrize("seed", LONG)
def test_many_episodes_keep_every_promise(batch: Batch, seed: int) -> None:
    check(batch, seed)


@pytest.mark.prove
@pytest.mark.timeout(1800)
def test_many_episodes_try_every_promise_with_every_kind_of_fault(
    batch: Batch, record_property: Callable[[str, object], None]
) -> None:
    premises, kinds = batch.missing(LONG)
    for line in batch.totals().splitlines():
        record_property("of all episodes lived until then", line)
    assert not premises, f"these premises never occurred in seeds {LONG}: {premises}"
    assert not kinds, f"these kinds of fault never struck in seeds {LONG}: {kinds}"
