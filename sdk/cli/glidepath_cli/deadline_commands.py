"""`glidepath deadline`: what runs have to be done by, and what became of that."""

from __future__ import annotations

import re
from itertools import islice
from typing import Any

import click

from . import completion
from .output import Column, enum_name, moment, print_json, print_list, print_one, print_table, proto_json, say
from .run_group import find_run
from .session import NUMBER, Session, command

STATES = ("on_track", "at_risk", "missed", "met", "met_late")
_SPANS = ("queue", "start", "logical_date", "interval_end")


@click.group()
def deadline() -> None:
    """Deadlines: what runs, tasks and groups have to be done by, and what became of that."""


def watches(each: Any) -> str:
    """What a deadline watches, for people."""
    declared = each.declaration
    if declared.task_id:
        return f"task {declared.task_id}"
    return f"group {declared.group_id}" if declared.group_id else "run"


_OF_RUN: list[Column] = [
    ("RUN", lambda each: each.dag_run_id or f"{each.run_key} (not created)"),
    ("DAG", lambda each: each.dag_id),
    ("DEADLINE", lambda each: each.declaration.name),
    ("WATCHES", watches),
    ("STATE", lambda each: enum_name(each, "state").replace("_", " ")),
    ("DUE", lambda each: moment(each, "due_time")),
    ("SINCE", lambda each: moment(each, "state_time")),
]
_OF_DAG: list[Column] = [
    ("DEADLINE", lambda each: each.declaration.name),
    ("WATCHES", watches),
    ("DUE", lambda each: each.description),
    ("SET", lambda each: "with the DAG" if each.declared else f"by {each.updated_by}"),
]


def print_deadlines(found: list[Any]) -> None:
    """Those of one run, below what is shown of it; nothing for a run without any."""
    if found:
        click.echo()
        columns = [column for column in _OF_RUN if column[0] not in ("RUN", "DAG")]
        print_table([name for name, _ in columns], [[get(each) for _, get in columns] for each in reversed(found)])


@command(
    deadline,
    "list",
    example="glidepath deadline list --run last\nglidepath deadline list --state missed --state at_risk",
)
@click.option("--dag", "dag_id", default="", shell_complete=completion.dag_ids, help="Only of this DAG.")
@click.option("--run", "run_id", default="", shell_complete=completion.run_ids, help="Only of this run.")
@click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="May be repeated.")
@click.option("--limit", type=NUMBER, default=50, show_default=True)
def deadline_list(session: Session, dag_id: str, run_id: str, states: tuple[str, ...], limit: int) -> None:
    """Deadlines of runs, newest first."""
    run_id = find_run(session.client, run_id) if run_id else ""
    pages = session.client.list_run_deadlines(
        dag_id=dag_id, dag_run_id=run_id, states=states, page_size=min(limit, 500)
    )
    empty = "no run has such a deadline; give a DAG one: glidepath deadline set DAG_ID --after-start 6h"
    print_list(session.output, list(islice(pages, limit)), _OF_RUN, empty)


@command(deadline, "show", example="glidepath deadline show training")
@click.argument("dag_id", shell_complete=completion.dag_ids)
def deadline_show(session: Session, dag_id: str) -> None:
    """What the next run of a DAG will have to be done by."""
    found = session.client.list_deadlines(dag_id)
    print_list(
        session.output, found, _OF_DAG, f"no deadlines; set one: glidepath deadline set {dag_id} --after-start 6h"
    )


@command(
    deadline,
    "set",
    example="glidepath deadline set training --wall 09:15 --zone Asia/Kolkata --weekdays mon-fri\n"
    "glidepath deadline set training --after-start 2h --task load",
)
@click.argument("dag_id", shell_complete=completion.dag_ids)
@click.option("--wall", metavar="HH:MM", default=None, help="A local time; needs --zone.")
@click.option("--zone", default=None, help="IANA zone, such as Asia/Kolkata.")
@click.option("--weekdays", default=None, help="Local days: mon-fri, or mon,wed. Default: all.")
@click.option("--after-queue", metavar="SPAN", default=None, help="So long after the run was created: 90m, 6h.")
@click.option("--after-start", metavar="SPAN", default=None, help="So long after the run has started.")
@click.option("--after-logical-date", metavar="SPAN", default=None, help="So long after the run's logical date.")
@click.option("--after-interval-end", metavar="SPAN", default=None, help="So long after the run's data interval.")
@click.option("--task", default=None, help="Watch this task, not the run.")
@click.option("--group", default=None, help="Watch the tasks of this group.")
@click.option("--name", default=None, help="Unique within the DAG. Default: what it says.")
def deadline_set(session: Session, dag_id: str, **said: str | None) -> None:
    """Give a DAG a deadline, or replace the one of that name. Runs created from then on have it."""
    from glidepath.authoring.deadlines import read_deadline
    from glidepath.errors import AuthoringError

    rules = [name for name in ("wall", *(f"after_{each}" for each in _SPANS)) if said[name] is not None]
    if len(rules) != 1:
        given = " and ".join(f"--{rule.replace('_', '-')}" for rule in rules) or "none of them"
        raise click.UsageError(f"one of --wall, --after-queue, --after-start, ... says when it is due; got {given}")
    if said["wall"] is not None and not said["zone"]:
        raise click.UsageError("--wall needs --zone, the name of an IANA zone: --zone Asia/Kolkata, or --zone UTC")
    try:
        wanted = read_deadline({name: value for name, value in said.items() if value is not None}, "deadline")
    except AuthoringError as error:
        raise click.UsageError(_as_options(str(error))) from error
    found = session.client.set_deadline(dag_id, wanted)
    print_one(session.output, found, [(name.lower(), get(found)) for name, get in _OF_DAG])


def _as_options(text: str) -> str:
    """What is wrong with a declaration, in the words of the options."""
    text = re.sub(r"^deadline: (\w+)", lambda found: "--" + found[1].replace("_", "-"), text)
    return text.replace("seconds, a timedelta, or text such as '90s' or '1h30m'", "a span such as 90s or 1h30m")


@command(deadline, "delete", example='glidepath deadline delete training "2h after its start"')
@click.argument("dag_id", shell_complete=completion.dag_ids)
@click.argument("deadline_name")
def deadline_delete(session: Session, dag_id: str, deadline_name: str) -> None:
    """Delete a deadline of a DAG. Runs that have it keep it."""
    known = [each.declaration.name for each in session.client.list_deadlines(dag_id)]
    answer = session.client.delete_deadline(dag_id, deadline_name)
    if session.json:
        print_json(proto_json(answer))
    if deadline_name in known:
        say(f"deadline {deadline_name!r} of {dag_id} is deleted; runs that have it keep it")
    else:
        say(f"{dag_id} had no deadline {deadline_name!r} (it has: {', '.join(known) or 'none'}); nothing changed")
