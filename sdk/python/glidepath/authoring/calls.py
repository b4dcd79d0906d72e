"""Tasks that are runs of other DAGs: `call_dag`, and `loop`, which makes runs until a condition holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Unpack

from glidepath.authoring.dags import Dag
from glidepath.authoring.nodes import ID, Handle
from glidepath.authoring.options import NodeOptions
from glidepath.authoring.tasks import Task, external
from glidepath.errors import AuthoringError

CALL = "call"
LOOP = "python:glidepath.worker.calls:loop"
ITERATIONS_MAX = 1_000


def call_dag(
    dag: str | Dag,
    params: Mapping[str, object] | None = None,
    *,
    task_id: str = "",
    version: int = 0,
    alias: str = "",
    output: str = "",
    **options: Unpack[NodeOptions],
) -> Any:
    """A task that is a run of another DAG: `model = call_dag("train", {"day": "{{ ds }}", "rate": rate})`.

    `dag` is its id, or the DAG itself, which is registered together with this one. `params` may hold whatever arguments
    of tasks may hold. The run's version is the latest when it is called, unless `version` or `alias` choose another.
    The task's output is that of the run's task `output`, or a dict with the outputs of its last tasks by id. Options
    are those of any task: a retry is a new run, the timeout is the whole run's, no slot is held while it runs.
    """
    return _calling(dag, params, task_id, version, alias, output, {}, options)


def loop(
    dag: str | Dag,
    params: Mapping[str, object] | None = None,
    *,
    until: str | Callable[[Any], Any],
    iterations_max: int = 20,
    iteration: str = "",
    previous: str = "",
    task_id: str = "",
    version: int = 0,
    alias: str = "",
    output: str = "",
    **options: Unpack[NodeOptions],
) -> Any:
    """A task that runs a DAG again and again, one run after the other, until a condition holds.

    `until` is a function at the top level of the DAG's source, called with what a run gave (see `call_dag`), or the
    name of a key of that, true or false. What the last run gave is the task's output. `iterations_max` runs, and the
    task has failed. `iteration` and `previous` name params of the DAG that get the number of the round, from 1, and,
    from the second on, what the run before gave. A run that fails is a failed attempt; a retry begins with that round.
    """
    where = f"loop of '{dag if isinstance(dag, str) else dag.dag_id}'"
    if not isinstance(iterations_max, int) or not 1 <= iterations_max <= ITERATIONS_MAX:
        raise AuthoringError(f"{where}: iterations_max is {iterations_max!r}; expected 1 to {ITERATIONS_MAX:,}")
    more: dict[str, object] = {"iterations_max": iterations_max}
    more |= {name: value for name, value in (("iteration", iteration), ("previous", previous)) if value}
    if isinstance(until, str):
        if not until:
            raise AuthoringError(
                f"{where}: until is empty; expected a function, or the name of a key of what a run gives"
            )
        return _calling(dag, params, task_id, version, alias, output, {**more, "until": until}, options)
    function = until.function if isinstance(until, Task) else until
    if not callable(function):
        raise AuthoringError(f"{where}: until is {until!r:.60}; expected a function, or the name of a key")
    return _calling(dag, params, task_id, version, alias, output, more, options, function)


def _calling(
    dag: str | Dag,
    params: Mapping[str, object] | None,
    task_id: str,
    version: int,
    alias: str,
    output: str,
    more: Mapping[str, object],
    options: Mapping[str, Any],
    condition: Callable[..., Any] | None = None,
) -> Any:
    dag_id = dag if isinstance(dag, str) else dag.dag_id
    where = f"call of '{dag_id}'"
    if not ID.fullmatch(dag_id):
        raise AuthoringError(f"{where}: expected a dag_id: 1-200 letters, digits, '_', '.', '-'")
    if version and alias:
        raise AuthoringError(f"{where}: version and alias are both given; expected one of the two, or neither")
    if params is not None and not isinstance(params, Mapping):
        raise AuthoringError(f"{where}: params is {params!r:.60}; expected a dict")
    inputs: dict[str, object] = {"dag_id": dag_id, **more}
    inputs |= {name: value for name, value in (("version", version), ("alias", alias), ("output", output)) if value}
    if params:
        inputs["params"] = dict(params)
    handle: Handle = external(
        task_id or dag_id,
        LOOP if condition is not None else CALL,
        inputs=inputs,
        **_quick(options) if condition is None else options,
    )
    handle.node.called = dag if isinstance(dag, Dag) else None
    handle.node.condition = condition
    return handle


def _quick(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Nothing of the author's runs in it, so it needs no process of its own."""
    return {"isolation": "inline", **options}
