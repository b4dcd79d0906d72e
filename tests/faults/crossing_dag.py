"""A chain of one task of each kind; the bodies write the ledger that the checker reads (tests/checker/journals.py)."""

import json
import os
import time
from pathlib import Path

from glidepath import dag, task
from glidepath.worker import current


def note(folder: str, kind: str) -> None:
    """Append a line to the ledger."""
    me = current()
    line = {
        "by": "task",
        "kind": kind,
        "name": "ledger",
        "wall": time.time(),
        "monotonic": time.monotonic(),
        "key": [me.run_id, me.task_id, -1, me.attempt_number],
        "pid": os.getpid(),
        "code": 1,
    }
    file = os.open(Path(folder, "task-ledger.jsonl"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.write(file, (json.dumps(line) + "\n").encode())
    os.close(file)


def whole(folder: str) -> str:
    note(folder, "start")
    note(folder, "end")
    return folder


@task(lease_mode="exclusive", cancel_grace=0)
def alone(folder: str) -> str:
    return whole(folder)


@task
def forked(folder: str) -> str:
    return whole(folder)


@task(isolation="inline")
def inline(folder: str) -> str:
    return whole(folder)


@dag(dag_id="crossing")
def crossing(folder: str) -> None:
    inline(forked(alone(folder)))
