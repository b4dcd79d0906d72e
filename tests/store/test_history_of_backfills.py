"""Backfills are forgotten when they are over for long enough and nothing is left of their runs."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from step_room import StepRoom

from glidepath_server import clock
from glidepath_server.core.backfill import BackfillDate, BackfillState, Existing, Pace
from glidepath_server.operations.drop_history import DropHistory
from glidepath_server.store import backfills
from glidepath_server.store import history as store

END = datetime(2031, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)
KEPT_DAYS = 45


async def clock_at(room: StepRoom, instant: datetime) -> None:
    await room.watcher.execute("update clock set shift = $1 - clock_timestamp()", instant)


async def filled(
    room: StepRoom, state: BackfillState = BackfillState.ENDED, *, dates: int = 3, run_id: UUID | None = None
) -> UUID:
    """A backfill that came into its state on the fifth of January. Its runs are forgotten, but for `run_id`."""
    await clock_at(room, END)
    found = backfills.StoredBackfill(
        clock.uuid7(END),
        "default",
        "dag",
        "manual",
        "{}",
        Existing.SKIP,
        False,
        "{}",
        Pace(3),
        0.1,
        b"",
        dates,
        END,
        "me",
    )
    moments = [END + DAY * number for number in range(dates)]
    await backfills.insert(room.watcher, found, [BackfillDate(each, each, each) for each in moments], [1] * dates)
    await room.watcher.execute(
        """update backfill_run set outcome = 'created', start_time = $2,
                  dag_run_id = coalesce(case when position = 0 then $3::uuid end, gen_random_uuid())
           where backfill_id = $1""",
        found.backfill_id,
        END,
        run_id,
    )
    await backfills.set_state(room.watcher, found.backfill_id, state, "")
    return found.backfill_id


async def dropped(room: StepRoom, *, days: int = KEPT_DAYS, rows_max: int = 2) -> int:
    done = await DropHistory(room.database, days, rows_max)()
    assert done is not None
    return done.backfills


async def left(room: StepRoom, table: str = "backfill") -> set[UUID]:
    return {row["backfill_id"] for row in await room.watcher.fetch(f"select backfill_id from {table}")}


async def test_those_that_ended_before_the_bound_go_with_their_dates_in_batches(room: StepRoom) -> None:
    for state in (BackfillState.ENDED, BackfillState.CANCELLED, BackfillState.ENDED, BackfillState.ENDED):
        await filled(room, state)
    await clock_at(room, END + DAY * (KEPT_DAYS - 1))
    assert await dropped(room) == 0
    await clock_at(room, END + DAY * (KEPT_DAYS + 1))
    assert await dropped(room, days=0) == 0, "0 days: everything is kept"
    assert await dropped(room) == 4
    assert await left(room) == set() and await left(room, "backfill_run") == set()
    assert await dropped(room) == 0


async def test_what_goes_on_or_has_a_run_that_is_there_stays_whole(room: StepRoom) -> None:
    await room.store_dag(1)
    run_id = await room.create_run(1)
    stay = {
        await filled(room, BackfillState.RUNNING),
        await filled(room, BackfillState.PAUSED),
        await filled(room, run_id=run_id),
    }
    gone = await filled(room)
    await clock_at(room, END + DAY * 400)
    assert await dropped(room) == 1
    assert await left(room) == stay == await left(room, "backfill_run") and gone not in stay
    assert await room.watcher.fetchval("select count(*) from backfill_run") == 9
    await room.watcher.execute("delete from dag_run")
    assert await dropped(room) == 1, "with its last run it goes, too"


async def test_one_whose_runs_are_yet_to_be_cancelled_stays(room: StepRoom) -> None:
    found = await filled(room, BackfillState.CANCELLED)
    await room.watcher.execute("update backfill set cancel_runs = true")
    await clock_at(room, END + DAY * 400)
    assert await dropped(room) == 0 and await left(room) == {found}


async def test_one_that_was_retried_after_it_was_found_stays(room: StepRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    found = await filled(room)
    await clock_at(room, END + DAY * 400)
    find = store.past_backfills

    async def find_and_retry(*asked: object) -> list[UUID]:
        past: list[UUID] = await find(*asked)  # type: ignore[arg-type]
        for each in past:
            await backfills.set_state(room.watcher, each, BackfillState.RUNNING, "")
        return past

    monkeypatch.setattr(store, "past_backfills", find_and_retry)
    assert await dropped(room) == 0
    assert await left(room) == {found} == await left(room, "backfill_run")


async def test_a_round_that_was_cut_off_leaves_none_half_gone(room: StepRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        await filled(room)
    await clock_at(room, END + DAY * 400)
    delete, deleted = store.delete_backfill, list[UUID]()

    async def die(connection: object, backfill_id: UUID, before: datetime) -> int:
        await delete(connection, backfill_id, before)  # type: ignore[arg-type]
        if deleted:
            raise OSError("the server is gone")
        deleted.append(backfill_id)
        return 1

    with monkeypatch.context() as patch:
        patch.setattr(store, "delete_backfill", die)
        with pytest.raises(OSError, match="gone"):
            await dropped(room)
    there = await left(room)
    assert len(there) == 2 and there == await left(room, "backfill_run")
    assert await room.watcher.fetchval("select count(*) from backfill_run") == 6
    assert await dropped(room) == 2


async def test_the_largest_one_goes_in_a_moment(room: StepRoom) -> None:
    await filled(room, dates=10_000)
    await clock_at(room, END + DAY * 400)
    begun = time.perf_counter()
    assert await dropped(room) == 1
    took = time.perf_counter() - begun
    print(f"10,000 dates: {took * 1000:.0f} ms")
    assert took < 5.0
