"""The parts that need no server: words, times, trees, params, drawings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest

from glidepath import errors
from glidepath.authoring import load_dags
from glidepath.authoring.convert import to_spec
from glidepath.client import ConnectionSettingsError
from glidepath_cli import clocks, drawing, tree
from glidepath_cli.doctor import skew, versions, worker_clocks
from glidepath_cli.exits import Exit, verdict
from glidepath_cli.output import cell, enum_name, printable, span
from glidepath_cli.params import merge_params, needs_schema, parse_value, split_pairs
from glidepath_cli.watch import RunView
from glidepath_proto.admin.v1.admin_service_pb2 import GetServerInfoResponse, Worker
from glidepath_proto.common.v1.failure_pb2 import Failure
from glidepath_proto.run.v1 import run_pb2
from glidepath_proto.run.v1.run_service_pb2 import WatchDagRunResponse

NOW = datetime(2026, 1, 31, 6, 0, tzinfo=UTC)


def instance(
    task_id: str, state: str, *, started: float | None = None, took: float | None = None, **fields: object
) -> run_pb2.TaskInstance:
    """`started` seconds before NOW; ended `took` seconds later."""
    made = run_pb2.TaskInstance(
        task_id=task_id,
        map_index=-1,
        group_id=task_id.rpartition(".")[0],
        state=f"TASK_STATE_{state.upper()}",
        **fields,
    )  # type: ignore[arg-type]
    if started is not None:
        made.start_time.FromDatetime(NOW - timedelta(seconds=started))
        if took is not None:
            made.end_time.FromDatetime(NOW - timedelta(seconds=started - took))
    return made


def test_durations_read_like_a_person_says_them() -> None:
    assert [span(each) for each in (-1, 0, 0.424, 9.999, 59.4, 59.6, 185, 7620)] == [
        "0.00s",
        "0.00s",
        "0.42s",
        "10s",
        "59s",
        "1m00s",
        "3m05s",
        "2h07m",
    ]


def test_cells_are_utc_and_say_yes_and_no() -> None:
    east = NOW.astimezone(tz=None)
    assert [cell(each) for each in (east, True, False, None, ["a", 1], 0)] == [
        "2026-01-31 06:00:00Z",
        "yes",
        "no",
        "",
        "a, 1",
        "0",
    ]


def test_what_a_task_says_cannot_steer_the_terminal() -> None:
    assert printable("ok\x1b[2J\ttab\n") == "ok\ufffd[2J\ttab\n"


def test_enums_are_named_as_users_write_them() -> None:
    assert enum_name(run_pb2.DagRun(state=run_pb2.RUN_STATE_FAILED), "state") == "failed"
    assert enum_name(run_pb2.DagRun(), "state") == ""


def test_a_tree_has_its_groups_where_their_first_task_is_and_sums_them_up() -> None:
    rows = tree.rows(
        [
            instance("extract", "success", started=100, took=12),
            instance("folds.a", "success", started=88, took=8),
            instance(
                "folds.deep.b", "running", started=80, attempt_number=2, progress_percent=40, progress_note="epoch 4"
            ),
            instance("report", "scheduled", reason="waits for folds"),
        ],
        NOW,
    )
    assert [row.text() for row in rows] == [
        "├─ ✓ extract  success  12s",
        "├─ ▶ folds  running  1m28s  1/2 ended",
        "│  ├─ ✓ a  success  8.00s",
        "│  └─ ▶ deep  running  1m20s  0/1 ended",
        "│     └─ ▶ b  running  1m20s  attempt 2, 40% epoch 4",
        "└─ · report  scheduled  waits for folds",
    ]


def test_a_group_is_as_bad_as_its_worst_task_and_ends_with_its_last() -> None:
    first = instance("g.a", "failed", started=50, took=10)
    rows = tree.rows([first, instance("g.b", "success", started=50, took=30)], NOW)
    assert (rows[0].state, rows[0].time, rows[0].note) == ("failed", "30s", "2/2 ended")


def test_a_failure_is_told_in_one_line_and_a_retry_with_its_time() -> None:
    failed = instance("a", "failed", failure=Failure(type="ValueError", message="no rows\nmore"))
    retried = instance("a", "up_for_retry", failure=Failure(type="OSError"), attempt_number=1)
    retried.available_time.FromDatetime(NOW + timedelta(seconds=30))
    assert tree.note(failed, NOW) == "ValueError: no rows"
    assert tree.note(retried, NOW) == "again in 30s, OSError"


def test_mapped_tasks_show_their_index_from_zero_on() -> None:
    assert tree.label(run_pb2.TaskInstance(task_id="fold", map_index=0)) == "fold[0]"
    assert tree.label(run_pb2.TaskInstance(task_id="fold", map_index=-1)) == "fold"


def test_a_tree_that_is_too_high_keeps_what_matters_and_counts_the_rest() -> None:
    states = ["success"] * 8 + ["running", "failed"] + ["scheduled"] * 5
    rows = [tree.Row("", f"t{number}", state) for number, state in enumerate(states)]
    fitted = tree.fit(rows, 5)
    assert [row.name for row in fitted] == ["t8", "t9", "13 more"]
    assert tree.fit(rows, 15) == rows
    assert len(tree.fit([tree.Row("", "x", "running")] * 9, 4)) == 4


def test_a_view_tells_changes_of_state_or_attempt_and_keeps_the_rest() -> None:
    view = RunView()
    first = WatchDagRunResponse(task_instances=[instance("a", "running", attempt_number=1), instance("b", "scheduled")])
    assert [each.task_id for each in view.take(first)] == ["a", "b"]
    again = WatchDagRunResponse(task_instances=[instance("a", "running", attempt_number=1, progress_percent=50)])
    assert view.take(again) == []
    retried = WatchDagRunResponse(task_instances=[instance("a", "running", attempt_number=2)])
    assert [each.task_id for each in view.take(retried)] == ["a"]
    assert view.states == {("a", -1): "running", ("b", -1): "scheduled"}


def test_params_are_json_unless_the_schema_wants_text() -> None:
    schema = '{"properties": {"day": {"type": "string"}, "rate": {"type": "number"}}}'
    texts = split_pairs(["day=2026", "rate=0.5", "free=a=b", "on=true"])
    assert needs_schema(texts)
    assert merge_params('{"rate": 1, "kept": null}', texts, schema) == {
        "rate": 0.5,
        "kept": None,
        "day": "2026",
        "free": "a=b",
        "on": True,
    }
    assert parse_value('"2026"', {"type": "string"}) == "2026"
    assert not needs_schema({"file": "/data/x.txt"})


@pytest.mark.parametrize("pairs", [["rate"], ["=1"], [""]])
def test_a_param_without_a_name_or_value_is_a_usage_error(pairs: list[str]) -> None:
    with pytest.raises(click.UsageError, match="expected NAME=VALUE"):
        split_pairs(pairs)


@pytest.mark.parametrize("document", ["[1]", "{", "3"])
def test_a_params_file_must_be_an_object(document: str) -> None:
    with pytest.raises(click.UsageError, match="--params-file"):
        merge_params(document, {}, "")


def test_drawings_have_every_edge_also_those_of_outputs_in_lists(tmp_path: Path) -> None:
    file = tmp_path / "d.py"
    file.write_text(DAG_FILE)
    (dag,) = load_dags(file).dags
    tasks = [(each.task_id, drawing.upstreams(each)) for each in to_spec(dag, None).tasks]
    assert drawing.draw(tasks, "text").splitlines() == ["one", "  two  ← one", "    end  ← one, two"]
    mermaid = drawing.draw(tasks, "mermaid")
    assert 't2["end"]' in mermaid and "t1 --> t2" in mermaid and mermaid.startswith("flowchart LR\n")
    assert '"one" -> "two";' in drawing.draw(tasks, "dot")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NotFound("x"), Exit.NOT_FOUND),
        (errors.AlreadyExists("x"), Exit.CONFLICT),
        (errors.StateConflict("x"), Exit.CONFLICT),
        (errors.LimitExceeded("x"), Exit.CONFLICT),
        (errors.Unauthenticated("x"), Exit.AUTH),
        (errors.PermissionDenied("x"), Exit.AUTH),
        (errors.Unavailable("x"), Exit.UNREACHABLE),
        (errors.Unavailable("x", code="DEADLINE_EXCEEDED"), Exit.TIMEOUT),
        (errors.WaitTimeout("x"), Exit.TIMEOUT),
        (errors.InvalidDag("x"), Exit.USAGE),
        (errors.InvalidRequest("x"), Exit.USAGE),
        (errors.RpcError("x"), Exit.UNREACHABLE),
        (errors.InputError("x"), Exit.USAGE),
        (ConnectionSettingsError("x"), Exit.USAGE),
        (RuntimeError("x"), Exit.FAILED),
    ],
)
def test_every_error_has_an_exit_code_and_a_next_step(error: Exception, code: Exit) -> None:
    found, step = verdict(error)
    assert found == code and step


def test_a_refusal_about_a_backfill_or_a_schedule_sends_nobody_to_runs() -> None:
    assert "glidepath backfill list" in verdict(errors.StateConflict("cannot cancel a backfill that has ended"))[1]
    assert "glidepath schedule list" in verdict(errors.StateConflict("schedule 'main' was declared with DAG a"))[1]
    assert "glidepath run show" in verdict(errors.StateConflict("run 1 has already ended: failed"))[1]


def info(database: float, server: float = 0.0) -> GetServerInfoResponse:
    """Clocks in seconds off NOW."""
    made = GetServerInfoResponse(server_version="0.1.0", schema_revision="0001")
    made.database_time.FromDatetime(NOW + timedelta(seconds=database))
    made.server_time.FromDatetime(NOW + timedelta(seconds=database + server))
    return made


def test_a_clock_is_off_only_by_what_the_time_of_the_answer_does_not_explain() -> None:
    later = NOW + timedelta(seconds=3)
    assert skew(info(1.5), NOW, later).state == "ok"
    assert skew(info(4.9), NOW, later).state == "ok"
    assert skew(info(5.1), NOW, later).state == "warn"
    assert skew(info(-2.1), NOW, later).state == "warn"
    assert skew(info(1, server=2.5), NOW, later).state == "warn"


def clocked(offset: float | None, bound: float = 0.01) -> Worker:
    """A worker whose host's clock is behind the database's by so many seconds."""
    made = Worker(worker_identity="w", host_name="edge")
    if offset is not None:
        made.clock_offset.FromTimedelta(timedelta(seconds=offset))
        made.clock_bound.FromTimedelta(timedelta(seconds=bound))
    return made


def test_a_workers_clock_is_told_in_words_and_wrong_only_beyond_doubt() -> None:
    assert [clocks.told(clocked(each)) for each in (None, 0.05, 600.0, -600.0)] == [
        "",
        "right",
        "10m00s behind",
        "10m00s ahead",
    ]
    assert clocks.told(clocked(3.0, bound=4.0)) == "right"
    assert [clocks.is_wrong(clocked(each)) for each in (None, 1.9, -2.1, 2.1)] == [False, False, True, True]
    assert not clocks.is_wrong(clocked(5.0, bound=4.0))


def test_doctor_warns_of_hosts_whose_clocks_are_wrong() -> None:
    assert list(worker_clocks([clocked(None)])) == []
    assert [each.state for each in worker_clocks([clocked(0.0), clocked(None)])] == ["ok"]
    (found,) = worker_clocks([clocked(0.0), clocked(600.0)])
    assert (found.state, found.message) == ("warn", "edge is 10m00s behind") and "NTP" in found.next


def test_another_release_of_the_server_is_worth_a_warning() -> None:
    assert versions(info(0), "0.1.0").state == "ok"
    assert versions(info(0), "0.2.0").state == "warn"


DAG_FILE = """
from glidepath import dag, task

@task
def one() -> int:
    return 1

@task
def two(number: int) -> int:
    return number

@task(task_id="end")
def last(numbers: list[int]) -> int:
    return sum(numbers)

@dag
def small():
    first = one()
    last([first, two(first)])
"""
