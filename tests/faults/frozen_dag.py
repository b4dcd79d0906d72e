"""Tasks to run while something stands still: one exclusive body that leaves a trail, and chains that are let go."""

import time
from pathlib import Path

from glidepath import dag, task
from glidepath.worker import current

TURNS = 6000


@task
def guarded(folder: str) -> int:
    """Writes the time, as long as it lives, to guarded.<attempt>.trail; ends by guarded.go."""
    attempt = current().attempt_number
    with Path(folder, f"guarded.{attempt}.trail").open("a") as trail:
        for _ in range(TURNS):
            trail.write(f"{time.time()}\n")
            trail.flush()
            if Path(folder, "guarded.go").exists():
                return attempt
            time.sleep(0.02)
    raise TimeoutError("nobody let it go")


@dag(dag_id="guarded")
def guarded_dag(folder: str) -> None:
    guarded.options(cancel_grace="0.1s", lease_mode="exclusive", retries=1)(folder)


@task
def kept(folder: str, name: str) -> int:
    """Appends its attempt number to <name>.ledger, then waits for <name>.go."""
    attempt = current().attempt_number
    with Path(folder, f"{name}.ledger").open("a") as ledger:
        ledger.write(f"{attempt}\n")
    for _ in range(TURNS):
        if Path(folder, f"{name}.go").exists():
            return attempt
        time.sleep(0.02)
    raise TimeoutError("nobody let it go")


@task
def follow(attempt: int) -> int:
    return attempt


@dag(dag_id="chain")
def chain_dag(folder: str, name: str) -> None:
    follow(kept(folder, name))
