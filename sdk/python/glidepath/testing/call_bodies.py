"""Bodies that call, in a test: what a worker runs for `call_dag` and `loop`, and calls kept as they were made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from glidepath.authoring.calls import CALL, LOOP
from glidepath.authoring.nodes import Node
from glidepath.worker import body, calls
from glidepath.worker.outcomes import Call


@dataclass
class Asked:
    """A call as a body made it, with the DAG that it made, if it did."""

    call: Call | None = None


def body_of(node: Node) -> Callable[..., Any] | None:
    """What a worker runs for a task that calls DAGs without a body of its own."""
    condition = node.condition
    if node.handler == CALL:
        return calls.call
    if node.handler != LOOP or condition is None:
        return None

    def loop(dag_id: str, until: str, iterations_max: int, **given: Any) -> Any:
        names = {name: given.pop(name, "") for name in ("iteration", "previous")}
        return calls.iterate(Call(dag_id, given.pop("params", None), **given), condition, iterations_max, **names)

    return loop


def heard(function: Callable[..., Any], asked: Asked) -> Callable[..., Any]:
    """The body, with its call kept: a DAG that it made is run as it is, and need not be registered."""

    def calling(**arguments: Any) -> Any:
        try:
            value = function(**arguments)
            value = body._finish(value) if hasattr(value, "__await__") else value
        except Call as call:
            value = call
        if not isinstance(value, Call):
            return value
        asked.call = value
        named = {name: getattr(value, name) for name in ("version", "alias", "logical_date", "output", "resume")}
        raise Call(value.dag_id, value.params, **named, checkpoint=value.checkpoint)

    return calling
