"""Every arrow of the machines of backfills and of their dates is crossed through the store, and no other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import product
from uuid import UUID

import grpc
import pytest
import pytest_asyncio
from backfill_room import FIRST, Backfills, at, days, key, state
from paced_room import Spec, cancelled, open_paced_room, pacer
from runs_room import CHAIN, Room, dag

from glidepath_server.core.backfill import BACKFILL_ARROWS, DATE_ARROWS, BackfillEvent, BackfillState, DateOutcome

pytestmark = pytest.mark.asyncio(loop_scope="module")
METHODS = {
    BackfillEvent.PAUSE: "PauseBackfill",
    BackfillEvent.RESUME: "ResumeBackfill",
    BackfillEvent.CANCEL: "CancelBackfill",
    BackfillEvent.RETRY: "RetryBackfill",
}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def room(module_database_url: str) -> AsyncIterator[Room]:
    async with open_paced_room(module_database_url) as room:
        await room.register(dag("crossed", CHAIN))
        yield room


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def fills(room: Room) -> Backfills:
    return Backfills(room)


class Scene:
    """A backfill of one date, whose run was cancelled; so that each event finds what it needs."""

    def __init__(self, room: Room, fills: Backfills, backfill_id: str, series: str) -> None:
        self.room, self.fills, self.backfill_id, self.series = room, fills, backfill_id, series

    @staticmethod
    async def begin(room: Room, fills: Backfills, series: str) -> Scene:
        made = await fills.create(days(1, "crossed", series=series))
        scene = Scene(room, fills, made.backfill_id, series)
        await scene.pace()
        await scene.cancel_run()
        return scene

    async def pace(self) -> None:
        await pacer(self.room).pace(UUID(self.backfill_id))

    async def cancel_run(self) -> None:
        [row] = await self.room.rows("select dag_run_id::text from dag_run where run_key = $1", key(FIRST, self.series))
        await self.room.call("CancelDagRun", dag_run_id=row[0])
        await self.room.watch(row[0])

    async def become(self, wanted: BackfillState) -> None:
        """From running."""
        ways = {BackfillState.PAUSED: BackfillEvent.PAUSE, BackfillState.CANCELLED: BackfillEvent.CANCEL}
        ways[BackfillState.ENDED] = BackfillEvent.END
        if wanted in ways:
            await self.take(ways[wanted])
        assert await self.state() is wanted

    async def take(self, event: BackfillEvent) -> None:
        if event is BackfillEvent.END:
            await self.pace()
        else:
            await self.fills.call(METHODS[event], backfill_id=self.backfill_id)

    async def state(self) -> BackfillState:
        return BackfillState(state(await self.fills.get(self.backfill_id)))


@pytest.mark.parametrize(("before", "event"), list(product(BackfillState, BackfillEvent)))
async def test_every_arrow_of_a_backfill_is_crossed_and_no_other(
    room: Room, fills: Backfills, before: BackfillState, event: BackfillEvent
) -> None:
    scene = await Scene.begin(room, fills, f"{before.value}-{event.value}")
    await scene.become(before)
    if (before, event) in BACKFILL_ARROWS:
        await scene.take(event)
        assert await scene.state() is BACKFILL_ARROWS[before, event]
    elif event is BackfillEvent.END:
        await scene.pace()
        assert await scene.state() is before
    else:
        code, words = await fills.refused(METHODS[event], backfill_id=scene.backfill_id)
        assert code is grpc.StatusCode.FAILED_PRECONDITION and f"cannot {event.value} a backfill" in words
        assert await scene.state() is before


async def test_every_arrow_of_a_date_is_crossed_and_no_other(room: Room, fills: Backfills) -> None:
    """By dates that are made, rerun, skipped, retried, and cancelled while they wait."""
    await room.register(dag("dated", CHAIN))
    there = await cancelled(room, "dated", 1)
    made = await fills.create(days(2, "dated", existing=Spec.EXISTING_RERUN_FAILED, runs_active_max=5))
    crossed: set[tuple[DateOutcome, DateOutcome]] = set()
    known = await _outcomes(fills, made.backfill_id)

    async def look() -> None:
        nonlocal known
        found = await _outcomes(fills, made.backfill_id)
        crossed.update((was, now) for was, now in zip(known, found, strict=True) if was is not now)
        known = found

    async def end_runs() -> None:
        for row in await room.rows("select dag_run_id::text from dag_run where dag_id = 'dated' and end_time is null"):
            await room.call("CancelDagRun", dag_run_id=row[0])
            await room.watch(row[0])

    await pacer(room).pace(UUID(made.backfill_id))
    await look()
    assert known == [DateOutcome.RERUN, DateOutcome.CREATED]
    for _ in range(2):
        await end_runs()
        await fills.call("RetryBackfill", backfill_id=made.backfill_id)
        await look()
        assert known == [DateOutcome.WAITING] * 2
        await pacer(room).pace(UUID(made.backfill_id))
        await look()
        assert known == [DateOutcome.RERUN] * 2, "both have runs now"
    await end_runs()
    await fills.call("RetryBackfill", backfill_id=made.backfill_id)
    await look()
    await fills.call("CancelBackfill", backfill_id=made.backfill_id)
    await look()
    assert known == [DateOutcome.SKIPPED] * 2 and len(there) == 1
    assert crossed == {(was, now) for (was, _), now in DATE_ARROWS.items()}


async def test_a_date_that_was_skipped_stays_so(room: Room, fills: Backfills) -> None:
    await room.register(dag("stays", CHAIN))
    await room.start("stays", run_key=key(FIRST), logical_date=at(FIRST))
    made = await fills.create(days(2, "stays"))
    await pacer(room).pace(UUID(made.backfill_id))
    assert await _outcomes(fills, made.backfill_id) == [DateOutcome.SKIPPED, DateOutcome.CREATED]
    for row in await room.rows("select dag_run_id::text from dag_run where dag_id = 'stays'"):
        await room.call("CancelDagRun", dag_run_id=row[0])
        await room.watch(row[0])
    await fills.call("RetryBackfill", backfill_id=made.backfill_id)
    assert await _outcomes(fills, made.backfill_id) == [DateOutcome.SKIPPED, DateOutcome.WAITING]


async def _outcomes(fills: Backfills, backfill_id: str) -> list[DateOutcome]:
    return [DateOutcome(how) for how, *_ in await fills.outcomes(backfill_id)]
