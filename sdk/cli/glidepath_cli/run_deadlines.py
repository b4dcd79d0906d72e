"""The deadlines of a run that is being watched: a line each, beside its ETA, and in its JSON."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from . import tree
from .deadline_commands import watches
from .output import enum_name, moment, proto_json, span
from .run_eta import clock_text

if TYPE_CHECKING:
    from glidepath.client import Client

ASKED_EVERY_SECONDS = 10.0
_WORDS = {"missed": "over", "met": "early", "met_late": "late"}
"""What the span between a deadline and now, or the instant at which it was met, is in a state; else it is left."""


class Deadlines:
    """What is known of a run's deadlines, in the order in which the run has them. Any thread may ask."""

    def __init__(self, client: Client, run_id: str) -> None:
        self.known: Sequence[Any] = ()
        self._client, self._run_id = client, run_id
        self._turn = threading.Lock()

    def ask(self) -> list[Any]:
        """Ask the server; those whose state is another than when it was last asked. None where it does not answer: what
        is known stays."""
        from glidepath.errors import GlidepathError

        with self._turn:
            try:
                found = list(self._client.list_run_deadlines(dag_run_id=self._run_id))[::-1]
            except GlidepathError:
                return []
            before = {each.deadline_id: each.state for each in self.known}
            self.known = found
            return [each for each in found if before.get(each.deadline_id) != each.state]

    def rows(self, at: datetime) -> list[tree.Row]:
        return [row(each, at) for each in self.known]

    def json(self, at: datetime) -> list[dict[str, Any]]:
        return [as_json(each, at) for each in self.known]


@contextmanager
def watched(client: Client, run_id: str, tell: Callable[[Sequence[Any]], None] | None = None) -> Iterator[Deadlines]:
    """Those of a run, asked for again and again beside whoever draws or prints. `tell` hears of each change of a state
    that comes until the end; who wants to hear of the first and the last one asks by himself."""
    found = Deadlines(client, run_id)
    stop = threading.Event()

    def keep_asking() -> None:
        while not stop.wait(ASKED_EVERY_SECONDS):
            changed = found.ask()
            if changed and tell and not stop.is_set():
                tell(changed)

    found.ask()
    if found.known:  # a run gets its deadlines when it is created
        threading.Thread(target=keep_asking, daemon=True).start()
    try:
        yield found
    finally:
        stop.set()


def row(each: Any, at: datetime) -> tree.Row:
    """deadline 2h after it was queued  on track  1h12m left  due 14:05:10Z"""
    due, of = moment(each, "due_time"), watches(each)
    name = f"deadline {each.declaration.name}" + (f" ({of})" if of != "run" else "")
    if due is None:
        return tree.Row("", name, _state(each), note="not due before it has started")
    return tree.Row("", name, _state(each), _span(each, due, at), f"due {clock_text(due, at)}")


def line(each: Any, at: datetime) -> str:
    """deadline 2h after it was queued: on track, 1h12m left, due 14:05:10Z"""
    shown = row(each, at)
    return f"{shown.name}: " + ", ".join(part for part in (shown.state, shown.time, shown.note) if part)


def as_json(each: Any, at: datetime) -> dict[str, Any]:
    """With `timeLeft` beside what the protocol has: a duration, below 0 when it is over; null when it is settled or not
    known."""
    due = moment(each, "due_time")
    settled = enum_name(each, "state") in ("met", "met_late")
    left = None if due is None or settled else f"{(due - at).total_seconds():.3f}s"
    return {**proto_json(each), "timeLeft": left}


def _state(each: Any) -> str:
    return enum_name(each, "state").replace("_", " ")


def _span(each: Any, due: datetime, at: datetime) -> str:
    word = _WORDS.get(enum_name(each, "state"), "left")
    if word in ("early", "late"):
        at = moment(each, "state_time") or at
    seconds = (due - at).total_seconds()
    return f"{span(seconds if word in ('left', 'early') else -seconds)} {word}"
