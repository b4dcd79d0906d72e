"""`@task`, and the nodes that run no Python of this DAG: shell commands and handlers of other languages."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Generic, Literal, ParamSpec, TypeVar, Unpack, overload

from glidepath.authoring.maps import Map, MapMode, to_map
from glidepath.authoring.nodes import Builder, Handle, current_builder
from glidepath.authoring.options import NodeOptions, TaskOptions, check_options
from glidepath.authoring.values import Source, to_sources
from glidepath.errors import AuthoringError

P = ParamSpec("P")
R = TypeVar("R")


class Task(Generic[P, R]):
    """A function that may be a node of a DAG.

    Called in a `@dag` function it adds a node and returns its `Handle`; called anywhere else it is the plain function.
    The type is Any for that reason, so a handle may be given to a task whose parameter has the type of its value.
    """

    def __init__(
        self, function: Callable[P, R], options: TaskOptions, given: Mapping[str, object] | None = None
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self._given = dict(given or {})
        self._name = getattr(function, "__name__", "")
        self._checked = check_options(options, f"task '{self._name}'")
        _check_parameters(function, self._name)

    @functools.cached_property
    def _signature(self) -> inspect.Signature:
        """Worked out when a DAG is built: a process that only runs the function need not."""
        return inspect.signature(self.function)

    def options(self, **options: Unpack[TaskOptions]) -> Task[P, R]:
        """The same task, treated differently: options given here replace those of `@task(...)`."""
        merged: TaskOptions = {**self._checked, **check_options(options, f"task '{self._name}'")}
        return Task(self.function, merged, self._given)

    def partial(self, **arguments: Any) -> Task[..., R]:
        """The same task with these arguments given already: what all instances of a map have in common."""
        self._bind(self._signature.bind_partial, (), arguments)
        return Task(self.function, self._checked, {**self._given, **arguments})

    def map(self, *lists: Any, **lists_by_name: Any) -> Any:
        """A node that runs once for each item of lists: `train.partial(rate=0.1).map(day=days)`.

        A list is written here, or is a param, the output of a task, or a key of it. Several go side by side: the first
        items of all, the second ones, ... The handle stands for the list of the outputs, in the order of the items.
        """
        return self._add_mapped("zip", lists, lists_by_name)

    def product(self, *lists: Any, **lists_by_name: Any) -> Any:
        """Like `map`, but with each item of a list goes each of the next; the last list varies fastest."""
        return self._add_mapped("product", lists, lists_by_name)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        builder = current_builder()
        if builder is None:
            return self.function(*args, **{**self._given, **kwargs})  # type: ignore[arg-type]
        return self._add(builder, self._bind(self._signature.bind, args, {**self._given, **kwargs}), None)

    def _add_mapped(self, mode: MapMode, args: tuple[object, ...], kwargs: dict[str, object]) -> Any:
        where = f"task '{self._name}'"
        builder = current_builder()
        if builder is None:
            raise AuthoringError(f"{where} is mapped outside a @dag function, where it is a plain function: use a loop")
        if twice := next((name for name in kwargs if name in self._given), None):
            raise AuthoringError(f"{where}: argument {twice!r} is mapped, and given by partial, too")
        bound = self._bind(self._signature.bind, args, {**self._given, **kwargs})
        by_position = [name for name in bound if name not in kwargs and name not in self._given]
        lists = {name: bound.pop(name) for name in [*by_position, *kwargs]}
        return self._add(builder, bound, to_map(_without_dots(lists, where), mode, where))

    def _add(self, builder: Builder, arguments: Mapping[str, object], over: Map | None) -> Handle:
        return builder.add(
            self._name,
            to_inputs(arguments, f"task '{self._name}'"),
            self._checked,
            function=self.function,
            description=_first_line(self.function),
            over=over,
        )

    def _bind(
        self,
        bind: Callable[..., inspect.BoundArguments],
        args: tuple[object, ...],
        kwargs: Mapping[str, object],
    ) -> dict[str, object]:
        """Arguments by name. AuthoringError when the function does not take them."""
        try:
            return self._named(bind(*args, **kwargs))
        except TypeError as error:
            raise AuthoringError(f"task '{self._name}': {error}") from error

    def _named(self, bound: inspect.BoundArguments) -> dict[str, object]:
        """Arguments by name, those of a `**kwargs` beside the others."""
        arguments = dict(bound.arguments)
        for parameter in self._signature.parameters.values():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                arguments.update(arguments.pop(parameter.name, {}))
        return arguments

    def __repr__(self) -> str:
        return f"<task {self._name}>"


@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(**options: Unpack[TaskOptions]) -> Callable[[Callable[P, R]], Task[P, R]]: ...
def task(function: Callable[..., Any] | None = None, /, **options: Unpack[TaskOptions]) -> Any:
    """Make a function a task: `@task`, or `@task(retries=3, timeout="5m")`. See `TaskOptions` for the options."""
    if function is not None:
        return Task(function, options)
    return lambda decorated: Task(decorated, options)


def shell(
    task_id: str,
    command: str,
    *,
    env: Mapping[str, object] | None = None,
    output: Literal["none", "json"] = "none",
    map: Mapping[str, object] | None = None,
    product: Mapping[str, object] | None = None,
    **options: Unpack[NodeOptions],
) -> Any:
    """A node that runs a command line: `shell("train", "python train.py --day {{ ds }}", retries=2)`.

    Values in the command stay single words, never code; free text is safest in `env`, whose entries are text:
    constants, templates, params or outputs. With `output="json"` the last line that the command prints is its
    output, as JSON, and the task fails when it is none; a command has no output otherwise. With `map` or `product`,
    lists by names, it runs once for each item, whose values are `{{ map_item.NAME }}`: see `Task.map`.
    """
    if output not in ("none", "json"):
        raise AuthoringError(f"task '{task_id}': output is {output!r}; expected 'none' or 'json'")
    inputs: dict[str, object] = {"command": command}
    if env:
        inputs["env"] = {name: value if isinstance(value, str) else str(value) for name, value in env.items()}
    if output == "json":
        inputs["output"] = output
    taken = inputs.keys() | {"env", "output"}
    if name := next((each for each in [*(map or {}), *(product or {})] if each in taken), None):
        raise AuthoringError(f"task '{task_id}': {name!r} is mapped; expected another name, as commands have that")
    return external(task_id, "shell", inputs=inputs, map=map, product=product, **options)


def external(
    task_id: str,
    handler: str,
    *,
    version: str = "",
    inputs: Mapping[str, object] | None = None,
    map: Mapping[str, object] | None = None,
    product: Mapping[str, object] | None = None,
    **options: Unpack[NodeOptions],
) -> Any:
    """A node whose handler is not in this DAG's source: a worker of another language announces it by `handler`.

    `version` is that worker's build id; "" takes any. With `map` or `product`, lists by the names of arguments, it runs
    once for each item: see `Task.map`.
    """
    where = f"task '{task_id}'"
    builder = builder_for(task_id)
    checked = check_options(options, where)
    if not handler:
        raise AuthoringError(f"{where}: handler is empty; expected the name that its worker announces")
    return builder.add(
        task_id,
        to_inputs(inputs or {}, where),
        checked,
        handler=handler,
        handler_version=version,
        over=_over(map, product, inputs or {}, where),
    )


def builder_for(task_id: str) -> Builder:
    """The DAG that is being built, for a task that is a node or nothing."""
    builder = current_builder()
    if builder is None:
        raise AuthoringError(f"task '{task_id}' is made outside a @dag function")
    return builder


def _over(
    map_: Mapping[str, object] | None, product: Mapping[str, object] | None, inputs: Mapping[str, object], where: str
) -> Map | None:
    if map_ is not None and product is not None:
        raise AuthoringError(f"{where}: map and product are both given; expected one of them")
    lists = map_ if product is None else product
    if lists is None:
        return None
    if twice := next((name for name in lists if name in inputs), None):
        raise AuthoringError(f"{where}: argument {twice!r} is mapped, and stands in inputs, too")
    return to_map(_without_dots(lists, where), "zip" if product is None else "product", where)


def to_inputs(arguments: Mapping[str, object], where: str) -> dict[str, Source]:
    """What the arguments of a task mean."""
    inputs: dict[str, Source] = {}
    for name, value in _without_dots(arguments, where).items():
        inputs.update(to_sources(name, value, f"{where}, argument {name!r}"))
    return inputs


def _without_dots(arguments: Mapping[str, object], where: str) -> Mapping[str, object]:
    for name in arguments:
        if "." in name:
            raise AuthoringError(f"{where}: argument {name!r} has a dot; dots are how entries of a dict travel")
    return arguments


def _check_parameters(function: Callable[..., Any], name: str) -> None:
    if not callable(function) or not name:
        raise AuthoringError(f"@task expects a function, got {function!r}")
    code = None if hasattr(function, "__wrapped__") else getattr(function, "__code__", None)
    if code is not None and not code.co_posonlyargcount and not code.co_flags & inspect.CO_VARARGS:
        return
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.POSITIONAL_ONLY):
            raise AuthoringError(
                f"task '{name}': parameter {str(parameter)!r} cannot be given by name; arguments of a task travel by "
                "name, so take a list instead"
            )


def _first_line(function: Callable[..., Any]) -> str:
    return (inspect.getdoc(function) or "").partition("\n")[0].strip()
