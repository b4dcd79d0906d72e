"""What tasks run that call DAGs: the handler of `call_dag` and `loop`, and the messages of DAGs made at run time."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from glidepath.errors import AuthoringError, GlidepathError
from glidepath.worker.context import ChildRun, current
from glidepath.worker.outcomes import Call, Fail

if TYPE_CHECKING:
    from glidepath.authoring.dags import Dag

CHECKPOINT_BYTES_MAX = 64 * 1024


class ChildRunFailed(GlidepathError):
    """The run of an iteration failed; a retry of the loop begins that iteration again."""


def call(
    dag_id: str,
    params: Mapping[str, Any] | None = None,
    version: int = 0,
    alias: str = "",
    output: str = "",
    until: str = "",
    iterations_max: int = 0,
    iteration: str = "",
    previous: str = "",
) -> Any:
    """The body of the handler "call": one run of a DAG; with `until`, the name of a key, a loop of them."""
    if not until:
        raise Call(dag_id, params, version=version, alias=alias, output=output)

    def ends(value: Any) -> bool:
        found = value.get(until) if isinstance(value, Mapping) else None
        if not isinstance(found, bool):
            raise Fail(
                f"the loop ends by the key {until!r} of what a run gives, true or false; this one gave {value!r:.200}"
            )
        return found

    return iterate(
        Call(dag_id, params, version=version, alias=alias, output=output), ends, iterations_max, iteration, previous
    )


def loop(
    dag_id: str,
    until: str,
    params: Mapping[str, Any] | None = None,
    version: int = 0,
    alias: str = "",
    output: str = "",
    iterations_max: int = 0,
    iteration: str = "",
    previous: str = "",
) -> Any:
    """The body of a loop whose condition is a function of the registered source: "python:module:function"."""
    _, module, name = until.split(":")
    condition: Callable[[Any], Any] = getattr(importlib.import_module(module), name)
    return iterate(
        Call(dag_id, params, version=version, alias=alias, output=output),
        condition,
        iterations_max,
        iteration,
        previous,
    )


def iterate(
    asked: Call, ends: Callable[[Any], Any], iterations_max: int, iteration: str = "", previous: str = ""
) -> Any:
    """Run the DAG that `asked` names again and again, until `ends` is true of what it gave, which is returned then.

    Each round is a child run, and a further attempt of this task looks at its end. A retry of the task begins with the
    round that failed. `iteration` and `previous` name params of the DAG: the number of the round, from 1, and, from the
    second on, what the one before it gave.
    """
    task = current()
    place: dict[str, Any] = json.loads(task.checkpoint) if task.checkpoint else {"iteration": 1}
    number = place["iteration"]
    if task.child is not None:
        value = _value(task.child, number)
        if ends(value):
            return value
        if number >= iterations_max:
            raise Fail(
                f"not done after {number} iterations, as many as the loop may make; the last gave {value!r:.200}"
            )
        number += 1
        place = {"iteration": number} | ({"previous": value} if previous else {})
    params = dict(asked.params)
    if iteration:
        params[iteration] = number
    if previous and "previous" in place:
        params[previous] = place["previous"]
    _again(asked, params, place)


def _again(asked: Call, params: Mapping[str, Any], place: Mapping[str, Any]) -> NoReturn:
    checkpoint = json.dumps(place, separators=(",", ":")).encode()
    if len(checkpoint) > CHECKPOINT_BYTES_MAX:
        raise Fail(
            f"what a run of {asked.dag_id} gives goes to the next one as a param, and has {len(checkpoint)} bytes; "
            f"expected at most {CHECKPOINT_BYTES_MAX}: give a reference"
        )
    raise Call(
        asked.dag,
        params,
        version=asked.version,
        alias=asked.alias,
        output=asked.output,
        resume=True,
        checkpoint=checkpoint,
    )


def _value(child: ChildRun, number: int) -> Any:
    """What the round gave."""
    because = f": {child.reason}" if child.reason else ""
    what = f"iteration {number}, run {child.run_id} of DAG {child.dag_id},"
    if child.state == "cancelled":
        raise Fail(f"{what} was cancelled{because}")
    if child.state != "success":
        raise ChildRunFailed(f"{what} failed{because}")
    return child.output


def made_at_run_time(dag: Dag, source: str) -> bytes:
    """The message of a DAG that a task has made, its Python tasks being functions of the task's own source."""
    from glidepath.authoring.bundle import Bundle
    from glidepath.authoring.convert import called_dags, to_spec

    if called := [each.dag_id for each in called_dags(dag)]:
        raise AuthoringError(
            f"DAG '{dag.dag_id}' is made at run time and calls the DAGs {', '.join(called)} as objects; call them by "
            "id, and register them before"
        )
    bundle = None
    if source:
        root = Path(source)
        names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.suffix == ".py")
        bundle = Bundle(b"", root.name, tuple(names), root)
    elif any(node.function is not None for node in dag.nodes):
        raise AuthoringError(
            f"DAG '{dag.dag_id}' has Python tasks, and the task that made it runs from no registered source"
        )
    return to_spec(dag, bundle).SerializeToString()
