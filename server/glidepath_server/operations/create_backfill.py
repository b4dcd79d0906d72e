"""Storing a backfill with all its dates: one transaction, whatever their number. Its runs are made by the pacer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from .. import clock
from ..core.backfill_spec import ORIGINAL, BackfillSpec, spec_to_json
from ..store import backfills as store
from ..store import layouts
from ..store.backfills import StoredBackfill
from ..store.database import Connection, Database, database_now, transaction
from .audit import append_audit
from .plan_backfill import BackfillPlan, BackfillPlanner
from .plans import Plans
from .requests import once


@dataclass(frozen=True, slots=True)
class BackfillCall:
    """A call as it came in: who, where, and what makes a repetition the same call."""

    method: str
    namespace: str
    actor: str
    request_id: str
    body: bytes
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a backfill would do now. `run_seconds`: the mean of the DAG's last successful runs, None without one."""

    plan: BackfillPlan
    run_seconds: float | None


@dataclass(slots=True)
class CreateBackfill:
    """The operation. `on_created` is called after the commit; `on_classes` when task classes were made."""

    database: Database
    plans: Plans
    on_created: Callable[[], None]
    on_classes: Callable[[set[int]], Awaitable[None]]

    async def preview(self, namespace: str, spec: BackfillSpec) -> Preview:
        """Raises InvalidInput, NotFound."""
        async with self.database.api.acquire() as connection, connection.transaction():
            plan = await BackfillPlanner(connection, self.plans, namespace, spec).plan()
            return Preview(plan, await store.run_seconds(connection, namespace, spec.dag_id, None))

    async def __call__(
        self, call: BackfillCall, spec: BackfillSpec, encode: Callable[[StoredBackfill, int], bytes]
    ) -> bytes:
        """The answer, encoded from the backfill and the number of its dates that are skipped at once.

        Raises InvalidInput, NotFound, AlreadyExists; then nothing was stored.
        """
        made_classes: list[bool] = []

        async def run() -> bytes:
            plan = await BackfillPlanner(connection, self.plans, call.namespace, spec).plan()
            made_classes.append(await _lay_out(connection, plan))
            left_out = sum(bool(date.skip) for date in plan.dates)
            return encode(await _insert(connection, call, plan), left_out)

        async with transaction(self.database.api, "create_backfill") as connection:
            answer = await once(
                connection,
                namespace=call.namespace,
                request_id=call.request_id,
                method=call.method,
                body=call.body,
                run=run,
            )
        if any(made_classes):
            await self.on_classes(set())
        self.on_created()
        return answer


async def _lay_out(connection: Connection, plan: BackfillPlan) -> bool:
    """The versions whose tasks use the backfill's queue and pool. Whether some were made now."""
    lane = plan.lane
    if not lane.key:
        return False
    made = [
        await layouts.ensure_lane(connection, version_id, lane.key, lane.queue_id, lane.pool_limit_id)
        for version_id in plan.version_ids.values()
    ]
    return any(made)


async def _insert(connection: Connection, call: BackfillCall, plan: BackfillPlan) -> StoredBackfill:
    spec, now = plan.spec, await database_now(connection)
    backfill = StoredBackfill(
        backfill_id=clock.uuid7(now),
        namespace=call.namespace,
        dag_id=spec.dag_id,
        series=spec.run_series,
        spec=spec_to_json(spec),
        existing=spec.existing,
        keeps_version=spec.dag_version == ORIGINAL,
        params=plan.params,
        pace=spec.pace,
        weight=spec.weight,
        lane=plan.lane.key,
        date_count=len(plan.dates),
        create_time=now,
        created_by=call.actor,
    )
    await store.insert(connection, backfill, plan.dates, plan.numbers)
    await append_audit(
        connection,
        namespace=call.namespace,
        actor=call.actor,
        action="backfill.create",
        target=f"backfill/{backfill.backfill_id}",
        detail={"dag_id": spec.dag_id, "series": backfill.series, "dates": len(plan.dates)},
        now=now,
    )
    return backfill
