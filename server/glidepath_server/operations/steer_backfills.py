"""What people do with backfills that are there: look at them, pause, resume, cancel, retry. Audited, idempotent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from ..core.backfill import BackfillEvent, BackfillState, DateOutcome, estimate_seconds, next_state
from ..core.errors import InvalidInput, NotFound, StateConflict, Violation
from ..store import backfills as store
from ..store.backfills import StoredBackfill, StoredDate
from ..store.database import Connection, Database, database_now, transaction
from .audit import append_audit
from .create_backfill import BackfillCall
from .requests import once

REASON_CHARACTERS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class BackfillView:
    """A backfill and how far it is. `remaining_seconds` None: not known, or it does not run."""

    backfill: StoredBackfill
    counts: dict[str, int]
    remaining_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Backfills:
    """The operations. `on_changed` is called after a commit that gives the pacer something to do."""

    database: Database
    on_changed: Callable[[], None]

    # ---- reading
    async def get(self, namespace: str, backfill_id: UUID) -> BackfillView:
        """Raises NotFound."""
        async with self.database.api.acquire() as connection:
            return await _view(connection, await _load(connection, namespace, backfill_id))

    async def list_backfills(
        self, namespace: str, dag_id: str, *, below: UUID, ended: bool, limit: int
    ) -> list[BackfillView]:
        """Newest first, below an id; without estimates."""
        async with self.database.api.acquire() as connection:
            found = await store.list_backfills(connection, namespace, dag_id, below=below, ended=ended, limit=limit)
            counts = await store.counts(connection, [each.backfill_id for each in found])
        return [BackfillView(each, counts[each.backfill_id]) for each in found]

    async def list_dates(
        self, namespace: str, backfill_id: UUID, *, after: int, outcomes: Sequence[str], failed: bool, limit: int
    ) -> list[StoredDate]:
        """In the backfill's order, behind a position. Raises NotFound."""
        async with self.database.api.acquire() as connection:
            await _load(connection, namespace, backfill_id)
            return await store.list_dates(
                connection, backfill_id, after=after, outcomes=outcomes, failed=failed, limit=limit
            )

    # ---- steering. Each raises NotFound, StateConflict, InvalidInput; then nothing has changed.
    async def pause(self, call: BackfillCall, backfill_id: UUID) -> BackfillView:
        """Nothing new begins; what is there goes on."""
        return await self._steer(call, backfill_id, BackfillEvent.PAUSE)

    async def resume(self, call: BackfillCall, backfill_id: UUID) -> BackfillView:
        return await self._steer(call, backfill_id, BackfillEvent.RESUME)

    async def cancel(self, call: BackfillCall, backfill_id: UUID, *, cancel_runs: bool) -> BackfillView:
        """For good. The pacer tells the active runs to end, if that is asked for."""
        return await self._steer(call, backfill_id, BackfillEvent.CANCEL, cancel_runs=cancel_runs)

    async def retry(self, call: BackfillCall, backfill_id: UUID) -> tuple[BackfillView, int]:
        """Dates whose run has failed or was cancelled wait again. Also returns how many."""
        counted: list[int] = []
        view = await self._steer(call, backfill_id, BackfillEvent.RETRY, counted=counted)
        return view, counted[0]

    async def _steer(
        self,
        call: BackfillCall,
        backfill_id: UUID,
        event: BackfillEvent,
        *,
        cancel_runs: bool = False,
        counted: list[int] | None = None,
    ) -> BackfillView:
        if len(call.reason) > REASON_CHARACTERS_MAX:
            value, expected = f"{len(call.reason)} characters", f"at most {REASON_CHARACTERS_MAX} characters"
            violation = Violation("reason", value, expected)
            raise InvalidInput(str(violation), violations=[violation])

        async def run() -> bytes:
            return str(await _apply(connection, call, backfill_id, event, cancel_runs)).encode()

        async with transaction(self.database.api, "steer_backfill") as connection:
            answer = await once(
                connection,
                namespace=call.namespace,
                request_id=call.request_id,
                method=call.method,
                body=call.body,
                run=run,
            )
            view = await _view(connection, await _load(connection, call.namespace, backfill_id))
        if counted is not None:
            counted.append(int(answer))
        self.on_changed()
        return view


async def _apply(
    connection: Connection, call: BackfillCall, backfill_id: UUID, event: BackfillEvent, cancel_runs: bool
) -> int:
    """Returns how many dates wait again."""
    found = await _load(connection, call.namespace, backfill_id, lock=True)
    state, again = next_state(found.state, event), 0
    if event is BackfillEvent.RETRY:
        again = await store.retry_failed(connection, backfill_id)
        if again == 0:
            raise StateConflict("nothing to retry: no run of the backfill has failed or was cancelled")
    if state is found.state and not again and not cancel_runs:
        return 0
    reason = f"{call.reason} (by {call.actor})" if call.reason else f"by {call.actor}"
    if event is BackfillEvent.CANCEL:
        await store.skip_waiting(connection, backfill_id, f"the backfill was cancelled: {reason}")
    said = reason if state in (BackfillState.PAUSED, BackfillState.CANCELLED) else ""
    await store.set_state(connection, backfill_id, state, said, cancel_runs=cancel_runs)
    await append_audit(
        connection,
        namespace=call.namespace,
        actor=call.actor,
        action=f"backfill.{event.value}",
        target=f"backfill/{backfill_id}",
        detail={"reason": call.reason, "cancel_runs": cancel_runs, "dates": again},
        now=await database_now(connection),
    )
    return again


async def _load(connection: Connection, namespace: str, backfill_id: UUID, *, lock: bool = False) -> StoredBackfill:
    found = await store.get(connection, namespace, backfill_id, lock=lock)
    if found is None:
        raise NotFound(f"there is no backfill {backfill_id} in namespace {namespace!r}", hint="list the backfills")
    return found


async def _view(connection: Connection, backfill: StoredBackfill) -> BackfillView:
    counts = (await store.counts(connection, [backfill.backfill_id]))[backfill.backfill_id]
    remaining = None
    if backfill.state is BackfillState.RUNNING:
        found, pace = backfill.backfill_id, backfill.pace
        remaining = estimate_seconds(
            counts.get(DateOutcome.WAITING.value, 0),
            pace,
            await store.run_seconds(connection, backfill.namespace, backfill.dag_id, found),
            active=await store.active_ages(connection, found),
            starts=await store.start_ages(connection, found, pace.rate_runs) if pace.rate_runs is not None else (),
        )
    return BackfillView(backfill, counts, remaining)
