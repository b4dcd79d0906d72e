"""Whatever happens to equal calls, in any order: one is at a key, the others wait, and nobody waits in vain."""

from __future__ import annotations

import random
from uuid import UUID

import pytest
from equal_calls_room import HOUR, TUESDAY, WEDNESDAY, follow, started, state, store_one, success, woken
from step_room import StepRoom, command, ends
from test_ends import step

from glidepath_server.core.board import FINAL, Board
from glidepath_server.core.events import AttemptKey, RunCancelled, TasksCleared
from glidepath_server.core.states import AttemptState, RunIntent, RunState
from glidepath_server.operations.step_types import RunWork
from glidepath_server.store import caching, engine

ACTIONS = 60


class Life:
    """One database with a DAG of one cached task, and what is known of its runs."""

    def __init__(self, room: StepRoom, seed: int) -> None:
        self.room, self.chance = room, random.Random(seed)
        self.runs: list[UUID] = []
        self.live: list[AttemptKey] = []
        self.seconds = 0.0
        self.made = 0

    async def act(self) -> None:
        """One thing that may happen, drawn."""
        starts, ends = [self.start] * 4, [self.claim, self.claim, self.end, self.cancel, self.clear]
        await self.chance.choice([*starts, *ends, self.wait, self.wake])()

    async def start(self) -> None:
        day, anew = self.chance.choice([TUESDAY, WEDNESDAY]), self.chance.random() < 0.1
        self.runs.append(await started(self.room, day, refresh_cache=anew))

    async def claim(self) -> None:
        if await self.room.watcher.fetchval("select count(*) from task_queue where due and parked_on = 0"):
            self.live.append(await self.room.claim_one(await self.room.session(f"worker {self.made} {len(self.live)}")))

    async def end(self, *outcomes: AttemptState) -> None:
        if not self.live:
            return
        key = self.live.pop(self.chance.randrange(len(self.live)))
        outcome = self.chance.choice(
            outcomes or (AttemptState.SUCCESS, AttemptState.FAILED, AttemptState.FAILED, AttemptState.LOST)
        )
        self.made += 1
        await step(self.room, success(key, self.made) if outcome is AttemptState.SUCCESS else ends([key], outcome))

    async def cancel(self) -> None:
        if self.runs:
            await step(self.room, command(self.chance.choice(self.runs), RunCancelled()))

    async def clear(self) -> None:
        if not self.runs:
            return
        run_id = self.chance.choice(self.runs)
        row = await self.room.watcher.fetchrow("select state, intent from dag_run where dag_run_id = $1", run_id)
        if row["intent"] == "run" or row["state"] != "running":
            await step(self.room, command(run_id, TasksCleared((0,), cancel_running=True)))

    async def wait(self) -> None:
        self.seconds += self.chance.choice([60.0, HOUR / 2, HOUR])
        await self.room.shift_clock(self.seconds)
        await engine.wake_due(self.room.watcher, 100)

    async def wake(self) -> None:
        if found := await woken(self.room):
            await step(self.room, {self.chance.choice(found): RunWork(inbox=True)})

    # ---- what must hold
    async def check(self) -> None:
        fetch = self.room.watcher.fetch
        calls = await fetch("select dag_run_id, cache_key, waits from cached_call")
        parked = await fetch("select dag_run_id from task_queue where parked_on = -2")
        assert {row["dag_run_id"] for row in calls if row["waits"]} == {row["dag_run_id"] for row in parked}
        out = await fetch(
            "select dag_run_id from task_queue where parked_on <> -2 union all select dag_run_id from live_attempt"
        )
        at_it = {row["dag_run_id"] for row in calls if not row["waits"]}
        assert at_it == {row["dag_run_id"] for row in out}
        first = [row["cache_key"] for row in calls if not row["waits"] and not await self.runs_anew(row["dag_run_id"])]
        assert len(first) == len(set(first)), "two are at one key"
        told = set(await woken(self.room))
        for key in {row["cache_key"] for row in calls if row["waits"]}:
            same = [row for row in calls if row["cache_key"] == key]
            assert any(not row["waits"] or row["dag_run_id"] in told for row in same), "all wait, and nobody is woken"

    async def runs_anew(self, run_id: UUID) -> bool:
        row = await self.room.watcher.fetchrow("select * from dag_run where dag_run_id = $1", run_id)
        board = Board.unpack(1, row["board"], RunState(row["state"]), RunIntent(row["intent"]))
        return bool(row["refresh_cache"] or 0 in board.anew)

    async def come_to_rest(self) -> None:
        """Nothing bad happens any more, and no sweep is needed."""
        for _ in range(10 * ACTIONS):
            await follow(self.room)
            assert await caching.sweep_calls(self.room.watcher, 10) == [], "somebody waited in vain"
            await self.claim()
            if not self.live:
                return
            await self.end(AttemptState.SUCCESS)
        raise AssertionError("it goes on and on")


@pytest.mark.parametrize("seed", range(6))
async def test_equal_calls_come_to_rest_whatever_happens_to_them(room: StepRoom, seed: int) -> None:
    await store_one(room, retries=seed % 2)
    life = Life(room, seed)
    for _ in range(ACTIONS):
        await life.act()
        await life.check()
    await life.come_to_rest()
    assert all([await state(room, run_id) in FINAL for run_id in life.runs])
    assert await room.watcher.fetch("select from cached_call") == []
    wrong = """select from task_reuse u
               join task_output mine using (dag_run_id, task_index, map_index, attempt_number)
               where not exists (select from task_output made where made.dag_run_id = u.source_run_id
                                 and made.body = mine.body)"""
    assert await room.watcher.fetch(wrong) == []
    assert await room.watcher.fetchval("select count(*) from task_reuse") > 0, "nothing was taken: this tests nothing"
