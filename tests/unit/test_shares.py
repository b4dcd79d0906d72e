"""Fair queueing: who shares a line, or a worker, gets of it by weight, and nobody waits for ever."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from glidepath_server.core.order import PRIORITY_UNITS, URGENCY_UNITS, FlowClock, Shares, urgency

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


STREAM = st.tuples(WEIGHT, st.integers(0, 5), st.sampled_from([0.0, 0.5, 1.0]))


@given(st.dictionaries(st.sampled_from("abc"), STREAM, min_size=1), st.integers(0, 40))
def test_what_has_less_priority_is_passed_by_a_bounded_number_of_starts(
    streams: dict[str, tuple[float, int, float]], before: int
) -> None:
    """Every stream always has work before it; each point of priority is worth 60 of its starts, by weight, and its
    whole urgency 5."""
    clock, queue = FlowClock(), dict[str, tuple[float, int]]()

    def release(flow: str) -> None:
        weight, above, pressed = streams[flow]
        queue[flow] = clock.key(flow, weight=weight, priority=above, urgency=pressed), above

    def start_one() -> str:
        flow = min(queue, key=lambda each: queue[each][0])
        clock.served(*queue.pop(flow))
        return flow

    for flow in streams:
        release(flow)
    for _ in range(before):
        release(start_one())
    queue["patient"] = clock.key("patient"), 0
    bound = sum(
        weight * (PRIORITY_UNITS * (above + 5) + URGENCY_UNITS + 2) + 2 for weight, above, _ in streams.values()
    )
    for _ in range(int(bound) + 1):
        flow = start_one()
        if flow == "patient":
            return
        release(flow)
    raise AssertionError(f"passed by {bound:g} starts")


@given(st.dictionaries(st.sampled_from("abc"), st.tuples(WEIGHT, st.floats(0, 1)), min_size=2), st.integers(50, 300))
def test_urgency_moves_starts_forward_once_and_takes_no_share(
    streams: dict[str, tuple[float, float]], starts: int
) -> None:
    clock, queue, had = FlowClock(), dict[str, float](), Counter[str]()
    for _ in range(starts):
        for flow, (weight, pressed) in streams.items():
            if flow not in queue:
                queue[flow] = clock.key(flow, weight=weight, urgency=pressed)
        flow = min(queue, key=lambda each: queue[each])
        clock.served(queue.pop(flow))
        had[flow] += 1
    for one, (weight, _) in streams.items():
        for other, (others, _) in streams.items():
            assert had[one] / weight - had[other] / others <= URGENCY_UNITS + 1 / weight + 1 / others + 1e-6


def test_urgency_is_what_of_the_time_left_a_task_cannot_wait() -> None:
    assert [urgency(slack, 100) for slack in (200, 100, 25, 0, -50)] == [0, 0, 0.75, 1, 1]
    assert urgency(10, 0) == 1
