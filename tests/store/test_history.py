"""History is dropped by months: what is past goes as a whole, what stays stays whole, and nobody waits for it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest
from step_room import Side, StepRoom

from glidepath_server import clock
from glidepath_server.core.events import AttemptKey, RunStarted
from glidepath_server.core.history import Span, first_id, time_of, to_close
from glidepath_server.core.states import AttemptState
from glidepath_server.operations.drop_history import ROUND, DropHistory
from glidepath_server.operations.step_types import Output, Report, RunWork
from glidepath_server.store import history as store

MONTHS = [datetime(2031, month, 5, 12, tzinfo=UTC) for month in (1, 2, 3, 4)]


async def clock_at(room: StepRoom, instant: datetime) -> None:
    await room.watcher.execute("update clock set shift = $1 - clock_timestamp()", instant)


async def lived(room: StepRoom, side: Side, *, ends: bool = True) -> UUID:
    """A run of one task, which has run; with `ends` it has succeeded, else it is still out."""
    now = await room.watcher.fetchval("select glidepath_now()")
    run_id = await room.create_run(1, run_id=clock.uuid7(now))
    outcome = await side.step_and_commit({run_id: RunWork(events=[RunStarted()])})
    (assigned,) = outcome.assigned
    if ends:
        report = Report(assigned.key, AttemptState.SUCCESS, output=Output("application/json", b"1", None, 1, ""))
        await side.step_and_commit({run_id: RunWork(reports=[report])})
    return run_id


async def bounds(room: StepRoom, table: str = "task_attempt") -> list[Span]:
    return sorted((each.span for each in await store.partitions(room.watcher) if each.table == table), key=str)


async def rows(room: StepRoom, table: str) -> set[UUID]:
    return {row["dag_run_id"] for row in await room.watcher.fetch(f"select dag_run_id from {table}")}


def drop(room: StepRoom, days: int = 45) -> DropHistory:
    return DropHistory(room.database, retention_days=days, rows_max=2)


async def four_months(room: StepRoom, *, straggler: int | None = None) -> list[list[UUID]]:
    """Three runs in each of four months, each partition closed in its time; one run of the first may stay open."""
    await room.store_dag(1)
    found = []
    for number, month in enumerate(MONTHS):
        await clock_at(room, month)
        session = await room.session(f"worker {number}")
        async with room.side() as side:
            await side.seat(session, free=10)
            found.append([await lived(room, side, ends=(number, each) != (0, straggler)) for each in range(3)])
        await clock_at(room, month.replace(day=25))
        done = await drop(room, 0)()
        assert done is not None and (done.closed, done.put_off) == (len(store.TABLES), 0)
    return found


async def test_months_that_are_past_go_as_a_whole(room: StepRoom) -> None:
    months = await four_months(room)
    # On the 25th of April with 45 days kept: all runs of February and before.
    done = await drop(room)()
    assert done is not None and (done.runs, done.dropped, done.put_off) == (6, 2 * len(store.TABLES), 0)
    kept = {*months[2], *months[3]}
    for table in ("dag_run", "task_attempt", "dag_run_event", "task_output"):
        assert await rows(room, table) == kept, table
    assert await bounds(room) == sorted(
        [
            Span(datetime(2031, 3, 1, tzinfo=UTC), datetime(2031, 4, 1, tzinfo=UTC)),
            Span(datetime(2031, 4, 1, tzinfo=UTC), datetime(2031, 5, 1, tzinfo=UTC)),
            Span(datetime(2031, 5, 1, tzinfo=UTC), None),
        ],
        key=str,
    )
    again = await drop(room)()
    assert again is not None and (again.runs, again.dropped, again.closed) == (0, 0, 0)


async def test_a_run_that_is_still_open_keeps_its_rows_and_can_end(room: StepRoom) -> None:
    months = await four_months(room, straggler=1)
    (key,) = await room.watcher.fetch("select * from live_attempt")
    done = await drop(room)()
    assert done is not None and (done.runs, done.put_off) == (5, 0)
    stays = months[0][1]
    assert await rows(room, "dag_run_event") == {stays, *months[2], *months[3]}
    assert await rows(room, "task_attempt") == {*months[2], *months[3]}
    again = await drop(room)()
    assert again is not None and (again.dropped, again.runs) == (0, 0), "what holds nothing else is left alone"
    async with room.side() as side:
        await side.seat(key["session_id"], free=1)
        report = Report(_key(key), AttemptState.SUCCESS)
        await side.step_and_commit({stays: RunWork(reports=[report])})
    assert stays in await rows(room, "task_attempt")
    # Its end is kept as long as any other, and then nothing is left of its month.
    await clock_at(room, datetime(2031, 7, 25, tzinfo=UTC))
    await drop(room)()
    assert await rows(room, "dag_run") == set()
    assert {each.begin for each in await bounds(room)} == {datetime(2031, month, 1, tzinfo=UTC) for month in (5, 8)}


def _key(row: asyncpg.Record) -> AttemptKey:
    return AttemptKey(row["dag_run_id"], row["task_index"], row["map_index"], row["attempt_number"])


async def test_who_has_the_table_is_not_waited_for(room: StepRoom) -> None:
    await four_months(room)
    async with room.watcher.transaction():
        await room.watcher.execute("select from task_attempt limit 1")  # a reader that takes its time
        done = await drop(room)()
        assert done is not None and done.put_off == 2 and done.dropped == 2 * (len(store.TABLES) - 1)
    done = await drop(room)()
    assert done is not None and (done.put_off, done.dropped) == (0, 2)


async def test_what_a_dead_process_left_of_closing_refuses_nothing(room: StepRoom) -> None:
    await room.store_dag(1)
    await clock_at(room, MONTHS[0].replace(day=25))
    (opened,) = [each for each in await store.partitions(room.watcher) if each.table == "dag_run_event"]
    await store.validate_end(room.watcher, opened, datetime(2031, 2, 1, tzinfo=UTC))
    await clock_at(room, MONTHS[1])
    assert await drop(room, 0)() is not None
    session = await room.session()
    async with room.side() as side:
        await side.seat(session, free=1)
        await lived(room, side)


async def test_an_id_of_the_future_puts_the_closing_off(room: StepRoom) -> None:
    await room.store_dag(1)
    await clock_at(room, MONTHS[3])  # a clock that had leapt
    session = await room.session()
    async with room.side() as side:
        await side.seat(session, free=1)
        await lived(room, side)
    await clock_at(room, MONTHS[0].replace(day=25))
    done = await drop(room, 0)()
    assert done is not None and done.put_off == 3 and done.closed == len(store.TABLES) - 3
    assert not await room.watcher.fetch("select from pg_constraint where conname = 'closing'")


async def test_one_replica_has_the_round_of_a_tick(room: StepRoom) -> None:
    tick = datetime(2031, 1, 26, 3, 17, tzinfo=UTC)
    await clock_at(room, tick + timedelta(hours=1))
    found = await asyncio.gather(*(drop(room)(tick) for _ in range(5)))
    assert sum(each is not None for each in found) == 1
    assert await drop(room)(tick) is None and await drop(room)(tick + timedelta(days=1)) is not None
    last = await room.watcher.fetchval("select last_time from maintenance where name = $1", ROUND)
    assert last == tick + timedelta(days=1)


async def test_a_round_that_was_cut_off_is_taken_up_again(room: StepRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    tick = datetime(2031, 1, 26, 3, 17, tzinfo=UTC)
    await clock_at(room, tick + timedelta(hours=1))

    async def full(*_: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(store, "close", full)
        with pytest.raises(OSError, match="no space"):
            await drop(room)(tick)
    done = await drop(room)(tick)
    assert done is not None and done.closed == len(store.TABLES)


@pytest.mark.parametrize(
    ("since", "now", "expected"),
    [
        (None, "2031-01-10", None),
        (None, "2031-01-25", "2031-02-01"),
        ("2031-01-01", "2031-01-25", "2031-02-01"),
        ("2031-02-01", "2031-01-25", None),
        ("2031-01-01", "2031-01-31T12:00", None),  # too near: ids of February may be on their way
        ("2030-10-01", "2031-01-10", None),  # missed: the next end takes in all of it
    ],
)
def test_the_open_partition_ends_where_no_month_has_begun(since: str | None, now: str, expected: str | None) -> None:
    def at(text: str | None) -> datetime | None:
        return datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None

    instant = at(now)
    assert instant is not None and to_close(at(since), instant) == at(expected)


def test_an_id_begins_with_its_time() -> None:
    instant = datetime(2031, 2, 1, tzinfo=UTC)
    assert time_of(first_id(instant)) == instant
