"""A tree of runs, two calls deep, whose leaves take a moment."""

import time

from glidepath import call_dag, dag, task

BRANCHES = 3


@task(isolation="inline", losses_max=50)
def leaf(number: int) -> int:
    time.sleep(0.05)
    return number


@task(isolation="inline", losses_max=50)
def total(numbers: list[int]) -> int:
    return sum(numbers)


@dag
def leaves(number: int) -> None:
    total([leaf.options(task_id=f"leaf{each}")(number) for each in range(BRANCHES)])


@dag
def branches(number: int) -> None:
    total(
        [
            call_dag("leaves", {"number": number}, output="total", task_id=f"branch{each}", losses_max=50)
            for each in range(BRANCHES)
        ]
    )


@dag
def tree() -> None:
    total(
        [
            call_dag("branches", {"number": each}, output="total", task_id=f"tree{each}", losses_max=50)
            for each in range(BRANCHES)
        ]
    )
