"""Branches, short circuits, teardowns and runs that fail fast, in process."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from glidepath import Dag, Defer, dag, group, task
from glidepath.authoring.convert import to_spec
from glidepath.testing import run_dag
from glidepath_server.api.convert_registry import draft_in
from glidepath_server.core.advance import advance
from glidepath_server.core.board import Board
from glidepath_server.core.branching import NoChoice, choice_of
from glidepath_server.core.compile import compile_graph, topological_order
from glidepath_server.core.draft import resolve, upstream_of
from glidepath_server.core.events import AttemptEnded, RunStarted
from glidepath_server.core.states import AttemptState, TaskState


@task(role="branch")
def choose(names: Any = None) -> Any:
    return names


@task(role="short_circuit")
def enough(rows: int) -> bool:
    return rows > 10


@task(role="setup")
def create() -> str:
    return "cluster"


@task(role="teardown")
def delete(cluster: str) -> None:
    assert cluster == "cluster"


@task
def step() -> str:
    return "done"


@dag
def choosing(names: list[str] | str | None = "left") -> None:
    """choose > left, right > join"""
    first = choose(names)
    ways = [step.options(task_id=each)() for each in ("left", "right")]
    first >> ways >> step.options(task_id="join", trigger_rule="none_failed_min_one_success")()


def test_a_branch_follows_what_it_returns() -> None:
    assert run_dag(choosing).check().states == {
        "choose": "success",
        "left": "success",
        "right": "skipped",
        "join": "success",
    }
    assert run_dag(choosing, {"names": None}).states["join"] == "skipped"
    assert run_dag(choosing, {"names": ["left", "right"]}).states["right"] == "success"
    assert run_dag(choosing)["right"].reason == "left out by choose"


def test_a_branch_that_names_something_else_fails_without_a_retry() -> None:
    result = run_dag(choosing, {"names": "lefd"})
    assert result["choose"].state == "failed" and len(result["choose"].attempts) == 1
    assert "returned 'lefd'; expected ids of tasks directly downstream: left, right" in result["choose"].reason


def test_a_branch_may_name_a_group() -> None:
    @dag
    def grouped() -> None:
        first = choose("train")
        with group("train") as train:
            step()
        first >> [train, step.options(task_id="other")()]

    assert run_dag(grouped).states == {"choose": "success", "train.step": "success", "other": "skipped"}


@pytest.mark.parametrize(("rows", "state"), [(11, "success"), (10, "skipped")])
def test_a_short_circuit_goes_on_or_leaves_out_all(rows: int, state: str) -> None:
    @dag
    def short() -> None:
        enough(rows) >> step() >> step.options(task_id="last", trigger_rule="all_done")()

    assert run_dag(short).check().states == {"enough": "success", "step": state, "last": state}


@dag
def clustered() -> None:
    cluster = create()
    cluster >> step() >> delete(cluster)


def test_a_teardown_runs_after_a_failure() -> None:
    result = run_dag(clustered, fail={"step": True})
    assert result.state == "failed"
    assert result.states == {"create": "success", "step": "failed", "delete": "success"}


def test_a_teardown_that_fails_does_not_fail_the_run() -> None:
    assert run_dag(clustered, fail={"delete": True}).check().states["delete"] == "failed"


def test_what_was_not_set_up_is_not_taken_down() -> None:
    assert run_dag(clustered, fail={"create": True}).states["delete"] == "skipped"


def test_the_first_failure_ends_a_run_that_fails_fast() -> None:
    @dag(fail_fast=True)
    def fast() -> None:
        cluster = create()
        cluster >> [step.options(task_id="breaks")(), step.options(task_id="slow")()] >> delete(cluster)

    result = run_dag(fast, fail={"breaks": True}, takes={"breaks": "1s", "slow": "1h"})
    assert result.states == {"create": "success", "breaks": "failed", "slow": "cancelled", "delete": "success"}
    assert result.end_time - result.start_time == timedelta(seconds=1)


def test_a_task_that_gives_up_waiting_ends_a_run_that_fails_fast() -> None:
    def waits() -> None:
        raise Defer(after="2h")

    @dag(fail_fast=True)
    def fast() -> None:
        step.options(task_id="waits", wait_timeout="1h")()
        step.options(task_id="slow")() >> step.options(task_id="last")()

    result = run_dag(fast, replace={"waits": waits}, takes={"slow": "3h"})
    assert result.states == {"waits": "failed", "slow": "cancelled", "last": "cancelled"}
    assert result.end_time - result.start_time == timedelta(hours=1)


def test_a_run_that_fails_begins_again_where_it_failed() -> None:
    @dag(run_retries=2, run_retry_delay="10m")
    def retried() -> None:
        cluster = create()
        cluster >> step() >> step.options(task_id="last")() >> delete(cluster)

    result = run_dag(retried, fail={"step": 2}).check()
    assert [len(each.attempts) for each in result.values()] == [3, 3, 1, 3]
    first, second, third = result["create"].attempts
    assert (third.start_time - first.end_time).total_seconds() == 1200 and second.state == "success"
    assert run_dag(retried, fail={"step": 3}).state == "failed"


def test_a_retry_of_the_run_knows_nothing_of_what_a_branch_returned_before() -> None:
    @dag(run_retries=1)
    def retried() -> None:
        cluster, choice = create(), step.options(task_id="choice", role="branch")()
        cluster >> choice >> step.options(task_id="left")() >> delete(cluster)

    choices = iter(["left", None])
    result = run_dag(retried, replace={"choice": lambda: next(choices)}, fail={"left": True})
    assert result["left"].state == "skipped" and result["choice"].output is None
    assert len(result["left"].attempts) == 1


def test_a_retry_of_the_run_waits_anew() -> None:
    turns = iter([Defer(after="50m"), ValueError("broken"), Defer(after="50m"), None])

    def waits() -> None:
        if turn := next(turns):
            raise turn

    @dag(run_retries=1)
    def retried() -> None:
        step.options(wait_timeout="1h")()

    result = run_dag(retried, replace={"step": waits}).check()
    assert result.end_time - result.start_time == timedelta(minutes=100)


# ---- the test kit and the server say the same
def random_dag(chance: random.Random) -> Dag:
    @dag(dag_id="drawn")
    def drawn() -> None:
        handles: list[Any] = []
        for number in range(chance.randint(2, 9)):
            before = chance.sample(handles, min(len(handles), chance.choice([0, 1, 1, 2, 3])))
            role = chance.choice(["work", "work", "work", "branch", "short_circuit", "setup", "teardown"])
            options: dict[str, Any] = {"task_id": f"t{number}"}
            if before and role != "teardown" and chance.random() < 0.5:
                rules = ["all_done", "one_success", "one_failed", "none_failed", "none_skipped", "one_done", "always"]
                options["trigger_rule"] = chance.choice(rules)
            if role != "teardown" or before:
                options["role"] = role
            handle = step.options(**options)()
            for each in before:
                each >> handle
            handles.append(handle)

    return drawn


@pytest.mark.parametrize("first", range(0, 400, 100))
def test_a_run_in_process_ends_as_it_does_on_the_server(first: int) -> None:
    for seed in range(first, first + 100):
        chance = random.Random(seed)
        made = random_dag(chance)
        draft = draft_in(to_spec(made, None))
        spec = resolve(draft, topological_order({each.task_id: sorted(upstream_of(each)) for each in draft.tasks}))
        graph = compile_graph(spec)
        fails = [task_id for task_id in graph.task_ids if chance.random() < 0.2]
        outputs: dict[str, Any] = {}
        for index, task_id in enumerate(graph.task_ids):
            after = [graph.task_ids[each] for each in graph.downstream[index]]
            outputs[task_id] = chance.sample([*after, "nobody"] if chance.random() < 0.1 else after, min(len(after), 1))
        in_process = run_dag(made, fail=dict.fromkeys(fails, True), replace=outputs)
        board = Board.fresh(graph.size)
        releases = advance(graph, board, [RunStarted()], NOW).releases
        while releases:
            release = releases.pop(chance.randrange(len(releases)))
            task_id, choice, outcome = graph.task_ids[release.task], None, AttemptState.SUCCESS
            try:
                if release.task in graph.gated:
                    choice = choice_of(spec, graph, release.task, json.dumps(outputs[task_id]).encode())
            except NoChoice:
                outcome = AttemptState.FAILED
            outcome = AttemptState.FAILED if task_id in fails else outcome
            ended = AttemptEnded(release.task, -1, 1, outcome, 0, 0, 0, choice=choice)
            releases += advance(graph, board, [ended], NOW).releases
        on_server = {graph.task_ids[task]: TaskState(state).name.lower() for task, state in enumerate(board.states)}
        assert in_process.states == on_server, seed
        assert in_process.state == board.state.value, seed


NOW = datetime(2026, 3, 5, tzinfo=UTC)
