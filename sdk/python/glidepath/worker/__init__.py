"""Running tasks: a worker pulls attempts from the server, runs them, keeps alive and reports. It decides nothing else.

    from glidepath.worker import Worker

    Worker("127.0.0.1:7711", slots=4).run()

`python -m glidepath.worker --help` starts the same from a shell. What a task may say about itself while it runs is in
`glidepath.worker.context` (`current`) and `glidepath.worker.outcomes` (`Skip`, `Retry`, `Fail`, `Defer`,
`Call`).

Processes of one worker, and who is authoritative for what:

    stream process    `worker`, `agent`, `stream`: the connection, the journal, the leases. Runs no user code, so
                      nothing that a task does delays a heartbeat.
    forkserver        `forkserver`: one thread, few imports. Forks every isolated attempt, owns its process tree, its
                      timeout and its watchdog, and outlives a frozen stream process for exactly that reason.
    bodies            `child`: one process group per attempt, forked from the forkserver.
    inline runner     `inline`: one process that runs trusted tiny tasks one after the other.

Importing this package imports no network library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glidepath.worker.context import ChildRun, TaskContext, current
from glidepath.worker.outcomes import Call, Defer, Fail, Retry, Skip

if TYPE_CHECKING:
    from glidepath.worker.worker import Worker

__all__ = ["Call", "ChildRun", "Defer", "Fail", "Retry", "Skip", "TaskContext", "Worker", "current"]


def __getattr__(name: str) -> Any:
    if name == "Worker":
        from glidepath.worker.worker import Worker

        return Worker
    raise AttributeError(f"module 'glidepath.worker' has no attribute '{name}'")
