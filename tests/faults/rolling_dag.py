"""Short tasks beside and behind each other that write down when they begin."""

from pathlib import Path

from glidepath import dag, task
from glidepath.worker import current

LANES, STEPS = 3, 3


@task(isolation="inline")
def step(folder: str, lane: int, number: int, before: int) -> int:
    """Appends "run lane number" to rolling.ledger."""
    with Path(folder, "rolling.ledger").open("a") as ledger:
        ledger.write(f"{current().run_id} {lane} {number}\n")
    return before + 1


@dag(dag_id="sdk")
def rolling(folder: str) -> None:
    for lane in range(LANES):
        done = 0
        for number in range(STEPS):
            done = step(folder, lane, number, done)
