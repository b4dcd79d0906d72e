"""XComs and lineage in the step: written with the success whose they are, read for the assignments that name them.

Both are the word of the attempt that the fence has just let end, so nothing of an attempt that is not live is ever
seen; an attempt that does not succeed leaves neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ..store import values as store
from ..store.database import Connection
from .step_types import Assigned, Report

NOT_MAPPED = -1


async def write_values(connection: Connection, reports: Sequence[Report], now: datetime) -> None:
    """Store what accepted reports brought."""
    given = [(report.key, report.values) for report in reports if report.values is not None]
    xcoms = [(key, name, value) for key, values in given for name, value in values.xcoms]
    if xcoms:
        await store.write_xcoms(connection, xcoms)
    uses = [(key, number, use) for key, values in given for number, use in enumerate(values.uses)]
    if uses:
        await store.write_uses(connection, uses, now)


async def read_xcoms(connection: Connection, assigned: Sequence[Assigned]) -> None:
    """Fill in the XComs that inputs of these attempts name."""
    wanted = {
        (each.key.dag_run_id, task, NOT_MAPPED, key)
        for each in assigned
        if each.plan is not None
        for task, key in each.plan.xcom_needs[each.key.task]
    }
    if not wanted:
        return
    found = await store.read_xcoms(connection, list(wanted))
    for each in assigned:
        assert each.plan is not None
        run_id = each.key.dag_run_id
        for task, key in each.plan.xcom_needs[each.key.task]:
            if (run_id, task, key) in found:
                each.xcoms[task, key] = found[run_id, task, key]
