"""Tasks that steer others: branches, short circuits, setups with their teardowns, and runs that fail fast."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

import pytest
from run_world import BROKEN, NOW, A, S, World, graph_of

from glidepath_server.core.advance import advance
from glidepath_server.core.board import Board
from glidepath_server.core.branching import CHOICE_BYTES_MAX, NoChoice, choice_of
from glidepath_server.core.compile import compile_graph, with_roles
from glidepath_server.core.definition import DagSpec, Handler, TaskSpec
from glidepath_server.core.effects import Effects
from glidepath_server.core.events import (
    AttemptEnded,
    RunCancelled,
    RunStarted,
    RunTimedOut,
    TasksCancelled,
    TasksCleared,
    TasksMarked,
    event_from_json,
    event_to_json,
)
from glidepath_server.core.failure import Failure
from glidepath_server.core.graph import TaskRole
from glidepath_server.core.retry import RetryPolicy
from glidepath_server.core.states import AttemptState, RunState, TaskEvent, TaskState
from glidepath_server.core.trigger_rules import TriggerRule

R, T = TriggerRule, TaskRole


def run_of(
    upstream: Sequence[Sequence[int]],
    roles: dict[int, TaskRole] | None = None,
    rules: dict[int, TriggerRule] | None = None,
    *,
    retries: int = 0,
    fail_fast: bool = False,
) -> World:
    """A started run; what is not said of a task is that it does work when all went well."""
    size = len(upstream)
    graph = graph_of(
        upstream,
        [(rules or {}).get(t, R.ALL_SUCCESS) for t in range(size)],
        [RetryPolicy(retries)] * size,
        fail_fast=fail_fast,
    )
    world = World(
        with_roles(graph, [(roles or {}).get(t, T.WORK) for t in range(size)]), [[[]]] * size, random.Random(0)
    )
    world.step(RunStarted())
    return world


def end(
    world: World,
    task: int,
    outcome: AttemptState = A.SUCCESS,
    failure: Failure | None = None,
    choice: tuple[int, ...] | None = None,
) -> Effects:
    """Claim the task if need be, and end its attempt."""
    if task in world.queue:
        world.claim(task)
    held, told = world.live[task], task in world.told_to_end
    number, counts = held.attempt_number, (held.tries, held.losses, held.redeliveries)
    return world.step(AttemptEnded(task, -1, number, outcome, *counts, failure, "", told, choice))


def states(world: World) -> str:
    """A letter for each task: what it waits for (.), that it is out (r), or how it ended."""
    return "".join({S.SCHEDULED: ".", S.RELEASED: "r"}.get(S(state), S(state).name[0]) for state in world.board.states)


# ---- branches
DIAMOND = [[], [0], [0], [1, 2]]


def test_a_branch_leaves_out_what_it_does_not_follow() -> None:
    world = run_of(DIAMOND, {0: T.BRANCH}, {3: R.NONE_FAILED_MIN_ONE_SUCCESS})
    end(world, 0, choice=(1,))
    assert states(world) == "SrS."
    assert world.board.states[2] == TaskState.SKIPPED
    end(world, 1)
    assert end(world, 3).run_state is RunState.SUCCESS


def test_a_branch_that_follows_nothing_leaves_out_all() -> None:
    world = run_of(DIAMOND, {0: T.BRANCH})
    assert end(world, 0, choice=()).run_state is RunState.SUCCESS
    assert set(world.board.states[1:]) == {S.SKIPPED}


def test_what_is_downstream_of_a_chosen_task_is_not_left_out() -> None:
    world = run_of([[], [0], [0, 1]], {0: T.BRANCH})
    end(world, 0, choice=(1,))
    end(world, 1)
    assert states(world) == "SSr"


@pytest.mark.parametrize("branch_first", [True, False])
@pytest.mark.parametrize(("outcome", "failure"), [(A.SUCCESS, None), (A.FAILED, BROKEN)])
@pytest.mark.parametrize("rule", [R.ALL_SUCCESS, R.ONE_SUCCESS, R.ONE_FAILED, R.ONE_DONE, R.ALL_DONE])
def test_what_is_left_out_does_not_depend_on_the_order(
    branch_first: bool, outcome: AttemptState, failure: Failure | None, rule: TriggerRule
) -> None:
    world = run_of([[], [], [0, 1]], {0: T.BRANCH}, {2: rule})
    for task in (0, 1) if branch_first else (1, 0):
        assert task == 0 or world.board.states[2] in (S.SCHEDULED, S.SKIPPED)
        end(world, task, *((A.SUCCESS, None, ()) if task == 0 else (outcome, failure)))
    assert world.board.states[2] == S.SKIPPED


def test_a_branch_that_fails_leaves_nothing_out() -> None:
    world = run_of(DIAMOND, {0: T.BRANCH}, {1: R.ALL_DONE})
    end(world, 0, A.FAILED, BROKEN)
    assert [S(state) for state in world.board.states[1:3]] == [S.RELEASED, S.UPSTREAM_FAILED]


def test_what_always_runs_is_not_left_out() -> None:
    world = run_of(DIAMOND, {0: T.BRANCH}, {1: R.ALWAYS})
    assert states(world) == "rr.."
    end(world, 0, choice=())
    assert world.board.states[1] == S.RELEASED


def test_a_short_circuit_leaves_out_all_that_comes_after_it() -> None:
    rules = {2: R.ALL_DONE, 3: R.ONE_SUCCESS}
    world = run_of([[], [0], [1], [2, 4], []], {0: T.SHORT_CIRCUIT}, rules)
    end(world, 4)
    assert world.board.states[3] == S.SCHEDULED, "it may yet be left out"
    assert end(world, 0, choice=()).run_state is RunState.SUCCESS
    assert [S(state) for state in world.board.states[1:4]] == [S.SKIPPED] * 3


@pytest.mark.parametrize("outcome", [A.SUCCESS, A.SKIPPED])
def test_what_a_short_circuit_does_not_leave_out_goes_by_its_rule(outcome: AttemptState) -> None:
    world = run_of([[], [0], [1, 3], []], {0: T.SHORT_CIRCUIT}, {2: R.ONE_SUCCESS})
    end(world, 3)
    end(world, 0, outcome, choice=(1,) if outcome is A.SUCCESS else None)
    assert world.board.states[2] == S.RELEASED


def test_a_choice_outlives_the_replica_and_a_clear_of_others() -> None:
    world = run_of([[], [], [0, 1]], {0: T.BRANCH})
    end(world, 0, choice=())
    end(world, 1)
    board = world.board
    world.board = Board.unpack(3, board.pack(), board.state, board.intent)
    world.clear([1])
    end(world, 1)
    assert world.board.states[2] == S.SKIPPED


def test_a_branch_that_runs_again_chooses_again() -> None:
    world = run_of(DIAMOND, {0: T.BRANCH})
    end(world, 0, choice=(1,))
    end(world, 1)
    world.clear([0])
    assert world.board.choices == {}
    end(world, 0, choice=(2,))
    assert states(world) == "SSr."
    assert world.board.states[1] == S.SKIPPED


def test_a_choice_is_kept_where_an_event_waits() -> None:
    event = AttemptEnded(3, -1, 1, A.SUCCESS, 0, 0, 0, choice=(4, 5))
    assert event_from_json(event_to_json(event)) == event


# ---- what a branch says
def spec_of(*tasks: TaskSpec) -> DagSpec:
    return DagSpec("dag", tasks)


def task(task_id: str, *upstream: str, group: str = "", role: TaskRole = T.WORK) -> TaskSpec:
    return TaskSpec(task_id, Handler("h"), group_id=group, upstream_task_ids=upstream, role=role)


CHOOSING = spec_of(
    task("choose", role=T.BRANCH),
    task("deploy", "choose"),
    task("tune.fast", "choose", group="tune"),
    task("tune.slow.grid", "choose", group="tune.slow"),
    task("tunes", "choose", group="tunes"),
    task("later", "deploy"),
)


@pytest.mark.parametrize(
    ("output", "followed"),
    [
        (None, ()),
        (b"null", ()),
        (b"[]", ()),
        (b'"deploy"', (1,)),
        (b'["deploy", "tune.fast", "deploy"]', (1, 2)),
        (b'"tune"', (2, 3)),
        (b'"tune.slow"', (3,)),
    ],
)
def test_what_a_branch_follows(output: bytes | None, followed: tuple[int, ...]) -> None:
    assert choice_of(CHOOSING, compile_graph(CHOOSING), 0, output) == followed


@pytest.mark.parametrize(
    ("output", "says"),
    [
        (
            b'"deplyo"',
            'returned "deplyo"; expected ids of tasks directly downstream: deploy, tune.fast, tune.slow',
        ),
        (b'"later"', 'returned "later"'),
        (b'["deploy", 7]', "returned 7"),
        (b"{}", "returned {}"),
        (b'"tun"', 'returned "tun"'),
        (b'""', 'returned ""'),
        (b"[" * 60_000, "nested too deeply"),
        (b"NaN", "NaN is not JSON"),
        (b"deploy", "no JSON"),
        (b"\xff", "no JSON"),
        (b'"' + b"x" * CHOICE_BYTES_MAX + b'"', f"expected at most {CHOICE_BYTES_MAX}"),
    ],
)
def test_what_is_no_choice_is_told(output: bytes, says: str) -> None:
    with pytest.raises(NoChoice) as told:
        choice_of(CHOOSING, compile_graph(CHOOSING), 0, output)
    assert says in str(told.value) and len(str(told.value)) < 600


@pytest.mark.parametrize("output", [b"\x00\x01", b"NaN", b"[" * 60_000, b" " * (CHOICE_BYTES_MAX + 1)])
def test_a_short_circuit_goes_on_for_what_is_none_of_the_false_values(output: bytes) -> None:
    spec = spec_of(task("enough", role=T.SHORT_CIRCUIT), task("a", "enough"))
    assert choice_of(spec, compile_graph(spec), 0, output) == (1,)


@pytest.mark.parametrize("value", [True, 1, "yes", [0], {"a": 1}, False, 0, "", [], {}, None])
def test_a_short_circuit_goes_on_as_its_value_is_true(value: object) -> None:
    spec = spec_of(task("enough", role=T.SHORT_CIRCUIT), task("a", "enough"), task("b", "enough"))
    assert choice_of(spec, compile_graph(spec), 0, json.dumps(value).encode()) == ((1, 2) if value else ())


# ---- setups and teardowns: 0 sets up, 1 works, 2 takes down
LIFE = {0: T.SETUP, 2: T.TEARDOWN}
CLUSTER = [[], [0], [0, 1]]


def test_a_teardown_runs_after_a_failure_and_does_not_hide_it() -> None:
    world = run_of(CLUSTER, LIFE)
    end(world, 0)
    end(world, 1, A.FAILED, BROKEN)
    assert states(world) == "SFr"
    assert end(world, 2).run_state is RunState.FAILED


def test_a_teardown_that_fails_is_given_up_for_all_to_see_and_fails_nothing() -> None:
    world = run_of(CLUSTER, LIFE)
    end(world, 0)
    end(world, 1)
    effects = end(world, 2, A.FAILED, BROKEN)
    assert effects.run_state is RunState.SUCCESS and effects.reason == "t2: failed"
    assert [letter.task for letter in effects.dead_letters] == [2]


@pytest.mark.parametrize("setup_end", [A.FAILED, A.SKIPPED, A.CANCELLED])
def test_nothing_is_taken_down_that_was_not_set_up(setup_end: AttemptState) -> None:
    world = run_of(CLUSTER, LIFE)
    end(world, 0, setup_end, BROKEN if setup_end is A.FAILED else None)
    assert world.board.states[2] == S.SKIPPED and not world.queue


@pytest.mark.parametrize("event", [RunCancelled(), RunTimedOut()])
def test_a_run_that_is_told_to_end_takes_down_what_it_set_up(event: RunCancelled | RunTimedOut) -> None:
    world = run_of(CLUSTER, LIFE, retries=1)
    end(world, 0)
    world.claim(1)
    assert world.step(event).run_state is None
    assert world.told_to_end == {1}
    end(world, 1, A.CANCELLED)
    assert states(world) == "SCr", "the teardown is released"
    end(world, 2, A.FAILED, BROKEN)
    assert world.queue[2].attempt_number == 2, "it has its retries, too"
    final = end(world, 2).run_state
    assert final is (RunState.CANCELLED if isinstance(event, RunCancelled) else RunState.FAILED)


def test_a_cancel_before_the_setup_is_done_takes_down_what_it_may_have_made() -> None:
    world = run_of(CLUSTER, LIFE)
    world.claim(0)
    world.step(RunCancelled())
    assert states(world) == "rC."
    end(world, 0)  # it had just succeeded
    assert states(world) == "SCr"


def test_a_cancel_leaves_a_running_teardown_alone_but_one_of_its_own_does_not() -> None:
    world = run_of(CLUSTER, LIFE)
    end(world, 0)
    end(world, 1)
    world.claim(2)
    world.step(RunCancelled())
    assert not world.told_to_end
    world.step(TasksCancelled((2,)))
    assert world.told_to_end == {2}
    assert end(world, 2, A.CANCELLED).run_state is RunState.CANCELLED


def test_a_teardown_waits_for_all_that_comes_before_it_at_whatever_distance() -> None:
    # 0 sets up; 1 works for long, 2 fails at once; 3 comes after both, 4 takes down after 3 alone.
    world = run_of([[], [0], [0], [1, 2], [0, 3]], {0: T.SETUP, 4: T.TEARDOWN})
    end(world, 0)
    world.claim(1)
    end(world, 2, A.FAILED, BROKEN)
    assert states(world) == "SrFU.", "it would take away what 1 works with"
    end(world, 1)
    assert states(world) == "SSFUr"


def test_a_cancelled_run_takes_down_once_its_last_attempt_has_ended() -> None:
    world = run_of([[], [0], [1], [0, 2]], {0: T.SETUP, 3: T.TEARDOWN})
    end(world, 0)
    world.claim(1)
    world.step(RunCancelled())
    assert states(world) == "SrC."
    end(world, 1, A.CANCELLED)
    assert states(world) == "SCCr"


def test_a_queued_run_that_is_cancelled_takes_nothing_down() -> None:
    graph = graph_of([[], [0]], [R.ALL_SUCCESS] * 2, [RetryPolicy()] * 2)
    graph = with_roles(graph, [T.WORK, T.TEARDOWN])
    board = Board.fresh(2)
    effects = advance(graph, board, [RunCancelled()], NOW)
    assert effects.run_state is RunState.CANCELLED and not effects.releases


def test_a_teardown_that_was_cleared_while_it_ran_is_run_again_although_the_run_was_cancelled() -> None:
    world = run_of(CLUSTER, LIFE)
    end(world, 0)
    end(world, 1)
    world.claim(2)
    world.step(TasksCleared((0, 1, 2), cancel_running=True, attempts={0: 1, 1: 1, 2: 1}))
    assert states(world) == "r.R"
    world.claim(0)
    world.step(RunCancelled())
    end(world, 2, A.CANCELLED)
    end(world, 0)  # in spite of the cancel: what it has made must go
    assert states(world) == "SCr"


def test_a_short_circuit_does_not_leave_out_a_teardown() -> None:
    world = run_of([[], [0], [1], [0, 2]], {0: T.SETUP, 1: T.SHORT_CIRCUIT, 3: T.TEARDOWN})
    end(world, 0)
    end(world, 1, choice=())
    assert states(world) == "SSSr" and world.board.states[2] == S.SKIPPED


def test_a_teardown_without_a_setup_runs_whenever_all_before_it_has_ended() -> None:
    world = run_of([[], [0]], {1: T.TEARDOWN})
    end(world, 0, A.FAILED, BROKEN)
    assert states(world) == "Fr"


def test_what_runs_again_between_setup_and_teardown_has_all_of_it_again() -> None:
    # 0 sets up, 1 and 2 follow one another, 3 stands beside them, 4 takes down, 5 comes after all.
    upstream = [[], [0], [1], [0], [0, 2, 3], [4]]
    world = run_of(upstream, {0: T.SETUP, 4: T.TEARDOWN})
    world.drain()
    assert world.board.with_surroundings(world.graph, {2}) == {0, 1, 2, 4}
    assert world.board.with_surroundings(world.graph, {4}) == {4}
    assert world.board.with_surroundings(world.graph, {5}) == {5}
    world.clear([2])
    assert states(world) == "r..S.."
    world.drain()
    assert world.board.state is RunState.SUCCESS


def test_work_that_runs_again_before_the_teardown_leaves_the_setup_alone() -> None:
    world = run_of([[], [0], [0], [0, 1, 2]], {0: T.SETUP, 3: T.TEARDOWN})
    end(world, 0)
    end(world, 1, A.FAILED, BROKEN)
    world.claim(2)
    assert world.board.with_surroundings(world.graph, {1}) == {1}, "2 still works with what 0 has made"


def test_setups_within_setups_run_again_together() -> None:
    # 0 > 1 set up one on the other; 2 takes 0 down, after 1 has been made; 3 works on 1, 4 takes 1 down.
    world = run_of([[], [0], [0, 1], [1], [1, 3]], {0: T.SETUP, 1: T.SETUP, 2: T.TEARDOWN, 4: T.TEARDOWN})
    world.drain()
    assert world.board.with_surroundings(world.graph, {3}) == {0, 1, 2, 3, 4}


def test_what_was_marked_is_not_done_again_for_its_surroundings() -> None:
    world = run_of([[], [0], [1], [0, 2]], {0: T.SETUP, 3: T.TEARDOWN})
    end(world, 0)
    end(world, 1, A.FAILED, BROKEN)
    end(world, 3)
    world.step(TasksMarked((1,), TaskEvent.MARK_SUCCESS, "by hand"))
    assert world.board.with_surroundings(world.graph, {2, 3}) == {0, 2, 3}


# ---- failing fast
def test_a_task_that_is_marked_as_failed_ends_a_run_that_fails_fast_with_all_that_waits() -> None:
    world = run_of([[], [], [0]], fail_fast=True)
    effects = world.step(TasksMarked((0,), TaskEvent.MARK_FAILED))
    assert states(world) == "FCU" and effects.run_state is RunState.FAILED
    assert not world.queue


def test_the_first_failure_ends_a_run_that_fails_fast() -> None:
    world = run_of([[], [], [1], [0]], fail_fast=True)
    world.claim(0)
    world.claim(1)
    effects = end(world, 1, A.FAILED, BROKEN)
    assert effects.run_state is None and world.told_to_end == {0}
    assert states(world) == "rFUC"
    final = end(world, 0, A.CANCELLED)
    assert final.run_state is RunState.FAILED
    assert "t1: attempts used" in final.reason and "the first failure ends" in final.reason


def test_failing_fast_waits_for_the_retries() -> None:
    world = run_of([[], []], fail_fast=True, retries=1)
    end(world, 0, A.FAILED, BROKEN)
    assert not world.told_to_end and len(world.queue) == 2


def test_a_teardown_that_fails_does_not_end_the_run() -> None:
    world = run_of([[], [0], [0]], {0: T.SETUP, 1: T.TEARDOWN}, fail_fast=True)
    end(world, 0)
    end(world, 1, A.FAILED, BROKEN)
    assert end(world, 2).run_state is RunState.SUCCESS


def test_a_run_without_the_wish_goes_on_where_it_can() -> None:
    world = run_of([[], [], [1]])
    end(world, 0, A.FAILED, BROKEN)
    end(world, 1)
    assert states(world) == "FSr"


# ---- the stored board
def test_boards_with_and_without_choices_are_told_apart() -> None:
    for choices, bases in [({}, False), ({}, True), ({1: (2, 3)}, False), ({1: ()}, True)]:
        board = Board(bytearray([1, 10, 13, 0]), choices=dict(choices))
        if bases:
            board.raise_base(2, 7)
        again = Board.unpack(4, board.pack(), board.state, board.intent)
        assert (again.states, again.choices) == (board.states, choices)
        assert again.base(2) == (7 if bases else 0)
    with pytest.raises(ValueError, match="does not fit"):
        Board.unpack(4, bytes(19), RunState.RUNNING, board.intent)


def test_an_end_without_a_choice_is_no_choice() -> None:
    world = run_of(DIAMOND, {0: T.BRANCH})
    world.claim(0)
    advance(world.graph, world.board, [AttemptEnded(0, -1, 1, A.SUCCESS, 0, 0, 0)], NOW)
    assert states(world) == "Srr.", "who marks a branch as done has all of it run"
