"""A map over a list that only the run knows, and calls whose results are kept."""

from glidepath import dag, task


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


@task(isolation="inline", cache="1h")
def kept(number: int) -> int:
    """Ten calls of each run, which are those of every other run."""
    return number


@dag
def hits() -> None:
    first = kept(0)
    for number in range(1, 10):
        first >> kept(number)
