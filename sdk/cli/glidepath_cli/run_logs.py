"""`glidepath run logs`: what attempts wrote, and at its place how they ended."""

from __future__ import annotations

import sys
from datetime import UTC
from typing import Any

import click

from . import completion, ends, instances, tree
from .output import print_json_line, printable, say
from .run_group import run_command
from .session import NUMBER, Session


@run_command("logs", example="glidepath run logs RUN_ID --task train --follow\nglidepath run logs last")
@click.option(
    "--task",
    type=instances.NAME,
    default="",
    shell_complete=completion.task_ids,
    help="Only this task, or TASK[3]: this instance of a mapped one.",
)
@click.option("--attempt", "attempt_number", type=NUMBER, default=None, help="Only this attempt.")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run is final.")
@click.option("--time/--no-time", "with_time", default=False, help="Write when each line was said.")
def run_logs(
    session: Session, run_id: str, task: instances.Name, attempt_number: int | None, follow: bool, with_time: bool
) -> None:
    """What the tasks wrote, as TASK#ATTEMPT | LINE in the order of its arrival.

    How an attempt ended that did not succeed stands where it ended, behind "!": the reason, the trace and its causes.
    With --follow it may come later, but before the next attempt of the task. With -o json, one object per log line.
    """
    lines = session.client.logs(
        run_id, task.task_id, map_index=task.map_index, attempt_number=attempt_number or 0, follow=follow
    )
    if session.json:
        for line in lines:
            print_json_line(line)
        return
    _Reader(session, run_id, task, attempt_number or 0, with_time).read(lines, follow)


class _Reader:
    """One reading of logs."""

    def __init__(
        self, session: Session, run_id: str, task: instances.Name, attempt_number: int, with_time: bool
    ) -> None:
        self._session, self._run_id, self._with_time = session, run_id, with_time
        self._task, self._attempt_number = task, attempt_number
        self._untold = ends.Untold()
        self._any = False

    def read(self, lines: Any, follow: bool) -> None:
        begun: set[Any] = set()
        if not follow:
            self._learn(self._task)
        for line in lines:
            if follow and line.attempt_number > 1 and ends.key_of(line) not in begun:
                begun.add(ends.key_of(line))
                self._learn(instances.Name(line.task_id, line.map_index))
            self._tell(self._untold.before(line))
            self._print(line, "|", line.text, line.time)
        if follow:
            self._learn(self._task)
        self._tell(self._untold.rest())
        if not self._any:
            one = f" --task {self._task.task_id}" if self._task.map_index is not None else ""
            say(f"nothing was written yet; what happens: glidepath run show {self._run_id}{one}")

    def _learn(self, task: instances.Name) -> None:
        found = self._session.client.list_attempts(self._run_id, task.task_id, map_index=task.map_index)
        self._untold.add([each for each in found if self._attempt_number in (0, each.attempt_number)])

    def _tell(self, attempts: list[Any]) -> None:
        for each in attempts:
            for text in ends.lines(each):
                self._print(each, "!", text, each.end_time)

    def _print(self, of: Any, sign: str, text: str, time: Any) -> None:
        self._any = True
        clean = printable if sys.stdout.isatty() else str  # a pipe gets what was written
        at = f"{time.ToDatetime(tzinfo=UTC):%H:%M:%S.%f}"[:-3] + "Z " if self._with_time else ""
        task = "" if self._task.task_id and (self._task.map_index is not None or of.map_index < 0) else tree.label(of)
        attempt = "" if self._attempt_number else f"#{of.attempt_number}"
        name = f"{task}{attempt} " if task or attempt else ""
        click.echo(f"{at}{name}{sign} {clean(text)}")
