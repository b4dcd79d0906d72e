"""A run that is always under way: many short tasks behind each other and beside each other."""

from pathlib import Path

from glidepath import dag, task
from glidepath.worker import current

LANES, STEPS = 4, 40


@task(isolation="inline")
def step(folder: str, lane: int, number: int, before: int) -> int:
    """Appends "lane number attempt" to steps.ledger."""
    with Path(folder, "steps.ledger").open("a") as ledger:
        ledger.write(f"{lane} {number} {current().attempt_number}\n")
    return before + 1


@dag(dag_id="under_way")
def under_way(folder: str) -> None:
    for lane in range(LANES):
        done = 0
        for number in range(STEPS):
            done = step(folder, lane, number, done)
