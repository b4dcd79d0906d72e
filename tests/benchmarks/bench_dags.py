"""The DAGs that the benchmarks run. Their tasks do nothing, so what is measured is everything around a task: also the
import of this file, once per task in a process of its own."""

import time

from glidepath import dag, task


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
