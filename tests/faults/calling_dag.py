"""DAGs that call each other in every way there is."""

from typing import Any

from glidepath import Call, call_dag, current, dag, loop, task


@task
def double(number: int) -> int:
    return 2 * number


@task
def add(left: int, right: int) -> dict[str, Any]:
    return {"sum": left + right, "done": left + right >= 20}


@dag
def doubling(number: int) -> None:
    """What is called: doubles a number and adds one."""
    add(double(number), 1)


@dag
def growing(round: int = 1, before: dict[str, Any] | None = None) -> None:
    """One round of a loop: doubles what the round before gave."""
    grow(round, before)


@task
def grow(round: int, before: dict[str, Any] | None) -> dict[str, Any]:
    return {"round": round, "size": 2 * before["size"] if before else 1}


def is_large(found: dict[str, Any]) -> bool:
    return bool(found["size"] >= 8)


@task
def make(count: int) -> Call:
    """Builds a DAG of as many tasks as it is told, and goes on as a run of it."""

    @dag(dag_id="made")
    def made() -> None:
        for number in range(count):
            double(number)

    return Call(made)


@task(retries=0)
def twice(number: int) -> Any:
    """Calls, looks at the end, calls again."""
    context = current()
    if context.child is None:
        raise Call("doubling", {"number": number}, output="add", resume=True)
    if context.checkpoint == b"second":
        return context.child.output["sum"]
    return Call("doubling", {"number": context.child.output["sum"]}, output="add", resume=True, checkpoint=b"second")


@task
def collect(
    called: dict[str, Any], looped: dict[str, Any], looped_by_key: dict[str, Any], generated: dict[str, Any], twice: int
) -> dict[str, Any]:
    return {
        "called": called["sum"],
        "looped": looped,
        "looped_by_key": looped_by_key["sum"],
        "generated": sum(generated.values()),
        "twice": twice,
    }


@dag
def calling(number: int) -> None:
    collect(
        call_dag(doubling, {"number": number}, task_id="called", output="add"),
        loop(growing, until=is_large, output="grow", iteration="round", previous="before", task_id="looped"),
        loop("doubling", {"number": 12}, until="done", output="add", task_id="looped_by_key"),
        make(4),
        twice(number),
    )
