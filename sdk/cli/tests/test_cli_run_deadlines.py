"""What who watches a run sees of its deadlines."""

from __future__ import annotations

import io
import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from rich.console import Console

from glidepath.client import Client
from glidepath.errors import NotFound, Unavailable
from glidepath_cli import run_deadlines, watch
from glidepath_proto.run.v1.run_pb2 import DagRun, RunState
from glidepath_proto.run.v1.run_service_pb2 import WatchDagRunResponse
from glidepath_proto.schedule.v1.deadline_pb2 import DeadlineDeclaration, DeadlineState, RunDeadline

AT = datetime(2026, 11, 27, 12, tzinfo=UTC)
STATES = {name.removeprefix("DEADLINE_STATE_").lower(): number for name, number in DeadlineState.items()}


def deadline(
    state: str, due: datetime | None = AT + timedelta(hours=1, minutes=12), *, number: int = 1, task_id: str = ""
) -> RunDeadline:
    found = RunDeadline(deadline_id=number, state=STATES[state])
    found.declaration.CopyFrom(DeadlineDeclaration(name=f"d{number}", task_id=task_id))
    if due is not None:
        found.due_time.FromDatetime(due)
    found.state_time.FromDatetime(AT)
    return found


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (deadline("on_track"), "deadline d1: on track, 1h12m left, due 13:12:00Z"),
        (deadline("at_risk", task_id="load"), "deadline d1 (task load): at risk, 1h12m left, due 13:12:00Z"),
        (deadline("missed", AT - timedelta(minutes=5)), "deadline d1: missed, 5m00s over, due 11:55:00Z"),
        (deadline("met_late", AT - timedelta(minutes=6)), "deadline d1: met late, 6m00s late, due 11:54:00Z"),
        (deadline("on_track", None), "deadline d1: on track, not due before it has started"),
        (deadline("on_track", AT + timedelta(days=1)), "deadline d1: on track, 24h00m left, due 2026-11-28 12:00:00Z"),
    ],
)
def test_a_deadline_is_a_line_with_its_state_and_the_time_that_is_left(found: RunDeadline, expected: str) -> None:
    assert run_deadlines.line(found, AT) == expected


def test_one_that_was_met_says_how_early_whenever_it_is_looked_at() -> None:
    later = AT + timedelta(days=3)
    assert "met, 1h12m early" in run_deadlines.line(deadline("met"), later)


def test_its_json_has_the_time_left_while_it_is_open() -> None:
    assert run_deadlines.as_json(deadline("on_track"), AT)["timeLeft"] == "4320.000s"
    assert run_deadlines.as_json(deadline("missed", AT - timedelta(seconds=2)), AT)["timeLeft"] == "-2.000s"
    assert run_deadlines.as_json(deadline("met"), AT)["timeLeft"] is None
    assert run_deadlines.as_json(deadline("on_track", None), AT)["timeLeft"] is None
    assert run_deadlines.as_json(deadline("on_track"), AT)["state"] == "DEADLINE_STATE_ON_TRACK"


class Server:
    """A run whose deadline is at risk from the second question on, and met at its end; two messages of it, and between
    them whatever `between` waits for."""

    def __init__(self, *, answers: bool = True) -> None:
        self.between, self.is_over, self._asked, self._answers = threading.Event(), False, 0, answers

    def follow(self, output: str) -> watch.RunView:
        return watch.follow(cast(Client, self), "9f", output)

    def get_run_eta(self, run_id: str) -> object:
        raise NotFound("nothing is known of it")

    def list_run_deadlines(self, *, dag_run_id: str) -> list[RunDeadline]:
        if not self._answers:
            raise Unavailable("no answer")
        self._asked += 1
        state = "met" if self.is_over else "on_track" if self._asked == 1 else "at_risk"
        return [deadline("on_track", number=2), deadline(state)]

    def watch(self, run_id: str) -> Any:
        yield WatchDagRunResponse(dag_run=DagRun(dag_run_id="9f", state=RunState.RUN_STATE_RUNNING))
        assert self.between.wait(60), "nobody was told of the change"
        self.is_over = True
        over = DagRun(dag_run_id="9f", state=RunState.RUN_STATE_SUCCESS)
        over.end_time.FromDatetime(AT)
        yield WatchDagRunResponse(dag_run=over)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_deadlines, "ASKED_EVERY_SECONDS", 0.01)
    monkeypatch.setattr(watch, "now", lambda: AT)


def test_who_reads_lines_hears_of_each_state_once(monkeypatch: pytest.MonkeyPatch) -> None:
    server, said = Server(), list[str]()

    def say(text: str) -> None:
        said.append(text.partition(",")[0])
        if "at risk" in text:
            server.between.set()

    monkeypatch.setattr(watch, "say", say)
    server.follow("table")
    assert said == ["deadline d1: on track", "deadline d2: on track", "deadline d1: at risk", "deadline d1: met"]


def test_programs_have_the_deadlines_in_each_message_and_hear_of_changes_between(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = Server()
    shown = watch.print_json_line

    def print_json_line(found: Any) -> None:
        shown(found)
        if "AT_RISK" in str(found):
            server.between.set()

    monkeypatch.setattr(watch, "print_json_line", print_json_line)
    server.follow("json")
    lines = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert all(set(each) == {"dagRun", "taskInstances", "deadlines"} for each in lines)
    states = [each["deadlines"][0]["state"].removeprefix("DEADLINE_STATE_") for each in lines]
    assert states == ["ON_TRACK", "AT_RISK", "MET"]
    assert [each["dagRun"]["state"] for each in lines] == ["RUN_STATE_RUNNING"] * 2 + ["RUN_STATE_SUCCESS"]


def test_a_terminal_has_them_under_the_tree_and_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    server, screen = Server(), io.StringIO()
    drawn = Console(file=screen, force_terminal=True, width=120, height=20, color_system=None)
    monkeypatch.setattr(watch, "console", lambda **_: drawn)
    write = screen.write

    def see(text: str) -> int:
        if "at risk" in text:
            server.between.set()
        return write(text)

    monkeypatch.setattr(screen, "write", see)
    server.follow("table")
    assert screen.getvalue().splitlines()[-2:] == [
        "deadline d1  met  1h12m early  due 13:12:00Z",
        "deadline d2  on track  1h12m left  due 13:12:00Z",
    ]


@pytest.mark.parametrize("output", ["table", "json"])
def test_a_server_that_does_not_tell_ends_no_watching(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    server = Server(answers=False)
    server.between.set()
    assert server.follow(output).run.state == RunState.RUN_STATE_SUCCESS
    printed = capsys.readouterr()
    assert "deadline d" not in printed.out + printed.err
