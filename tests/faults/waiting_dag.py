"""Tasks that say when they run and wait until they may end."""

import os
from pathlib import Path

from glidepath import dag, task
from glidepath.worker import current

TURNS = 3000


def wait_for(*paths: Path) -> None:
    """Until one of them is there."""
    import time

    for _ in range(TURNS):
        if any(path.exists() for path in paths):
            return
        time.sleep(0.02)
    raise TimeoutError(f"{paths} did not appear")


@task
def held(folder: str, name: str) -> int:
    """Appends its attempt number and process to <name>.ledger, then waits for <name>.go or <name>.<attempt>.go."""
    attempt = current().attempt_number
    with Path(folder, f"{name}.ledger").open("a") as ledger:
        ledger.write(f"{attempt} {os.getpid()}\n")
    print(f"{name} has begun")
    wait_for(Path(folder, f"{name}.go"), Path(folder, f"{name}.{attempt}.go"))
    return attempt


@task
def after(first: int, second: int) -> int:
    return first + second


@dag(dag_id="waiting")
def waiting(folder: str) -> None:
    after(held(folder, "a"), held(folder, "b"))
