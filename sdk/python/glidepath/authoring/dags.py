"""`@dag`: a function whose body, run once, says which tasks there are and in what order."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, overload

from glidepath.authoring.alerts import AlertOptions, check_alerts
from glidepath.authoring.bundle import source_file
from glidepath.authoring.deadlines import Deadline, check_deadlines
from glidepath.authoring.nodes import ID, Builder, Node, building
from glidepath.authoring.options import DurationLike, PolicyOptions, check_policy, parse_duration, parse_yes
from glidepath.authoring.params import param_defaults
from glidepath.authoring.params import params_schema as schema_of
from glidepath.authoring.schedules import Schedule, check_schedules
from glidepath.authoring.suggestions import suggestion
from glidepath.authoring.values import ParamRef
from glidepath.errors import AuthoringError


class Dag:
    """A DAG as its author wrote it. Its function runs when `nodes` is first asked for, and only once."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        dag_id: str = "",
        description: str = "",
        owner: str = "",
        tags: Sequence[str] = (),
        defaults: PolicyOptions | None = None,
        run_timeout: DurationLike | None = None,
        runs_active_max: int | None = None,
        tasks_active_max: int | None = None,
        run_tasks_active_max: int | None = None,
        weight: float | None = None,
        runs_in_order: bool = False,
        fail_fast: bool = False,
        run_retries: int = 0,
        run_retry_delay: DurationLike = 0,
        params_schema: Mapping[str, Any] | None = None,
        include: Sequence[str] = (),
        deadlines: Sequence[Deadline] = (),
        alerts: Sequence[AlertOptions] = (),
        schedule: Schedule | str | None = None,
        schedules: Sequence[Schedule] = (),
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.dag_id = _check_id(dag_id or function.__name__)
        where = f"DAG '{self.dag_id}'"
        self.description = description or (inspect.getdoc(function) or "").partition("\n\n")[0].replace("\n", " ")
        self.owner = owner
        self.tags = _check_tags(tags, where)
        self.defaults = check_policy(defaults or {}, f"{where}: defaults")
        self.run_timeout: timedelta | None = (
            None if run_timeout is None else parse_duration(run_timeout, f"{where}: run_timeout")
        )
        self.runs_active_max = _check_cap(runs_active_max, f"{where}: runs_active_max")
        self.tasks_active_max = _check_cap(tasks_active_max, f"{where}: tasks_active_max")
        self.run_tasks_active_max = _check_cap(run_tasks_active_max, f"{where}: run_tasks_active_max")
        self.weight = _check_weight(weight, f"{where}: weight")
        self.runs_in_order = parse_yes(runs_in_order, f"{where}: runs_in_order")
        if self.runs_in_order and (self.runs_active_max or 1) > 1:
            expected = "expected 1 or nothing with runs_in_order, which lets one run go after the other"
            raise AuthoringError(f"{where}: runs_active_max is {runs_active_max}; {expected}")
        self.fail_fast = parse_yes(fail_fast, f"{where}: fail_fast")
        self.run_retries = _check_cap(run_retries, f"{where}: run_retries", least=0) or 0
        self.run_retry_delay = parse_duration(run_retry_delay, f"{where}: run_retry_delay")
        self.params_schema = _choose_schema(params_schema, function, where)
        self.param_defaults = param_defaults(function)
        self.include = tuple(include)
        self.deadlines = check_deadlines(deadlines, f"{where}: deadlines")
        self.alerts = check_alerts(alerts, f"{where}: alerts")
        self.schedules = check_schedules(schedule, schedules, where)

    @functools.cached_property
    def nodes(self) -> tuple[Node, ...]:
        """The tasks in the order they were called. AuthoringError or InvalidDag says what is wrong."""
        names = list(inspect.signature(self.function).parameters)
        open_schema = self.params_schema.get("additionalProperties", True) is not False and self.params_schema
        known = None if open_schema else list(self.params_schema.get("properties", {}))
        builder = Builder(self.dag_id, known, self.params_schema)
        with building(builder):
            self.function(**{name: ParamRef(name) for name in names})
        return builder.finish()

    @property
    def file(self) -> Path:
        """The file that the DAG is written in."""
        return self.source_file

    @property
    def source_file(self) -> Path:
        """The file that the DAG's source bundle starts from: where its function is written."""
        file = source_file(self.function)
        if file is None:
            raise AuthoringError(f"DAG '{self.dag_id}': its function is in no file, so a worker could not import it")
        return file

    def __call__(self) -> Dag:
        """Nothing to do: a DAG needs no call. Params are given when a run is triggered."""
        return self

    def __repr__(self) -> str:
        return f"<dag {self.dag_id}>"


@overload
def dag(function: Callable[..., Any], /) -> Dag: ...
@overload
def dag(
    *,
    dag_id: str = "",
    description: str = "",
    owner: str = "",
    tags: Sequence[str] = (),
    defaults: PolicyOptions | None = None,
    run_timeout: DurationLike | None = None,
    runs_active_max: int | None = None,
    tasks_active_max: int | None = None,
    run_tasks_active_max: int | None = None,
    weight: float | None = None,
    runs_in_order: bool = False,
    fail_fast: bool = False,
    run_retries: int = 0,
    run_retry_delay: DurationLike = 0,
    params_schema: Mapping[str, Any] | None = None,
    include: Sequence[str] = (),
    deadlines: Sequence[Deadline] = (),
    alerts: Sequence[AlertOptions] = (),
    schedule: Schedule | str | None = None,
    schedules: Sequence[Schedule] = (),
) -> Callable[[Callable[..., Any]], Dag]: ...
def dag(function: Callable[..., Any] | None = None, /, **settings: Any) -> Any:
    """Make a function a DAG: `@dag`, or `@dag(dag_id="training", defaults={"retries": 2})`.

    The function's parameters become the params of a run, by their hints and defaults; `params_schema` replaces the
    schema made from them. `defaults` hold for tasks that do not say otherwise. `run_timeout` ends a run that takes
    longer. With `fail_fast` the first task that fails ends the run; otherwise all runs that does not depend on it.
    A run that fails begins again by itself `run_retries` times, `run_retry_delay` later, with what failed and follows.
    `runs_active_max` runs may be active at once, `tasks_active_max` attempts live over all of them, and of one run
    `run_tasks_active_max`. With `weight=2.0` the DAG gets twice the share of the workers that another DAG gets.
    With `runs_in_order` one run goes after the other, the earliest logical date first, whoever created them.
    `alerts=[{"on": ["run_failed", "missed"], "channel": "ops"}]` says which alert channels hear of what of its runs.
    `include` names files or folders beside the DAG's file that its tasks need (see `bundle_source`).
    `deadlines` say what its runs have to be done by: `[Deadline.wall("09:15", zone="Asia/Kolkata")]`.
    `schedules` say when it runs by itself; `schedule="0 2 * * * Asia/Kolkata"` is the short form of one.
    """
    if settings and (unknown := sorted(settings.keys() - (known := _settings()))):
        raise AuthoringError(f"@dag: unknown setting {unknown[0]!r}; {suggestion(unknown[0], known, 'settings')}")
    if function is not None:
        return Dag(function, **settings)
    return lambda decorated: Dag(decorated, **settings)


@functools.cache
def _settings() -> frozenset[str]:
    """What `@dag` takes. Each body imports its DAG's file, so this is not for every DAG of it."""
    return frozenset(inspect.signature(Dag).parameters) - {"function"}


def _check_id(dag_id: str) -> str:
    if not ID.fullmatch(dag_id):
        raise AuthoringError(
            f"dag_id {dag_id!r}: expected 1-200 letters, digits, '_', '.', '-', starting with a letter or digit"
        )
    return dag_id


def _check_tags(tags: Sequence[str], where: str) -> tuple[str, ...]:
    if isinstance(tags, str) or not all(isinstance(tag, str) and tag for tag in tags):
        raise AuthoringError(f"{where}: tags is {tags!r}; expected a list of text")
    return tuple(tags)


def _check_cap(value: int | None, field: str, least: int = 1) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
        raise AuthoringError(f"{field} is {value!r}; expected a whole number of at least {least}, or None for no cap")
    return value


def _check_weight(value: float | None, field: str) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0.001 <= value <= 1000:
        raise AuthoringError(f"{field} is {value!r:.60}; expected a number from 0.001 to 1000")
    return float(value)


def _choose_schema(override: Mapping[str, Any] | None, function: Callable[..., Any], where: str) -> dict[str, Any]:
    if override is None:
        return schema_of(function, where)
    try:
        schema: dict[str, Any] = json.loads(json.dumps(override))
    except (TypeError, ValueError) as error:
        raise AuthoringError(f"{where}: params_schema is not JSON ({error})") from error
    if not isinstance(schema, dict):
        raise AuthoringError(f"{where}: params_schema is {override!r:.60}; expected a JSON Schema of an object")
    if schema.get("type") != "object":
        raise AuthoringError(f'{where}: params_schema must have "type": "object", it has {schema.get("type")!r}')
    return schema
