"""An operator says how single instances of a mapped task have ended, or ends them: wherever they are."""

from __future__ import annotations

import pytest
from map_world import AFTER, BEFORE, MAPPED, MapWorld, map_graph
from run_world import HOPELESS, A, Outcome, S

from glidepath_server.core import map_marks
from glidepath_server.core.board import Board
from glidepath_server.core.errors import LimitExceeded, StateConflict
from glidepath_server.core.events import (
    InstancesMarked,
    RunCancelled,
    RunPaused,
    RunResumed,
    TasksCancelled,
    TasksCleared,
    TasksMarked,
)
from glidepath_server.core.graph import MapPolicy
from glidepath_server.core.map_view import InstanceFacts, RowCounts, counts_of
from glidepath_server.core.run_view import RunRows, instance_views
from glidepath_server.core.states import MARKS, RunState, TaskEvent
from glidepath_server.core.trigger_rules import TriggerRule

SUCCESS, FAILED, SKIPPED = TaskEvent.MARK_SUCCESS, TaskEvent.MARK_FAILED, TaskEvent.MARK_SKIPPED
CANCEL = TaskEvent.CANCEL
GIVEN_UP: Outcome = (A.FAILED, HOPELESS)
# Where an instance is, by its index, of five with a window of three: see `everywhere`.
LIVE, QUEUED, ENDED, _, LATER = range(5)


def begun(length: int = 4, window: int = 3, ratio: float = 1.0, **fields: object) -> MapWorld:
    world = MapWorld(map_graph(MapPolicy(window, ratio), **fields), length)  # type: ignore[arg-type]
    world.start()
    world.claim((BEFORE, -1))
    world.end((BEFORE, -1))
    return world


def everywhere() -> MapWorld:
    """One instance is live, two are queued, one has succeeded, and one has not been released."""
    world = begun(length=5)
    world.claim((MAPPED, LIVE))
    world.claim((MAPPED, ENDED))
    world.end((MAPPED, ENDED))
    return world


def state(world: MapWorld, index: int) -> str:
    return S(world.states[index]).name.lower() if index in world.states else "scheduled"


def whole(world: MapWorld, task: int = MAPPED) -> str:
    return S(world.board.states[task]).name.lower()


@pytest.mark.parametrize("mark", MARKS)
def test_an_instance_in_the_queue_is_taken_back_and_has_the_end_that_is_said(mark: TaskEvent) -> None:
    world = begun()
    effects = world.mark(mark, 1)
    assert (MAPPED, 1) not in world.queue and state(world, 1) == MARKS[mark].name.lower()
    assert effects.instance_marks == {(MAPPED, 1): (MARKS[mark], "ann")}
    assert (MAPPED, 3) in world.queue, "its place in the window is another's"


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize(
    "outcome", [(A.SUCCESS, None), (A.CANCELLED, None), GIVEN_UP, (A.LOST, None), (A.SKIPPED, None)]
)
def test_a_live_instance_is_told_to_end_and_has_that_end_then_whatever_its_attempt_says(
    mark: TaskEvent, outcome: Outcome
) -> None:
    world = begun()
    world.claim((MAPPED, 0))
    world.mark(mark, 0)
    assert world.told == {(MAPPED, 0)} and state(world, 0) == "released"
    effects = world.end((MAPPED, 0), outcome)
    assert state(world, 0) == MARKS[mark].name.lower() and (MAPPED, 0) not in world.queue
    assert not effects.dead_letters and not world.board.maps[MAPPED].marks


@pytest.mark.parametrize("mark", MARKS)
def test_an_instance_that_was_not_released_yet_is_passed_over(mark: TaskEvent) -> None:
    world = begun(length=5, window=2, ratio=0.2)
    world.mark(mark, 2, 4)
    assert [state(world, index) for index in (2, 4)] == [MARKS[mark].name.lower()] * 2
    assert sorted(world.queue) == [(MAPPED, 0), (MAPPED, 1)]
    world.finish()
    assert {index for task, index in world.made if task == MAPPED} == {0, 1, 3}
    assert world.board.state is RunState.SUCCESS


@pytest.mark.parametrize("mark", MARKS)
def test_an_instance_that_a_pause_holds_has_its_end_at_once(mark: TaskEvent) -> None:
    world = begun(length=2, ratio=0.5)
    world.step(RunPaused((MAPPED,), "ann"))
    assert world.board.maps[MAPPED].held.keys() == {0, 1}
    world.mark(mark, 0)
    assert state(world, 0) == MARKS[mark].name.lower() and world.board.maps[MAPPED].held.keys() == {1}
    world.step(RunResumed((), "ann"))
    world.finish()
    assert whole(world) == "success" and (MAPPED, 0) not in world.made


@pytest.mark.parametrize("mark", MARKS)
def test_an_instance_that_was_to_run_again_does_not(mark: TaskEvent) -> None:
    world = begun(length=1, window=1)
    world.claim((MAPPED, 0))
    world.step(TasksCleared((MAPPED,), True, "", {MAPPED: 1}, {MAPPED: (0,)}, False, world.parts([MAPPED], [0])))
    world.mark(mark, 0)
    world.end((MAPPED, 0))
    assert state(world, 0) == MARKS[mark].name.lower() and not world.queue.keys() & {(MAPPED, 0)}
    assert whole(world) == MARKS[mark].name.lower()


def test_a_clear_takes_the_place_of_a_mark_that_waits_for_an_attempt_to_end() -> None:
    world = begun(length=1, window=1)
    world.claim((MAPPED, 0))
    world.mark(SKIPPED, 0)
    effects = world.step(
        TasksCleared((MAPPED,), True, "", {MAPPED: 1}, {MAPPED: (0,)}, False, world.parts([MAPPED], [0]))
    )
    assert effects.instance_marks == {(MAPPED, 0): None}
    world.end((MAPPED, 0))
    assert world.queue[MAPPED, 0].attempt_number == 2


@pytest.mark.parametrize("word", [TasksCancelled((MAPPED,)), TasksMarked((MAPPED,), SUCCESS), RunCancelled("enough")])
def test_what_is_said_of_the_whole_takes_the_place_of_a_mark_that_waits(word: TasksCancelled) -> None:
    world = begun(length=1, window=1)
    world.claim((MAPPED, 0))
    world.mark(SKIPPED, 0)
    assert world.step(word).instance_marks == {(MAPPED, 0): None}
    world.end((MAPPED, 0), (A.CANCELLED, None))
    assert state(world, 0) == "cancelled"


@pytest.mark.parametrize(
    ("index", "told", "at_once"), [(LIVE, True, "released"), (QUEUED, False, "cancelled"), (LATER, False, "cancelled")]
)
def test_an_instance_that_has_not_ended_is_cancelled(index: int, told: bool, at_once: str) -> None:
    world = everywhere()
    world.mark(CANCEL, index)
    assert bool(world.told) is told and state(world, index) == at_once
    world.finish()
    assert state(world, index) in ("cancelled", "success") if told else state(world, index) == "cancelled"
    assert [state(world, each) for each in range(5) if each != index] == ["success"] * 4


def test_a_cancel_of_what_has_ended_is_refused_and_of_what_is_cancelled_changes_nothing() -> None:
    world = everywhere()
    with pytest.raises(StateConflict, match=r"t1\[2\] has already ended: success"):
        world.mark(CANCEL, ENDED)
    world.mark(CANCEL, QUEUED)
    effects = world.mark(CANCEL, QUEUED)
    assert not effects.changes and not effects.withdrawals


@pytest.mark.parametrize("mark", MARKS)
def test_the_same_again_changes_nothing(mark: TaskEvent) -> None:
    world = everywhere()
    places = (QUEUED, ENDED, LATER)
    world.mark(mark, *places)
    effects = world.mark(mark, *places)
    assert not effects.changes and not effects.instance_marks and not effects.releases


def failed(ratio: float = 1.0, **fields: object) -> MapWorld:
    """Of two instances the second has been given up, and the run with it."""
    world = begun(length=2, ratio=ratio, **fields)
    for index in range(2):
        world.claim((MAPPED, index))
    world.end((MAPPED, 0))
    world.end((MAPPED, 1), GIVEN_UP)
    return world


@pytest.mark.parametrize("mark", [SUCCESS, SKIPPED])
def test_a_task_that_failed_by_an_instance_ends_well_when_that_is_marked_and_nothing_runs(mark: TaskEvent) -> None:
    world = failed()
    assert (whole(world), whole(world, AFTER), world.board.state) == ("failed", "upstream_failed", RunState.FAILED)
    effects = world.mark(mark, 1)
    assert effects.answered == [(MAPPED, 1)], "its dead letter is answered"
    assert whole(world) == "success" and whole(world, AFTER) == "upstream_failed"
    assert world.board.state is RunState.FAILED and not effects.releases


def test_a_task_that_succeeded_fails_when_too_many_are_marked_failed() -> None:
    world = begun(length=4, window=4, ratio=0.5)
    world.finish()
    assert world.board.state is RunState.SUCCESS
    world.mark(FAILED, 0, 1)
    assert whole(world) == "success" and world.board.state is RunState.SUCCESS, "half of them is enough"
    world.mark(FAILED, 2)
    assert whole(world) == "failed" and world.board.state is RunState.FAILED


def test_a_task_is_skipped_when_all_that_is_left_of_it_is_marked_skipped() -> None:
    world = begun(length=3, window=1)
    world.mark(SKIPPED, 0, 1, 2)
    assert (whole(world), whole(world, AFTER), world.board.state) == ("skipped", "skipped", RunState.SUCCESS)


def test_what_waits_for_one_good_instance_is_let_go_when_one_is_marked() -> None:
    """A map that has failed counts as its instances; the task behind it still waits for another upstream."""
    world = begun(length=2, rule=TriggerRule.ALL_DONE)
    world.step(RunPaused((AFTER,), "ann"))
    for index in range(2):
        world.claim((MAPPED, index))
        world.end((MAPPED, index), GIVEN_UP)
    assert whole(world) == "failed" and world.board.tally is not None
    assert (world.board.tally.good[AFTER], world.board.tally.bad[AFTER]) == (0, 1)
    world.mark(SUCCESS, 0)
    assert whole(world) == "failed"
    assert (world.board.tally.good[AFTER], world.board.tally.bad[AFTER]) == (1, 1)


def test_a_cancelled_task_stays_so_unless_its_instances_come_to_a_success() -> None:
    world = begun(length=3, window=1)
    world.step(TasksCancelled((MAPPED,)))
    assert whole(world) == "cancelled"
    world.mark(SUCCESS, 0, 2)
    assert whole(world) == "cancelled", "one was never released"
    world.mark(SUCCESS, 1)
    assert whole(world) == "success"


def test_a_task_that_cannot_succeed_because_some_were_cancelled_has_failed() -> None:
    world = begun(length=2, window=2, ratio=0.5)
    world.mark(CANCEL, 0)
    world.finish()
    assert whole(world) == "success"
    world.mark(SKIPPED, 1)
    assert whole(world) == "failed"


def test_a_task_that_was_marked_as_a_whole_stays_as_marked() -> None:
    world = failed()
    world.step(TasksMarked((MAPPED,), SUCCESS, "good enough"))
    world.mark(FAILED, 0)
    assert state(world, 0) == "failed" and whole(world) == "success"


def test_a_mark_of_failed_beyond_the_share_ends_a_run_that_fails_fast() -> None:
    world = begun(length=4, window=4, ratio=0.5, fail_fast=True)
    world.claim((MAPPED, 3))
    world.mark(FAILED, 0, 1)
    assert not world.told
    world.mark(FAILED, 2)
    assert world.told == {(MAPPED, 3)}
    world.end((MAPPED, 3))
    assert whole(world) == "failed" and world.board.state is RunState.FAILED


def test_a_live_instance_marked_failed_ends_a_run_that_fails_fast_once_it_has_ended() -> None:
    world = begun(length=2, window=2, fail_fast=True)
    world.claim((MAPPED, 0))
    world.mark(FAILED, 0)
    assert (MAPPED, 1) in world.queue
    world.end((MAPPED, 0), (A.CANCELLED, None))
    assert not world.queue and world.board.state is RunState.FAILED


@pytest.mark.parametrize("length", [1, 3])
@pytest.mark.parametrize("marked", [True, False])
def test_the_last_instance_that_is_out_ends_its_task_once_when_that_ends_the_run(length: int, marked: bool) -> None:
    world = begun(length=length, window=1, fail_fast=True)
    world.claim((MAPPED, 0))
    if marked:
        world.mark(FAILED, 0)
    effects = world.end((MAPPED, 0), GIVEN_UP)
    assert whole(world) == "failed" and world.board.state is RunState.FAILED
    assert effects.changes.count((MAPPED, -1, S.FAILED)) == 1


def test_a_cancel_of_an_instance_is_no_failure_that_ends_a_run() -> None:
    world = begun(length=4, window=4, ratio=0.5, fail_fast=True)
    for index in range(2):
        world.claim((MAPPED, index))
        world.end((MAPPED, index), GIVEN_UP)
    world.mark(CANCEL, 2)
    assert (MAPPED, 3) in world.queue
    world.finish()
    assert whole(world) == "failed" and state(world, 3) == "success"


def test_who_marks_an_instance_failed_wants_no_other_try_of_the_run() -> None:
    world = begun(length=1, window=1, run_retries_max=2)
    world.mark(FAILED, 0)
    assert world.board.state is RunState.FAILED


def test_a_rerun_runs_what_was_marked_failed_also_what_was_never_released() -> None:
    world = begun(length=4, window=1)
    world.mark(FAILED, 1, 3)
    world.finish()
    assert whole(world) == "failed"
    tasks = (MAPPED, AFTER)
    effects = world.step(TasksCleared(tasks, True, "", world.attempts(tasks), {}, True, world.parts(tasks)))
    assert effects.instance_marks == {(MAPPED, 1): None, (MAPPED, 3): None}
    world.finish()
    assert world.board.state is RunState.SUCCESS
    assert {key: number for key, number in world.made.items() if key[0] == MAPPED} == {
        (MAPPED, 0): 1, (MAPPED, 1): 1, (MAPPED, 2): 1, (MAPPED, 3): 1
    }  # fmt: skip


def test_what_was_marked_ahead_and_is_cleared_is_released_when_its_turn_comes() -> None:
    world = begun(length=3, window=1)
    world.mark(SUCCESS, 2)
    tasks = (MAPPED, AFTER)
    world.step(TasksCleared(tasks, True, "", {}, {MAPPED: (2,)}, False, world.parts(tasks, [2])))
    assert state(world, 2) == "scheduled" and not world.board.maps[MAPPED].ahead
    world.finish()
    assert sorted(index for task, index in world.made if task == MAPPED) == [0, 1, 2]
    assert world.board.state is RunState.SUCCESS


def test_nothing_is_said_of_instances_of_what_is_being_ended_as_a_whole() -> None:
    world = begun()
    world.claim((MAPPED, 0))
    world.step(TasksCancelled((MAPPED,)))
    for mark in (CANCEL, *MARKS):
        with pytest.raises(StateConflict, match="task t1 is being ended as a whole"):
            world.mark(mark, 0)


def test_nothing_is_said_of_instances_of_a_run_that_is_being_cancelled_or_has_not_started() -> None:
    world = begun()
    world.claim((MAPPED, 0))
    world.step(RunCancelled("enough"))
    with pytest.raises(StateConflict, match="the run is being cancelled"):
        world.mark(SUCCESS, 0)
    fresh = MapWorld(map_graph(MapPolicy(1)), 1)
    with pytest.raises(StateConflict, match="the run has not started"):
        fresh.step(InstancesMarked(MAPPED, (0,), SUCCESS))


def test_the_board_names_so_many_instances_that_have_their_end_before_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(map_marks, "AHEAD_MAX", 2)
    world = begun(length=9, window=1)
    world.mark(SUCCESS, 7, 8)
    with pytest.raises(
        LimitExceeded, match="would have 3 instances with an end that were not released, expected at most 2"
    ):
        world.mark(SUCCESS, 6)


def test_a_map_under_a_pause_of_which_nothing_is_out_has_not_ended() -> None:
    world = begun(length=2, window=1)
    world.claim((MAPPED, 0))
    world.step(RunPaused((MAPPED,), "ann"))
    world.end((MAPPED, 0))
    assert whole(world) == "released" and world.board.maps[MAPPED].left == 1
    world.step(RunResumed((), "ann"))
    world.finish()
    assert world.board.maps[MAPPED].success == 2


@pytest.mark.parametrize(
    ("word", "end"),
    [
        (TasksCancelled((MAPPED,)), "cancelled"),
        (TasksMarked((MAPPED,), SKIPPED), "skipped"),
        (RunCancelled("enough"), "cancelled"),
        (TasksCleared((MAPPED,), True, "", {MAPPED: 1}), "scheduled"),
    ],
)
def test_a_map_under_a_pause_of_which_nothing_is_out_does_what_it_is_told(word: TasksCancelled, end: str) -> None:
    world = begun(length=2, window=1)
    world.claim((MAPPED, 0))
    world.step(RunPaused((MAPPED,), "ann"))
    world.end((MAPPED, 0))
    world.step(word)
    assert whole(world) == end


def test_readers_see_what_was_said_of_an_instance_and_the_counts_follow() -> None:
    world = everywhere()
    world.mark(SKIPPED, QUEUED, LATER, reason="by ann")
    counts = world.board.maps[MAPPED]
    shown = counts_of(counts, RowCounts(running=1, queued=1), False)
    assert (shown["total"], shown["scheduled"], shown["skipped"], shown["success"]) == (5, 0, 2, 1)
    marks = {QUEUED: (int(S.SKIPPED), "by ann"), LATER: (int(S.CANCELLED), ""), LIVE: (int(S.FAILED), "to come")}
    facts = InstanceFacts((), ["{}"] * 2, marks)
    views = instance_views(world.board, MAPPED, RunRows(), (QUEUED, LATER), facts)
    assert [(each.state.value, each.reason) for each in views] == [
        ("skipped", "marked: by ann"),
        ("cancelled", "cancelled by an operator"),
    ]
    assert facts.mark_of(world.board, MAPPED, LIVE, True) is None, "it runs still"


def test_boards_of_servers_that_knew_no_marks_are_read() -> None:
    world = begun()
    packed = world.board.pack()
    again = Board.unpack(3, packed, world.board.state, world.board.intent)
    assert again.maps[MAPPED].ahead == set() and b"[4, 3, 0, 0, 0, 0, false, [], []]" in packed
