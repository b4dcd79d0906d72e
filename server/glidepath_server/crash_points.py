"""Named places, at commit boundaries and before words to workers, where a test makes this process die, stop or fail.

`GLIDEPATH_CRASH_POINT="NAME=MODE"` or `"NAME=MODE@N"` arms a place of a process, at the Nth arrival (default 1); commas
separate several, each of which strikes once:

    kill    SIGKILL to this process, as a crash or the kernel's out-of-memory killer does
    stop    SIGSTOP: the process stands still as a whole until somebody sends SIGCONT. In a transaction the line on
            stderr names the Postgres backend that serves it, for those who end backends meanwhile.
    fail    `Failed`, which is a ConnectionError: what a lost Postgres backend looks like at this place. Before a commit
            nothing has happened, after one the outcome is unknown to the caller.

Nothing is armed in ordinary use; an arrival then costs one comparison. Names are declared here, so that a sweep knows
all of them and a misspelt one is refused at the start.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

VARIABLE = "GLIDEPATH_CRASH_POINT"
MODES = ("kill", "stop", "fail")
# What a step's transaction may hold; it passes the points of each part that it does hold.
STEP_PARTS = frozenset({"call", "child_end", "claim", "command", "equal_call", "inbox", "report", "step", "withdraw"})
TRANSACTIONS = STEP_PARTS | {
    "admission",
    "alert_channel",
    "alert_claim",
    "alert_resend",
    "alert_route",
    "alert_routing",
    "alert_settle",
    "artifact",
    "call_timeouts",
    "create_backfill",
    "create_namespace",
    "create_token",
    "deadlines",
    "delete_deadline",
    "delete_limit",
    "delete_pool",
    "durations",
    "delete_schedule",
    "feed",
    "forget_results",
    "hello_bind",
    "history",
    "hello_open",
    "leave",
    "limit_sweep",
    "migration",
    "past_check",
    "pace_backfill",
    "pause_schedule",
    "plan_schedules",
    "promise_deadlines",
    "quarantine",
    "quarantine_bare",
    "reaping",
    "register",
    "release",
    "renewal",
    "request",
    "revoke_token",
    "risks",
    "server_key",
    "set_alias",
    "set_deadline",
    "set_limit",
    "set_paused",
    "set_priority",
    "set_weight",
    "set_pool",
    "steer_backfill",
    "set_schedule",
    "tick",
    "token_file",
    "trigger",
}
WORDS = frozenset({"assignment.before_send", "ack.before_send", "cancel.before_send"})
POINTS = WORDS | {f"{name}.{place}" for name in TRANSACTIONS for place in ("before_commit", "after_commit")}


class Failed(ConnectionError):
    """The failure of an armed place."""


class Backed(Protocol):
    """A connection to Postgres."""

    def get_server_pid(self) -> int: ...


@dataclass
class Armed:
    """One place, what happens there, and the arrivals still to let pass; below zero it has struck."""

    name: str
    mode: str
    left: int

    def arrive(self, backend: Backed | None) -> None:
        self.left -= 1
        if self.left == 0:
            served = f" backend {backend.get_server_pid()}" if backend is not None else ""
            print(f"crash point {self.name}: {self.mode}{served}", file=sys.stderr, flush=True)
            if self.mode == "fail":
                raise Failed(f"crash point {self.name}")
            os.kill(os.getpid(), signal.SIGKILL if self.mode == "kill" else signal.SIGSTOP)


def parse(text: str) -> Collection[Armed]:
    """The armed places that a text describes; none for an empty one. ValueError names what is known."""
    return [_parse_one(each.strip()) for each in text.split(",")] if text else []


def _parse_one(text: str) -> Armed:
    name, _, rest = text.partition("=")
    mode, _, count = rest.partition("@")
    if name not in POINTS:
        raise ValueError(f"{VARIABLE}: {name!r} is no crash point; there are {', '.join(sorted(POINTS))}")
    if mode not in MODES or not (count or "1").isdecimal() or int(count or "1") < 1:
        raise ValueError(f"{VARIABLE}: {text!r} is not NAME=MODE or NAME=MODE@N with one of {', '.join(MODES)}")
    return Armed(name, mode, int(count or "1"))


armed = parse(os.environ.get(VARIABLE, ""))


def reach(*names: str, backend: Backed | None = None) -> None:
    """This process is at the place that has these names; `backend` is the connection of its transaction."""
    for each in armed:
        if each.name in names:
            each.arrive(backend)
