"""`glidepath run pause` and `resume`: breakpoints of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from . import completion
from .output import enum_name, print_one, say
from .run_group import run_command
from .session import Session

_REASON = click.option("--reason", default="", help="Shown with what waits, and kept in the audit trail.")


def _at(help_text: str) -> Callable[[Any], Any]:
    return click.option("--at", "task_ids", multiple=True, shell_complete=completion.task_ids, help=help_text)


@run_command(
    "pause", example='glidepath run pause RUN_ID\nglidepath run pause RUN_ID --at deploy --reason "look at it first"'
)
@_at("Only this task; may be repeated.")
@_REASON
def run_pause(session: Session, run_id: str, task_ids: tuple[str, ...], reason: str) -> None:
    """Nothing of a run, or of single tasks, starts any more; what runs goes on. What is queued waits again."""
    found = session.client.pause_dag_run(run_id, task_ids, reason=reason)
    _tell(session, found, "paused", task_ids)
    say(f"next:  glidepath run resume {run_id}{''.join(f' --at {each}' for each in task_ids)}")


@run_command("resume", example="glidepath run resume RUN_ID\nglidepath run resume RUN_ID --at deploy")
@_at("Only the pause of this task; may be repeated.")
@_REASON
def run_resume(session: Session, run_id: str, task_ids: tuple[str, ...], reason: str) -> None:
    """Lift all pauses of a run, or those of single tasks: what waited for nothing else starts."""
    found = session.client.resume_dag_run(run_id, task_ids, reason=reason)
    _tell(session, found, "resumed", task_ids)
    say(f"next:  glidepath run watch {run_id}")


def _tell(session: Session, found: Any, done: str, task_ids: tuple[str, ...]) -> None:
    print_one(
        session.output,
        found,
        [
            ("run", found.dag_run_id),
            ("dag", f"{found.dag_id} v{found.dag_version_number}"),
            ("state", enum_name(found, "state")),
            (done, list(task_ids) or "the whole run"),
            ("paused by", found.paused_by),
        ],
    )
