"""A group of tasks mapped over a list, and in it a task mapped over a list: nested foreach."""

from glidepath import call_dag, dag, task


@task(isolation="inline")
def numbers(size: int) -> list[int]:
    return list(range(size))


@task(isolation="inline")
def cell(row: int, column: int) -> int:
    return row * column


@task(isolation="inline")
def total(found: list[int]) -> int:
    return sum(found)


@dag
def line(row: int, size: int) -> None:
    """The group: one row of the table."""
    total(cell.partial(row=row).map(column=numbers(size)))


@dag
def table(size: int) -> None:
    rows = call_dag(line, {"size": size}, map={"row": numbers(size)}, output="total", task_id="line")
    total(rows)


@task(isolation="inline", queue="nobody")
def never(row: int) -> int:
    return row


@dag
def stuck_line(row: int) -> None:
    never(row)


@dag
def stuck(size: int) -> None:
    """A group of which no run ever ends."""
    call_dag(stuck_line, map={"row": numbers(size)}, task_id="line")
