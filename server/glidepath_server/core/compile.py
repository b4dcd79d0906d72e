"""From a definition to the graph that the engine runs on."""

from __future__ import annotations

from .definition import DagSpec
from .graph import Graph


def compile_graph(spec: DagSpec) -> Graph:
    """Indices instead of names, in the order of the spec, which is topological."""
    index = {task.task_id: number for number, task in enumerate(spec.tasks)}
    upstream = tuple(tuple(index[name] for name in task.upstream_task_ids) for task in spec.tasks)
    downstream: list[list[int]] = [[] for _ in spec.tasks]
    for number, names in enumerate(upstream):
        for each in names:
            downstream[each].append(number)
    return Graph(
        task_ids=tuple(index),
        upstream=upstream,
        downstream=tuple(map(tuple, downstream)),
        rules=tuple(task.trigger_rule for task in spec.tasks),
        retries=tuple(task.policy.retry for task in spec.tasks),
    )
