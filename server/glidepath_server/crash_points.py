"""Named places, at commit boundaries and before words to workers, where a test makes this process die, stop or fail.

`GLIDEPATH_CRASH_POINT="NAME=MODE"` or `"NAME=MODE@N"` arms one place of a process, at the Nth arrival (default 1):

    kill    SIGKILL to this process, as a crash or the kernel's out-of-memory killer does
    stop    SIGSTOP: the process stands still as a whole until somebody sends SIGCONT
    fail    `Failed`, which is a ConnectionError: what a lost Postgres backend looks like at this place. Before a commit
            nothing has happened, after one the outcome is unknown to the caller.

Nothing is armed in ordinary use; an arrival then costs one comparison. Names are declared here, so that a sweep knows
all of them and a misspelt one is refused at the start.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass

VARIABLE = "GLIDEPATH_CRASH_POINT"
MODES = ("kill", "stop", "fail")
# What a step's transaction may hold; it passes the points of each part that it does hold.
STEP_PARTS = frozenset({"claim", "command", "inbox", "report", "step", "withdraw"})
TRANSACTIONS = STEP_PARTS | {
    "admission",
    "artifact",
    "create_namespace",
    "create_token",
    "delete_pool",
    "feed",
    "hello_bind",
    "hello_open",
    "leave",
    "limit_sweep",
    "migration",
    "quarantine",
    "quarantine_bare",
    "reaping",
    "register",
    "release",
    "renewal",
    "request",
    "revoke_token",
    "server_key",
    "set_alias",
    "set_paused",
    "set_pool",
    "token_file",
    "trigger",
}
WORDS = frozenset({"assignment.before_send", "ack.before_send", "cancel.before_send"})
POINTS = WORDS | {f"{name}.{place}" for name in TRANSACTIONS for place in ("before_commit", "after_commit")}


class Failed(ConnectionError):
    """The failure of an armed place."""


@dataclass
class Armed:
    """One place, what happens there, and the arrivals still to let pass."""

    name: str
    mode: str
    left: int

    def strike(self) -> None:
        self.left -= 1
        if self.left == 0:
            print(f"crash point {self.name}: {self.mode}", file=sys.stderr, flush=True)
            if self.mode == "fail":
                raise Failed(f"crash point {self.name}")
            os.kill(os.getpid(), signal.SIGKILL if self.mode == "kill" else signal.SIGSTOP)


def parse(text: str) -> Armed | None:
    """The armed place that a text describes; None for an empty one. ValueError names what is known."""
    if not text:
        return None
    name, _, rest = text.partition("=")
    mode, _, count = rest.partition("@")
    if name not in POINTS:
        raise ValueError(f"{VARIABLE}: {name!r} is no crash point; there are {', '.join(sorted(POINTS))}")
    if mode not in MODES or not (count or "1").isdecimal() or int(count or "1") < 1:
        raise ValueError(f"{VARIABLE}: {text!r} is not NAME=MODE or NAME=MODE@N with one of {', '.join(MODES)}")
    return Armed(name, mode, int(count or "1"))


armed = parse(os.environ.get(VARIABLE, ""))


def reach(*names: str) -> None:
    """This process is at the place that has these names."""
    if armed is not None and armed.name in names:
        armed.strike()
