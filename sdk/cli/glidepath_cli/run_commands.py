"""`glidepath run`: reading, following and steering runs."""

from __future__ import annotations

import json
import sys
from datetime import UTC
from typing import Any

import click

from . import tree, watch
from .output import (
    Column,
    enum_name,
    moment,
    print_json,
    print_json_line,
    print_list,
    print_one,
    print_rows,
    print_table,
    printable,
    proto_json,
    say,
)
from .session import Session, command

FAILURES_SHOWN_MAX = 3
_REASON = click.option("--reason", default="", help="Kept in the audit trail and shown to the tasks.")


@click.group()
def run() -> None:
    """Runs: what happened, what happens, what to do about it."""


_RUN: list[Column] = [
    ("RUN", lambda each: each.dag_run_id),
    ("DAG", lambda each: f"{each.dag_id} v{each.dag_version_number}"),
    ("STATE", lambda each: enum_name(each, "state")),
    ("KEY", lambda each: each.run_key),
    ("CREATED", lambda each: moment(each, "create_time")),
    ("TOOK", lambda each: tree.elapsed(each, watch.now())),
    ("REASON", lambda each: each.reason),
]


@command(run, "list", example="glidepath run list --dag training --state failed --limit 20")
@click.option("--dag", "dag_id", default="", help="Only runs of this DAG.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(["queued", "running", "success", "failed", "cancelled"]),
    help="May be repeated.",
)
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
def run_list(session: Session, dag_id: str, states: tuple[str, ...], limit: int) -> None:
    """Runs, newest first."""
    found = session.client.list_dag_runs(dag_id, states=states, page_size=min(limit, 500))
    print_list(
        session.output,
        [each for _, each in zip(range(limit), found, strict=False)],
        _RUN,
        "no runs; start one: glidepath dag trigger DAG_ID",
    )


@command(run, "show", example="glidepath run show RUN_ID")
@click.argument("run_id")
def run_show(session: Session, run_id: str) -> None:
    """A run's tasks as a tree, with states and times."""
    found = session.client.get_dag_run(run_id)
    instances = list(session.client.list_task_instances(run_id))
    if session.json:
        print_json({"dagRun": proto_json(found), "taskInstances": [proto_json(each) for each in instances]})
        return
    watch.print_rows(watch.RunView(found, instances).rows(watch.now()))
    if found.quarantined:
        say(f"quarantined: its step keeps failing. Look at glidepath incidents, then: glidepath run release {run_id}")


@command(run, "watch", example="glidepath run watch RUN_ID")
@click.argument("run_id")
def run_watch(session: Session, run_id: str) -> None:
    """Follow a run to its end: exit code 0 when it succeeds, else 1. Ctrl-C ends the watching, not the run."""
    with watch.interruptible(run_id):
        view = watch.follow(session.client, run_id, session.output)
        raise click.exceptions.Exit(watch.finish(session.client, run_id, view))


@command(
    run, "cancel", example='glidepath run cancel RUN_ID --reason "wrong day"\nglidepath run cancel RUN_ID --task train'
)
@click.argument("run_id")
@click.option("--task", "task_ids", multiple=True, help="Only this task; may be repeated.")
@_REASON
def run_cancel(session: Session, run_id: str, task_ids: tuple[str, ...], reason: str) -> None:
    """End a run, or single tasks of it: nothing new starts, what runs is told to end."""
    if task_ids:
        found = session.client.cancel_task_instances(run_id, task_ids, reason=reason)
    else:
        found = session.client.cancel_dag_run(run_id, reason=reason)
    _print_run(session, found)


@command(run, "clear", example="glidepath run clear RUN_ID train --downstream")
@click.argument("run_id")
@click.argument("task_ids", nargs=-1, required=True)
@click.option("--downstream", is_flag=True, help="Also everything that follows from them.")
@click.option("--cancel-running", is_flag=True, help="Tell live attempts to end first.")
@_REASON
def run_clear(
    session: Session, run_id: str, task_ids: tuple[str, ...], downstream: bool, cancel_running: bool, reason: str
) -> None:
    """Let tasks run again; the attempts they made stay in the history."""
    _print_cleared(
        session,
        session.client.clear_task_instances(
            run_id, task_ids, downstream=downstream, cancel_running=cancel_running, reason=reason
        ),
    )


@command(run, "rerun", example="glidepath run rerun RUN_ID && glidepath run watch RUN_ID")
@click.argument("run_id")
@_REASON
def run_rerun(session: Session, run_id: str, reason: str) -> None:
    """Clear what failed, was cancelled or never ran because of that, and let the run go on."""
    _print_cleared(session, session.client.rerun_dag_run(run_id, reason=reason))


@command(run, "release", example="glidepath run release RUN_ID")
@click.argument("run_id")
def run_release(session: Session, run_id: str) -> None:
    """Let a quarantined run go on, after its incident was looked at."""
    answer = session.client.release_dag_run(run_id)
    if session.json:
        print_json(proto_json(answer))
    say(f"run {run_id} goes on; follow it: glidepath run watch {run_id}")


@command(run, "logs", example="glidepath run logs RUN_ID --task train --follow")
@click.argument("run_id")
@click.option("--task", "task_id", default="", help="Only this task.")
@click.option("--attempt", "attempt_number", type=click.IntRange(1), default=None, help="Only this attempt.")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run is final.")
@click.option("--time/--no-time", "with_time", default=False, help="Write when each line was said.")
def run_logs(
    session: Session, run_id: str, task_id: str, attempt_number: int | None, follow: bool, with_time: bool
) -> None:
    """What the tasks wrote, and on stderr why attempts failed. With -o json, one object per line."""
    clean = printable if sys.stdout.isatty() else str  # a pipe gets what was written
    for line in session.client.logs(run_id, task_id, attempt_number=attempt_number or 0, follow=follow):
        if session.json:
            print_json_line(line)
            continue
        at = f"{line.time.ToDatetime(tzinfo=UTC):%H:%M:%S.%f}"[:-3] + "Z " if with_time else ""
        name = "" if task_id else f"{tree.label(line)} "
        click.echo(f"{at}{name}| {clean(line.text)}")
    if not session.json:
        _tell_failures(session, run_id, task_id, attempt_number)


def _tell_failures(session: Session, run_id: str, task_id: str, attempt_number: int | None) -> None:
    """The newest failures with their stack traces, which are no lines of the log."""
    failed = [
        each
        for each in session.client.list_attempts(run_id, task_id)
        if each.HasField("failure") and attempt_number in (None, each.attempt_number)
    ]
    for each in failed[-FAILURES_SHOWN_MAX:]:
        say(
            f"{tree.label(each)} attempt {each.attempt_number} {enum_name(each, 'state')}: "
            f"{printable(tree.failure_line(each.failure))}"
        )
        if each.failure.stack_trace:
            say(printable(each.failure.stack_trace.rstrip()))
    if len(failed) > FAILURES_SHOWN_MAX:
        say(f"{len(failed) - FAILURES_SHOWN_MAX} earlier failures: glidepath run attempts {run_id}")


@command(run, "explain", example="glidepath run explain RUN_ID\nglidepath run explain RUN_ID --task train")
@click.argument("run_id")
@click.option("--task", "task_id", default="", help="Only this task, also when it is final.")
def run_explain(session: Session, run_id: str, task_id: str) -> None:
    """Why each task that is not final waits, what to do about it, and the critical path."""
    found = session.client.explain_dag_run(run_id, task_id)
    if session.json:
        print_json(proto_json(found))
        return
    if found.explanations:
        print_table(
            ["TASK", "STATE", "WAITS FOR", "WHY", "WHAT TO DO"],
            [
                (tree.label(each), enum_name(each, "state"), enum_name(each, "wait"), each.message, each.hint)
                for each in found.explanations
            ],
        )
    else:
        say("nothing waits")
    if found.critical_path:
        print_table(
            ["CRITICAL PATH", "WAITED", "WORKED"],
            [
                (row.name, row.note.removeprefix("waited "), row.time)
                for row in tree.critical_path(found.critical_path, {})
            ],
        )


@command(run, "output", example="glidepath run output RUN_ID train > scores.json")
@click.argument("run_id")
@click.argument("task_id")
@click.option("--index", "map_index", type=click.IntRange(-1), default=-1, help="Of a mapped task.")
def run_output(session: Session, run_id: str, task_id: str, map_index: int) -> None:
    """A task's output itself: JSON, text or bytes. With -o json, the message that carries it."""
    from glidepath.payloads import decode

    found = session.client.get_task_output(run_id, task_id, map_index)
    if session.json:
        print_json(proto_json(found))
    elif found.output.WhichOneof("body") == "uri":
        click.echo(found.output.uri)
        say(f"the output lies there: {found.output.size_bytes} bytes, sha256 {found.output.sha256}")
    else:
        _print_value(decode(found.output))


@command(run, "attempts", example="glidepath run attempts RUN_ID --task train")
@click.argument("run_id")
@click.option("--task", "task_id", default="", help="Only this task.")
def run_attempts(session: Session, run_id: str, task_id: str) -> None:
    """Every attempt, oldest first."""
    columns = [
        ("TASK", tree.label),
        ("ATTEMPT", lambda each: each.attempt_number),
        ("STATE", lambda each: enum_name(each, "state")),
        ("WORKER", lambda each: each.worker_identity),
        ("STARTED", lambda each: moment(each, "start_time")),
        ("TOOK", lambda each: tree.elapsed(each, watch.now())),
        ("FAILURE", lambda each: tree.failure_line(each.failure)),
    ]
    print_list(
        session.output,
        session.client.list_attempts(run_id, task_id),
        columns,
        f"no attempts yet; see why: glidepath run explain {run_id}",
    )


def _print_value(value: Any) -> None:
    if isinstance(value, bytes):
        sys.stdout.buffer.write(value)
    else:
        click.echo(value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False))


def _print_run(session: Session, found: Any) -> None:
    print_one(
        session.output,
        found,
        [
            ("run", found.dag_run_id),
            ("dag", f"{found.dag_id} v{found.dag_version_number}"),
            ("state", enum_name(found, "state")),
            ("cancel requested", found.cancel_requested),
            ("reason", found.reason),
        ],
    )


def _print_cleared(session: Session, answer: Any) -> None:
    if session.json:
        print_json(proto_json(answer))
        return
    print_rows(
        [
            ("run", answer.dag_run.dag_run_id),
            ("state", enum_name(answer.dag_run, "state")),
            ("cleared", list(answer.cleared_task_ids) or "nothing"),
        ]
    )
