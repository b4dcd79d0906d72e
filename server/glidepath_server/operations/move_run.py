"""Where a run may be moved to: a version of its DAG, laid out so that the run's tasks keep their indexes.

The layout is stored before the run's step, like a version, with task classes of its own: an assignment of another
layout is known by its class, whatever a replica remembers of the run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from ..core.errors import InvalidInput, LimitExceeded, NotFound, Violation
from ..core.layouts import layout_for
from ..core.validation import TASKS_MAX
from ..store import layouts as store
from ..store.database import Connection, Database, transaction
from .plans import Plan, Plans

LATEST, ORIGINAL = "latest", "original"


@dataclass(frozen=True, slots=True)
class RunMover:
    """`on_changed` is awaited after a commit that made task classes."""

    database: Database
    plans: Plans
    on_changed: Callable[[set[int]], Awaitable[None]]

    async def target(self, dag_run_id: UUID, plan: Plan, version: str) -> Plan:
        """The plan of the version that is meant, laid out for the run. Raises InvalidInput, NotFound, LimitExceeded."""
        made = False
        async with transaction(self.database.api, "register") as connection:
            base = await self._base(connection, dag_run_id, plan, version)
            layout = layout_for(plan.graph.task_ids, base.spec)
            size = len(layout.task_ids)
            if size > TASKS_MAX:
                raise LimitExceeded(
                    f"the run would have {size} tasks with those that were removed, more than {TASKS_MAX}",
                    hint="trigger a new run",
                )
            if layout.task_ids == base.graph.task_ids:
                version_id = base.dag_version_id
            else:
                version_id, made = await store.ensure_layout(connection, base.dag_version_id, layout)
            await self.plans.load(connection, [version_id])
        if made:
            await self.on_changed(set())
        return self.plans.versions[version_id]

    async def _base(self, connection: Connection, dag_run_id: UUID, plan: Plan, version: str) -> Plan:
        """The version as it was registered."""
        if version not in (LATEST, ORIGINAL) and not (version.isascii() and version.isdecimal() and len(version) < 10):
            violation = Violation(
                "dag_version", repr(version[:40]), f"{LATEST}, {ORIGINAL}, or the number of a version"
            )
            raise InvalidInput(str(violation), violations=[violation])
        if version == ORIGINAL:
            number = await store.first_number(connection, dag_run_id) or plan.dag_version_number
        else:
            number = 0 if version == LATEST else int(version)
        found = await store.version_id(connection, plan.namespace, plan.dag_id, number)
        if found is None:
            raise NotFound(f"DAG {plan.dag_id} has no version {version}", hint="list the versions of the DAG")
        await self.plans.load(connection, [found])
        return self.plans.versions[found]
