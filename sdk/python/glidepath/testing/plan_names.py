"""What a test plans by the names of tasks and of their instances."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from glidepath.authoring.dags import Dag
from glidepath.testing.mapped import Lane, instance_of


def planned(plan: Mapping[str, Any], lane: Lane, otherwise: Any) -> Any:
    """What a plan says of a task, or of an instance of one: by its own name, else by its task's."""
    return next((plan[name] for name in lane.names if name in plan), otherwise)


def check_names(dag: Dag, plan: str, names: Iterable[str]) -> None:
    mapped = {node.task_id: node.map is not None for node in dag.nodes}
    wrong = []
    for name in names:
        instance = instance_of(name)
        if name not in mapped and not (instance and mapped.get(instance[0])):
            wrong.append(name)
    if wrong:
        raise ValueError(f"{plan} names {sorted(wrong)}, not tasks of '{dag.dag_id}': {', '.join(sorted(mapped))}")


def check_indexes(plan: str, names: Iterable[str], task_id: str, length: int) -> None:
    for name in names:
        whole, index = instance_of(name) or ("", -1)
        if whole == task_id and index >= length:
            raise ValueError(f"{plan} names '{name}', but '{task_id}' was mapped over {length} items")
