"""Setting a run aside whose step cannot be done, without losing what has come for it.

The fence needs no board: reports are accepted as ever, and what they mean waits in the run's inbox together with the
other events, in the transaction that marks the run. Limits that are freed so are found by the limit sweeper.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from ..core.events import Event, event_to_json
from ..core.facts import Fact, FactKind
from ..core.states import AttemptState
from ..store import engine as store
from ..store.database import Connection, database_now
from .facts import SUMMARY_CHARACTERS_MAX, append_facts
from .plans import Plans
from .reports import accept_reports, ended_event, read_choice
from .step_types import Report, RunWork, Verdict

LOCK_WAIT_SECONDS = 5.0


async def quarantine_run(
    connection: Connection, plans: Plans, run_id: UUID, work: RunWork, reason: str
) -> list[tuple[Report, Verdict]]:
    """Mark the run, in the caller's transaction; returns whom to tell what after the commit."""
    locked = await store.lock_runs(connection, [run_id], wait_seconds=LOCK_WAIT_SECONDS)
    await mark_quarantined(connection, run_id, reason)
    events: list[Event] = []
    acks: list[tuple[Report, Verdict]] = []
    if work.reports:
        await _read_choices(connection, plans, locked, work.reports)
        accepted, acks = await accept_reports(connection, plans, work.reports, await database_now(connection))
        events = [ended_event(report, row) for report, row in accepted if report.outcome is not AttemptState.CALLED]
    await store.put_inbox(connection, [(run_id, event_to_json(event)) for event in [*events, *work.events]])
    return acks


async def mark_quarantined(connection: Connection, run_id: UUID, reason: str) -> None:
    """Mark the run with an incident, and its fact; nothing for a run that is quarantined already."""
    row = await store.quarantine(connection, run_id, reason)
    if row is not None:
        summary = f"run {run_id} of {row['dag_id']} was set aside: {reason}"
        body = {"summary": summary[:SUMMARY_CHARACTERS_MAX], "incident_kind": "run_quarantined"}
        fact = Fact(FactKind.INCIDENT, row["namespace"], row["event_time"], row["dag_id"], run_id, body=body)
        await append_facts(connection, [fact])


async def _read_choices(
    connection: Connection, plans: Plans, locked: Sequence[store.Row], reports: Iterable[Report]
) -> None:
    """What branches chose, as far as that can be said: what is wrong with the run may be its version."""
    version_ids = [row["dag_version_id"] for row in locked]
    try:
        await plans.load(connection, version_ids)
    except (ValueError, KeyError, TypeError):
        return
    for report in reports if version_ids else ():
        read_choice(plans.versions[version_ids[0]], report)
