"""Following a run: a live tree on a terminal, a line per change elsewhere, a JSON object per message for programs."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from . import advice, ends, instances, run_deadlines, run_eta, tree
from .exits import Exit
from .output import STYLES, console, enum_name, moment, print_json, print_json_line, printable, proto_json, say

if TYPE_CHECKING:
    from rich.text import Text

    from glidepath.client import Client

    from .session import Session

FAILURES_SHOWN_MAX = 10
DEADLINES_DRAWN_MAX = 5
"""Under a tree that moves; all of them are printed at its end."""
LEAVING_SECONDS = 5.0
STILL_SECONDS = 10.0
"""When nothing of a run has moved for so long and nothing runs, the reader hears where to see why."""


def now() -> datetime:
    return datetime.now(UTC)


class RunView:
    """What is known of a run so far. A message replaces what it names."""

    def __init__(self, run: Any = None, instances: Iterable[Any] = ()) -> None:
        self.run: Any = run
        # In the order in which they first came, which is the server's: upstreams first. It does not change any more.
        self.instances: dict[tuple[str, int], Any] = {tree.key_of(each): each for each in instances}
        self.moved_at = now()

    def take(self, message: Any) -> list[Any]:
        """Apply a message of the watch; the tasks whose state or attempt is another than before, and mapped ones of
        which another tenth has ended."""
        changed = []
        for each in message.task_instances:
            before = self.instances.get(tree.key_of(each))
            if before is None or _worth_a_line(before) != _worth_a_line(each):
                changed.append(each)
        # A new dict, as the screen is drawn by another thread meanwhile.
        self.instances = {**self.instances, **{tree.key_of(each): each for each in message.task_instances}}
        self.run, self.moved_at = message.dag_run, now()
        return changed

    def rows(self, at: datetime) -> list[tree.Row]:
        instances = list(self.instances.values())
        return [tree.headline(self.run, instances, at), *tree.rows(instances, at)]

    @property
    def waits(self) -> bool:
        """Whether the run is to go on, and nothing of it is at work."""
        return enum_name(self.run, "state") in ("queued", "running") and "running" not in self.states.values()

    def still(self, at: datetime) -> str:
        """What is said when nothing has moved for a while, "" while something does."""
        seconds = (at - self.moved_at).total_seconds()
        return stillness(self.run.dag_run_id) if self.run and self.waits and seconds >= STILL_SECONDS else ""

    @property
    def states(self) -> dict[tuple[str, int], str]:
        return {key: enum_name(each, "state") for key, each in self.instances.items()}


def _worth_a_line(instance: Any) -> tuple[int, int, int]:
    return instance.state, instance.attempt_number, instances.part_done(instance)


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


def stillness(run_id: str) -> str:
    return f"nothing has moved for {STILL_SECONDS:g} s; see why: glidepath run explain {run_id}"


@contextmanager
def interruptible(run_id: str) -> Iterator[None]:
    """Ctrl-C ends the waiting and says that it ended nothing else.

    It may come while a library holds a lock that its own way out needs, too: what has not ended by itself a while later
    is ended. There is nothing to lose.
    """

    def interrupted(number: int, frame: object) -> None:
        last = threading.Timer(LEAVING_SECONDS, os._exit, [int(Exit.INTERRUPTED)])
        last.daemon = True
        last.start()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    except KeyboardInterrupt:
        say(f"the run goes on; come back to it: glidepath run watch {run_id}; end it: glidepath run cancel {run_id}")
        raise click.exceptions.Exit(Exit.INTERRUPTED) from None


def follow(client: Client, run_id: str, output: str) -> RunView:
    """Follow a run to its end and print it on the way."""
    view = RunView()
    target = console()
    if output == "json":
        _follow_json(client, run_id, view)
    elif target.is_terminal:
        _follow_live(client, run_id, view, target)
    else:
        _follow_lines(client, run_id, view)
    return view


def _follow_json(client: Client, run_id: str, view: RunView) -> None:
    """An object per message, with the run's deadlines in it; one more when the state of one changes meanwhile."""
    from glidepath_proto.run.v1.run_service_pb2 import WatchDagRunResponse

    turn = threading.Lock()

    def show(message: Any, _: object = None) -> None:
        with turn:
            if message.dag_run.HasField("end_time"):
                deadlines.ask()  # what has become of them
            print_json_line({**proto_json(message), "deadlines": deadlines.json(now())})

    def between(_: object) -> None:
        if view.run is not None:
            show(WatchDagRunResponse(dag_run=view.run))

    with run_deadlines.watched(client, run_id, between) as deadlines:
        _follow_each(client, run_id, view, show)


def _follow_lines(client: Client, run_id: str, view: RunView) -> None:
    def tell(changed: Iterable[Any]) -> None:
        for each in changed:
            say(run_deadlines.line(each, now()))

    run_eta.say_once(client, run_id)
    with run_eta.watched(client, run_id, say), run_deadlines.watched(client, run_id, tell) as deadlines:
        tell(deadlines.known)
        _follow_each(client, run_id, view, _print_changes)
    tell(deadlines.ask())


def _follow_each(client: Client, run_id: str, view: RunView, show: Callable[[Any, list[Any]], None]) -> None:
    with _reminder(lambda: say(stillness(run_id))) as remind:
        for message in client.watch(run_id):
            show(message, view.take(message))
            remind(view.waits)


@contextmanager
def _reminder(tell: Callable[[], None]) -> Iterator[Callable[[bool], None]]:
    """A function to call at each change: where nothing follows for a while that may be waited for, `tell` is called."""
    timer: threading.Timer | None = None

    def remind(waits: bool) -> None:
        nonlocal timer
        if timer is not None:
            timer.cancel()
        timer = threading.Timer(STILL_SECONDS, tell) if waits else None
        if timer is not None:
            timer.daemon = True
            timer.start()

    try:
        yield remind
    finally:
        remind(False)


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
        beside = [*eta.row(), *deadlines.rows(now())[:DEADLINES_DRAWN_MAX]]
        lines = [*tree.fit(view.rows(now()), target.height - 2 - max(1, len(beside))), *beside]
        still = view.still(now())
        return Group(*map(row_text, [*lines, tree.Row("", still, "")] if still else lines))

    try:
        with (
            run_eta.watched(client, run_id) as eta,
            run_deadlines.watched(client, run_id) as deadlines,
            Live(get_renderable=draw, console=target, refresh_per_second=4, transient=True),
        ):
            for message in client.watch(run_id):
                view.take(message)
    finally:  # also when it is interrupted, what was seen last stays on the screen
        if view.run is not None:
            print_rows(view.rows(now()))
    deadlines.ask()  # what has become of them
    print_rows(deadlines.rows(now()))


def finish(client: Client, run_id: str, view: RunView) -> Exit:
    """What is worth saying about a run that ended, on stderr: failures, the critical path. Gives the exit code."""
    failed = [each for each in view.instances.values() if enum_name(each, "state") == "failed"]
    for each in failed[:FAILURES_SHOWN_MAX]:
        say(f"{tree.label(each)} failed: {printable(ends.why(each))}")
        if each.map_counts.failed:
            say(f"  {instances.which_failed(run_id, each)}")
    if len(failed) > FAILURES_SHOWN_MAX:
        say(f"and {len(failed) - FAILURES_SHOWN_MAX} more; see all: glidepath run attempts {run_id}")
    path = client.explain_dag_run(run_id).critical_path
    if path:
        say("critical path (what the run's length was made of):")
        print_rows(
            [tree.Row("  ", row.name, row.state, row.time, row.note) for row in tree.critical_path(path, view.states)],
            err=True,
        )
    state = enum_name(view.run, "state")
    reason = printable(view.run.reason) if len(failed) <= 1 else ""  # of several, each has been said
    say(f"run {run_id} {state}" + (f": {reason}" if reason else ""))
    if state == "success":
        return Exit.OK
    for step in advice.after_failure(client, view.run):
        say("next:  " + "\n     ".join(advice.lines(step)))
    return Exit.FAILED


def waiting(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options --wait and --timeout."""
    bounded = click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        default=None,
        metavar="SECONDS",
        help="With --wait: no longer than this (exit code 7); the run goes on.",
    )
    waited = click.option("--wait", is_flag=True, help="Wait for the end: exit code 0 when it succeeds, else 1.")
    return waited(bounded(function))


def wait(session: Session, run_id: str, timeout: float | None) -> None:
    """Follow a run to its end, or as long as asked, and leave with its exit code."""
    with interruptible(run_id):
        say(f"run {run_id} goes; see it in another terminal: glidepath run watch {run_id}")
        if timeout is None and not session.json and console().is_terminal:
            view = follow(session.client, run_id, session.output)
        else:
            view = _wait(session, run_id, timeout)
        raise click.exceptions.Exit(finish(session.client, run_id, view))


def _wait(session: Session, run_id: str, timeout: float | None) -> RunView:
    from glidepath.errors import WaitTimeout

    try:
        with _reminder(lambda: say(f"it is not done yet; see why: glidepath run explain {run_id}")) as remind:
            remind(True)
            final = session.client.wait(run_id, timeout)
    except WaitTimeout as late:
        step = f"go on waiting: glidepath run watch {run_id}; why it takes so long: glidepath run explain {run_id}"
        late.hint = step  # type: ignore[attr-defined]  # the table of exit codes takes it instead of its own
        raise
    view = RunView(final, session.client.list_task_instances(run_id))
    if session.json:
        print_json(proto_json(final))
    else:
        print_rows(view.rows(now()))
    return view
