"""Tasks of the Python SDK that write a ledger of what they do (see journals.py for its lines)."""

import json
import os
import time
from pathlib import Path

from glidepath import dag, task
from glidepath.worker import current

# Registered as this version of the DAG.
CODE = 1


def note(folder: str, kind: str) -> None:
    """Append a line to the ledger; appending is one write, whole or not at all."""
    me = current()
    index = -1 if me.map_index is None else me.map_index
    line = {
        "by": "task",
        "kind": kind,
        "name": "ledger",
        "wall": time.time(),
        "monotonic": time.monotonic(),
        "key": [me.run_id, me.task_id, index, me.attempt_number],
        "pid": os.getpid(),
        "code": CODE,
    }
    file = os.open(Path(folder, "task-ledger.jsonl"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.write(file, (json.dumps(line) + "\n").encode())
    os.close(file)


@task(retries=1, queue="sdk")
def first(folder: str) -> str:
    """Fails the first time."""
    note(folder, "start")
    if current().attempt_number == 1:
        raise RuntimeError("once")
    note(folder, "end")
    return folder


@task(queue="sdk", pool="gpu")
def second(folder: str) -> None:
    note(folder, "start")
    time.sleep(0.05)
    note(folder, "end")


@dag(dag_id="ledger")
def ledger(folder: str) -> None:
    path = first(folder)
    second(path)
    second(path)
