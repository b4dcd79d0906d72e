"""The DAGs that `make bench-scale` has beside those of bench_dags.py: many at once, and tasks that take a moment."""

import time

from glidepath import dag, task
from glidepath.authoring import Dag


@task(isolation="inline")
def short() -> None:
    """Holds its slot for a moment."""
    time.sleep(0.01)


def ticker(number: int) -> Dag:
    @dag(dag_id=f"ticking_{number}")
    def ticking_dag() -> None:
        short()

    return ticking_dag


def flood(name: str) -> Dag:
    @dag(dag_id=name)
    def flood_dag() -> None:
        """20 tasks: one, 18 after it, and one after these."""
        first, middle, last = short(), [short() for _ in range(18)], short()
        for each in middle:
            first >> each >> last

    return flood_dag


ticking = [ticker(number) for number in range(10)]
floods = [flood("flood_1"), flood("flood_2")]
filled = flood("filled")
