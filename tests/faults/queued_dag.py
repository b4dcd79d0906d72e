"""Inline tasks: one runs at a time in a worker, so the others of the same worker wait in its hands."""

from pathlib import Path

from glidepath import dag, task
from glidepath.worker import current

TURNS = 3000


@task(isolation="inline", cancel_grace="0s")
def one(folder: str, name: str) -> str:
    """Appends its attempt number to <name>.ledger, then waits for queued.go."""
    import time

    with Path(folder, f"{name}.ledger").open("a") as ledger:
        ledger.write(f"{current().attempt_number}\n")
    for _ in range(TURNS):
        if Path(folder, "queued.go").exists():
            return name
        time.sleep(0.02)
    raise TimeoutError("nobody let it go")


@dag(dag_id="queued")
def queued(folder: str) -> None:
    for name in "abcd":
        one(folder, name)
