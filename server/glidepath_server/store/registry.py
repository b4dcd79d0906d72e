"""DAGs and their versions: thin typed functions over queries/registry.sql.

A version is immutable. Its `text` is the canonical text (core/canonical.py), which alone says what the DAG is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..core.canonical import from_canonical_json
from ..core.definition import DagSpec
from .database import Connection
from .sql import statements

_SQL = statements("registry")
Row = Any


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """A version as it runs. `class_ids` holds the task class of each task, in the order of `spec.tasks`;
    `reroute_class_ids` the class that it has once it is rerouted (0: never), or nothing when no task is.
    """

    dag_version_id: int
    namespace: str
    dag_id: str
    dag_version_number: int
    spec: DagSpec
    class_ids: Sequence[int]
    reroute_class_ids: Sequence[int] = ()
    # Task ids by index, JSON, for runs that were moved to it; empty: the order of the spec.
    layout: str = ""


@dataclass(frozen=True, slots=True)
class Version:
    """A version as it is read; `text` is "" in lists."""

    dag_id: str
    dag_version_number: int
    content_hash: str
    create_time: datetime
    created_by: str
    task_count: int
    text: str


@dataclass(frozen=True, slots=True)
class Dag:
    """A DAG; what its latest version says of it, and what operators said."""

    namespace: str
    dag_id: str
    description: str
    owner: str
    tags: Sequence[str]
    latest_version_number: int
    paused: bool
    aliases: Mapping[str, int]
    create_time: datetime


@dataclass(frozen=True, slots=True)
class LockedDag:
    """What changes in a DAG's row, read under its lock. A DAG that is just being created has no version yet: 0."""

    latest_version_number: int
    paused: bool
    tasks_limit_id: int
    runs_limit_id: int


@dataclass(frozen=True, slots=True)
class NewClass:
    """A task class to be stored. `worker_selector` and `resources` are JSON, `limits` are (limit id, slots) by id."""

    queue_id: int
    handler_name: str
    handler_version: str
    worker_selector: str
    resources: str
    pool_limit_id: int | None
    pool_slots: int
    class_hash: bytes
    limits: tuple[tuple[int, int], ...] = ()
    run_limited: bool = False

    @property
    def limit_ids(self) -> str:
        return "{" + ",".join(str(limit_id) for limit_id, _ in self.limits) + "}"

    @property
    def limit_slots(self) -> str:
        return "{" + ",".join(str(slots) for _, slots in self.limits) + "}"


@dataclass(frozen=True, slots=True)
class NamedPool:
    """A pool that a version names."""

    name: str
    limit_id: int
    capacity: int


@dataclass(frozen=True, slots=True)
class NamedLimit:
    """A named limit that a version names, or by task id the limit of a task; capacity None: no cap."""

    name: str
    limit_id: int
    capacity: int | None


# ---- reading
async def load_version(connection: Connection, dag_version_id: int) -> StoredVersion:
    """A version by its id, which never disappears. Raises LookupError."""
    row = await connection.fetchrow(_SQL["load_version"], dag_version_id)
    if row is None:
        raise LookupError(f"there is no dag_version {dag_version_id}")
    return StoredVersion(**{**row, "spec": from_canonical_json(row["spec"])})


async def version_by_number(connection: Connection, namespace: str, dag_id: str, number: int) -> Version | None:
    return _version(await connection.fetchrow(_SQL["version_by_number"], namespace, dag_id, number))


async def version_by_alias(connection: Connection, namespace: str, dag_id: str, alias: str) -> Version | None:
    return _version(await connection.fetchrow(_SQL["version_by_alias"], namespace, dag_id, alias))


async def version_by_hash(connection: Connection, namespace: str, dag_id: str, content_hash: str) -> Version | None:
    return _version(await connection.fetchrow(_SQL["version_by_hash"], namespace, dag_id, content_hash))


async def latest_version(connection: Connection, namespace: str, dag_id: str) -> Version | None:
    return _version(await connection.fetchrow(_SQL["latest_version"], namespace, dag_id))


async def list_versions(
    connection: Connection,
    namespace: str,
    dag_id: str,
    *,
    below: int,
    limit: int,
) -> list[Version]:
    """Newest first, those below a number, without their texts."""
    rows = await connection.fetch(_SQL["list_versions"], namespace, dag_id, below, limit)
    return [version for row in rows if (version := _version(row)) is not None]


async def get_dag(connection: Connection, namespace: str, dag_id: str) -> Dag | None:
    row = await connection.fetchrow(_SQL["get_dag"], namespace, dag_id)
    return _dag(row) if row else None


async def list_dags(connection: Connection, namespace: str, *, after: str, tag: str, limit: int) -> list[Dag]:
    """By id, those behind `after`; only those that carry the tag unless it is ""."""
    return [_dag(row) for row in await connection.fetch(_SQL["list_dags"], namespace, after, tag, limit)]


# ---- changing a DAG
async def create_dag(
    connection: Connection,
    namespace: str,
    dag_id: str,
    *,
    tasks_active_max: int | None,
    runs_active_max: int | None,
    now: datetime,
) -> None:
    """Make sure that the DAG and its two limits exist. A DAG that exists keeps its caps."""
    await connection.execute(_SQL["create_limits"], namespace, dag_id, tasks_active_max, runs_active_max)
    await connection.execute(_SQL["create_dag"], namespace, dag_id, now)


async def lock_dag(connection: Connection, namespace: str, dag_id: str) -> LockedDag | None:
    """The DAG, locked until the transaction ends."""
    row = await connection.fetchrow(_SQL["lock_dag"], namespace, dag_id)
    return LockedDag(**row) if row else None


async def capacities(connection: Connection, limit_ids: Iterable[int]) -> dict[int, tuple[int | None, bool]]:
    """Capacity of each, and whether what it counts goes in order."""
    rows = await connection.fetch(_SQL["capacities"], list(limit_ids))
    return {row["limit_id"]: (row["capacity"], row["in_order"]) for row in rows}


async def set_paused(connection: Connection, namespace: str, dag_id: str, paused: bool) -> None:
    """What readers see; what holds attempts back is the pause of the DAG's limit."""
    await connection.execute(_SQL["set_paused"], namespace, dag_id, paused)


async def point_aliases(
    connection: Connection,
    namespace: str,
    dag_id: str,
    aliases: Iterable[str],
    number: int,
) -> list[str]:
    """Point aliases at a version; those that pointed elsewhere or nowhere before."""
    rows = await connection.fetch(_SQL["point_aliases"], namespace, dag_id, sorted(set(aliases)), number)
    return [row["alias"] for row in rows]


# ---- storing a version
async def hold_pools(connection: Connection, namespace: str, names: Iterable[str]) -> dict[str, NamedPool]:
    """Those of the pools that exist; they stay until the transaction ends."""
    rows = await connection.fetch(_SQL["hold_pools"], namespace, sorted(set(names)))
    return {row["name"]: NamedPool(**row) for row in rows}


async def hold_limits(connection: Connection, namespace: str, names: Iterable[str]) -> dict[str, NamedLimit]:
    """Those of the named limits that exist; they stay until the transaction ends."""
    rows = await connection.fetch(_SQL["hold_limits"], namespace, sorted(set(names)))
    return {row["name"]: NamedLimit(**row) for row in rows}


async def ensure_task_limits(
    connection: Connection, namespace: str, dag_id: str, caps: Mapping[str, int]
) -> dict[str, NamedLimit]:
    """The limits of single tasks that the DAG has or ever had, by task id; those of `caps` are made if need be."""
    names = [f"{dag_id}/{task_id}" for task_id in caps]
    await connection.execute(_SQL["create_task_limits"], namespace, names, list(caps.values()))
    rows = await connection.fetch(_SQL["task_limits"], namespace, dag_id)
    return {row["task_id"]: NamedLimit(row["task_id"], row["limit_id"], row["capacity"]) for row in rows}


async def stored_sources(connection: Connection, namespace: str, hashes: Iterable[str]) -> set[str]:
    """Of these hashes, those whose archives are stored."""
    return {row["content_hash"] for row in await connection.fetch(_SQL["stored_sources"], namespace, list(hashes))}


async def ensure_queues(connection: Connection, namespace: str, names: Iterable[str]) -> dict[str, int]:
    """Ids of queues by name; those that do not exist are made."""
    wanted = sorted(set(names))
    await connection.execute(_SQL["create_queues"], namespace, wanted)
    rows = await connection.fetch(_SQL["queue_ids"], namespace, wanted)
    return {row["queue_name"]: row["queue_id"] for row in rows}


async def ensure_classes(
    connection: Connection,
    namespace: str,
    dag_id: str,
    tasks_limit_id: int,
    classes: Sequence[NewClass],
) -> dict[bytes, int]:
    """Ids of classes by hash; those that do not exist are made. Other registrations wait here for our commit."""
    await connection.execute(_SQL["order_classes"])
    columns: list[list[Any]] = [
        [getattr(each, name) for each in classes]
        for name in (
            "queue_id",
            "handler_name",
            "handler_version",
            "worker_selector",
            "resources",
            "pool_limit_id",
            "pool_slots",
            "limit_ids",
            "limit_slots",
            "run_limited",
            "class_hash",
        )
    ]
    await connection.execute(_SQL["create_classes"], namespace, dag_id, tasks_limit_id, *columns)
    rows = await connection.fetch(_SQL["class_ids"], columns[-1])
    return {row["class_hash"]: row["class_id"] for row in rows}


async def insert_version(
    connection: Connection,
    namespace: str,
    dag_id: str,
    number: int,
    *,
    content_hash: str,
    text: str,
    class_ids: Sequence[int],
    reroute_class_ids: Sequence[int],
    now: datetime,
    created_by: str,
) -> None:
    """Store a version and make it the latest; the caller holds the DAG's row."""
    await connection.execute(
        _SQL["create_version"],
        namespace,
        dag_id,
        number,
        content_hash,
        text,
        class_ids,
        now,
        created_by,
        reroute_class_ids,
    )
    await connection.execute(_SQL["set_latest"], namespace, dag_id, number)


async def insert_bundles(
    connection: Connection,
    namespace: str,
    bundles: Sequence[tuple[str, bytes]],
    now: datetime,
) -> None:
    """Store archives by the hash of their content; those that are stored stay as they are."""
    hashes, archives = [each[0] for each in bundles], [each[1] for each in bundles]
    await connection.execute(_SQL["create_bundles"], namespace, hashes, archives, now)


def _version(row: Row | None) -> Version | None:
    return Version(*row.values()) if row is not None else None


def _dag(row: Row) -> Dag:
    head = json.loads(row["head"])
    return Dag(
        row["namespace"],
        row["dag_id"],
        head.get("description", ""),
        head.get("owner", ""),
        head.get("tags", ()),
        row["latest_version_number"],
        row["paused"],
        json.loads(row["aliases"] or "{}"),
        row["create_time"],
    )
