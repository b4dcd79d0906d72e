"""Teardowns that are mapped: no end of their run, nor a failure of theirs, leaves one half done."""

from __future__ import annotations

import pytest
from map_world import AFTER, BEFORE, MAPPED, MapWorld, map_graph
from run_world import HOPELESS, A, S

from glidepath_server.core.compile import with_roles
from glidepath_server.core.events import RunCancelled, RunPaused, RunTimedOut
from glidepath_server.core.graph import MapPolicy, TaskRole
from glidepath_server.core.states import RunState, TaskEvent
from glidepath_server.core.trigger_rules import TriggerRule


def taking_down(**fields: object) -> MapWorld:
    """A teardown of two instances, one at a time, of which the first is queued; one task waits for its end."""
    graph = map_graph(MapPolicy(1), rule=TriggerRule.ALL_DONE, **fields)  # type: ignore[arg-type]
    world = MapWorld(with_roles(graph, [TaskRole.SETUP, TaskRole.TEARDOWN, TaskRole.WORK]), 2)
    world.start()
    world.claim((BEFORE, -1))
    world.end((BEFORE, -1))
    return world


@pytest.mark.parametrize("tasks", [(), (MAPPED,)])
@pytest.mark.parametrize(
    ("word", "end"), [(RunCancelled("enough"), RunState.CANCELLED), (RunTimedOut("too long"), RunState.FAILED)]
)
@pytest.mark.parametrize("is_out", [True, False])
def test_what_a_pause_holds_of_one_goes_on_when_its_run_is_ended(
    tasks: tuple[int, ...], word: RunCancelled | RunTimedOut, end: RunState, is_out: bool
) -> None:
    """Held in its queue; or with nothing out, and the rest of it yet to be released."""
    world = taking_down()
    if not is_out:
        world.claim((MAPPED, 0))
    world.step(RunPaused(tasks, "ann"))
    if not is_out:
        world.end((MAPPED, 0))
    assert not world.queue
    world.step(word)
    world.finish()
    assert world.states == {0: S.SUCCESS, 1: S.SUCCESS} and world.board.states[MAPPED] == S.SUCCESS
    assert world.board.state is end


@pytest.mark.parametrize("marked", [True, False])
def test_an_instance_of_one_that_fails_ends_no_run_that_fails_fast(marked: bool) -> None:
    world = taking_down(fail_fast=True)
    if marked:
        world.mark(TaskEvent.MARK_FAILED, 0)
    else:
        world.claim((MAPPED, 0))
        world.end((MAPPED, 0), (A.FAILED, HOPELESS))
    world.finish()
    assert [*world.board.states] == [S.SUCCESS, S.FAILED, S.SUCCESS], "all of it has run, and what waits for it"
    assert world.states == {0: S.FAILED, 1: S.SUCCESS} and (AFTER, -1) in world.made
    assert world.board.state is RunState.SUCCESS
