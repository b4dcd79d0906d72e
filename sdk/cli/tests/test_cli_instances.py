"""Mapped tasks on the command line: how instances are named, counted and listed; no server is needed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click
import pytest
from click.testing import CliRunner

from glidepath import dag, shell
from glidepath.authoring.convert import to_spec
from glidepath_cli import admin_commands, drawing, instances, run_commands, session, tree, watch, words
from glidepath_cli.instances import NAME, Name
from glidepath_proto.common.v1.failure_pb2 import Failure
from glidepath_proto.common.v1.payload_pb2 import Payload
from glidepath_proto.run.v1 import run_pb2, run_service_pb2

NOW = datetime(2026, 1, 31, 6, 0, tzinfo=UTC)
RUN_ID = "01890a5d-ac96-774b-bcce-b302099a8057"


def whole(state: str = "running", reason: str = "", **counts: int) -> run_pb2.TaskInstance:
    made = run_pb2.TaskInstance(task_id="train", map_index=-1, state=f"TASK_STATE_{state.upper()}", reason=reason)
    made.map_counts.CopyFrom(run_pb2.MapCounts(**counts))
    return made


def one(index: int, state: str, **fields: Any) -> run_pb2.TaskInstance:
    return run_pb2.TaskInstance(task_id="train", map_index=index, state=f"TASK_STATE_{state.upper()}", **fields)


@pytest.mark.parametrize(
    ("text", "name"),
    [("train", Name("train")), ("train[3]", Name("train", 3)), ("g.train[0]", Name("g.train", 0)), ("", Name(""))],
)
def test_an_instance_is_named_by_its_task_and_index(text: str, name: Name) -> None:
    assert NAME.convert(text, None, None) == name and str(name) == text


@pytest.mark.parametrize("text", ["train[", "train[x]", "[3]", "train[-1]", "train[3]x", "train[3][4]"])
def test_what_names_no_instance_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"expected its id, or 'train\[3\]' for one instance of it"):
        NAME.convert(text, None, None)


def test_a_mapped_task_is_one_line_with_its_counts() -> None:
    going = whole(
        total=1000, success=118, failed=2, running=8, queued=2, scheduled=870, reason="120 of 1000 instances have ended"
    )
    (row,) = tree.rows([going], NOW)
    assert row.text() == "└─ ▶ train  running  120/1000 done, 2 failed, 8 running, 2 queued"
    failed = whole("failed", "marked by ada", total=1000, success=990, failed=2, skipped=8)
    assert tree.note(failed, NOW) == "1000/1000 done, 2 failed, 8 skipped, marked by ada"
    assert tree.note(whole("failed", "day is mapped over nothing, expected a list"), NOW).startswith("day is mapped")
    waiting = one(3, "up_for_retry", attempt_number=1, failure=Failure(type="E", message="no"))
    assert tree.note(waiting, NOW) == "E: no"


def test_where_no_screen_is_drawn_a_line_tells_of_each_tenth() -> None:
    view = watch.RunView()
    told = []
    for done in range(41):
        run = run_pb2.DagRun(state=run_pb2.RUN_STATE_RUNNING)
        message = run_service_pb2.WatchDagRunResponse(dag_run=run, task_instances=[whole(total=40, success=done)])
        told += [instances.ended(each) for each in view.take(message)]
    assert told == [0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40]


class FakeClient:
    """Answers from what it is given, and remembers what it was asked."""

    def __init__(self, **answers: Any) -> None:
        self.answers, self.asked = answers, {}

    def __getattr__(self, method: str) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            self.asked[method] = (arguments[1:], options)
            return self.answers[method]

        return call


def call(monkeypatch: pytest.MonkeyPatch, client: FakeClient, *arguments: str) -> tuple[int, str, str]:
    """The command with this client behind it."""
    monkeypatch.setattr(session.Session, "client", property(lambda _: client), raising=False)
    done = CliRunner().invoke(run_commands.run, [*arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


LISTED = [
    one(7, "failed", attempt_number=2, failure=Failure(type="ValueError", message="no rows\nmore"),
        map_name="{{ map_item.day }}", map_item='{"day": "2026-01-08"}'),
    one(9, "running", attempt_number=1, worker_identity="w-1"),
    one(12, "failed", attempt_number=1),
]  # fmt: skip


def test_the_instances_of_a_task_are_a_list_by_state(monkeypatch: pytest.MonkeyPatch) -> None:
    client = FakeClient(list_task_instances=iter(LISTED))
    arguments = ["show", RUN_ID, "--task", "train", "--state", "failed", "--state", "running", "--limit", "2"]
    code, out, err = call(monkeypatch, client, *arguments)
    assert code == 0
    assert out.splitlines() == [
        "INSTANCE  NAME        STATE    ATTEMPT  WORKER  WHY",
        "7         2026-01-08  failed   2                ValueError: no rows",
        "9                     running  1        w-1",
    ]
    more = f"and more; see them: glidepath run show {RUN_ID} --task train --state failed --state running --limit 20"
    assert more in err
    asked = {"task_id": "train", "states": ("failed", "running"), "page_size": 3}
    assert client.asked["list_task_instances"] == ((), asked)


def test_a_run_says_where_to_see_which_instances_have_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = run_pb2.DagRun(dag_run_id=RUN_ID, dag_id="d", state=run_pb2.RUN_STATE_SUCCESS)
    tasks = [whole("success", total=5, success=4, failed=1)]
    client = FakeClient(
        get_dag_run=found, list_task_instances=tasks, list_dag_runs=[], list_notes=[], list_run_deadlines=[]
    )
    code, out, err = call(monkeypatch, client, "show", RUN_ID)
    assert code == 0 and "train  success  5/5 done, 1 failed" in out
    assert err == f"which of train failed: glidepath run show {RUN_ID} --task train --state failed\n"


def test_a_state_without_a_task_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = call(monkeypatch, FakeClient(), "show", RUN_ID, "--state", "failed")
    assert code == 2 and "--state goes with --task" in err


def test_logs_attempts_and_outputs_are_those_of_the_instance_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    output = run_pb2.TaskOutput(output=Payload(data=b"[1, null]"))
    line = run_pb2.LogLine(task_id="train", map_index=3, attempt_number=2, text="hello")
    client = FakeClient(logs=[line], list_attempts=[], get_task_output=output)
    assert call(monkeypatch, client, "logs", RUN_ID, "--task", "train[3]")[1] == "#2 | hello\n"
    assert client.asked["logs"] == (("train",), {"map_index": 3, "attempt_number": 0, "follow": False})
    assert client.asked["list_attempts"] == (("train",), {"map_index": 3})
    assert call(monkeypatch, client, "logs", RUN_ID, "--task", "train")[1] == "train[3]#2 | hello\n"
    assert client.asked["logs"][1]["map_index"] is None
    call(monkeypatch, client, "attempts", RUN_ID, "--task", "train[4]")
    assert client.asked["list_attempts"] == (("train",), {"map_index": 4})
    assert call(monkeypatch, client, "output", RUN_ID, "train")[1] == "[\n  1,\n  null\n]\n"
    assert client.asked["get_task_output"] == (("train", -1), {})
    call(monkeypatch, client, "output", RUN_ID, "train[5]")
    assert client.asked["get_task_output"] == (("train", 5), {})


def test_instances_of_one_task_are_cleared_together(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [NAME.convert(text, None, None) for text in ("train[3]", "train[7]")]
    assert instances.of_one_task(names) == (["train"], [3, 7])
    assert instances.of_one_task([Name("a"), Name("b")]) == (["a", "b"], [])
    for mixed in ([Name("a", 1), Name("b", 2)], [Name("a", 1), Name("a")], [Name("a", 1), Name("b")]):
        with pytest.raises(click.UsageError, match="expected whole tasks, or instances of one mapped task at a time"):
            instances.of_one_task(mixed)


@pytest.mark.parametrize(
    ("arguments", "method", "said"),
    [
        (["mark", RUN_ID, "train[3]", "train[7]", "--as", "skipped"], "mark_task_instances", "marked skipped"),
        (["cancel", RUN_ID, "--task", "train[3]", "--task", "train[7]"], "cancel_task_instances", "cancelling"),
    ],
)
def test_instances_of_one_task_are_marked_and_cancelled_together(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], method: str, said: str
) -> None:
    client = FakeClient(**{method: run_pb2.DagRun(dag_run_id=RUN_ID, dag_id="d", state=run_pb2.RUN_STATE_RUNNING)})
    code, out, _ = call(monkeypatch, client, *arguments)
    assert code == 0 and any(line.split() == [*said.split(), "train[3],", "train[7]"] for line in out.splitlines()), out
    (task_ids, *_), options = client.asked[method]
    assert list(task_ids) == ["train"] and options["map_indexes"] == [3, 7]
    code, _, err = call(monkeypatch, client, *arguments, *(["--task", "send"] if "cancel" in arguments else ["send"]))
    assert code == 2 and "expected whole tasks, or instances of one mapped task at a time" in err


def test_what_was_given_up_is_replayed_task_by_task_and_of_a_map_by_its_instances(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    letters = [
        run_pb2.DeadLetter(dag_run_id=RUN_ID, task_id=task_id, map_index=index)
        for task_id, index in (("load", -1), ("train", 3), ("send", -1), ("train", 7), ("score", 0))
    ]
    answer = run_service_pb2.ClearTaskInstancesResponse(cleared_task_ids=["x"])
    client = FakeClient(list_dead_letters=iter(letters))
    asked: list[Any] = []
    monkeypatch.setattr(
        FakeClient,
        "clear_task_instances",
        lambda self, *arguments, **options: asked.append((arguments[1], options["map_indexes"])) or answer,
        raising=False,
    )
    monkeypatch.setattr(session.Session, "client", property(lambda _: client), raising=False)
    done = CliRunner().invoke(admin_commands.dead_letters, ["--replay"])
    assert done.exit_code == 0, done.output
    assert asked == [(["load", "send"], []), (["train"], [3, 7]), (["score"], [0])]
    assert "train[3], train[7]" in done.stdout


def test_drawings_have_the_edges_of_mapped_lists_and_say_what_a_task_is_mapped_over() -> None:
    @dag
    def made() -> None:
        days = shell("days", "true", output="json")
        shell("one", "x {{ map_item.d }}", map={"d": days, "n": [1, 2]})
        shell("each", "x", product={"d": days, "n": [1, 2]})

    tasks = {each.task_id: each for each in to_spec(made, None).tasks}
    for task in tasks.values():
        del task.upstream_task_ids[:]
    assert {name: drawing.upstreams(task) for name, task in tasks.items()} == {
        "days": [],
        "one": ["days"],
        "each": ["days"],
    }
    assert {name: drawing.map_text(task) for name, task in tasks.items()} == {
        "days": "",
        "one": "d, n",
        "each": "d × n",
    }


def test_answers_about_maps_are_in_the_words_of_the_command() -> None:
    assert words.ours("tasks.train.map.active_max: got 0, expected 1 to 2000").startswith("task train: map_active_max")
    look = words.where_to_look("task train has no instance 9, it has 3")
    assert look == "look at what there is: glidepath run show RUN_ID --task train"
