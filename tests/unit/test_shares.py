"""Fair queueing: who shares a line, or a worker, gets of it by weight, and nobody waits for ever."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from glidepath_server.core.order import PRIORITY_UNITS, FlowClock, Shares

WEIGHT = st.sampled_from([0.25, 0.5, 1.0, 2.0, 4.0])
WEIGHTS = st.dictionaries(st.sampled_from("abcde"), WEIGHT, min_size=1)


@given(WEIGHTS, st.lists(st.integers(1, 20), min_size=1, max_size=60))
def test_flows_that_always_have_work_are_never_more_than_a_turn_from_their_share(
    weights: dict[str, float], claims: list[int]
) -> None:
    shares, had = Shares(), Counter[str]()
    for count in claims:
        turns = shares.allot(count, weights)
        assert sum(turns.values()) == count
        # In the order in which their turns come.
        for flow, part in turns.items():
            for _ in range(part):
                shares.served(flow, weights[flow])
            had[flow] += part
        for one in weights:
            for other in weights:
                gap = had[one] / weights[one] - had[other] / weights[other]
                assert gap <= 1 / weights[one] + 1 / weights[other] + 1e-6


@given(WEIGHT, WEIGHT, st.integers(0, 200))
def test_a_flow_that_was_idle_begins_where_the_others_are(mine: float, other: float, before: int) -> None:
    shares = Shares()
    for _ in range(before):
        shares.served("busy", other)
    turns = shares.allot(100, {"busy": other, "idle": mine})
    fair = 100 * mine / (mine + other)
    assert abs(turns["idle"] - fair) <= 1 + mine / other + other / mine


@given(st.dictionaries(st.sampled_from("abc"), st.tuples(WEIGHT, st.integers(0, 5)), min_size=1), st.integers(0, 40))
def test_what_has_less_priority_is_passed_by_a_bounded_number_of_starts(
    streams: dict[str, tuple[float, int]], before: int
) -> None:
    """Every stream always has work before it; each point of priority is worth 60 of its starts, by weight."""
    clock, queue = FlowClock(), dict[str, tuple[float, int]]()

    def release(flow: str) -> None:
        weight, above = streams[flow]
        queue[flow] = clock.key(flow, weight=weight, priority=above), above

    def start_one() -> str:
        flow = min(queue, key=lambda each: queue[each][0])
        clock.served(*queue.pop(flow))
        return flow

    for flow in streams:
        release(flow)
    for _ in range(before):
        release(start_one())
    queue["patient"] = clock.key("patient"), 0
    bound = sum(weight * (PRIORITY_UNITS * (above + 5) + 2) + 2 for weight, above in streams.values())
    for _ in range(int(bound) + 1):
        flow = start_one()
        if flow == "patient":
            return
        release(flow)
    raise AssertionError(f"passed by {bound:g} starts")
