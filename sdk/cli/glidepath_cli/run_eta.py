"""`glidepath run eta`: when a run will end, and the line that `run watch` has of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from . import tree
from .output import Column, enum_name, moment, print_json, print_table, proto_json, say, span
from .run_group import run_command
from .session import Session

if TYPE_CHECKING:
    from glidepath.client import Client

ASKED_EVERY_SECONDS = 10.0
LATE_SAID_FROM = 0.5
"""Who reads lines hears once that a run will probably be late: as likely as that it will not."""
_UNKNOWN_SHOWN = 3


def _seconds(duration: Any) -> str:
    return span(duration.ToTimedelta().total_seconds())


def _slack(task: Any) -> str:
    seconds = task.slack.ToTimedelta().total_seconds()
    return f"-{span(-seconds)}" if seconds < 0 else span(seconds)


_TASK: list[Column] = [
    ("TASK", lambda each: each.task_id),
    ("STATE", lambda each: enum_name(each, "state")),
    ("USUALLY", lambda each: _seconds(each.usual_duration)),
    ("STILL", lambda each: _seconds(each.remaining_duration)),
    ("END", lambda each: moment(each, "end_time")),
    ("SLACK", _slack),
    ("CRITICAL", lambda each: f"{each.critical:.0%}"),
]


@run_command("eta", example='glidepath run eta RUN_ID\nglidepath run eta last --by "2026-11-27T09:15:00+05:30" -o json')
@click.option("--by", "due_time", metavar="TIME", help="By when it has to be done, ISO 8601 with a zone: is it late?")
def run_eta(session: Session, run_id: str, due_time: str | None) -> None:
    """When a run will end: by how long its tasks took before and where they are now.

    END is expected; SLACK is how much later than that a task may end before the run is late; CRITICAL in how many of
    the possible futures the end of the run comes from it.
    """
    try:
        found = session.client.get_run_eta(run_id, due_time)
    except ValueError as error:
        raise click.UsageError(f"--by: {error}") from error
    if session.json:
        print_json(proto_json(found))
        return
    click.echo(line(found))
    for cause in found.causes:
        click.echo(f"  {cause.message}")
    click.echo()
    print_table([name for name, _ in _TASK], [[get(each) for _, get in _TASK] for each in found.tasks])
    if found.unknown_task_ids:
        shown = ", ".join(found.unknown_task_ids[:_UNKNOWN_SHOWN])
        more = len(found.unknown_task_ids) - _UNKNOWN_SHOWN
        say(f"a guess: no run has ended in which these succeeded: {shown}{f' and {more} more' if more > 0 else ''}")


def line(eta: Any) -> str:
    """ "ETA 14:05:10Z (p90 14:20:00Z)", with the day where it is another."""
    at, median, late = (moment(eta, name) for name in ("time", "p50_end_time", "p90_end_time"))
    guess = ", a guess" if eta.unknown_task_ids else ""
    due = moment(eta, "due_time")
    by = f", due {clock_text(due, at)}: {eta.late_probability:.0%} likely late" if due is not None else ""
    return f"ETA {clock_text(median, at)} (p90 {clock_text(late, at)}{guess}){by}"


def warning(eta: Any) -> str:
    """The line of a run that will probably be late, and the tasks that make it so."""
    return "; ".join([f"at risk: {line(eta)}", *(cause.message for cause in eta.causes)])


def clock_text(time: datetime | None, at: datetime | None) -> str:
    if time is None:
        return ""
    return f"{time:%H:%M:%SZ}" if at is not None and time.date() == at.date() else f"{time:%Y-%m-%d %H:%M:%SZ}"


class Watched:
    """The line of a run that is being watched; "" while nothing is known of it. `tell` hears once that it is late."""

    def __init__(self, tell: Callable[[str], None] | None = None) -> None:
        self.text = ""
        self._tell = tell
        self._stop = threading.Event()

    def row(self) -> list[tree.Row]:
        return [tree.Row("", self.text, "")] if self.text else []

    def keep_asking(self, client: Client, run_id: str) -> None:
        """Until it is stopped, or the run has ended. A server that does not know is not asked again."""
        from glidepath.errors import GlidepathError

        while not self._stop.wait(ASKED_EVERY_SECONDS if self.text else 0.5):
            try:
                found = client.get_run_eta(run_id)
            except GlidepathError:
                break
            if found.unknown_task_ids:
                break
            self.text = line(found)
            if self._tell and found.HasField("due_time") and found.late_probability >= LATE_SAID_FROM:
                self._tell(warning(found))
                self._tell = None
        self.text = ""

    def stop(self) -> None:
        self._stop.set()


@contextmanager
def watched(client: Client, run_id: str, tell: Callable[[str], None] | None = None) -> Iterator[Watched]:
    """Ask again and again, beside whoever draws or prints."""
    found = Watched(tell)
    thread = threading.Thread(target=found.keep_asking, args=(client, run_id), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.stop()


def say_once(client: Client, run_id: str) -> None:
    """The line, for who reads lines; nothing where nothing is known."""
    from glidepath.errors import GlidepathError

    try:
        found = client.get_run_eta(run_id)
    except GlidepathError:
        return
    if not found.unknown_task_ids:
        say(line(found))
