"""How long tasks take is learnt from runs that have ended: each end once, in the order of commits."""

from __future__ import annotations

import math
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import step_room
from step_room import Side, StepRoom, command, ends

from glidepath_server.core.events import RunStarted, TasksCleared
from glidepath_server.core.states import AttemptState
from glidepath_server.operations import learn_durations as learning
from glidepath_server.operations.learn_durations import learn_durations
from glidepath_server.operations.plans import Plans
from glidepath_server.operations.step_types import RunWork
from glidepath_server.store import durations as store
from glidepath_server.store.database import transaction


async def learn(room: StepRoom, runs_max: int = 100) -> int:
    async with transaction(room.database.api, "durations") as connection:
        return await learn_durations(connection, Plans(), runs_max)


class Days:
    """A room in which runs are worked off by hand, at a time that only the test moves."""

    def __init__(self, room: StepRoom, side: Side, seat: Any) -> None:
        self.room, self.side, self.seat, self.seconds = room, side, seat, 0.0

    async def wait(self, seconds: float) -> None:
        self.seconds += seconds
        await self.room.shift_clock(self.seconds)

    async def work(
        self, run_id: uuid.UUID, work: RunWork, seconds: Sequence[float], *, outcomes: Sequence[AttemptState] = ()
    ) -> None:
        """Step a run, then work off what it releases, one attempt after the other."""
        self.seat.free += 1
        outcome = await self.side.step_and_commit({run_id: work})
        for number, each in enumerate(seconds):
            if not outcome.assigned:
                self.side.replica.pullers.hope_everywhere()
                outcome = await self.side.step_and_commit()
            (assigned,) = outcome.assigned
            await self.wait(each)
            self.seat.free += 1
            how = outcomes[number] if outcomes else AttemptState.SUCCESS
            outcome = await self.side.step_and_commit(ends([assigned.key], how))


@pytest.fixture
async def days(room: StepRoom, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Days]:
    monkeypatch.setattr(step_room, "TTL_SECONDS", 1e6)
    await room.store_dag(2, retries=1, upstream={1: [0]})
    session_id = await room.session()
    async with room.side() as side:
        yield Days(room, side, await side.seat(session_id, free=0))


async def run_of(days: Days, *seconds: float, **how: Any) -> uuid.UUID:
    run_id = await days.room.create_run(2)
    await days.work(run_id, RunWork(events=[RunStarted()]), seconds, **how)
    return run_id


async def known(room: StepRoom) -> dict[str, tuple[float, float]]:
    """Per task the number of observations and the geometric mean of its seconds."""
    rows = await room.watcher.fetch("select task_id, work_count, work_mean from task_duration")
    return {row["task_id"]: (row["work_count"], float(round(math.exp(row["work_mean"])))) for row in rows}


async def test_the_work_of_each_task_is_learnt_once(days: Days) -> None:
    await run_of(days, 60, 10)
    assert await learn(days.room) == 1
    assert await known(days.room) == {"task0": (1, 60.0), "task1": (1, 10.0)}
    assert await learn(days.room) == 0
    await run_of(days, 15, 10)
    assert await learn(days.room) == 1
    assert await known(days.room) == {"task0": (2, 30.0), "task1": (2, 10.0)}


async def test_the_wait_before_it_is_learnt_beside_it(days: Days) -> None:
    run_id = await days.room.create_run(2)
    await days.side.step_and_commit({run_id: RunWork(events=[RunStarted()])})
    await days.wait(30)
    await days.work(run_id, RunWork(), [60, 10])
    await learn(days.room)
    row = await days.room.watcher.fetchrow("select wait_mean, work_mean from task_duration where task_id = 'task0'")
    assert math.exp(row["wait_mean"]) == pytest.approx(30, rel=0.05)
    assert math.exp(row["work_mean"]) == pytest.approx(60, rel=0.05)


async def test_failed_attempts_are_a_part_of_the_time(days: Days) -> None:
    failed = [AttemptState.FAILED, AttemptState.SUCCESS, AttemptState.SUCCESS]
    await run_of(days, 20, 40, 10, outcomes=failed)
    await learn(days.room)
    assert await known(days.room) == {"task0": (1, 60.0), "task1": (1, 10.0)}


async def test_what_never_succeeded_teaches_nothing(days: Days) -> None:
    await run_of(days, 20, 40, outcomes=[AttemptState.FAILED] * 2)
    assert await learn(days.room) == 1
    assert await known(days.room) == {}


async def test_what_a_clear_ran_again_counts_again_and_nothing_else(days: Days) -> None:
    run_id = await run_of(days, 60, 10)
    await learn(days.room)
    await days.wait(500)
    await days.work(run_id, command(run_id, TasksCleared((1,)))[run_id], [40])
    assert await learn(days.room) == 1
    assert await known(days.room) == {"task0": (1, 60.0), "task1": (2, 20.0)}


async def test_an_end_that_is_not_committed_holds_back_those_that_came_later(days: Days, room: StepRoom) -> None:
    """Else the cursor would pass it, and nothing would ever be learnt from it."""
    writer = await room.database.worker.acquire()
    early = writer.transaction()
    await early.start()
    await writer.execute("select pg_current_xact_id()")
    await run_of(days, 60, 10)
    assert await learn(room) == 0
    await early.rollback()
    await room.database.worker.release(writer)
    assert await learn(room) == 1


async def test_one_learns_at_a_time(days: Days, room: StepRoom) -> None:
    await run_of(days, 60, 10)
    async with room.database.worker.acquire() as other, other.transaction():
        await other.execute("select from duration_cursor for update")
        assert await learn(room) == 0
    assert await learn(room) == 1


async def test_a_round_that_fails_forgets_nothing_and_counts_nothing_twice(
    days: Days, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run_of(days, 60, 10)

    async def broken(*_: object) -> None:
        raise ConnectionError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(learning.store, "move_cursor", broken)
        with pytest.raises(ConnectionError):
            await learn(days.room)
    assert await known(days.room) == {}
    assert await learn(days.room) == 1
    assert await known(days.room) == {"task0": (1, 60.0), "task1": (1, 10.0)}


async def test_batches_go_on_where_the_last_one_ended(days: Days) -> None:
    for _ in range(3):
        await run_of(days, 60, 10)
    assert [await learn(days.room, 2), await learn(days.room, 2), await learn(days.room, 2)] == [2, 1, 0]
    assert (await known(days.room))["task0"] == (3, 60.0)


async def test_of_very_many_runs_some_say_enough(days: Days, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "RUNS_PER_VERSION_MAX", 2)
    for seconds in (10, 20, 40, 80):
        await run_of(days, seconds, 10)
    assert await learn(days.room) == 4
    assert await known(days.room) == {"task0": (2, 20.0), "task1": (2, 10.0)}


async def test_the_cursor_of_a_cluster_that_was_restored_elsewhere_begins_anew(days: Days, room: StepRoom) -> None:
    await room.watcher.execute("update duration_cursor set end_written = '99999999999'")
    await run_of(days, 60, 10)
    assert await learn(room) == 0
    await run_of(days, 60, 10)
    assert await learn(room) == 1
    assert (await known(room))["task0"][1] == 60.0


async def test_the_order_of_commits_is_that_of_numbers(room: StepRoom) -> None:
    """As text 10 comes before 9: the cursor would stand before a run that was learnt from."""
    await room.store_dag(1)
    runs = {}
    for number in ("9", "10"):
        runs[number] = await room.create_run(1)
        await room.watcher.execute(
            "update dag_run set end_written = $1::text::xid8 where dag_run_id = $2", number, runs[number]
        )
    found = await store.ended_runs(room.watcher, ("0", uuid.UUID(int=0)), 10)
    assert [each.dag_run_id for each in found] == [runs["9"], runs["10"]]
