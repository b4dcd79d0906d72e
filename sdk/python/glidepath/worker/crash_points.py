"""Named places on an attempt's way through the stream process, where a test makes it die or stand still.

`GLIDEPATH_WORKER_CRASH_POINT="NAME=kill"` or `"NAME=stop@N"` arms one place of a worker, at the Nth arrival (default
1): SIGKILL to this process, or SIGSTOP until somebody sends SIGCONT. It is read once, when this module is imported.
Nothing is armed in ordinary use.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass

VARIABLE = "GLIDEPATH_WORKER_CRASH_POINT"
MODES = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}
POINTS = (
    "assignment.received",  # it has arrived, and is in nobody's hands yet
    "assignment.accepted",  # the server is told so
    "body.before_start",  # nothing is said to the forkserver yet
    "body.started",  # user code runs, the server does not know
    "result.before_keep",  # the body has ended, its result is only in memory
    "result.kept",  # in the journal, not sent
    "result.sent",  # on its way
    "result.answered",  # the server has answered, the journal does not know
)


@dataclass
class Armed:
    """A place, what happens there, and the arrivals still to let pass; below zero it has struck."""

    name: str
    mode: str
    left: int


def parse(text: str) -> Armed | None:
    """The armed place that a text describes; None for an empty one. ValueError names what is known."""
    if not text:
        return None
    name, _, rest = text.partition("=")
    mode, _, count = rest.partition("@")
    if name not in POINTS or mode not in MODES or not (count or "1").isdecimal():
        known = f"with NAME one of {', '.join(POINTS)}, MODE one of {', '.join(MODES)}"
        raise ValueError(f"{VARIABLE}: {text!r} is not NAME=MODE or NAME=MODE@N {known}")
    return Armed(name, mode, int(count or "1"))


armed = parse(os.environ.get(VARIABLE, ""))


def reach(name: str) -> None:
    """This process is at that place."""
    if armed is None or armed.name != name:
        return
    armed.left -= 1
    if armed.left == 0:
        print(f"crash point {name}: {armed.mode}", file=sys.stderr, flush=True)
        os.kill(os.getpid(), MODES[armed.mode])
