"""Nodes of a DAG, the handles an author holds of them, and the builder that collects them."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from glidepath import templates
from glidepath.authoring.maps import Map, check_map, check_names, check_title
from glidepath.authoring.options import TaskOptions
from glidepath.authoring.suggestions import suggestion
from glidepath.authoring.values import Constant, Items, Later, Output, Param, Source, Template
from glidepath.errors import AuthoringError, InvalidDag, Violation

if TYPE_CHECKING:
    from glidepath.authoring.approvals import Approval
    from glidepath.authoring.dags import Dag

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")


@dataclass(eq=False)
class Node:
    """One task of a DAG. `handler` is its name on the wire; for a Python function it follows from `function`."""

    task_id: str
    group_id: str
    inputs: dict[str, Source]
    options: TaskOptions
    function: Callable[..., Any] | None = None
    handler: str = ""
    handler_version: str = ""
    description: str = ""
    map: Map | None = None
    # Of a task that calls a DAG which was given as an object; and the condition of a loop that is a function.
    called: Dag | None = None
    condition: Callable[..., Any] | None = None
    approval: Approval | None = None
    """What it asks people; no worker runs it then."""
    upstream: dict[str, Node] = field(default_factory=dict)

    def add_upstream(self, other: Node) -> None:
        self.upstream[other.task_id] = other


class _Linked(ABC):
    """What `>>` and `<<` join. A group is entered by its first tasks and left by its last."""

    @abstractmethod
    def first(self) -> Sequence[Node]: ...

    @abstractmethod
    def last(self) -> Sequence[Node]: ...

    def __rshift__(self, other: Any) -> Any:
        _link(self, other)
        return other

    def __lshift__(self, other: Any) -> Any:
        _link(other, self)
        return other

    def __rrshift__(self, other: Any) -> Any:
        _link(other, self)
        return self

    def __rlshift__(self, other: Any) -> Any:
        _link(self, other)
        return self


class Handle(_Linked, Later):
    """What calling a task in a DAG gives: stands for its output, and for the task itself in `a >> b`."""

    def __init__(self, node: Node, key: str = "") -> None:
        self.node = node
        self.key = key

    @property
    def task_id(self) -> str:
        return self.node.task_id

    def __getitem__(self, key: str) -> Any:
        """One key of the output, which must be a JSON object then."""
        if self.node.map is not None:
            raise AuthoringError(
                f"{self!r}[{key!r}]: the task is mapped, so its output is a list, of what its instances return; take "
                "what is in it inside the next task"
            )
        if not isinstance(key, str) or not key:
            raise AuthoringError(f"{self!r}[{key!r}]: expected the name of a key; take list items inside the next task")
        if self.key:
            raise AuthoringError(f"{self!r}[{key!r}]: one level of keys can be named; go deeper inside the next task")
        return Handle(self.node, key)

    def xcom(self, key: str) -> Any:
        """What the task pushes by this key beside its output (`current().push`): an argument like a handle."""
        if self.node.map is not None:
            raise AuthoringError(
                f"{self!r}.xcom({key!r}): the task is mapped; pull what an instance pushed in the next task"
            )
        if not isinstance(key, str) or not ID.fullmatch(key):
            raise AuthoringError(f"{self!r}.xcom({key!r}): expected the key that the task pushes, as text")
        return XCom(self.node, key)

    def first(self) -> Sequence[Node]:
        return (self.node,)

    def last(self) -> Sequence[Node]:
        return (self.node,)

    def source(self) -> Source:
        return Output(self.node, self.key)

    def __str__(self) -> str:
        path = f"{self.task_id}.{self.key}" if self.key else self.task_id
        return f"{{{{ outputs.{path} }}}}"

    def __repr__(self) -> str:
        return f"<output of {self.task_id}{f' [{self.key}]' if self.key else ''}>"


class XCom(Later):
    """Stands for a value that a task pushes beside its output. It is no part of a template."""

    def __init__(self, node: Node, key: str) -> None:
        self.node = node
        self.key = key

    def source(self) -> Source:
        return Output(self.node, "", self.key)

    def __str__(self) -> str:
        raise AuthoringError(f"{self!r} cannot stand in text: pass it as an argument of its own")

    def _refusal(self, what: str) -> AuthoringError:
        return AuthoringError(f"{self!r} cannot be {what} here: its value is known only when the run is")

    def __repr__(self) -> str:
        return f"<xcom {self.key} of {self.node.task_id}>"


class Group(_Linked):
    """Tasks drawn together, their ids prefixed by the group's."""

    def __init__(self, group_id: str, builder: Builder) -> None:
        self.group_id = group_id
        self._builder = builder

    def first(self) -> Sequence[Node]:
        members = self._members()
        return [node for node in members.values() if members.keys().isdisjoint(node.upstream)]

    def last(self) -> Sequence[Node]:
        members = self._members()
        inner = {task_id for node in members.values() for task_id in node.upstream}
        return [node for node in members.values() if node.task_id not in inner]

    def _members(self) -> dict[str, Node]:
        inside = f"{self.group_id}."
        return {
            task_id: node
            for task_id, node in self._builder.nodes.items()
            if node.group_id == self.group_id or node.group_id.startswith(inside)
        }


def _wrong_teardown(node: Node) -> Iterator[Violation]:
    """As the server has it; said here, too, for whoever validates without one."""
    if node.options.get("role") != "teardown":
        return
    if (rule := node.options.get("trigger_rule", "all_success")) != "all_success":
        yield Violation(
            f"tasks.{node.task_id}.trigger_rule",
            f"is {rule!r}; expected none: a teardown runs when all before it has ended",
        )
    if not node.upstream:
        yield Violation(
            f"tasks.{node.task_id}.role", "is 'teardown'; expected at least one upstream task, which it is to run after"
        )


def _wrong_cache(node: Node) -> Iterator[Violation]:
    """What options of caching must not say together, or beside the others."""
    options, at = node.options, f"tasks.{node.task_id}"
    if "cache" not in options:
        for name in ("cache_ignore", "cache_key", "cache_version"):
            if name in options:
                yield Violation(f"{at}.{name}", "is given without cache; expected how long results are kept, beside it")
        return
    if (role := options.get("role", "work")) != "work":
        yield Violation(f"{at}.cache", f"is given to a {role}; what such a task does has to be done each time")
    if options.get("lease_mode") == "exclusive":
        yield Violation(
            f"{at}.cache", "is given beside lease_mode 'exclusive'; expected lease_mode 'hold', or no cache"
        )
    if "cache_key" in options and "cache_ignore" in options:
        yield Violation(f"{at}.cache_ignore", "is given beside cache_key, which counts instead of the arguments")
    known = {*node.inputs, *(name.partition(".")[0] for name in node.inputs)}
    for name in options.get("cache_ignore", ()):
        if name not in known:
            yield Violation(f"{at}.cache_ignore", f"names {name!r}; {suggestion(name, known, 'arguments')}")


class Builder:
    """Collects the nodes of one DAG while its function runs."""

    def __init__(
        self, dag_id: str, params: Sequence[str] | None, params_schema: Mapping[str, Any] | None = None
    ) -> None:
        self.dag_id = dag_id
        self.params = params
        self.params_schema = params_schema or {}
        self.nodes: dict[str, Node] = {}
        self.group_id = ""
        self._counts: dict[str, int] = {}

    def add(
        self,
        name: str,
        inputs: Mapping[str, Source],
        options: TaskOptions,
        function: Callable[..., Any] | None = None,
        handler: str = "",
        handler_version: str = "",
        description: str = "",
        over: Map | None = None,
        approval: Approval | None = None,
    ) -> Handle:
        """Add a node. `name` is the task id unless the options give one; a name that repeats gets "_2", "_3", ...

        It is mapped if it is said `over` what.
        """
        check_map(over, options.get("role", "work"), options, f"task '{name}'")
        node = Node(
            task_id=self._claim_id(name, options.get("task_id")),
            group_id=self.group_id,
            inputs=dict(inputs),
            options=options,
            function=function,
            handler=handler,
            handler_version=handler_version,
            description=options.get("description", description),
            map=over,
            approval=approval,
        )
        self.nodes[node.task_id] = node
        for source in [*inputs.values(), *(over.inputs if over else {}).values()]:
            self._follow(node, source)
        return Handle(node)

    def finish(self) -> tuple[Node, ...]:
        """The nodes, once outputs that templates name are upstream. InvalidDag lists everything that is wrong."""
        # Not above: a process that runs tasks builds no DAG.
        from glidepath.authoring.typed_edges import edge_violations

        violations = [violation for node in self.nodes.values() for violation in self._wrong_values(node)]
        violations += [violation for node in self.nodes.values() for violation in _wrong_teardown(node)]
        violations += edge_violations(self.nodes.values(), self.params_schema)
        violations += [violation for node in self.nodes.values() for violation in _wrong_cache(node)]
        cycle = find_cycle(self.nodes.values())
        if cycle:
            violations.append(Violation("tasks", f"tasks wait for each other in a circle: {' >> '.join(cycle)}"))
        if not self.nodes:
            violations.append(Violation("tasks", "the DAG has no task; call at least one in its function"))
        if violations:
            raise InvalidDag(f"DAG '{self.dag_id}' is not valid", violations)
        return tuple(self.nodes.values())

    def _claim_id(self, name: str, explicit: str | None) -> str:
        wanted = ".".join(filter(None, (self.group_id, explicit or name)))
        if not ID.fullmatch(wanted):
            raise AuthoringError(
                f"task id {wanted!r}: expected 1-200 letters, digits, '_', '.', '-', starting with a letter or digit"
            )
        if wanted not in self.nodes:
            return wanted
        if explicit:
            raise AuthoringError(f"task id {wanted!r} is given to two tasks; every task_id must be unique in its DAG")
        count = self._counts.get(wanted, 1) + 1
        while f"{wanted}_{count}" in self.nodes:
            count += 1
        self._counts[wanted] = count
        return f"{wanted}_{count}"

    def _follow(self, node: Node, source: Source) -> None:
        if isinstance(source, Items):
            for each in source.sources:
                self._follow(node, each)
        elif isinstance(source, Output):
            self.own(source.node)
            node.add_upstream(source.node)

    def own(self, node: Node) -> None:
        """Refuse a node of another DAG: a handle kept in a global, usually."""
        if self.nodes.get(node.task_id) is not node:
            raise AuthoringError(f"task '{node.task_id}' belongs to another DAG than '{self.dag_id}'")

    def _wrong_values(self, node: Node) -> Iterator[Violation]:
        at = f"tasks.{node.task_id}"
        for name, source in node.inputs.items():
            for problem in self._resolve_templates(node, source):
                yield Violation(f"{at}.inputs.{name}", problem)
        for name, source in (node.map.inputs if node.map else {}).items():
            for problem in self._resolve_templates(node, source):
                yield Violation(f"{at}.map.{name}", problem)
        for problem in self._resolve_templates(node, Template(node.options.get("cache_key", ""))):
            yield Violation(f"{at}.cache_key", problem)
        for problem in check_title(node.map, node.options.get("map_name", "")):
            yield Violation(f"{at}.map_name", problem)
        for name in templates.names(node.approval.message) if node.approval else ():
            for problem in self._resolve_name(node, name):
                yield Violation(f"{at}.approval.message", problem)

    def _resolve_templates(self, node: Node, source: Source) -> Iterator[str]:
        match source:
            case Items():
                for each in source.sources:
                    yield from self._resolve_templates(node, each)
            case Template():
                yield from check_names(node.map, source.text)
                for name in templates.names(source.text):
                    yield from self._resolve_name(node, name)
            case Param():
                yield from self._check_param(source.name)
            case Constant() | Output():
                pass

    def _resolve_name(self, node: Node, name: str) -> Iterator[str]:
        head, *rest = name.split(".")
        if head == "params":
            yield from self._check_param(rest[0])
        elif head == "outputs":
            upstream = next(
                (each for n in range(len(rest), 0, -1) if (each := self.nodes.get(".".join(rest[:n])))), None
            )
            if upstream is None:
                yield f"template '{name}' names no task of this DAG; tasks: {', '.join(self.nodes)}"
            else:
                node.add_upstream(upstream)

    def _check_param(self, name: str) -> Iterator[str]:
        if self.params is not None and name not in self.params:
            yield f"the DAG has no param '{name}'; params: {', '.join(self.params) or 'none'}"


_building: ContextVar[Builder | None] = ContextVar("glidepath_building", default=None)


def current_builder() -> Builder | None:
    """The DAG being built, if one is: what decides whether calling a task makes a node or runs it."""
    return _building.get()


@contextmanager
def building(builder: Builder) -> Iterator[None]:
    outer = _building.get()
    if outer is not None:
        raise AuthoringError(f"DAG '{builder.dag_id}' is built inside DAG '{outer.dag_id}'; DAGs do not nest")
    token = _building.set(builder)
    try:
        yield
    finally:
        _building.reset(token)


@contextmanager
def group(group_id: str) -> Iterator[Group]:
    """Draw the tasks called inside together: `with group("features"):` makes task ids "features.<name>"."""
    builder = current_builder()
    if builder is None:
        raise AuthoringError(f"group({group_id!r}) is used outside a @dag function")
    if not ID.fullmatch(group_id):
        raise AuthoringError(f"group {group_id!r}: expected letters, digits, '_', '.', '-'")
    outer = builder.group_id
    builder.group_id = ".".join(filter(None, (outer, group_id)))
    try:
        yield Group(builder.group_id, builder)
    finally:
        builder.group_id = outer


def topological_order(nodes: Iterable[Node]) -> list[str]:
    """Task ids, upstreams first. graphlib.CycleError when there is a circle."""
    return list(TopologicalSorter({node.task_id: list(node.upstream) for node in nodes}).static_order())


def find_cycle(nodes: Iterable[Node]) -> list[str]:
    """Task ids along a circle in the order of `>>`, the first repeated at the end; empty when there is none."""
    try:
        topological_order(nodes)
    except CycleError as error:
        circle: list[str] = error.args[1]
        return circle
    return []


def _ends(side: object, take: Callable[[_Linked], Sequence[Node]]) -> list[Node]:
    if isinstance(side, _Linked):
        return list(take(side))
    if isinstance(side, list | tuple):
        return [node for each in side for node in _ends(each, take)]
    raise AuthoringError(
        f"{side!r} cannot be joined by >>; expected a task called in this DAG, a group, or a list of them"
    )


def _link(before: object, after: object) -> None:
    builder = current_builder()
    if builder is None:
        raise AuthoringError(">> joins tasks inside a @dag function only")
    upstreams = _ends(before, lambda side: side.last())
    for node in _ends(after, lambda side: side.first()):
        builder.own(node)
        for upstream in upstreams:
            builder.own(upstream)
            node.add_upstream(upstream)
