"""`run_dag` runs what DAGs call: by id, as objects, in loops, made at run time, one in another."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from glidepath import AuthoringError, Call, Fail, call_dag, current, dag, loop, task
from glidepath.testing import run_dag


@task
def double(number: int) -> int:
    return 2 * number


@task
def add(left: int, right: int) -> dict[str, Any]:
    return {"sum": left + right, "done": left + right > 20}


@dag
def doubling(number: int) -> None:
    add(double(number), 1)


@task
def grow(number: int, before: int | None) -> int:
    return 1 if before is None else before * number


@dag
def growing(number: int = 1, before: int | None = None) -> None:
    grow(number, before)


def is_large(size: int) -> bool:
    return size >= 20


@task
def show(value: object) -> object:
    return value


def test_a_call_by_object_has_the_outputs_of_the_last_tasks_by_id() -> None:
    @dag
    def calling() -> None:
        show(call_dag(doubling, {"number": 4}))

    result = run_dag(calling).check()
    assert result["show"].output == {"add": {"sum": 9, "done": False}}
    (child,) = result["doubling"].child_runs
    assert child["double"].output == 8


def test_a_call_by_id_needs_the_dag_and_gives_the_output_that_it_names() -> None:
    @dag
    def calling(number: int) -> None:
        show(call_dag("doubling", {"number": number}, output="add", task_id="call")["sum"])

    assert run_dag(calling, {"number": 5}, dags=[doubling]).check()["show"].output == 11
    failed = run_dag(calling, {"number": 5})
    assert failed["call"].failure is not None and failed["call"].failure.bad_input
    assert failed["call"].reason == ("there is no DAG 'doubling' in this test; run_dag(dags=[...]) has: calling")


def test_params_that_do_not_fit_fail_the_call_for_good() -> None:
    @dag
    def calling() -> None:
        call_dag(doubling, {"nombre": 5}, retries=3)

    result = run_dag(calling)
    assert [each.state for each in result["doubling"].attempts] == ["failed"]
    assert "has no param ['nombre']" in result["doubling"].reason


def test_a_child_run_that_fails_is_a_failed_attempt_and_each_retry_a_new_run() -> None:
    @task
    def breaks() -> None:
        raise Fail("no")

    @dag
    def breaking() -> None:
        breaks()

    @dag
    def calling() -> None:
        call_dag(breaking, retries=2)

    result = run_dag(calling)
    assert [each.state for each in result["breaking"].attempts] == ["failed"] * 3
    assert len(result["breaking"].child_runs) == 3
    assert "breaks: " in result["breaking"].reason


def test_a_loop_goes_on_until_its_function_says_so_and_hands_on_what_a_round_gave() -> None:
    @dag
    def calling() -> None:
        show(loop(growing, until=is_large, output="grow", iteration="number", previous="before", task_id="loop"))

    result = run_dag(calling).check()
    assert result["show"].output == 24
    assert [each["grow"].output for each in result["loop"].child_runs] == [1, 2, 6, 24]
    assert [each.state for each in result["loop"].attempts] == ["called"] * 4 + ["success"]


def test_a_loop_by_a_key_ends_when_it_is_true_and_one_that_never_ends_fails() -> None:
    @dag
    def calling(number: int) -> None:
        loop(doubling, {"number": number}, until="done", output="add", iterations_max=3, task_id="loop")

    assert len(run_dag(calling, {"number": 10}).check()["loop"].child_runs) == 1
    result = run_dag(calling, {"number": 1})
    assert len(result["loop"].child_runs) == 3
    assert "not done after 3 iterations" in result["loop"].reason


def test_a_loop_by_a_key_that_is_no_boolean_fails() -> None:
    @dag
    def calling() -> None:
        loop(doubling, {"number": 1}, until="sum", output="add", task_id="loop")

    assert "the loop ends by the key 'sum'" in run_dag(calling)["loop"].reason


def test_a_retry_of_a_loop_begins_with_the_round_that_failed() -> None:
    tries: list[int] = []

    @task
    def once_more(number: int) -> bool:
        tries.append(number)
        if tries.count(2) == 1 and number == 2:
            raise ValueError("not yet")
        return number == 3

    @dag
    def rounds(number: int) -> None:
        once_more(number)

    @dag
    def calling() -> None:
        loop(rounds, until=bool, output="once_more", iteration="number", retries=1, task_id="loop")

    run_dag(calling).check()
    assert tries == [1, 2, 2, 3]


def test_a_body_calls_a_dag_that_it_has_just_made() -> None:
    @task
    def make(count: int) -> Call:
        @dag
        def made() -> None:
            for number in range(count):
                double(number)

        return Call(made)

    @dag
    def calling() -> None:
        show(make(3))

    assert run_dag(calling).check()["show"].output == {"double": 0, "double_2": 2, "double_3": 4}


def test_a_body_may_be_called_again_with_how_its_child_run_ended() -> None:
    @task
    async def ask(number: int) -> object:
        child = current().child
        if child is None:
            raise Call("doubling", {"number": number}, output="double", resume=True, checkpoint=b"asked")
        return [child.state, child.output, current().checkpoint.decode()]

    @dag
    def calling() -> None:
        ask(3)

    assert run_dag(calling, dags=[doubling]).check()["ask"].output == ["success", 6, "asked"]


def test_a_call_is_mapped_over_lists_of_params() -> None:
    @dag
    def calling() -> None:
        show(call_dag(doubling, map={"number": [1, 2, 3]}, output="double", task_id="each"))

    result = run_dag(calling).check()
    assert result["show"].output == [2, 4, 6]
    assert [len(each.child_runs) for each in result["each"].instances] == [1, 1, 1]


def test_a_dag_that_calls_itself_goes_no_deeper_than_it_may() -> None:
    @dag
    def endless() -> None:
        call_dag("endless")

    result = run_dag(endless)
    depth = 0
    while result["endless"].child_runs:
        (result,) = result["endless"].child_runs
        depth += 1
    assert depth == 10
    assert "child runs may be nested 10 deep" in result["endless"].reason


def test_the_time_of_a_child_run_is_its_callers_and_counts_for_its_timeout() -> None:
    @task
    def later() -> None:
        from glidepath import Defer

        if not current().checkpoint:
            raise Defer(after="10m", checkpoint=b"waited")

    @dag
    def slow() -> None:
        later()

    @dag
    def calling() -> None:
        call_dag(slow, task_id="patient")
        call_dag(slow, task_id="hasty", timeout="1m")

    begin = datetime(2026, 1, 1, tzinfo=UTC)
    result = run_dag(calling, start_time=begin)
    assert result["patient"].attempts[0].end_time == begin + timedelta(minutes=10)
    assert [each.state for each in result["hasty"].attempts] == ["timed_out"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: call_dag("a b"), "call of 'a b': expected a dag_id"),
        (lambda: call_dag("train", version=1, alias="production"), "version and alias are both given"),
        (lambda: call_dag("train", ["day"]), "params is ['day']; expected a dict"),
        (lambda: loop("train", until=""), "until is empty"),
        (lambda: loop("train", until=7), "until is 7; expected a function"),
        (lambda: loop("train", until="done", iterations_max=0), "iterations_max is 0; expected 1 to 1,000"),
        (lambda: call_dag("train", retries=-1), "retries"),
    ],
)
def test_what_is_written_wrongly_is_said_at_once(wrong: Any, said: str) -> None:
    @dag
    def calling() -> None:
        wrong()

    with pytest.raises(AuthoringError, match=said.replace("[", r"\[").replace("]", r"\]")):
        assert calling.nodes


def test_two_dags_of_one_id_are_not_called_as_objects() -> None:
    from glidepath.authoring.convert import called_dags

    @dag(dag_id="doubling")
    def other() -> None:
        double(1)

    @dag
    def calling() -> None:
        call_dag(doubling, {"number": 1}, task_id="one")
        call_dag(other, task_id="two")

    with pytest.raises(AuthoringError, match="two DAGs with the id 'doubling'"):
        called_dags(calling)
