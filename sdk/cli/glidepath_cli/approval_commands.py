"""`glidepath approval`: what tasks ask people, and answering it."""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

import click

from . import completion, tree
from .output import Column, enum_name, moment, print_list, print_one, say
from .params import parse_value, split_pairs
from .run_group import find_run
from .session import NUMBER, Session, command


@click.group()
def approval() -> None:
    """Approvals: what tasks ask people, and the answers."""


def _message(each: Any) -> str:
    from glidepath.client import message_of

    return message_of(each)


def _fields(each: Any) -> list[str]:
    """What is filled in, as NAME or NAME=default."""
    properties = json.loads(each.form).get("properties", {}) if each.form else {}
    return [f"{name}={json.dumps(part['default'])}" if "default" in part else name for name, part in properties.items()]


_APPROVAL: list[Column] = [
    ("RUN", lambda each: each.dag_run_id),
    ("DAG", lambda each: each.dag_id),
    ("TASK", tree.label),
    ("ASKS", _message),
    ("VALUES", _fields),
    ("SINCE", lambda each: moment(each, "open_time")),
    ("UNTIL", lambda each: moment(each, "timeout_time")),
    ("THEN", lambda each: enum_name(each, "default") or ("fail" if each.HasField("timeout_time") else "")),
    ("MAY ANSWER", lambda each: list(each.approvers)),
]
_CLOSED: list[Column] = [
    ("STATE", lambda each: enum_name(each, "state")),
    ("BY", lambda each: each.answered_by),
    ("ANSWERED", lambda each: moment(each, "close_time")),
    ("ANSWER", lambda each: "" if each.values == "{}" else each.values),
    ("NOTE", lambda each: each.note),
]


@command(
    approval,
    "list",
    example="glidepath approval list\nglidepath approval list --run last --all",
)
@click.option("--dag", "dag_id", default="", shell_complete=completion.dag_ids, help="Only of this DAG.")
@click.option("--run", "run_id", default="", shell_complete=completion.run_ids, help="Only of this run.")
@click.option("--all", "include_closed", is_flag=True, help="Also what was answered, expired or withdrawn.")
@click.option("--limit", type=NUMBER, default=50, show_default=True)
def approval_list(session: Session, dag_id: str, run_id: str, include_closed: bool, limit: int) -> None:
    """What waits for an answer, newest first."""
    run_id = find_run(session.client, run_id) if run_id else ""
    pages = session.client.list_approvals(
        dag_id, run_id=run_id, include_closed=include_closed, page_size=min(limit, 500)
    )
    found = list(islice(pages, limit))
    print_list(session.output, found, _APPROVAL + (_CLOSED if include_closed else []), "nothing waits for an answer")
    waiting = [each for each in found if enum_name(each, "state") == "open"]
    if waiting and not session.json:
        say(f"next:  glidepath approval answer {waiting[0].dag_run_id} {waiting[0].task_id} --approve")


@command(
    approval,
    "answer",
    example="glidepath approval answer RUN_ID release --approve --value stage=canary\n"
    'glidepath approval answer RUN_ID release --reject --note "not on a Friday"',
)
@click.argument("run_id", shell_complete=completion.run_ids)
@click.argument("task_id", shell_complete=completion.task_ids)
@click.option("--approve/--reject", "approve", default=None, required=True, help="The answer.")
@click.option("--value", "pairs", multiple=True, help="NAME=VALUE of the approval's form; may be repeated.")
@click.option("--note", default="", help="Kept with the answer and in the audit trail.")
def approval_answer(
    session: Session, run_id: str, task_id: str, approve: bool, pairs: tuple[str, ...], note: str
) -> None:
    """Answer what a task asks. The first answer counts; the same again changes nothing."""
    run_id = find_run(session.client, run_id)
    found = session.client.answer_approval(
        run_id, task_id, approve, values=_values(session, run_id, task_id, pairs), note=note
    )
    print_one(
        session.output,
        found,
        [
            ("run", found.dag_run_id),
            ("task", tree.label(found)),
            ("asks", _message(found)),
            ("state", enum_name(found, "state")),
            ("by", found.answered_by),
            ("values", "" if found.values == "{}" else found.values),
            ("note", found.note),
        ],
    )
    say(f"next:  glidepath run watch {run_id}")


def _values(session: Session, run_id: str, task_id: str, pairs: tuple[str, ...]) -> dict[str, Any]:
    """The values that were given, as the form wants them: its schema says what is text."""
    texts = split_pairs(pairs, "--value")
    if not texts:
        return {}
    asked = (
        each for each in session.client.list_approvals(run_id=run_id, include_closed=True) if each.task_id == task_id
    )
    newest = next(asked, None)
    properties = json.loads(newest.form).get("properties", {}) if newest is not None and newest.form else {}
    return {name: parse_value(text, properties.get(name)) for name, text in texts.items()}
