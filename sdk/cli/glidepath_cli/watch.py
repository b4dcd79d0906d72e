"""Following a run: a live tree on a terminal, a line per change elsewhere, a JSON object per message for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from . import tree
from .exits import Exit
from .output import STYLES, console, enum_name, moment, print_json_line, printable, say

if TYPE_CHECKING:
    from rich.text import Text

    from glidepath.client import Client


def now() -> datetime:
    return datetime.now(UTC)


class RunView:
    """What is known of a run so far. A message replaces what it names."""

    def __init__(self, run: Any = None, instances: Iterable[Any] = ()) -> None:
        self.run: Any = run
        self.instances: dict[tuple[str, int], Any] = {tree.key_of(each): each for each in instances}

    def take(self, message: Any) -> list[Any]:
        """Apply a message of the watch; the task instances whose state or attempt is another than before."""
        changed = []
        for each in message.task_instances:
            before = self.instances.get(tree.key_of(each))
            if before is None or (before.state, before.attempt_number) != (each.state, each.attempt_number):
                changed.append(each)
        # A new dict, as the screen is drawn by another thread meanwhile.
        self.instances = {**self.instances, **{tree.key_of(each): each for each in message.task_instances}}
        self.run = message.dag_run
        return changed

    def rows(self, at: datetime) -> list[tree.Row]:
        instances = list(self.instances.values())
        return [tree.headline(self.run, instances, at), *tree.rows(instances, at)]

    @property
    def states(self) -> dict[tuple[str, int], str]:
        return {key: enum_name(each, "state") for key, each in self.instances.items()}


def row_text(row: tree.Row) -> Text:
    from rich.text import Text

    style = STYLES.get(row.state, "")
    text = Text.assemble((row.branch, "dim"), (f"{tree.SYMBOLS.get(row.state, '')} ".lstrip(), style), row.name)
    for part, how in ((row.state, style), (row.time, "dim"), (row.note, "dim italic")):
        if part:
            text.append("  ").append(printable(part), style=how)
    return text


def print_rows(rows: Iterable[tree.Row], *, err: bool = False) -> None:
    target = console(err=err)
    for row in rows:
        target.print(row_text(row), soft_wrap=True)


@contextmanager
def interruptible(run_id: str) -> Iterator[None]:
    """Ctrl-C ends the waiting and says that it ended nothing else."""
    try:
        yield
    except KeyboardInterrupt:
        say(f"the run goes on; end it: glidepath run cancel {run_id}")
        raise click.exceptions.Exit(Exit.INTERRUPTED) from None


def follow(client: Client, run_id: str, output: str) -> RunView:
    """Follow a run to its end and print it on the way."""
    view = RunView()
    target = console()
    if output == "json":
        _follow_each(client, run_id, view, lambda message, _: print_json_line(message))
    elif target.is_terminal:
        _follow_live(client, run_id, view, target)
    else:
        _follow_each(client, run_id, view, _print_changes)
    return view


def _follow_each(client: Client, run_id: str, view: RunView, show: Callable[[Any, list[Any]], None]) -> None:
    for message in client.watch(run_id):
        show(message, view.take(message))


def _print_changes(message: Any, changed: list[Any]) -> None:
    for each in changed:
        at = moment(each, "end_time") or moment(each, "start_time") or moment(each, "queue_time")
        row = tree.Row(
            "", tree.label(each), enum_name(each, "state"), tree.elapsed(each, now()), tree.note(each, now())
        )
        print_rows([tree.Row(f"{at:%H:%M:%SZ}  " if at else "", row.name, row.state, row.time, row.note)])


def _follow_live(client: Client, run_id: str, view: RunView, target: Any) -> None:
    from rich.console import Group
    from rich.live import Live

    def draw() -> Group:
        if view.run is None:
            return Group()
        return Group(*map(row_text, tree.fit(view.rows(now()), target.height - 1)))

    with Live(get_renderable=draw, console=target, refresh_per_second=4, transient=True):
        for message in client.watch(run_id):
            view.take(message)
    print_rows(view.rows(now()))


def finish(client: Client, run_id: str, view: RunView) -> Exit:
    """What is worth saying about a run that ended, on stderr: failures, the critical path. Gives the exit code."""
    failed = [each for each in view.instances.values() if enum_name(each, "state") == "failed"]
    for each in failed[:5]:
        say(f"{tree.label(each)} failed: {printable(tree.failure_line(each.failure) or each.reason)}")
    path = client.explain_dag_run(run_id).critical_path
    if path:
        say("critical path (what the run's length was made of):")
        print_rows(
            [tree.Row("  ", row.name, row.state, row.time, row.note) for row in tree.critical_path(path, view.states)],
            err=True,
        )
    state = enum_name(view.run, "state")
    say(f"run {run_id}: {state}" + (f", {printable(view.run.reason)}" if view.run.reason else ""))
    if state == "success":
        return Exit.OK
    say(f"next:  glidepath run logs {run_id}; when the cause is mended: glidepath run rerun {run_id}")
    return Exit.FAILED
