"""Reading what runs left beside their outputs: XComs, uses of artifacts, lineage, metrics."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from ..core.errors import NotFound
from ..core.events import AttemptKey
from ..core.values import READ, WRITE
from ..store import runs_read
from ..store import values as store
from ..store.database import Connection
from ..store.values import StoredUse
from .find_dag import no_such_dag
from .plans import Plan
from .read_runs import RunReader

LINEAGE_MAX = 200
METRICS_MAX = 2_000
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class StoredXCom:
    attempt: AttemptKey
    key: str
    value: str


@dataclass(slots=True)
class Lineage:
    """Uses of one artifact, and those at a distance from it, on either side."""

    uses: list[StoredUse] = field(default_factory=list)
    upstream: list[tuple[int, StoredUse]] = field(default_factory=list)
    downstream: list[tuple[int, StoredUse]] = field(default_factory=list)
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class ValueReader:
    """Values of any namespace; the caller has checked that the namespace may be read."""

    runs: RunReader

    async def xcoms(
        self, namespace: str, dag_run_id: UUID, after: tuple[int, int, str], limit: int
    ) -> tuple[Plan, list[StoredXCom]]:
        """Behind (task, map index, key). Raises NotFound."""
        async with runs_read.snapshot(self.runs.database) as connection:
            _, plan = await self.runs.load(connection, namespace, dag_run_id)
            rows = await store.list_xcoms(connection, dag_run_id, after, limit)
        return plan, [
            StoredXCom(
                AttemptKey(dag_run_id, row["task_index"], row["map_index"], row["attempt_number"]),
                row["xcom_key"],
                row["value"],
            )
            for row in rows
        ]

    async def uses(
        self, namespace: str, dag_run_id: UUID, after: tuple[int, int, int, int], limit: int
    ) -> tuple[Plan, list[StoredUse]]:
        """Behind (task, map index, attempt, number). Raises NotFound."""
        async with runs_read.snapshot(self.runs.database) as connection:
            _, plan = await self.runs.load(connection, namespace, dag_run_id)
            return plan, await store.list_uses(connection, dag_run_id, namespace, after, limit)

    async def lineage(self, namespace: str, artifact: str, depth: int) -> Lineage:
        """Of an artifact by URI or digest, `depth` steps far. Raises NotFound when nobody used it."""
        async with runs_read.snapshot(self.runs.database) as connection:
            digests = [artifact]
            if not _SHA256.fullmatch(artifact):
                digests = await store.digests_of(connection, namespace, artifact, LINEAGE_MAX)
            found = Lineage()
            found.uses = _cut(
                found, await store.uses_of(connection, namespace, digests, [READ, WRITE], LINEAGE_MAX + 1)
            )
            if not found.uses:
                raise NotFound(
                    f"no attempt that succeeded has read or written {artifact[:200]!r}",
                    hint="give its whole URI or SHA-256, as a run's artifacts show them",
                )
            walk = _Walk(connection, namespace, found)
            found.upstream = await walk.go(found.uses, WRITE, READ, depth)
            found.downstream = await walk.go(found.uses, READ, WRITE, depth)
            await self._load(connection, [*found.uses, *(use for _, use in (*found.upstream, *found.downstream))])
        return found

    async def metrics(self, namespace: str, dag_id: str, runs_max: int) -> list[tuple[StoredUse, int]]:
        """Newest run first, each with its version's number. Raises NotFound for a DAG that does not exist."""
        async with runs_read.snapshot(self.runs.database) as connection:
            found = await store.list_metrics(connection, namespace, dag_id, runs_max, METRICS_MAX)
            if not found and not await runs_read.dag_exists(connection, namespace, dag_id):
                raise await no_such_dag(connection, namespace, dag_id)
            await self._load(connection, [use for use, _ in found])
        return found

    def plan(self, use: StoredUse) -> Plan:
        """The version of a use that was read here."""
        return self.runs.plans.versions[use.dag_version_id]

    async def _load(self, connection: Connection, uses: Sequence[StoredUse]) -> None:
        await self.runs.plans.load(connection, {use.dag_version_id for use in uses})


class _Walk:
    """From artifacts over the attempts on one side to artifacts on the other, step by step."""

    def __init__(self, connection: Connection, namespace: str, found: Lineage) -> None:
        self.connection, self.namespace, self.found = connection, namespace, found

    async def go(self, uses: Sequence[StoredUse], near: str, far: str, depth: int) -> list[tuple[int, StoredUse]]:
        """What the attempts that used these in the `near` direction used in the `far` one; then the same of that."""
        steps: list[tuple[int, StoredUse]] = []
        seen = {use.use.sha256 for use in uses}
        attempts = {use.key for use in uses if use.use.direction == near}
        for distance in range(1, depth + 1):
            room = LINEAGE_MAX - len(steps)
            if not attempts or room <= 0:
                self.found.truncated |= bool(attempts)
                break
            reached = _cut(self.found, await store.uses_by(self.connection, sorted(attempts), far, room + 1), room)
            steps += [(distance, use) for use in reached]
            new = sorted({use.use.sha256 for use in reached} - seen)
            seen.update(new)
            before = attempts
            attempts = set()
            if new and distance < depth:
                nearer = await store.uses_of(self.connection, self.namespace, new, [near], LINEAGE_MAX + 1)
                attempts = {use.key for use in _cut(self.found, nearer)} - before
        return steps


def _cut(found: Lineage, uses: list[StoredUse], most: int = LINEAGE_MAX) -> list[StoredUse]:
    found.truncated |= len(uses) > most
    return uses[:most]
