"""`run_dag` and the server have one opinion of a mapped task: its items, its end, and how others see that."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from glidepath.payloads import encode
from glidepath.testing.mapped import NoItems, counts_as, is_hopeless, map_end, read_items
from glidepath.testing.results import TaskState
from glidepath_proto.registry.v1 import dag_pb2
from glidepath_server.core import map_items, maps
from glidepath_server.core.board import Board, MapCounts
from glidepath_server.core.definition import MapMode
from glidepath_server.core.graph import MapPolicy
from glidepath_server.core.states import RunState, TaskEvent
from glidepath_server.core.states import TaskState as ServerState

ENDS: tuple[TaskState, ...] = ("success", "failed", "skipped", "cancelled")
VALUES = st.none() | st.integers(0, 9) | st.text(max_size=3) | st.dictionaries(st.text(max_size=2), st.integers())
LISTS = st.lists(VALUES, max_size=4)
_EVENTS = {
    TaskEvent.SUCCEED: "success",
    TaskEvent.FAIL: "failed",
    TaskEvent.SKIP: "skipped",
    TaskEvent.CANCEL: "cancelled",
}


@given(st.dictionaries(st.sampled_from("abc"), LISTS | VALUES, min_size=1), st.sampled_from(MapMode))
@example({"a": [1, 2], "b": [3]}, MapMode.ZIP)
@example({"b": [1, 2], "a": [3, 4]}, MapMode.PRODUCT)
def test_the_items_are_the_servers(lists: dict[str, Any], mode: MapMode) -> None:
    spec = dag_pb2.MapSpec(mode=dag_pb2.MapMode.Value(f"MAP_MODE_{mode.name}"))
    for name, value in lists.items():
        spec.inputs.add(name=name).source.literal.CopyFrom(encode(value))
    try:
        checked = [(name, map_items.check_list(name, value)) for name, value in lists.items()]
        _, chunks = map_items.item_chunks(mode, checked)
        expected = [item for chunk in chunks for item in json.loads(chunk)]
    except map_items.NoItems:
        expected = None
    try:
        found = read_items(spec, {}, {})
    except NoItems:
        found = None
    assert found == expected


def counts_of(states: Sequence[TaskState]) -> MapCounts:
    counts = MapCounts(len(states), released=len(states))
    for state in ENDS:
        counts.count(ServerState[state.upper()], states.count(state))
    return counts


@given(st.lists(st.sampled_from(ENDS), min_size=1, max_size=12), st.floats(0.01, 1))
@example(["success", "success", "failed"], 2 / 3)
@example(["success"] * 7 + ["failed"] * 3, 0.7)
def test_the_end_of_a_map_is_the_servers(states: list[TaskState], ratio: float) -> None:
    policy = MapPolicy(2_000, ratio, True)
    assert map_end(states, ratio) == _EVENTS[maps.verdict(counts_of(states), policy)]
    assert is_hopeless(states, ratio) == maps._is_hopeless(counts_of(states), policy)


@given(st.lists(st.sampled_from(ENDS), min_size=1, max_size=6), st.sampled_from(ENDS))
def test_others_see_a_map_as_the_server_has_it(states: list[TaskState], end: TaskState) -> None:
    board = Board(bytearray([int(ServerState[end.upper()])]), RunState.RUNNING, maps={0: counts_of(states)})
    seen = counts_as(end, states)
    bad = bool({"failed", "cancelled"} & set(seen))
    assert ("success" in seen, bad, "skipped" in seen) == board.ends(0)
