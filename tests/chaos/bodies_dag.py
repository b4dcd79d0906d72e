"""DAGs of the Python SDK whose tasks write a ledger of what they do, in lines as in tests/checker/journals.py."""

import json
import os
import signal
import time
from pathlib import Path

from glidepath import dag, task
from glidepath.worker import current

# Registered as this version of the DAG.
CODE = 1


def note(folder: str, kind: str) -> None:
    """Append a line to the ledger; appending is one write, whole or not at all."""
    me = current()
    line = {
        "by": "task",
        "kind": kind,
        "name": "ledger",
        "wall": time.time(),
        "monotonic": time.monotonic(),
        "key": [me.run_id, me.task_id, -1 if me.map_index is None else me.map_index, me.attempt_number],
        "pid": os.getpid(),
        "code": CODE,
    }
    file = os.open(Path(folder, "task-ledger.jsonl"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.write(file, (json.dumps(line) + "\n").encode())
    os.close(file)


def work(folder: str, seconds: float) -> None:
    """A start, a beat every so often, and an end."""
    note(folder, "start")
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.05)
        note(folder, "beat")
    note(folder, "end")


@task(queue="sdk", retries=1)
def flaky(folder: str) -> str:
    """Fails the first time."""
    note(folder, "start")
    if current().attempt_number == 1:
        raise RuntimeError("once")
    note(folder, "end")
    return folder


@task(queue="sdk", pool="narrow")
def pooled(folder: str) -> str:
    work(folder, 0.1)
    return folder


@task(queue="sdk", timeout=2.0)
def endless(folder: str) -> None:
    """Goes on until it is ended from outside."""
    work(folder, 300)


@task(queue="sdk", isolation="inline", losses_max=1)
def poison(folder: str) -> None:
    """Kills the worker that runs it."""
    note(folder, "start")
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)


@task(queue="sdk", retries=1, isolation="inline")
def shaky(folder: str, number: int) -> int:
    """Every fourth one fails the first time."""
    note(folder, "start")
    if number % 4 == 0 and current().attempt_number == 1:
        raise RuntimeError("once")
    note(folder, "end")
    return number


@task(queue="sdk")
def gathered(folder: str, numbers: list[int]) -> None:
    note(folder, "start")
    assert list(numbers) == list(range(20)), numbers
    note(folder, "end")


@dag(dag_id="ledger")
def ledger(folder: str) -> None:
    pooled(flaky(folder))
    pooled(folder)


@dag(dag_id="ledger_renewed")
def ledger_renewed(folder: str) -> None:
    pooled(pooled(folder))
    pooled(flaky(folder))


@dag(dag_id="ledger_cancelled")
def ledger_cancelled(folder: str) -> None:
    endless(folder)


@dag(dag_id="ledger_mapped")
def ledger_mapped(folder: str) -> None:
    gathered(folder, shaky.partial(folder=folder).map(number=list(range(20))))


@dag(dag_id="poison")
def poisoned(folder: str) -> None:
    pooled(folder)
    poison(folder)
