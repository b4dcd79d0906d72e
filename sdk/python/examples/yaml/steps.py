"""What the tasks of sales.yaml run. A function needs nothing around it; with `@task` it brings options of its own."""

from __future__ import annotations

from glidepath import task


def total(amounts: list[float], floor: float) -> float:
    """Add up the amounts of one region, without what is below the floor."""
    return sum(each for each in amounts if each >= floor)


@task(isolation="inline")
def any_above(totals: list[float]) -> bool:
    """Say whether anything was sold."""
    return any(totals)
