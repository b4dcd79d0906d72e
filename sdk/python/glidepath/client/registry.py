"""Methods for DAGs and their versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from glidepath.authoring import Dag
from glidepath.authoring.convert import called_dags, to_registration
from glidepath.client.calls import Call, Pages, iterated, rpc
from glidepath.client.requests import Api, Service, new_request_id
from glidepath_proto.registry.v1 import dag_pb2
from glidepath_proto.registry.v1 import registry_service_pb2 as pb
from glidepath_proto.schedule.v1.deadline_pb2 import DeadlineDeclaration
from glidepath_proto.schedule.v1.schedule_pb2 import ScheduleDeclaration

_REGISTRY = Service(pb, "RegistryService")


class RegistryMethods(Api):
    """DAGs: registering versions, reading them, pausing."""

    @rpc
    def register(
        self,
        dag: Dag | dag_pb2.DagSpec,
        *,
        aliases: Sequence[str] = (),
        sources: Sequence[pb.SourceBundle] = (),
        deadlines: Sequence[DeadlineDeclaration] = (),
        schedules: Sequence[ScheduleDeclaration] = (),
        validate_only: bool = False,
        request_id: str = "",
    ) -> Call[pb.RegisterDagVersionResponse]:
        """Register a DAG with its source. The answer has the version, whether it is new, and warnings.

        The same content gives the version that exists. `aliases` point at it from then on, in the same transaction.
        `validate_only` checks everything and stores nothing. InvalidDag lists every violation at once.
        A message instead of a `Dag` takes its `sources`, `deadlines` and `schedules` from the arguments. DAGs that a
        `Dag` calls as objects are registered before it, each as if it were registered alone.
        """
        before: tuple[Call[Any], ...] = ()
        if isinstance(dag, Dag):
            before = tuple(
                self._registration(each, sources, (), (), validate_only, (), new_request_id())
                for each in called_dags(dag)
            )
        last = self._registration(dag, sources, deadlines, schedules, validate_only, aliases, request_id)
        return replace(last, before=before)

    def _registration(
        self,
        dag: Dag | dag_pb2.DagSpec,
        sources: Sequence[pb.SourceBundle],
        deadlines: Sequence[DeadlineDeclaration],
        schedules: Sequence[ScheduleDeclaration],
        validate_only: bool,
        aliases: Sequence[str],
        request_id: str,
    ) -> Call[pb.RegisterDagVersionResponse]:
        if isinstance(dag, Dag):
            registration = to_registration(dag)
            dag, schedules = registration.spec, registration.schedules
            if registration.bundle is not None:
                bundle = registration.bundle
                sources = [*sources, pb.SourceBundle(content_hash=bundle.content_hash, archive=bundle.archive)]
            deadlines = registration.deadlines
        return _REGISTRY.call(
            self,
            "RegisterDagVersion",
            request_id=request_id or new_request_id(),
            spec=dag,
            sources=sources,
            validate_only=validate_only,
            aliases=aliases,
            deadlines=deadlines,
            schedules=schedules,
        )

    @rpc
    def get_dag(self, dag_id: str) -> Call[pb.Dag]:
        """One DAG with its latest version number, aliases and whether it is paused. NotFound when there is none."""
        return _REGISTRY.call(self, "GetDag", "dag", dag_id=dag_id)

    @iterated
    def list_dags(self, *, tag: str = "", page_size: int = 0) -> Pages[pb.Dag]:
        """All DAGs of the namespace by dag_id, or those that carry `tag`."""
        return _REGISTRY.pages(self, "ListDags", "dags", tag=tag, page_size=page_size)

    @rpc
    def get_dag_version(self, dag_id: str, version: int | None = None, *, alias: str = "") -> Call[pb.DagVersion]:
        """The full content of one version: by number, by alias, or the latest."""
        return _REGISTRY.call(
            self, "GetDagVersion", "dag_version", dag_id=dag_id, dag_version_number=version, alias=alias or None
        )

    @iterated
    def list_dag_versions(self, dag_id: str, *, page_size: int = 0) -> Pages[pb.DagVersion]:
        """Versions without their content, newest first."""
        return _REGISTRY.pages(self, "ListDagVersions", "dag_versions", dag_id=dag_id, page_size=page_size)

    @rpc
    def diff_dag_versions(self, dag_id: str, from_version: int, to_version: int) -> Call[Sequence[pb.DagDifference]]:
        """What differs between two versions, field by field."""
        return _REGISTRY.call(
            self,
            "DiffDagVersions",
            "differences",
            dag_id=dag_id,
            from_version_number=from_version,
            to_version_number=to_version,
        )

    @rpc
    def set_dag_alias(self, dag_id: str, alias: str, version: int) -> Call[pb.Dag]:
        """Point an alias ("production") at a version."""
        return _REGISTRY.call(self, "SetDagAlias", "dag", dag_id=dag_id, alias=alias, dag_version_number=version)

    @rpc
    def pause_dag(self, dag_id: str) -> Call[pb.Dag]:
        """Start no further attempt of any run of the DAG; running ones go on."""
        return _REGISTRY.call(self, "PauseDag", "dag", dag_id=dag_id)

    @rpc
    def unpause_dag(self, dag_id: str) -> Call[pb.Dag]:
        """Let a paused DAG go on."""
        return _REGISTRY.call(self, "UnpauseDag", "dag", dag_id=dag_id)

    @rpc
    def clear_dag_cache(self, dag_id: str, task_id: str = "") -> Call[int]:
        """Forget the kept results of a DAG's tasks, or of one; how many. Equal calls run anew."""
        return _REGISTRY.call(self, "ClearDagCache", "results_cleared", dag_id=dag_id, task_id=task_id)
