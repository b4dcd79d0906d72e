"""The DAGs that the benchmarks run. Their tasks do nothing, so what is measured is everything around a task."""

import time

from glidepath import dag, task
from glidepath.authoring import Dag


@task(isolation="inline")
def nothing() -> None:
    pass


@task(isolation="inline")
def started() -> int:
    """When the handler started, in nanoseconds of this machine's clock."""
    return time.time_ns()


@task
def isolated() -> None:
    """In a process of its own."""


@dag
def chain() -> None:
    """50 tasks, each after the one before."""
    before = nothing()
    for _ in range(49):
        after = nothing()
        before >> after
        before = after


def fan_out(width: int) -> None:
    first = nothing()
    for _ in range(width - 1):
        first >> nothing()


@dag
def fanout_1000() -> None:
    fan_out(1_000)


@dag
def fanout_10000() -> None:
    fan_out(10_000)


@task(isolation="inline")
def numbers(amount: int) -> list[int]:
    return list(range(amount))


@task(isolation="inline")
def instance(number: int) -> None:
    pass


@dag
def mapped(amount: int = 10_000) -> None:
    """A list that only the run knows, and an instance for each item of it."""
    instance.map(number=numbers(amount))


@dag
def diamond() -> None:
    """10 tasks in 6 levels: 1, 2, 2, 2, 2, 1."""
    first, last = nothing(), nothing()
    level = [first, first]
    for _ in range(4):
        below = [nothing(), nothing()]
        for above, under in zip(level, below, strict=True):
            above >> under
        level = below
    for above in level:
        above >> last


@dag
def one() -> None:
    started()


@dag
def isolated_200() -> None:
    for _ in range(200):
        isolated()


@task(isolation="inline", cache="1h")
def kept(number: int) -> int:
    """Ten calls of each run, which are those of every other run."""
    return number


@dag
def hits() -> None:
    first = kept(0)
    for number in range(1, 10):
        first >> kept(number)


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
