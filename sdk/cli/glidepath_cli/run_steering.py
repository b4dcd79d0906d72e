"""Commands of `glidepath run` that change a run: cancel, clear, rerun, release."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from . import advice, completion, instances, watch
from .output import enum_name, print_json, print_one, print_rows, proto_json, say
from .run_group import run_command
from .session import Session

if TYPE_CHECKING:
    from glidepath.client.runs import Mark

_TO_VERSION = click.option(
    "--version", default="", metavar="N", help="Move the run to this version of its DAG: latest, original or a number."
)
_REASON = click.option("--reason", default="", help="Kept in the audit trail and shown to the tasks.")


@run_command(
    "cancel",
    example='glidepath run cancel RUN_ID --reason "wrong day"\nglidepath run cancel RUN_ID --task train\n'
    "glidepath run cancel RUN_ID --task 'train[3]'",
)
@click.option(
    "--task",
    "tasks",
    type=instances.NAME,
    multiple=True,
    shell_complete=completion.task_ids,
    help="Only this task, or TASK[3]: one instance of a mapped one; may be repeated.",
)
@_REASON
def run_cancel(session: Session, run_id: str, tasks: tuple[instances.Name, ...], reason: str) -> None:
    """End a run, or single tasks of it: nothing new starts, what runs is told to end."""
    if tasks:
        task_ids, map_indexes = instances.of_one_task(tasks)
        found = session.client.cancel_task_instances(run_id, task_ids, map_indexes=map_indexes, reason=reason)
    else:
        found = session.client.cancel_dag_run(run_id, reason=reason)
    print_one(
        session.output,
        found,
        [
            ("run", found.dag_run_id),
            ("dag", f"{found.dag_id} v{found.dag_version_number}"),
            ("state", enum_name(found, "state")),
            ("cancelling", [str(each) for each in tasks] if tasks else found.cancel_requested),
            ("reason", found.reason),
        ],
    )
    if enum_name(found, "state") == "running":
        say(f"next:  glidepath run watch {run_id}")


@run_command(
    "mark",
    example='glidepath run mark RUN_ID load --as success --reason "loaded by hand"\n'
    "glidepath run mark RUN_ID 'train[3]' 'train[7]' --as skipped",
)
@click.argument("tasks", type=instances.NAME, nargs=-1, required=True, shell_complete=completion.task_ids)
@click.option(
    "--as",
    "state",
    type=click.Choice(["success", "failed", "skipped"]),
    required=True,
    help="The state that the tasks are to have.",
)
@_REASON
def run_mark(session: Session, run_id: str, tasks: tuple[instances.Name, ...], state: Mark, reason: str) -> None:
    """Say how tasks have ended; what runs is told to end first. What followed from another end waits for a rerun.

    TASK[3] is one instance of a mapped task: the task ends as its instances come to.
    """
    task_ids, map_indexes = instances.of_one_task(tasks)
    found = session.client.mark_task_instances(run_id, task_ids, state, map_indexes=map_indexes, reason=reason)
    print_one(
        session.output,
        found,
        [
            ("run", found.dag_run_id),
            ("dag", f"{found.dag_id} v{found.dag_version_number}"),
            ("state", enum_name(found, "state")),
            (f"marked {state}", [str(each) for each in tasks]),
            ("reason", found.reason),
        ],
    )
    after = "watch" if enum_name(found, "state") == "running" else "rerun"
    say(f"next:  glidepath run {after} {run_id}")


@run_command(
    "clear",
    example="glidepath run clear RUN_ID train --downstream --wait\nglidepath run clear RUN_ID 'train[3]' 'train[7]'",
)
@click.argument("tasks", type=instances.NAME, nargs=-1, required=True, shell_complete=completion.task_ids)
@click.option("--downstream", is_flag=True, help="Also everything that follows from them.")
@click.option("--upstream", is_flag=True, help="Also everything that they follow from.")
@click.option("--only-failed", is_flag=True, help="Of all these only what failed, was cancelled or never ran for that.")
@click.option("--cancel-running", is_flag=True, help="Tell live attempts to end first.")
@_TO_VERSION
@_REASON
@watch.waiting
def run_clear(
    session: Session,
    run_id: str,
    tasks: tuple[instances.Name, ...],
    downstream: bool,
    upstream: bool,
    only_failed: bool,
    cancel_running: bool,
    version: str,
    reason: str,
    wait: bool,
    timeout: float | None,
) -> None:
    """Let tasks run again, with the version the run has, or another; the attempts they made stay in the history.

    TASK[3] is one instance of a mapped task. What lies between a setup and a teardown that has begun runs again
    together with both.
    """
    task_ids, map_indexes = instances.of_one_task(tasks)
    answer = session.client.clear_task_instances(
        run_id,
        task_ids,
        map_indexes=map_indexes,
        downstream=downstream,
        upstream=upstream,
        only_failed=only_failed,
        cancel_running=cancel_running,
        version=version,
        reason=reason,
    )
    _go_on(session, answer, wait, timeout, () if not map_indexes or upstream or downstream or only_failed else tasks)


@run_command("rerun", example="glidepath run rerun RUN_ID --wait\nglidepath run rerun RUN_ID --version latest")
@_TO_VERSION
@_REASON
@watch.waiting
def run_rerun(session: Session, run_id: str, version: str, reason: str, wait: bool, timeout: float | None) -> None:
    """Clear what failed, was cancelled or never ran because of that, and let the run go on.

    It goes on with the version it has; with --version on another one, as soon as nothing of it is queued or runs: tasks
    of the same name keep how they have ended, those that are gone are shown as removed, new ones are scheduled.
    """
    _go_on(session, session.client.rerun_dag_run(run_id, version=version, reason=reason), wait, timeout)


@run_command("priority", example="glidepath run priority RUN_ID 50\nglidepath run priority RUN_ID -- -10 --task train")
@click.argument("priority", type=click.IntRange(-100, 100), required=False)
@click.option(
    "--task", "task_ids", multiple=True, help="Only this task; may be repeated.", shell_complete=completion.task_ids
)
@click.option("--reset", is_flag=True, help="Back to what the run, or the DAG, says.")
@_REASON
def run_priority(
    session: Session, run_id: str, priority: int | None, task_ids: tuple[str, ...], reset: bool, reason: str
) -> None:
    """Change which of what waits goes first, from -100 to 100; what runs is left alone.

    Of the whole run, which takes back what was said of single tasks, or of these tasks. What it releases later goes
    by it, too.
    """
    if reset is (priority is not None):
        raise click.UsageError("give a PRIORITY from -100 to 100, or --reset")
    answer = session.client.set_dag_run_priority(run_id, priority, task_ids=task_ids, reason=reason)
    if session.json:
        print_json(proto_json(answer))
    of = f"of {', '.join(task_ids)} " if task_ids else ""
    now = "is as the DAG says" if priority is None else f"is {priority}"
    say(f"the priority {of}in run {run_id} {now}; {answer.moved} that wait were moved")


@run_command("release", example="glidepath run release RUN_ID")
def run_release(session: Session, run_id: str) -> None:
    """Let a quarantined run go on, after its incident was looked at."""
    quarantined = session.client.get_dag_run(run_id).quarantined
    answer = session.client.release_dag_run(run_id)
    if session.json:
        print_json(proto_json(answer))
    if quarantined:
        say(f"run {run_id} goes on; follow it: glidepath run watch {run_id}")
    else:
        say(f"run {run_id} is not quarantined, so nothing held it; why it waits: glidepath run explain {run_id}")


def _go_on(
    session: Session, answer: Any, wait: bool, timeout: float | None, named: Sequence[instances.Name] = ()
) -> None:
    """Tell what was cleared (`named`: the instances alone) and what to know of it; then follow the run, if asked."""
    found = answer.dag_run
    cleared = named if named and answer.cleared_task_ids else answer.cleared_task_ids
    if not session.json:
        print_rows(
            [
                ("run", found.dag_run_id),
                ("dag", f"{found.dag_id} v{found.dag_version_number}"),
                ("state", enum_name(found, "state")),
                ("cleared", [str(each) for each in cleared] or "nothing"),
            ]
        )
    elif not wait:
        print_json(proto_json(answer))
    for notice in (advice.newer_version(session.client, found), advice.paused(session.client, found.dag_id)):
        if notice:
            say(notice)
    if wait:
        watch.wait(session, found.dag_run_id, timeout)
    say(f"next:  glidepath run watch {found.dag_run_id}")
