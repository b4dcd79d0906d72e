"""From names to indices: the topological order of a DAG, and its compiled graph. Iterative, linear but for a heap."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from .definition import DagSpec, MapEmpty
from .graph import Graph, MapPolicy, TaskRole, reached
from .trigger_rules import TriggerRule

# The most instances of a mapped task that are released at once.
MAP_WINDOW = 2_000


def compile_graph(spec: DagSpec) -> Graph:
    """The graph of a spec, whose tasks are in topological order already."""
    index = {task.task_id: number for number, task in enumerate(spec.tasks)}
    upstream = tuple(tuple(sorted(index[name] for name in task.upstream_task_ids)) for task in spec.tasks)
    downstream: list[list[int]] = [[] for _ in spec.tasks]
    for number, before in enumerate(upstream):
        for each in before:
            downstream[each].append(number)
    graph = Graph(
        task_ids=tuple(index),
        upstream=upstream,
        downstream=tuple(map(tuple, downstream)),
        rules=tuple(task.trigger_rule for task in spec.tasks),
        retries=tuple(task.policy.retry for task in spec.tasks),
        waits=tuple(task.policy.wait_timeout_seconds for task in spec.tasks),
        run_retries_max=spec.run_retries_max,
        run_retry_delay_seconds=spec.run_retry_delay_seconds,
        fail_fast=spec.fail_fast,
        cached=frozenset(number for number, task in enumerate(spec.tasks) if task.policy.cache is not None),
        on_past=frozenset(number for number, task in enumerate(spec.tasks) if task.policy.depends_on_past),
        maps={
            number: MapPolicy(
                min(task.map.active_max or MAP_WINDOW, MAP_WINDOW),
                task.map.success_ratio_min,
                task.map.empty is MapEmpty.SKIP,
            )
            for number, task in enumerate(spec.tasks)
            if task.map is not None
        },
        approvals={number: task.approval for number, task in enumerate(spec.tasks) if task.approval is not None},
    )
    return with_roles(graph, [task.role for task in spec.tasks])


def with_roles(graph: Graph, roles: Sequence[TaskRole]) -> Graph:
    """The graph that knows what its branches, short circuits and teardowns do to the others.

    Nothing leaves out a task that always runs, nor a teardown: that goes by its setups.
    """
    branches = [task for task, role in enumerate(roles) if role in (TaskRole.BRANCH, TaskRole.SHORT_CIRCUIT)]
    short_circuits = frozenset(task for task in branches if roles[task] is TaskRole.SHORT_CIRCUIT)
    firm = {task for task, rule in enumerate(graph.rules) if rule is TriggerRule.ALWAYS}
    firm |= {task for task, role in enumerate(roles) if role is TaskRole.TEARDOWN}
    gated: dict[int, tuple[int, ...]] = {}
    gates: dict[int, list[int]] = {}
    for branch in branches:
        reach = graph.closure([branch]) - {branch} if branch in short_circuits else set(graph.downstream[branch])
        gated[branch] = tuple(sorted(reach - firm))
        for task in gated[branch]:
            gates.setdefault(task, []).append(branch)
    setups = {task for task, role in enumerate(roles) if role is TaskRole.SETUP}
    before = {
        task: reached([task], graph.upstream) - {task} for task, role in enumerate(roles) if role is TaskRole.TEARDOWN
    }
    torn_down: dict[int, list[int]] = {}
    for teardown, tasks in before.items():
        for task in tasks:
            torn_down.setdefault(task, []).append(teardown)
    return replace(
        graph,
        gated=gated,
        gates={task: tuple(each) for task, each in gates.items()},
        short_circuits=short_circuits,
        before={teardown: len(tasks) for teardown, tasks in before.items()},
        torn_down={task: tuple(each) for task, each in torn_down.items()},
        teardowns={
            task: tuple(each for each in graph.upstream[task] if each in setups)
            for task, role in enumerate(roles)
            if role is TaskRole.TEARDOWN
        },
    )


def topological_order(upstream: Mapping[str, Collection[str]]) -> list[str]:
    """The one order in which of all tasks that may come next the smallest id comes next.

    `upstream` names only its own keys. What lies on a cycle or behind one is left out.
    """
    downstream: dict[str, list[str]] = {task_id: [] for task_id in upstream}
    missing = {task_id: len(before) for task_id, before in upstream.items()}
    for task_id, before in upstream.items():
        for each in before:
            downstream[each].append(task_id)
    ready = [task_id for task_id, count in missing.items() if not count]
    heapq.heapify(ready)
    order = []
    while ready:
        task_id = heapq.heappop(ready)
        order.append(task_id)
        for each in downstream[task_id]:
            missing[each] -= 1
            if not missing[each]:
                heapq.heappush(ready, each)
    return order


def find_cycle(upstream: Mapping[str, Collection[str]], ordered: Iterable[str]) -> list[str]:
    """A cycle along the edges from its smallest id back to that, [] when `ordered` (see above) holds every task."""
    left = upstream.keys() - set(ordered)
    if not left:
        return []
    # Whatever could not be ordered has an upstream that could not be either: going up never ends, so it repeats.
    path: dict[str, None] = {}
    task_id = min(left)
    while task_id not in path:
        path[task_id] = None
        task_id = min(each for each in upstream[task_id] if each in left)
    names = list(path)
    cycle = names[names.index(task_id) :][::-1]
    start = cycle.index(min(cycle))
    return [*cycle[start:], *cycle[:start], cycle[start]]
