"""What the run commands say, where no server is needed to know: ends, order, durations, patience."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from test_cli_pure import NOW, instance

from glidepath.errors import NotFound
from glidepath_cli import advice, ends, tree, watch
from glidepath_proto.common.v1.failure_pb2 import Failure
from glidepath_proto.run.v1 import run_pb2
from glidepath_proto.run.v1.run_service_pb2 import WatchDagRunResponse


def attempt(
    task_id: str,
    number: int,
    state: str = "failed",
    *,
    ended: float = 0,
    failure: Failure | None = None,
    reason: str = "",
) -> run_pb2.Attempt:
    """`ended` seconds after NOW."""
    made = run_pb2.Attempt(
        task_id=task_id,
        map_index=-1,
        attempt_number=number,
        state=f"ATTEMPT_STATE_{state.upper()}",
        failure=failure,
        reason=reason,
    )
    made.end_time.FromDatetime(NOW + timedelta(seconds=ended))
    return made


def line(task_id: str, number: int, at: float) -> run_pb2.LogLine:
    made = run_pb2.LogLine(task_id=task_id, map_index=-1, attempt_number=number)
    made.time.FromDatetime(NOW + timedelta(seconds=at))
    return made


def places(untold: ends.Untold, *lines: run_pb2.LogLine) -> list[str]:
    """Log lines and ends in the order in which they are printed: "a1" a line, "!a1" an end."""
    found = []
    for each in lines:
        found += [f"!{end.task_id}{end.attempt_number}" for end in untold.before(each)]
        found.append(f"{each.task_id}{each.attempt_number}")
    return found + [f"!{end.task_id}{end.attempt_number}" for end in untold.rest()]


def test_an_end_stands_between_its_own_lines_and_those_of_the_next_attempt() -> None:
    untold = ends.Untold()
    untold.add([attempt("a", 1, ended=1), attempt("a", 2, ended=3), attempt("b", 1, "success", ended=2)])
    lines = [line("a", 1, 0), line("a", 1, 0.5), line("a", 2, 2), line("b", 1, 2.1)]
    assert places(untold, *lines) == ["a1", "a1", "!a1", "a2", "b1", "!a2"]


def test_an_end_stands_before_what_others_wrote_after_it() -> None:
    untold = ends.Untold()
    untold.add([attempt("a", 1, ended=1)])
    assert places(untold, line("a", 1, 0), line("b", 1, 0.5), line("a", 1, 0.9), line("b", 1, 2)) == [
        *("a1", "b1", "a1", "!a1", "b1"),
    ]


def test_an_end_comes_before_the_next_attempt_also_where_the_clock_of_the_worker_is_late() -> None:
    untold = ends.Untold()
    untold.add([attempt("a", 1, ended=60)])
    assert places(untold, line("a", 1, 0), line("a", 2, 1)) == ["a1", "!a1", "a2"]


def test_an_end_is_told_once_though_attempts_are_read_again() -> None:
    untold = ends.Untold()
    untold.add([attempt("a", 1, ended=1), attempt("b", 1, ended=0.5)])
    assert len(untold.rest()) == 2
    untold.add([attempt("a", 1, ended=1), attempt("c", 1, "lost", ended=4)])
    assert [each.task_id for each in untold.rest()] == ["c"]


def test_an_end_tells_what_failed_and_every_cause_once() -> None:
    inner = Failure(type="OSError", message="disk full", stack_trace="at disk")
    failure = Failure(type="ValueError", message="no rows\nmore of it", causes=[inner])
    assert ends.lines(attempt("a", 1, failure=failure)) == [
        "failed: ValueError: no rows",
        "more of it",
        "caused by OSError: disk full",
        "at disk",
    ]
    chained = Failure(type="ValueError", message="no rows", stack_trace="OSError: disk full\nValueError: no rows\n")
    chained.causes.append(inner)
    assert ends.lines(attempt("a", 1, failure=chained))[1:] == ["OSError: disk full", "ValueError: no rows"]


@pytest.mark.parametrize(
    ("state", "told"), [("lost", "lost: the lease ended"), ("returned", "returned: the lease ended")]
)
def test_an_attempt_that_nothing_failed_in_has_the_servers_reason(state: str, told: str) -> None:
    made = attempt("a", 1, state, reason="the lease ended")
    assert (ends.lines(made), ends.why(made)) == ([told], "the lease ended")


def test_a_group_was_at_work_only_while_a_task_of_it_was() -> None:
    """Between the end of one generation and the clear that began the next there was none."""
    long_ago = instance("g.a", "success", started=9000, took=10)
    overlapping = instance("g.b", "success", started=8995, took=10)
    cleared = instance("g.c", "success", started=60, took=5)
    rows = tree.rows([long_ago, overlapping, cleared], NOW)
    assert rows[0].time == "20s"


def test_tasks_keep_their_place_whatever_moves_first() -> None:
    view = watch.RunView()
    names = ["extract", "train", "report"]
    view.take(WatchDagRunResponse(task_instances=[instance(name, "scheduled") for name in names]))
    for order in (["report", "extract"], ["train"], ["extract", "report", "train"]):
        view.take(WatchDagRunResponse(task_instances=[instance(name, "running") for name in order]))
        assert [row.name for row in tree.rows(view.instances.values(), NOW)] == names


def run_of(state: str) -> run_pb2.DagRun:
    return run_pb2.DagRun(dag_run_id="9f", state=f"RUN_STATE_{state.upper()}")


@pytest.mark.parametrize(
    ("run", "task", "still"),
    [("running", "queued", True), ("queued", "scheduled", True), ("running", "running", False), ("failed", "x", False)],
)
def test_a_tree_says_when_nothing_moves_though_something_should(run: str, task: str, still: bool) -> None:
    view = watch.RunView(run_of(run), [instance("a", "failed" if task == "x" else task)])
    assert view.still(view.moved_at) == ""
    later = view.still(view.moved_at + timedelta(seconds=watch.STILL_SECONDS))
    assert later.endswith("glidepath run explain 9f") if still else later == ""


class Quiet:
    """A client whose run is queued for as long as nobody has been told that it does not move."""

    def __init__(self) -> None:
        self.told = threading.Event()

    def get_run_eta(self, run_id: str) -> object:
        raise NotFound("nothing is known of it")

    def list_run_deadlines(self, *, dag_run_id: str) -> list[object]:
        return []

    def watch(self, run_id: str) -> object:
        yield WatchDagRunResponse(dag_run=run_of("running"), task_instances=[instance("a", "queued")])
        assert self.told.wait(60), "nobody was told"
        yield WatchDagRunResponse(dag_run=run_of("success"), task_instances=[instance("a", "success")])


@pytest.mark.parametrize("output", ["table", "json"])
def test_who_follows_by_lines_is_told_that_nothing_moves(monkeypatch: pytest.MonkeyPatch, output: str) -> None:
    client, said = Quiet(), list[str]()

    def say(text: str) -> None:
        said.append(text)
        client.told.set()

    monkeypatch.setattr(watch, "STILL_SECONDS", 0.01)
    monkeypatch.setattr(watch, "say", say)
    watch.follow(client, "9f", output)  # type: ignore[arg-type]
    assert len(said) == 1 and said[0].endswith("glidepath run explain 9f")


def test_a_command_stands_alone_on_its_line() -> None:
    assert advice.lines("glidepath run release 9f  # when it is mended") == [
        "glidepath run release 9f",
        "  (when it is mended)",
    ]
    assert advice.lines("glidepath dag unpause a") == ["glidepath dag unpause a"]
