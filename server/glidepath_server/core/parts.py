"""A part of a DAG, for a run that is to do no more than that.

What is left out counts as if it were not in the DAG: the run has it as removed, and the tasks that stay wait for those
alone that stay with them. So a task cannot stay without those whose outputs it takes, nor a branch without all that it
chooses among; between a setup and its teardown nothing runs without both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .definition import DagSpec, sources
from .graph import Graph, TaskRole, reached

NAMED_MAX = 5


def part_of(graph: Graph, tasks: Sequence[int], *, with_upstream: bool, with_downstream: bool) -> frozenset[int]:
    """The tasks that run: those that are named, what comes before or after them if that is wanted, and for all of them
    that are between setups and a teardown the way from these."""
    found = set(tasks)
    if with_upstream:
        found |= reached(tasks, graph.upstream)
    if with_downstream:
        found |= reached(tasks, graph.downstream)
    return frozenset(graph.with_surroundings(found, graph.teardowns))


def lacks(spec: DagSpec, graph: Graph, part: frozenset[int]) -> Iterator[tuple[str, str]]:
    """Why tasks of the part cannot run without what is left out: of each what was got, and what was expected."""
    inside = {graph.task_ids[task] for task in part}
    for task in sorted(part):
        task_id = graph.task_ids[task]
        missing = sorted(sources(spec.tasks[task]) - inside)
        if missing:
            taken = "output" if len(missing) == 1 else "outputs"
            got = f"{task_id} without {_named(missing)}, whose {taken} it takes"
            yield got, _as_well(missing, "upstream", "before")
        if spec.tasks[task].role is TaskRole.BRANCH:
            others = sorted(graph.task_ids[each] for each in graph.downstream[task] if each not in part)
            if others:
                got = f"the branch {task_id} without {_named(others)}, which it may choose"
                yield got, _as_well(others, "downstream", "after")


def _as_well(names: Sequence[str], side: str, where: str) -> str:
    them = "it" if len(names) == 1 else "them"
    return f"{_named(names)} as well: name {them}, or set only_with_{side}, which takes in all that comes {where}"


def _named(names: Sequence[str]) -> str:
    """a; a and b; a, b, c, d, e and 3 more"""
    shown = [*names[:NAMED_MAX], *([f"{len(names) - NAMED_MAX} more"] if len(names) > NAMED_MAX else [])]
    return " and ".join(each for each in (", ".join(shown[:-1]), shown[-1]) if each)
