"""`glidepath run note`: what people note of a run, for whoever looks at it next."""

from __future__ import annotations

from typing import Any

import click

from . import completion, tree
from .output import Column, moment, print_one, print_table
from .run_group import run_command
from .session import Session

_NOTE: list[Column] = [
    ("NOTED", lambda each: moment(each, "time")),
    ("BY", lambda each: each.author),
    ("TASK", lambda each: tree.label(each) if each.task_id else ""),
    ("NOTE", lambda each: each.text),
]


@run_command("note", example='glidepath run note RUN_ID "the source was late" --task load')
@click.argument("text")
@click.option("--task", "task_id", default="", shell_complete=completion.task_ids, help="On this task.")
def run_note(session: Session, run_id: str, text: str, task_id: str) -> None:
    """Add a note to a run, or to one of its tasks; `glidepath run show` lists them. Notes stay as they are."""
    found = session.client.add_note(run_id, text, task_id)
    print_one(session.output, found, [(name.lower(), get(found)) for name, get in _NOTE])


def print_notes(notes: list[Any]) -> None:
    """Below what is shown of a run."""
    if notes:
        click.echo()
        print_table([name for name, _ in _NOTE], [[get(each) for _, get in _NOTE] for each in notes])
