"""Tasks that are runs of other DAGs: `call_dag`, and `loop`, which makes runs until a condition holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Unpack

from glidepath.authoring.dags import Dag
from glidepath.authoring.maps import Map, to_map
from glidepath.authoring.nodes import ID, Handle
from glidepath.authoring.options import NodeOptions, check_options
from glidepath.authoring.tasks import Task, builder_for, to_inputs
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
    map: Mapping[str, object] | None = None,
    product: Mapping[str, object] | None = None,
    **options: Unpack[NodeOptions],
) -> Any:
    """A task that is a run of another DAG: `model = call_dag("train", {"day": "{{ ds }}", "rate": rate})`.

    `dag` is its id, or the DAG itself, which is registered together with this one. `params` may hold whatever arguments
    of tasks may hold. The run's version is the latest when it is called, unless `version` or `alias` choose another.
    The task's output is that of the run's task `output`, or a dict with the outputs of its last tasks by id. Options
    are those of any task: a retry is a new run, the timeout is the whole run's, no slot is held while it runs. With
    `map` or `product`, lists by the names of params, there is a run for each item: see `Task.map`.
    """
    over = _over(map, product, params, f"call of '{_id_of(dag)}'")
    return _calling(dag, params, task_id, version, alias, output, {}, options, over=over)


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
    where = f"loop of '{_id_of(dag)}'"
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
    over: Map | None = None,
) -> Any:
    dag_id = _id_of(dag)
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
    handle: Handle = builder_for(task_id or dag_id).add(
        task_id or dag_id,
        to_inputs(inputs, where),
        check_options(options if condition is not None else _quick(options), where),
        handler=LOOP if condition is not None else CALL,
        over=over,
    )
    handle.node.called = dag if isinstance(dag, Dag) else None
    handle.node.condition = condition
    return handle


def _id_of(dag: str | Dag) -> str:
    return dag if isinstance(dag, str) else dag.dag_id


def _over(
    map_: Mapping[str, object] | None,
    product: Mapping[str, object] | None,
    params: Mapping[str, object] | None,
    where: str,
) -> Map | None:
    """The map over lists of params, which are entries of the argument `params`."""
    if map_ is not None and product is not None:
        raise AuthoringError(f"{where}: map and product are both given; expected one of them")
    lists = map_ if product is None else product
    if lists is None:
        return None
    if twice := next((name for name in lists if name in (params or {})), None):
        raise AuthoringError(f"{where}: param {twice!r} is mapped, and stands in params, too")
    return to_map(
        {f"params.{name}": each for name, each in lists.items()}, "zip" if product is None else "product", where
    )


def _quick(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Nothing of the author's runs in it, so it needs no process of its own."""
    return {"isolation": "inline", **options}
