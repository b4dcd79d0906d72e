"""A task that kills the process that runs it, beside others that do no harm."""

import os
import signal
import time
from pathlib import Path

from glidepath import dag, task
from glidepath.worker import current

TURNS = 3000


def note(folder: str, name: str) -> None:
    """Append this attempt's number to <name>.ledger."""
    with Path(folder, f"{name}.ledger").open("a") as ledger:
        ledger.write(f"{current().attempt_number}\n")


def wait_for(*paths: Path) -> None:
    """Until all of them are there."""
    for _ in range(TURNS):
        if all(path.exists() for path in paths):
            return
        time.sleep(0.02)
    raise TimeoutError(f"{paths} did not all appear")


@task
def poison(folder: str) -> None:
    """Kills its parent once the bystanders have begun."""
    wait_for(*(Path(folder, f"{name}.ledger") for name in "ab"))
    note(folder, "poison")
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)


@task
def bystander(folder: str, name: str) -> str:
    """Runs until <name>.go is there."""
    note(folder, name)
    wait_for(Path(folder, f"{name}.go"))
    return name


@task(isolation="inline")
def inline_poison(folder: str) -> None:
    """Kills its parent, which is the worker itself."""
    note(folder, "poison")
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)


@task(isolation="inline")
def harmless(folder: str, name: str) -> str:
    note(folder, name)
    return name


@dag(dag_id="poisoned")
def poisoned(folder: str) -> None:
    poison(folder)
    bystander(folder, "a")
    bystander(folder, "b")


@dag(dag_id="inline_poisoned")
def inline_poisoned(folder: str) -> None:
    inline_poison(folder)
    for name in "abcd":
        harmless(folder, name)
