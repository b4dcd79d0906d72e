"""Tasks that say when they run and wait until they may end."""

from pathlib import Path

from glidepath import dag, task
from glidepath.worker import current

TURNS = 3000


def wait_for(path: Path) -> None:
    import time

    for _ in range(TURNS):
        if path.exists():
            return
        time.sleep(0.02)
    raise TimeoutError(f"{path} did not appear")


@task
def held(folder: str, name: str) -> int:
    """Appends its attempt number to <name>.ledger, then waits for <name>.go."""
    attempt = current().attempt_number
    with Path(folder, f"{name}.ledger").open("a") as ledger:
        ledger.write(f"{attempt}\n")
    wait_for(Path(folder, f"{name}.go"))
    return attempt


@task
def after(first: int, second: int) -> int:
    return first + second


@dag(dag_id="waiting")
def waiting(folder: str) -> None:
    after(held(folder, "a"), held(folder, "b"))
