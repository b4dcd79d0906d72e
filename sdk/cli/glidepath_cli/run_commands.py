"""`glidepath run`: reading and following runs. Steering and logs have files of their own."""

from __future__ import annotations

import json
import sys
from itertools import islice
from typing import Any

import click

from . import advice, completion, ends, instances, run_group, run_logs, run_notes, run_pauses, run_steering, tree, watch  # noqa: F401 - two of them are here for the commands they add
from .deadline_commands import print_deadlines
from .output import (
    Column,
    enum_name,
    moment,
    print_json,
    print_list,
    print_table,
    proto_json,
    say,
    span,
)
from .run_group import run, run_command
from .session import NUMBER, Session, command

__all__ = ["run"]

CHILDREN_SHOWN_MAX = 20
_STATES = [each for each in tree.SYMBOLS if each != "removed"]

_RUN: list[Column] = [
    ("RUN", lambda each: each.dag_run_id),
    ("DAG", lambda each: f"{each.dag_id} v{each.dag_version_number}"),
    ("STATE", lambda each: enum_name(each, "state")),
    ("KEY", lambda each: each.run_key if has_key(each) else ""),
    ("AGE", lambda each: span((watch.now() - (moment(each, "create_time") or watch.now())).total_seconds())),
    ("TOOK", lambda each: tree.elapsed(each, watch.now())),
    ("REASON", lambda each: each.reason),
]


def has_key(found: Any) -> bool:
    """Whether somebody gave the run its key; the server takes the id for one otherwise, or the call's place."""
    return bool(found.run_key != found.dag_run_id and not found.HasField("caller"))


@command(run, "list", example="glidepath run list --dag training --state failed --limit 20")
@click.option("--dag", "dag_id", default="", shell_complete=completion.dag_ids, help="Only runs of this DAG.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(["queued", "running", "success", "failed", "cancelled"]),
    help="May be repeated.",
)
@click.option("--children-of", "parent", default="", metavar="RUN_ID", help="Only the runs that this run has called.")
@click.option("--limit", type=NUMBER, default=50, show_default=True)
def run_list(session: Session, dag_id: str, states: tuple[str, ...], parent: str, limit: int) -> None:
    """Runs, newest first."""
    children_of = run_group.find_run(session.client, parent) if parent else ""
    pages = session.client.list_dag_runs(dag_id, states=states, children_of=children_of, page_size=min(limit, 500))
    found = [each for _, each in zip(range(limit), pages, strict=False)]
    columns = [column for column in _RUN if column[0] != "KEY" or any(map(has_key, found))]
    print_list(session.output, found, columns, f"no child runs of {parent}" if parent else _no_runs(dag_id, states))


def _no_runs(dag_id: str, states: tuple[str, ...]) -> str:
    """What is said of an empty list: by what it was filtered, and how to see more."""
    of_dag = f" of {dag_id}" if dag_id else ""
    if states:
        wider = f"glidepath run list --dag {dag_id}" if dag_id else "glidepath run list"
        return f"no runs{of_dag} are {' or '.join(states)}; in any state: {wider}"
    return f"no runs{of_dag}; start one: glidepath dag trigger {dag_id or 'DAG_ID'}"


@run_command(
    "show",
    example="glidepath run show RUN_ID\nglidepath run show last --attempts\n"
    "glidepath run show last --task train --state failed",
)
@click.option("--attempts", "with_attempts", is_flag=True, help="Also every attempt, with why it ended.")
@click.option(
    "--task", "task_id", default="", shell_complete=completion.task_ids, help="The instances of this mapped task."
)
@click.option("--state", "states", multiple=True, type=click.Choice(_STATES), help="With --task; may be repeated.")
@click.option("--limit", type=NUMBER, default=100, show_default=True, help="With --task: instances to show.")
def run_show(
    session: Session, run_id: str, with_attempts: bool, task_id: str, states: tuple[str, ...], limit: int
) -> None:
    """A run's tasks as a tree, with states and times; or the instances of a mapped one as a list."""
    if task_id:
        _show_instances(session, run_id, task_id, states, limit, with_attempts)
        return
    if states:
        raise click.UsageError("--state goes with --task: it is about the instances of a mapped task")
    found = session.client.get_dag_run(run_id)
    tasks = list(session.client.list_task_instances(run_id))
    attempts = list(session.client.list_attempts(run_id)) if with_attempts else []
    pages = session.client.list_dag_runs(children_of=run_id, page_size=CHILDREN_SHOWN_MAX + 1)
    children = [each for _, each in zip(range(CHILDREN_SHOWN_MAX + 1), pages, strict=False)]
    notes = list(session.client.list_notes(run_id))
    deadlines = list(session.client.list_run_deadlines(dag_run_id=run_id))
    if session.json:
        shown = {"dagRun": proto_json(found), "taskInstances": [proto_json(each) for each in tasks]}
        shown |= {"notes": [proto_json(each) for each in notes]} if notes else {}
        shown |= {"deadlines": [proto_json(each) for each in deadlines]} if deadlines else {}
        shown |= {"childRuns": [proto_json(each) for each in children[:CHILDREN_SHOWN_MAX]]} if children else {}
        print_json(shown | ({"attempts": [proto_json(each) for each in attempts]} if with_attempts else {}))
        return
    view = watch.RunView(found, tasks)
    watch.print_rows(view.rows(watch.now()))
    if found.params not in ("", "{}"):
        watch.print_rows([tree.Row("", "params", "", found.params)])
    for each in tasks:
        if each.map_counts.failed:
            say(instances.which_failed(run_id, each))
    if attempts:
        click.echo()
        print_table([name for name, _ in _ATTEMPT], [[get(each) for _, get in _ATTEMPT] for each in attempts])
    if children:
        click.echo()
        columns = [column for column in _RUN if column[0] != "KEY"]
        rows = [[get(each) for _, get in columns] for each in reversed(children[:CHILDREN_SHOWN_MAX])]
        print_table(["CHILD " + name if name == "RUN" else name for name, _ in columns], rows)
        if len(children) > CHILDREN_SHOWN_MAX:
            say(f"these are the newest; see all: glidepath run list --children-of {run_id}")
    run_notes.print_notes(notes)
    print_deadlines(deadlines)
    if found.HasField("caller"):
        say(f"a task of another run waits for its end: glidepath run show {found.caller.dag_run_id}")
    if found.quarantined:
        say(f"quarantined: its step keeps failing. Look at glidepath incidents, then: glidepath run release {run_id}")
    elif view.waits:
        say(f"nothing of it runs now; see why: glidepath run explain {run_id}")


def _show_instances(
    session: Session, run_id: str, task_id: str, states: tuple[str, ...], limit: int, with_attempts: bool
) -> None:
    found = session.client.list_task_instances(run_id, task_id=task_id, states=states, page_size=min(limit + 1, 2_000))
    attempts = session.client.list_attempts(run_id, task_id) if with_attempts else None
    if session.json:
        shown = {"taskInstances": [proto_json(each) for each in islice(found, limit)]}
        print_json(shown | ({} if attempts is None else {"attempts": [proto_json(each) for each in attempts]}))
        return
    wider = " ".join([f"glidepath run show {run_id} --task {task_id}", *(f"--state {each}" for each in states)])
    instances.print_instances(found, limit, watch.now(), f"{wider} --limit {limit * 10}")
    if attempts is not None:
        click.echo()
        print_table([name for name, _ in _ATTEMPT], [[get(each) for _, get in _ATTEMPT] for each in attempts])


@run_command("watch", example="glidepath run watch RUN_ID\nglidepath run watch last")
def run_watch(session: Session, run_id: str) -> None:
    """Follow a run to its end: exit code 0 when it succeeds, else 1. Ctrl-C ends the watching, not the run."""
    with watch.interruptible(run_id):
        view = watch.follow(session.client, run_id, session.output)
        raise click.exceptions.Exit(watch.finish(session.client, run_id, view))


@run_command("explain", example="glidepath run explain RUN_ID\nglidepath run explain RUN_ID --task train")
@click.option(
    "--task",
    type=instances.NAME,
    default="",
    shell_complete=completion.task_ids,
    help="Only this task, also when it is final.",
)
def run_explain(session: Session, run_id: str, task: instances.Name) -> None:
    """Why each task that is not final waits, commands that do something about it, and the critical path."""
    if task.map_index is not None:
        raise click.UsageError(
            f"--task: got {task}, expected a whole task, such as --task {task.task_id}; of one instance there is: "
            f"glidepath run attempts {run_id} --task '{task}'"
        )
    found = session.client.explain_dag_run(run_id, task.task_id)
    if session.json:
        print_json(proto_json(found))
        return
    if found.explanations:
        print_table(
            ["TASK", "STATE", "WAITS FOR", "WHY"],
            [
                (tree.label(each), enum_name(each, "state"), enum_name(each, "wait"), each.message)
                for each in found.explanations
            ],
        )
        _print_hints(found.explanations)
    else:
        say(_nothing_waits(session.client.get_dag_run(run_id)))
    if found.critical_path:
        click.echo()
        print_table(
            ["CRITICAL PATH", "WAITED", "WORKED"],
            [
                (row.name, row.note.removeprefix("waited "), row.time)
                for row in tree.critical_path(found.critical_path, {})
            ],
        )


def _nothing_waits(found: Any) -> str:
    state = enum_name(found, "state")
    if state not in ("success", "failed", "cancelled"):
        return "nothing waits"
    more = "" if state == "success" else f"; why: glidepath run show {found.dag_run_id}"
    return f"nothing waits: the run has ended: {state}{more}"


def _print_hints(explanations: Any) -> None:
    """Each command once."""
    hints = dict.fromkeys(each.hint for each in explanations if each.hint)
    if hints:
        click.echo("\nWHAT TO DO")
    for hint in hints:
        click.echo("\n".join(advice.lines(hint)))


@run_command(
    "output", example="glidepath run output RUN_ID train > scores.json\nglidepath run output RUN_ID 'train[3]'"
)
@click.argument("task", type=instances.NAME, shell_complete=completion.task_ids)
@click.option("--index", "map_index", type=click.IntRange(-1, NUMBER.max), default=-1, help="Of a mapped task.")
def run_output(session: Session, run_id: str, task: instances.Name, map_index: int) -> None:
    """A task's output itself: JSON, text or bytes. With -o json, the message that carries it.

    Of a mapped task it is the list of its instances' outputs, of TASK[3] that of this instance.
    """
    from glidepath.payloads import decode

    index = map_index if task.map_index is None else task.map_index
    found = session.client.get_task_output(run_id, task.task_id, index)
    if session.json:
        print_json(proto_json(found))
    elif found.output.WhichOneof("body") == "uri":
        click.echo(found.output.uri)
        say(f"the output lies there: {found.output.size_bytes} bytes, sha256 {found.output.sha256}")
    else:
        _print_value(decode(found.output))


_ATTEMPT: list[Column] = [
    ("TASK", tree.label),
    ("ATTEMPT", lambda each: each.attempt_number),
    ("STATE", lambda each: enum_name(each, "state")),
    ("WORKER", lambda each: each.worker_identity),
    ("STARTED", lambda each: moment(each, "start_time")),
    ("TOOK", lambda each: tree.elapsed(each, watch.now())),
    ("REASON", ends.why),
]


@run_command(
    "attempts", example="glidepath run attempts RUN_ID --task train\nglidepath run attempts last --task 'train[3]'"
)
@click.option(
    "--task",
    type=instances.NAME,
    default="",
    shell_complete=completion.task_ids,
    help="Only this task, or TASK[3]: this instance of a mapped one.",
)
def run_attempts(session: Session, run_id: str, task: instances.Name) -> None:
    """Every attempt, oldest first, with why it ended."""
    print_list(
        session.output,
        session.client.list_attempts(run_id, task.task_id, map_index=task.map_index),
        _ATTEMPT,
        f"no attempts yet; see why: glidepath run explain {run_id}"
        if task.map_index is None
        else f"no attempts of {task}; its instances: glidepath run show {run_id} --task {task.task_id}",
    )


def _print_value(value: Any) -> None:
    if isinstance(value, bytes):
        sys.stdout.buffer.write(value)
    else:
        click.echo(value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False))
