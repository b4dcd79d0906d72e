"""What does not change, kept in memory: compiled DAG versions and the facts of runs.

Versions are immutable and kept for ever. Run facts are many: the oldest go first. What is kept of a run may be from
before a move to another version, which the classes of its attempts tell (see RunFacts).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from ..core.caching import sources_of_key
from ..core.compile import compile_graph
from ..core.definition import DagSpec, TaskSpec, output_sources, xcom_sources
from ..core.effects import Release
from ..core.graph import Graph
from ..core.layouts import REMOVED_HANDLER, Layout, laid_out
from ..core.params import ParamsSchema
from ..store import engine, registry
from ..store.database import Connection

FACTS_KEPT_MAX = 50_000


@dataclass(slots=True)
class Plan:
    """A DAG version as the engine uses it. Tuples are indexed by task index."""

    dag_version_id: int
    namespace: str
    dag_id: str
    dag_version_number: int
    spec: DagSpec
    graph: Graph
    class_ids: tuple[int, ...]
    # By task, the class of attempts that its retry policy sends to another queue.
    reroutes: Mapping[int, int]
    timeouts: tuple[float | None, ...]
    priorities: tuple[int, ...]
    # Tasks whose outputs the assignment must carry.
    output_needs: tuple[tuple[int, ...], ...]
    # Of cached tasks, those whose outputs their keys take.
    key_needs: Mapping[int, tuple[int, ...]]
    # And the XComs that it must carry, by task and key.
    xcom_needs: tuple[tuple[tuple[int, str], ...], ...]
    # Place for what the wire prepares once per version (see api/assignments.py).
    wire: Any = None
    # Asked for each attempt that is given out.
    _classes: frozenset[int] = field(init=False)

    def class_of(self, release: Release) -> int:
        """The class in whose queue the attempt goes."""
        task = release.task
        if task in self.reroutes and self.graph.retries[task].reroutes(release.tries + release.losses):
            return self.reroutes[task]
        return self.class_ids[task]

    def __post_init__(self) -> None:
        self._classes = frozenset((*self.class_ids, *self.reroutes.values()))

    def has_class(self, class_id: int) -> bool:
        """Whether attempts of the version have this class: layouts of it have others."""
        return class_id in self._classes

    def task(self, index: int) -> TaskSpec:
        return self.spec.tasks[index]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What of a run never changes, but for its version, when it is moved: then its tasks have other classes."""

    dag_run_id: UUID
    dag_version_id: int
    namespace: str
    dag_id: str
    run_key: str
    params: str
    logical_date: datetime
    data_interval_start: datetime
    data_interval_end: datetime
    traceparent: str
    refresh_cache: bool


@dataclass(slots=True)
class Plans:
    """The caches of a replica. `traced`: spans are sent, so child runs stand under the attempts that call them."""

    traced: bool = False
    versions: dict[int, Plan] = field(default_factory=dict)
    _schemas: dict[int, ParamsSchema] = field(default_factory=dict)
    facts: OrderedDict[UUID, RunFacts] = field(default_factory=OrderedDict)

    async def load(self, connection: Connection, version_ids: Iterable[int]) -> None:
        """Make sure that these versions are in `versions`."""
        for version_id in {*version_ids} - self.versions.keys():
            self.versions[version_id] = plan_of(await registry.load_version(connection, version_id))

    def schema(self, dag_version_id: int) -> ParamsSchema:
        """The compiled params schema of a version whose plan is loaded."""
        schema = self._schemas.get(dag_version_id)
        if schema is None:
            spec = self.versions[dag_version_id].spec
            schema = self._schemas[dag_version_id] = ParamsSchema(spec.params_schema, spec.param_defaults)
        return schema

    async def load_facts(self, connection: Connection, run_ids: Iterable[UUID]) -> dict[UUID, RunFacts]:
        """Facts of these runs, and their versions loaded. A run that is gone is left out."""
        found = await self.read_facts(connection, run_ids)
        await self.load(connection, (facts.dag_version_id for facts in found.values()))
        return found

    def forget_facts(self, run_ids: Iterable[UUID]) -> None:
        """What is kept of these runs is old: they were moved to another version."""
        for run_id in run_ids:
            self.facts.pop(run_id, None)

    async def read_facts(self, connection: Connection, run_ids: Iterable[UUID]) -> dict[UUID, RunFacts]:
        """Facts of these runs. A run that is gone is left out."""
        wanted = {*run_ids}
        found = {run_id: self.facts[run_id] for run_id in wanted if run_id in self.facts}
        if missing := list(wanted - found.keys()):
            for row in await engine.run_facts(connection, missing):
                facts = RunFacts(**row)
                found[facts.dag_run_id] = self.facts[facts.dag_run_id] = facts
            while len(self.facts) > FACTS_KEPT_MAX:
                self.facts.popitem(last=False)
        return found


def _removed(spec: DagSpec) -> frozenset[int]:
    return frozenset(index for index, task in enumerate(spec.tasks) if task.handler.name == REMOVED_HANDLER)


def plan_of(version: registry.StoredVersion) -> Plan:
    """Compile a stored version."""
    spec = laid_out(version.spec, Layout.from_json(version.layout)) if version.layout else version.spec
    index = {task.task_id: number for number, task in enumerate(spec.tasks)}
    return Plan(
        dag_version_id=version.dag_version_id,
        namespace=version.namespace,
        dag_id=version.dag_id,
        dag_version_number=version.dag_version_number,
        spec=spec,
        graph=replace(compile_graph(spec), removed=_removed(spec)),
        class_ids=tuple(version.class_ids),
        reroutes={task: class_id for task, class_id in enumerate(version.reroute_class_ids) if class_id},
        timeouts=tuple(task.policy.execution_timeout_seconds for task in spec.tasks),
        priorities=tuple(task.policy.priority for task in spec.tasks),
        output_needs=tuple(tuple(index[name] for name in output_sources(task)) for task in spec.tasks),
        key_needs={
            number: tuple(index[name] for name in sources_of_key(task))
            for number, task in enumerate(spec.tasks)
            if task.policy.cache is not None
        },
        xcom_needs=tuple(tuple((index[name], key) for name, key in xcom_sources(task)) for task in spec.tasks),
    )
