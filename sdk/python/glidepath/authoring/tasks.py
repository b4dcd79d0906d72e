"""`@task`, and the nodes that run no Python of this DAG: shell commands and handlers of other languages."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Generic, Literal, ParamSpec, TypeVar, Unpack, overload

from glidepath.authoring.nodes import Builder, current_builder
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

    def __init__(self, function: Callable[P, R], options: TaskOptions) -> None:
        functools.update_wrapper(self, function)
        self.function = function
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
        return Task(self.function, merged)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        builder = current_builder()
        if builder is None:
            return self.function(*args, **kwargs)
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise AuthoringError(f"task '{self._name}': {error}") from error
        return builder.add(
            self._name,
            _inputs(self._named(bound), f"task '{self._name}'"),
            self._checked,
            function=self.function,
            description=_first_line(self.function),
        )

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
    **options: Unpack[NodeOptions],
) -> Any:
    """A node that runs a command line: `shell("train", "python train.py --day {{ ds }}", retries=2)`.

    Values in the command stay single words, never code; free text is safest in `env`, whose entries are text:
    constants, templates, params or outputs. With `output="json"` the last line that the command prints is its
    output, as JSON, and the task fails when it is none; a command has no output otherwise.
    """
    if output not in ("none", "json"):
        raise AuthoringError(f"task '{task_id}': output is {output!r}; expected 'none' or 'json'")
    inputs: dict[str, object] = {"command": command}
    if env:
        inputs["env"] = {name: value if isinstance(value, str) else str(value) for name, value in env.items()}
    if output == "json":
        inputs["output"] = output
    return external(task_id, "shell", inputs=inputs, **options)


def external(
    task_id: str,
    handler: str,
    *,
    version: str = "",
    inputs: Mapping[str, object] | None = None,
    **options: Unpack[NodeOptions],
) -> Any:
    """A node whose handler is not in this DAG's source: a worker of another language announces it by `handler`.

    `version` is that worker's build id; "" takes any.
    """
    builder = _builder_for(task_id)
    checked = check_options(options, f"task '{task_id}'")
    if not handler:
        raise AuthoringError(f"task '{task_id}': handler is empty; expected the name that its worker announces")
    return builder.add(
        task_id, _inputs(inputs or {}, f"task '{task_id}'"), checked, handler=handler, handler_version=version
    )


def _builder_for(task_id: str) -> Builder:
    builder = current_builder()
    if builder is None:
        raise AuthoringError(f"task '{task_id}' is made outside a @dag function")
    return builder


def _inputs(arguments: Mapping[str, object], where: str) -> dict[str, Source]:
    inputs: dict[str, Source] = {}
    for name, value in arguments.items():
        if "." in name:
            raise AuthoringError(f"{where}: argument {name!r} has a dot; dots are how entries of a dict travel")
        inputs.update(to_sources(name, value, f"{where}, argument {name!r}"))
    return inputs


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
