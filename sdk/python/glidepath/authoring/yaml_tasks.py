"""The tasks of a YAML document: read, then added to a DAG by the calls that a DAG in Python makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from glidepath.authoring.approvals import approval
from glidepath.authoring.calls import call_dag, loop
from glidepath.authoring.maps import MapMode, to_map
from glidepath.authoring.nodes import ID, Builder, Group, Handle, Node, current_builder, find_cycle, group
from glidepath.authoring.options import TaskOptions, check_options
from glidepath.authoring.suggestions import suggestion
from glidepath.authoring.tasks import external, shell
from glidepath.authoring.values import Later, ParamRef, literal, to_source, to_sources
from glidepath.authoring.yaml_code import Code
from glidepath.authoring.yaml_text import Document, Path, path_text
from glidepath.errors import AuthoringError, Violation

BODIES: dict[str, tuple[str, ...]] = {
    "shell": ("env", "output"),
    "python": ("with",),
    "handler": ("version", "with"),
    "call": ("version", "alias", "with", "output", "until", "iterations_max", "iteration", "previous"),
    "approval": (),
}
"""What a task runs, and the keys that belong to it."""
_ONE_OF = f"{', '.join(list(BODIES)[:-1])} and {list(BODIES)[-1]}"
APPROVAL_KEYS = ("message", "form", "timeout", "default", "approvers", "on_reject")
_BELONGING = {key for keys in BODIES.values() for key in keys}
OPTIONS = frozenset(TaskOptions.__annotations__)
MAPS = ("map", "product")
"""What a task is mapped by, of which it has one at most."""
KEYS = frozenset({*BODIES, *_BELONGING, *MAPS, "after", "group", *OPTIONS})
"""All that may stand in a task."""
REFERENCES = {"output": ("output", "key", "xcom"), "param": ("param",), "literal": ("literal",)}
"""Mappings that stand for a value, by the key that makes them so, with all their keys."""


@dataclass(frozen=True)
class Entry:
    """A task as it stands at `path`. `name` is its id within its group ("" is none), `task_id` the whole of it."""

    name: str
    group: str
    task_id: str
    path: Path
    fields: Mapping[str, Any]


class Tasks:
    """The tasks of one document. What is wrong becomes its mistakes; a task without a usable body is stood in for."""

    def __init__(self, document: Document, value: object, code: Code) -> None:
        self._document = document
        self._code = code
        self._entries: dict[str, Entry] = {}
        self._nodes: dict[str, Node] = {}
        for name, path, fields in self._named(value):
            self._enter(name, path, fields)

    def add_all(self) -> None:
        """Add every task to the DAG that is being built, in the order of the document."""
        builder = current_builder()
        assert builder is not None
        for entry in self._in_order():
            self._nodes[entry.task_id] = self._add(entry).node
        builder.nodes = self._nodes = {task_id: self._nodes[task_id] for task_id in self._entries}
        self._link(builder)

    def note(self, violation: Violation) -> None:
        """Add what building the DAG has found, at the place that it is about."""
        if violation.field == "tasks" and (circle := find_cycle(self._nodes.values())):
            self._document.say(self._entries[circle[0]].path, violation.description)
            return
        for entry in self._entries.values():
            before, found, name = violation.field.partition(f"tasks.{entry.task_id}.")
            if found and not before:
                kind, _, input_name = name.partition(".")
                path = _input_path(entry, kind, input_name) if input_name else (name,)
                self._document.say((*entry.path, *path), violation.description)
                return
        if self._entries:
            self._document.say(("tasks",), violation.description)

    # ---- reading
    def _named(self, value: object) -> Iterator[tuple[object, Path, object]]:
        if isinstance(value, Mapping) and value:
            for name, fields in value.items():
                if isinstance(fields, Mapping) and "task_id" in fields:
                    self._document.say(
                        ("tasks", name, "task_id"),
                        f"the key {name!r} is the task's id; leave task_id out, or write the tasks as a list",
                    )
                yield name, ("tasks", name), fields
        elif isinstance(value, list) and value:
            for index, fields in enumerate(value):
                name = fields.get("task_id") if isinstance(fields, Mapping) else None
                if isinstance(fields, Mapping) and not isinstance(name, str):
                    self._document.say(("tasks", index, "task_id"), f"task_id is {name!r}; expected text")
                yield name, ("tasks", index), fields
        else:
            expected = "expected tasks by their ids, at least one, or a list of them"
            self._document.say(("tasks",), f"tasks is {value!r:.60}; {expected}")

    def _enter(self, name: object, path: Path, fields: object) -> None:
        if not isinstance(fields, Mapping):
            expected = "expected a mapping with shell, python, handler, call or approval"
            self._document.say(path, f"the task is {fields!r:.60}; {expected}")
            fields = {}
        elif isinstance(name, str):
            self._check_keys(path, fields)
        if not isinstance(name, str):
            return
        inside = fields.get("group", "")
        if not isinstance(inside, str) or (not inside and "group" in fields):
            self._document.say((*path, "group"), f"group is {inside!r:.60}; expected the id of a group, as text")
            inside = ""
        task_id = f"{inside}.{name}" if inside else name
        if not ID.fullmatch(task_id):
            expected = "expected 1-200 letters, digits, '_', '.', '-', starting with a letter or digit"
            self._document.say(path, f"task id {task_id!r}: {expected}")
        elif task_id in self._entries:
            earlier = self._document.lines[self._entries[task_id].path]
            self._document.say(path, f"task id {task_id!r} is given to the task on line {earlier} already")
        else:
            self._entries[task_id] = Entry(name, inside, task_id, path, fields)

    def _check_keys(self, path: Path, fields: Mapping[str, Any]) -> None:
        bodies = [each for each in BODIES if each in fields]
        if len(bodies) != 1:
            found = f"the task has {' and '.join(bodies)}" if bodies else "the task has no body"
            self._document.say(path, f"{found}; expected exactly one of {_ONE_OF}")
        if all(each in fields for each in MAPS):
            self._document.say((*path, MAPS[1]), f"the task has {' and '.join(MAPS)}; expected one of them")
        for key in fields:
            if key in MAPS and fields[key] == {}:
                self._document.say((*path, key), f"{key} is empty; expected at least one list, by its argument's name")
            elif key not in KEYS:
                self._document.say((*path, key), f"unknown key {key!r}; {suggestion(key, KEYS, 'keys of a task')}")
            elif len(bodies) == 1 and key in _BELONGING and key not in BODIES[bodies[0]]:
                whose = " or ".join(body for body, keys in BODIES.items() if key in keys)
                self._document.say((*path, key), f"{key} stands beside {bodies[0]}; it belongs to {whose}")

    def _in_order(self) -> list[Entry]:
        """Tasks after those whose outputs they take, which must be there by then."""
        graph = {
            task_id: [
                each
                for each in _outputs_in([entry.fields.get(key) for key in ("with", "env", *MAPS)])
                if each in self._entries
            ]
            for task_id, entry in self._entries.items()
        }
        try:
            return [self._entries[task_id] for task_id in TopologicalSorter(graph).static_order()]
        except CycleError as error:
            circle = error.args[1]
            message = f"tasks wait for each other in a circle: {' >> '.join(circle)}"
            self._document.say(self._entries[circle[0]].path, message)
            return list(self._entries.values())

    # ---- adding
    def _add(self, entry: Entry) -> Handle:
        options = self._options(entry)
        bodies = [each for each in BODIES if each in entry.fields]
        with group(entry.group) if entry.group else nullcontext():
            if len(bodies) == 1:
                make: Callable[[Entry, dict[str, Any]], Handle | None] = getattr(self, f"_{bodies[0]}")
                with self._document.noting((*entry.path, bodies[0])):
                    if (handle := make(entry, options)) is not None:
                        return handle
            stand_in: Handle = external(entry.name, "unreadable")
            return stand_in

    def _options(self, entry: Entry) -> dict[str, Any]:
        given = {name: value for name, value in entry.fields.items() if name in OPTIONS - {"task_id"}}
        return self._document.check_each(entry.path, given, check_options, f"task '{entry.name}'")

    def _shell(self, entry: Entry, options: dict[str, Any]) -> Handle:
        command, output = entry.fields["shell"], entry.fields.get("output", "none")
        if not isinstance(command, str) or not command:
            raise AuthoringError(f"shell is {command!r:.60}; expected a command line as text")
        if output not in ("none", "json"):
            self._document.say((*entry.path, "output"), f"output is {output!r:.60}; expected 'none' or 'json'")
            output = "none"
        env = self._mapping(entry, "env")
        values = {name: self._env(value, (*entry.path, "env", name)) for name, value in env.items()}
        handle: Handle = shell(entry.name, command, env=values, output=output, **self._over(entry), **options)
        return handle

    def _python(self, entry: Entry, options: dict[str, Any]) -> Handle | None:
        task = self._code.task(entry.fields["python"])
        if task is None:
            return None
        task = task.options(**options, task_id=entry.name).partial(**self._inputs(entry))
        over = self._over(entry)
        add = next((getattr(task, kind) for kind in over), task)
        handle: Handle = add(**over.get("map", over.get("product", {})))
        return handle

    def _handler(self, entry: Entry, options: dict[str, Any]) -> Handle:
        handler, version = entry.fields["handler"], entry.fields.get("version", "")
        if not isinstance(handler, str) or not handler:
            raise AuthoringError(f"handler is {handler!r}; expected the name that its worker announces")
        if not isinstance(version, str):
            self._document.say((*entry.path, "version"), f"version is {version!r}; expected text, in quotes")
            version = ""
        handle: Handle = external(
            entry.name, handler, version=version, inputs=self._inputs(entry), **self._over(entry), **options
        )
        return handle

    def _call(self, entry: Entry, options: dict[str, Any]) -> Handle:
        dag_id, version = entry.fields["call"], entry.fields.get("version", 0)
        if not isinstance(dag_id, str):
            raise AuthoringError(f"call is {dag_id!r:.60}; expected the id of a DAG")
        if not isinstance(version, int) or isinstance(version, bool):
            self._document.say((*entry.path, "version"), f"version is {version!r}; expected the number of a version")
            version = 0
        given = {name: self._text(entry, name) for name in ("alias", "output", "until", "iteration", "previous")}
        named: dict[str, Any] = {name: value for name, value in given.items() if value}
        params, over = self._inputs(entry), self._over(entry)
        if "until" not in entry.fields:
            for name in ("iterations_max", "iteration", "previous"):
                if name in entry.fields:
                    self._document.say((*entry.path, name), f"{name} is of a loop; expected until beside it")
                    named.pop(name, None)
            called: Handle = call_dag(dag_id, params, task_id=entry.name, version=version, **named, **over, **options)
            return called
        if over:
            self._document.say((*entry.path, *over), "a loop is not mapped; map over a DAG that has the loop in it")
        most = {"iterations_max": entry.fields["iterations_max"]} if "iterations_max" in entry.fields else {}
        looped: Handle = loop(dag_id, params, task_id=entry.name, version=version, **named, **most, **options)
        return looped

    def _text(self, entry: Entry, name: str) -> str:
        value = entry.fields.get(name, "")
        if isinstance(value, str) and (value or name not in entry.fields):
            return value
        self._document.say((*entry.path, name), f"{name} is {value!r:.60}; expected text")
        return ""

    def _approval(self, entry: Entry, options: dict[str, Any]) -> Handle:
        asks = entry.fields["approval"]
        if isinstance(asks, str):
            asks = {"message": asks}
        if not isinstance(asks, Mapping):
            raise AuthoringError(f"approval is {asks!r:.60}; expected what is asked, as text or as a mapping")
        if over := next((each for each in MAPS if each in entry.fields), None):
            self._document.say((*entry.path, over), f"{over} stands beside approval, which asks once")
        if unknown := next((key for key in asks if key not in APPROVAL_KEYS), None):
            message = f"unknown key {unknown!r}; {suggestion(unknown, APPROVAL_KEYS, 'keys of an approval')}"
            self._document.say((*entry.path, "approval", unknown), message)
        known = {key: value for key, value in asks.items() if key in APPROVAL_KEYS}
        handle: Handle = approval(entry.name, known.pop("message", ""), **known, **options)
        return handle

    # ---- order
    def _link(self, builder: Builder) -> None:
        """`after` as `>>` has it. Groups come last, inner ones first: what a group ends with follows from its links."""
        named = [(entry, path, other) for entry in self._entries.values() for path, other in self._after(entry)]
        for entry, _, other in named:
            if other in self._nodes:
                self._nodes[entry.task_id].add_upstream(self._nodes[other])
        groups = [each for each in named if each[2] not in self._nodes]
        for entry, path, other in sorted(groups, key=lambda each: -each[2].count(".")):
            ends = Group(other, builder).last()
            if not ends:
                self._document.say(path, f"unknown task {other!r}; {self._known(other)}")
            for node in ends:
                self._nodes[entry.task_id].add_upstream(node)

    def _after(self, entry: Entry) -> Iterator[tuple[Path, str]]:
        path, after = (*entry.path, "after"), entry.fields.get("after", [])
        if isinstance(after, list) and all(isinstance(each, str) for each in after):
            yield from (((*path, index), other) for index, other in enumerate(after))
        else:
            self._document.say(
                path, f"after is {after!r:.60}; expected a list of ids of tasks or groups, such as [load]"
            )

    def _known(self, wrong: str) -> str:
        return suggestion(wrong, self._entries, "tasks")

    # ---- values
    def _mapping(self, entry: Entry, key: str) -> Mapping[str, Any]:
        value = entry.fields.get(key, {})
        if isinstance(value, Mapping):
            return value
        self._document.say((*entry.path, key), f"{key} is {value!r:.60}; expected a mapping")
        return {}

    def _over(self, entry: Entry) -> dict[str, Any]:
        """What the task is mapped over, by "map" or "product"; {} when it is not mapped."""
        kind = next((each for each in MAPS if each in entry.fields), None)
        if kind is None or not (values := self._mapping(entry, kind)):
            return {}
        mode: MapMode = "zip" if kind == "map" else "product"
        lists: dict[str, Any] = {}
        for name, value in values.items():
            path = (*entry.path, kind, name)
            with self._document.noting(path):
                made = self._value(value, path)
                if made is not None or value is None:  # else it was told of
                    to_map({name: made}, mode, f"task '{entry.name}'")
                    lists[name] = made
        if len(lists) == len(values):
            with self._document.noting((*entry.path, kind)):
                to_map(lists, mode, f"task '{entry.name}'")
                return {kind: lists}
        return {kind: {name: [] for name in values}}  # makes no further mistake out of those that were told of

    def _inputs(self, entry: Entry) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for name, value in self._mapping(entry, "with").items():
            path = (*entry.path, "with", name)
            made[name] = self._value(value, path)
            with self._document.noting(path):
                to_sources(name, made[name], f"task '{entry.name}', argument {name!r}")
                continue
            made[name] = None  # told of, and not to be met again when the task is added
        return made

    def _env(self, value: object, path: Path) -> object:
        """An entry of the environment: a number stands in it as it was written."""
        if path in self._document.texts and value is not None:
            return self._document.texts[path]
        made = self._value(value, path)
        if not isinstance(made, Later | str):
            expected = "expected text, a number, {param: name} or {output: task}"
            self._document.say(path, f"{path[-1]} is {value!r:.60}; {expected}")
            return ""
        with self._document.noting(path):
            to_source(made, f"{path_text(path[-2:])}")
            return made
        return ""

    def _value(self, value: object, path: Path) -> object:
        """A value of `with` as a DAG in Python would write it."""
        if isinstance(value, list):
            return [self._value(each, (*path, index)) for index, each in enumerate(value)]
        if not isinstance(value, Mapping):
            return value
        kind = _kind_of(value)
        if kind is None:
            return {name: self._value(each, (*path, name)) for name, each in value.items()}
        if stranger := next((each for each in value if each not in REFERENCES[kind]), None):
            *rest, last = REFERENCES[kind]
            only = f"{', '.join(rest)} and {last}" if rest else last
            constant = "a mapping that is meant as it stands is written {literal: {...}}"
            self._document.say((*path, stranger), f"a reference has {only} only; {constant}")
            return None
        return _literal(value["literal"]) if kind == "literal" else self._reference(kind, value, path)

    def _reference(self, kind: str, value: Mapping[str, Any], path: Path) -> object:
        name = value[kind]
        if not isinstance(name, str) or not name:
            self._document.say((*path, kind), f"{kind} is {name!r:.60}; expected the name of a {_NAMED[kind]}")
            return None
        if kind == "param":
            return ParamRef(name)
        if name not in self._entries:
            self._document.say((*path, "output"), f"unknown task {name!r}; {self._known(name)}")
        node = self._nodes.get(name)
        if node is None:
            return None
        handle = Handle(node)
        if "xcom" in value:
            with self._document.noting((*path, "xcom")):
                if "key" in value:
                    raise AuthoringError("key and xcom are both given; a reference takes one of them")
                return handle.xcom(value["xcom"])
            return handle
        if "key" not in value:
            return handle
        with self._document.noting((*path, "key")):
            return handle[value["key"]]
        return handle


_NAMED = {"output": "task", "param": "param"}


def _kind_of(value: Mapping[str, Any]) -> str | None:
    return next((kind for kind in REFERENCES if kind in value), None)


def _literal(value: object) -> object:
    """The value with all its text marked as what is never a template."""
    if isinstance(value, str):
        return literal(value)
    if isinstance(value, list):
        return [_literal(each) for each in value]
    return {name: _literal(each) for name, each in value.items()} if isinstance(value, Mapping) else value


def _outputs_in(value: object) -> Iterator[str]:
    """The ids of tasks whose outputs a value refers to."""
    if isinstance(value, list):
        for each in value:
            yield from _outputs_in(each)
    elif isinstance(value, Mapping):
        kind = _kind_of(value)
        if kind is None:
            yield from _outputs_in(list(value.values()))
        elif kind == "output" and isinstance(value["output"], str):
            yield value["output"]


def _input_path(entry: Entry, kind: str, name: str) -> Path:
    """Where an input, or a mapped one, that has this name on the wire stands in its task."""
    if kind == "map":
        return (
            next(each for each in MAPS if each in entry.fields),
            name.removeprefix("params.") if "call" in entry.fields else name,
        )
    argument, _, key = name.partition(".")
    if "call" in entry.fields:
        return ("with", key) if argument == "params" and key else ("call",) if argument == "dag_id" else (argument,)
    if "shell" in entry.fields:
        return ("shell",) if argument == "command" else (argument, *([key] if key else []))
    return ("with", argument, *([key] if key else []))
