"""Mapped tasks: how far they are, what they come to, and that no command loses an instance."""

from __future__ import annotations

import copy
import json
import random
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from map_world import AFTER, BEFORE, MAPPED, MapWorld, map_graph
from run_world import BROKEN, GOOD, HOPELESS, NOW, A, Outcome, S, end_of_map, own_end

from glidepath_server.core.board import FINAL
from glidepath_server.core.definition import MapMode
from glidepath_server.core.errors import StateConflict
from glidepath_server.core.events import (
    RunCancelled,
    RunPaused,
    RunResumed,
    TasksCancelled,
    TasksCleared,
    TasksMarked,
    event_from_json,
    event_to_json,
)
from glidepath_server.core.graph import MapPolicy
from glidepath_server.core.map_items import ITEMS_BYTES_MAX, NoItems, check_list, item_chunks
from glidepath_server.core.map_view import InstanceFacts
from glidepath_server.core.maps import INSTANCES_MAX
from glidepath_server.core.retry import RetryPolicy
from glidepath_server.core.run_view import EndedRow, RunRows, instance_views
from glidepath_server.core.states import MARKS, RunState, TaskEvent
from glidepath_server.core.trigger_rules import TriggerRule
from tests.trigger_rule_table import verdict

Word = str | TaskEvent | tuple[str, TaskEvent]
BAD: Outcome = (A.FAILED, BROKEN)
SKIP: Outcome = (A.SKIPPED, None)
ENDS = [GOOD, BAD, SKIP, (A.FAILED, HOPELESS), (A.LOST, None), (A.TIMED_OUT, BROKEN), (A.CANCELLED, None)]
SCRIPTS = st.dictionaries(st.integers(0, 11), st.lists(st.sampled_from(ENDS), min_size=1, max_size=3))


@given(
    st.integers(0, 12), SCRIPTS, st.integers(1, 5), st.sampled_from([1.0, 0.5, 0.25]), st.booleans(), st.integers(0, 2)
)
@example(3, {1: [BAD]}, 2, 0.5, True, 0)
def test_instances_end_by_themselves_and_the_task_by_their_share(
    length: int, scripts: dict[int, list[Outcome]], window: int, ratio: float, empty_skips: bool, retries: int
) -> None:
    graph = map_graph(MapPolicy(window, ratio, empty_skips), retries=retries)
    world = MapWorld(graph, length, scripts, random.Random(length))
    world.start()
    world.finish()
    ends = [own_end(scripts.get(index, ()), RetryPolicy(retries, losses_max=1)) for index in range(length)]
    assert [world.states[index] for index in range(length)] == ends
    expected = end_of_map(ends, ratio, empty_skips)
    assert world.board.states[MAPPED] == expected
    assert world.most_out <= window
    assert world.board.state in (RunState.SUCCESS, RunState.FAILED)
    assert (world.board.state is RunState.SUCCESS) == (expected in (S.SUCCESS, S.SKIPPED))


@given(st.sampled_from(TriggerRule), st.lists(st.sampled_from([GOOD, (A.FAILED, HOPELESS), SKIP]), min_size=1))
def test_a_rule_sees_a_map_that_failed_as_its_instances(rule: TriggerRule, ends: list[Outcome]) -> None:
    graph = map_graph(MapPolicy(4), rule=rule)
    world = MapWorld(graph, len(ends), {index: [end] for index, end in enumerate(ends)})
    world.start()
    world.finish()
    states = {S(state).name.lower() for state in world.states.values()}
    if world.board.states[MAPPED] != S.FAILED:
        states = {S(world.board.states[MAPPED]).name.lower()}
    said = {"run": S.SUCCESS, "skip": S.SKIPPED, "fail": S.UPSTREAM_FAILED}[verdict(rule, sorted(states))]
    assert world.board.states[AFTER] == said


COMMANDS = ("pause", "resume", "cancel_run", "cancel", "clear", "clear_all", "rerun", "part", *MARKS)
OF_INSTANCES = tuple(("instances", mark) for mark in (TaskEvent.CANCEL, *MARKS))


@given(
    st.integers(1, 9),
    SCRIPTS,
    st.lists(st.tuples(st.integers(0, 12), st.sampled_from((*COMMANDS, *OF_INSTANCES))), max_size=5),
    st.integers(1, 3),
    st.booleans(),
)
@example(1, {}, [(3, "clear"), (0, "part")], 3, False)
@example(2, {0: [BAD]}, [(12, "rerun"), (1, "cancel"), (9, "rerun")], 3, False)
@example(3, {0: [(A.FAILED, HOPELESS)]}, [], 1, True)
def test_whatever_operators_do_no_instance_is_lost_or_doubled(
    length: int, scripts: dict[int, list[Outcome]], commands: list[tuple[int, Word]], window: int, fail_fast: bool
) -> None:
    chance = random.Random(f"{length} {commands}")
    world = MapWorld(map_graph(MapPolicy(window, 0.5), retries=1, fail_fast=fail_fast), length, scripts, chance)
    world.start()
    for pause, what in commands:
        for _ in range(pause):
            world.happen()
        tell(world, what)
    world.finish()
    tell(world, "resume")
    world.finish()
    assert all(state in FINAL for state in world.board.states)
    assert world.board.state in (RunState.SUCCESS, RunState.FAILED, RunState.CANCELLED)
    for _ in range(4):  # no script is longer
        rerun(world)
        world.finish()
    assert world.board.state is RunState.SUCCESS


def tell(world: MapWorld, what: Word) -> None:
    """An operator's command, where the run's state allows it."""
    ended, winding_down = world.board.state in (RunState.SUCCESS, RunState.FAILED, RunState.CANCELLED), False
    winding_down = world.board.intent != "run" and not ended
    if isinstance(what, tuple):
        mark_some(world, what[1])
    elif what == "pause":
        if not ended and not winding_down:
            world.step(RunPaused((MAPPED,), "ann"))
    elif what == "resume":
        world.step(RunResumed((), "ann"))
    elif what == "cancel_run":
        world.step(RunCancelled("enough"))
    elif what == "cancel":
        world.step(TasksCancelled((MAPPED,)))
    elif winding_down:
        return
    elif what == "clear":
        world.step(TasksCleared((MAPPED, AFTER), True, "", world.attempts((MAPPED, AFTER))))
    elif what == "clear_all":
        everything = (BEFORE, MAPPED, AFTER)
        world.step(TasksCleared(everything, True, "", world.attempts(everything)))
    elif what == "rerun":
        rerun(world)
    elif what == "part":
        clear_part(world)
    else:
        world.step(TasksMarked((MAPPED,), TaskEvent(what)))


def mark_some(world: MapWorld, mark: TaskEvent) -> None:
    counts, before = world.board.maps.get(MAPPED), copy.deepcopy(world)
    if counts is None:
        return
    indexes = world.chance.sample(range(counts.length), world.chance.randint(1, counts.length))
    try:
        world.mark(mark, *indexes)
    except StateConflict:  # nothing has changed then
        world.__dict__ |= before.__dict__


def rerun(world: MapWorld) -> None:
    tasks = tuple(task for task in range(3) if world.board.states[task] in (S.FAILED, S.UPSTREAM_FAILED, S.CANCELLED))
    closed = tuple(range(min(tasks), 3)) if tasks else ()
    world.step(TasksCleared(closed, True, "", world.attempts(closed), {}, True, world.parts(closed)))


def clear_part(world: MapWorld) -> None:
    counts = world.board.maps.get(MAPPED)
    stopping = counts is None or counts.stopped or MAPPED in world.board.marks or counts.released == 0
    if stopping or world.board.states[MAPPED] == S.RESTARTING:
        return
    indexes = world.chance.sample(range(counts.length), world.chance.randint(1, counts.length))
    tasks = (MAPPED, AFTER)
    world.step(
        TasksCleared(
            tasks, True, "", world.attempts(tasks), {MAPPED: tuple(indexes)}, False, world.parts(tasks, indexes)
        )
    )


def test_one_instance_that_ended_runs_again_and_the_others_stay() -> None:
    world = MapWorld(map_graph(MapPolicy(5)), 3, {1: [(A.FAILED, HOPELESS)]})
    world.start()
    world.finish()
    assert world.board.states[MAPPED] == S.FAILED and world.board.state is RunState.FAILED
    effects = world.step(
        TasksCleared((MAPPED, AFTER), attempts={MAPPED: 1}, instances={MAPPED: (1,)}, parts=world.parts([MAPPED], [1]))
    )
    assert [release[:3] for release in effects.releases] == [(MAPPED, 1, 2)]
    assert effects.answered == [(MAPPED, 1)]
    world.finish()
    assert world.board.state is RunState.SUCCESS and world.made == {
        (BEFORE, -1): 1, (MAPPED, 0): 1, (MAPPED, 1): 2, (MAPPED, 2): 1, (AFTER, -1): 1
    }  # fmt: skip


def test_a_cancel_takes_the_place_of_a_clear_that_waits_for_an_attempt_to_end() -> None:
    world = MapWorld(map_graph(MapPolicy(1)), 1)
    world.start()
    world.claim((BEFORE, -1))
    world.end((BEFORE, -1))
    world.claim((MAPPED, 0))
    world.step(TasksCleared((MAPPED,), True, "", {MAPPED: 1}, {MAPPED: (0,)}, False, world.parts([MAPPED], [0])))
    assert world.told == {(MAPPED, 0)}
    world.step(TasksCancelled((MAPPED,)))
    world.end((MAPPED, 0))
    assert world.board.states[MAPPED] == S.CANCELLED and not world.queue


def test_a_part_that_a_pause_keeps_from_running_again_repeats_no_attempt() -> None:
    world = MapWorld(map_graph(MapPolicy(5)), 2, {1: [(A.FAILED, HOPELESS)]})
    world.start()
    world.claim((BEFORE, -1))
    world.end((BEFORE, -1))
    world.claim((MAPPED, 0))
    world.claim((MAPPED, 1))
    world.end((MAPPED, 0))
    world.step(RunPaused((AFTER, MAPPED), "ann"))
    world.end((MAPPED, 1))
    assert world.board.states[MAPPED] == S.FAILED
    tasks = (MAPPED, AFTER)
    world.step(TasksCleared(tasks, True, "", world.attempts(tasks), {}, True, world.parts(tasks)))
    world.step(RunResumed((), "ann"))
    assert {key: release.attempt_number for key, release in world.queue.items()} == {(MAPPED, 0): 2, (MAPPED, 1): 2}


def test_an_instance_that_was_claimed_behind_the_clear_repeats_no_attempt() -> None:
    world = MapWorld(map_graph(MapPolicy(5)), 1)
    world.start()
    world.claim((BEFORE, -1))
    world.end((BEFORE, -1))
    made = world.attempts((MAPPED,))
    world.claim((MAPPED, 0))
    world.step(TasksCleared((MAPPED,), True, "", made))
    world.end((MAPPED, 0))
    assert world.queue[MAPPED, 0].attempt_number == 2


def test_what_cannot_be_mapped_fails_with_its_reason_and_one_dead_letter() -> None:
    world = MapWorld(map_graph(MapPolicy(5)), 0, problem="days is mapped over 7, expected a list")
    world.start()
    world.claim((BEFORE, -1))
    effects = world.end((BEFORE, -1))
    assert world.board.states[MAPPED] == S.FAILED and "expected a list" in world.board.reason
    assert [(letter.task, letter.map_index) for letter in effects.dead_letters] == [(MAPPED, -1)]


def test_a_failure_beyond_the_share_ends_a_run_that_fails_fast_and_one_within_it_does_not() -> None:
    world = MapWorld(map_graph(MapPolicy(4, 0.5), fail_fast=True), 4)
    world.start()
    world.claim((BEFORE, -1))
    world.end((BEFORE, -1))
    for index in range(4):
        world.claim((MAPPED, index))
    hopeless: Outcome = (A.FAILED, HOPELESS)
    for index in range(2):
        world.end((MAPPED, index), hopeless)
    assert not world.told
    world.end((MAPPED, 2), hopeless)
    assert world.told == {(MAPPED, 3)}
    world.end((MAPPED, 3))
    assert world.board.states[MAPPED] == S.FAILED and world.board.state is RunState.FAILED


def test_a_clear_keeps_its_parts_when_it_is_stored() -> None:
    world = MapWorld(map_graph(MapPolicy(5)), 3)
    world.start()
    world.finish()
    event = TasksCleared((MAPPED,), attempts={1: 2}, instances={MAPPED: (0, 2)}, parts=world.parts([MAPPED], [0, 2]))
    assert event_from_json(event_to_json(event)) == event


# ---- items
@given(st.lists(st.integers(), max_size=600), st.lists(st.text(max_size=3), max_size=3))
def test_items_are_what_zip_and_product_say(numbers: list[int], names: list[str]) -> None:
    length, chunks = item_chunks(MapMode.PRODUCT, [("n", numbers), ("s", names)])
    items = [item for chunk in chunks for item in json.loads(chunk)]
    assert length == len(items) == len(numbers) * len(names)
    assert items == [{"n": number, "s": name} for number in numbers for name in names]
    length, chunks = item_chunks(MapMode.ZIP, [("n", numbers), ("m", numbers)])
    assert [item for chunk in chunks for item in json.loads(chunk)] == [{"n": each, "m": each} for each in numbers]
    assert length == len(numbers)


def test_what_a_retry_of_the_run_keeps_of_a_map_is_shown_as_it_ended() -> None:
    world = MapWorld(map_graph(MapPolicy(2), run_retries_max=1), 2)
    world.start()
    world.claim((BEFORE, -1))
    world.end((BEFORE, -1))
    for index, end in enumerate([GOOD, (A.FAILED, HOPELESS)]):
        world.claim((MAPPED, index))
        world.end((MAPPED, index), end)
    assert world.board.run_retries == 1 and world.queue.keys() == {(MAPPED, 1)}
    ended = EndedRow(MAPPED, 0, 1, A.SUCCESS, "worker", NOW, NOW, NOW)
    (view,) = instance_views(world.board, MAPPED, RunRows(ended={0: ended}), [0], InstanceFacts((), ["{}"]))
    assert (view.state.value, view.attempt_number) == ("success", 1)


def test_instances_that_run_again_in_a_retry_of_the_run_wait_for_its_delay() -> None:
    """What was given up, and what was left because the run ended before its turn."""
    graph = map_graph(MapPolicy(2), run_retries_max=1, fail_fast=True)
    world = MapWorld(replace(graph, run_retry_delay_seconds=90.0), 3)
    world.start()
    world.claim((BEFORE, -1))
    world.end((BEFORE, -1))
    for index, end in enumerate([GOOD, (A.FAILED, HOPELESS)]):
        world.claim((MAPPED, index))
        world.end((MAPPED, index), end)
    assert {key: release.at for key, release in world.queue.items()} == {
        (MAPPED, 1): NOW + timedelta(seconds=90),
        (MAPPED, 2): NOW + timedelta(seconds=90),
    }


@pytest.mark.parametrize(
    ("mode", "lists", "why"),
    [
        (MapMode.ZIP, [("a", [1, 2]), ("b", [1])], "different lengths: a has 2, b has 1"),
        (MapMode.PRODUCT, [("a", [0] * 400), ("b", [0] * 400)], "160000 items, at most 100000"),
        (MapMode.ZIP, [("a", [0] * (INSTANCES_MAX + 1))], "100001 items, at most 100000"),
        (MapMode.ZIP, [("a", ["x" * 1_000_000] * 17)], f"more than {ITEMS_BYTES_MAX} bytes"),
    ],
)
def test_lists_that_make_no_items_say_why(mode: MapMode, lists: list[tuple[str, list[object]]], why: str) -> None:
    with pytest.raises(NoItems, match=why):
        item_chunks(mode, lists)


@pytest.mark.parametrize(
    ("value", "why"), [(None, "over nothing"), ("abc", 'over str "abc"'), ({"a": 1}, 'over dict {"a": 1}')]
)
def test_what_is_no_list_is_named(value: object, why: str) -> None:
    with pytest.raises(NoItems, match=why):
        check_list("days", value)
