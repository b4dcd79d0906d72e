"""From an assignment to the arguments of its handler: the one place that knows what each kind of input means.

An input named "env.DAY" is the entry "DAY" of the argument `env`, a dict: this is how a dict is passed whose values
are known only when the run is. The first dot divides; argument names hold none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from glidepath import templates
from glidepath.errors import GlidepathError, InputError
from glidepath.payloads import Fetch, decode, to_datetime
from glidepath_proto.registry.v1.dag_pb2 import Input, OutputRef
from glidepath_proto.worker.v1.task_pb2 import Assignment

SHELL = "shell"
"""Handler of shell tasks: its input "command" is rendered with every value kept a single word."""


def resolve_inputs(assignment: Assignment, fetch: Fetch | None = None) -> dict[str, object]:
    """The handler's arguments by name: literals decoded, templates rendered, outputs and params looked up, lists made.

    An upstream task without an output (it returned nothing, was skipped or failed) gives None. `fetch` gets values
    that travelled by reference. InputError names the argument; it is a bad input, so a retry cannot help.
    """
    resolver = _Resolver(assignment, fetch)
    arguments: dict[str, Any] = {}
    for name, source in sorted(assignment.inputs.items()):
        argument, dot, key = name.partition(".")
        if dot:
            arguments.setdefault(argument, {})[key] = resolver.value(name, source)
        else:
            arguments[argument] = resolver.value(name, source)
    return arguments


def template_context(assignment: Assignment, outputs: Mapping[str, object]) -> dict[str, object]:
    """What templates of this attempt may name, as `glidepath.templates` describes it."""
    context: dict[str, object] = {
        "params": json.loads(assignment.params or "{}"),
        "outputs": outputs,
        "run_id": assignment.attempt.dag_run_id,
        "run_key": assignment.run_key,
        "dag_id": assignment.dag_version.dag_id,
        "task_id": assignment.attempt.task_id,
        "attempt_number": assignment.attempt.attempt_number,
    }
    for name in ("logical_date", "data_interval_start", "data_interval_end"):
        if assignment.HasField(name):
            context[name] = to_datetime(getattr(assignment, name))
    if assignment.map_item:
        context["map_item"] = json.loads(assignment.map_item)
    return context


class _Resolver:
    def __init__(self, assignment: Assignment, fetch: Fetch | None) -> None:
        self._shell = assignment.handler.name == SHELL
        self._fetch = fetch
        outputs = {task_id: decode(payload, fetch) for task_id, payload in assignment.upstream_outputs.items()}
        self._context = template_context(assignment, outputs)
        self._outputs: Mapping[str, object] = outputs
        self._xcoms = {(each.task_id, each.key): each for each in assignment.xcoms}

    def value(self, name: str, source: Input) -> object:
        try:
            return self._value(source, is_command=self._shell and name == "command")
        except (GlidepathError, UnicodeDecodeError) as error:
            raise InputError(f"input '{name}': {error}") from error

    def _value(self, source: Input, is_command: bool = False) -> object:
        match source.WhichOneof("source"):
            case "literal":
                return decode(source.literal, self._fetch)
            case "template":
                render = templates.render_command if is_command else templates.render
                return render(source.template, self._context)
            case "output":
                return self._output(source.output)
            case "list":
                return [self._value(item) for item in source.list.items]
            case "param":
                return self._param(source.param)
            case _:
                raise InputError("has no source; this SDK may be older than the one that registered the DAG")

    def _xcom(self, reference: OutputRef) -> object:
        """None of a task that has not succeeded; what a success did not push is a mistake in either task."""
        found = self._xcoms.get((reference.task_id, reference.xcom_key))
        if found is None:
            return None
        if not found.HasField("value"):
            raise InputError(f"'{reference.task_id}' pushed no '{reference.xcom_key}'")
        return decode(found.value, self._fetch)

    def _output(self, reference: OutputRef) -> object:
        if reference.xcom_key:
            return self._xcom(reference)
        value = self._outputs.get(reference.task_id)
        if value is None or not reference.key:
            return value
        if not isinstance(value, Mapping) or reference.key not in value:
            raise InputError(f"output of '{reference.task_id}' has no key '{reference.key}': {_shape(value)}")
        return value[reference.key]

    def _param(self, name: str) -> object:
        params: Any = self._context["params"]
        if name not in params:
            raise InputError(f"the run has no param '{name}'; it has: {', '.join(sorted(params)) or 'none'}")
        return params[name]


def _shape(value: object) -> str:
    return f"it has {', '.join(sorted(map(str, value)))}" if isinstance(value, Mapping) else f"it is {value!r:.80}"
