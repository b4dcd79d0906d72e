"""Schedules at their edges: what an edit finds under way, more waits than a round takes, runs that are not made."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
from schedule_room import START, ScheduleRoom, at, open_room

from glidepath_server.core.schedules import Catchup, ContinuousRule, IntervalRule, Overlap
from glidepath_server.core.tick_plans import TickPlan
from glidepath_server.operations import plan_schedules, tick_schedules
from glidepath_server.operations.pause_dag import set_dag_paused
from glidepath_server.operations.tick_schedules import tick_due, tick_waiting
from glidepath_server.store.database import transaction
from glidepath_server.store.schedules import ScheduleRow


@pytest.fixture
async def schedules(module_database_url: str) -> AsyncIterator[ScheduleRoom]:
    async with open_room(module_database_url) as found:
        yield found


async def test_edit_loses_no_tick_that_jitter_delays(schedules: ScheduleRoom) -> None:
    await schedules.be(at("2026-03-01T12:00:01"))
    row = await schedules.set(jitter_seconds=3599.0)
    await schedules.tick()
    row = await schedules.row("main")
    assert row.next_due_time is not None and row.next_due_time > at("2026-03-01T13:01"), "the premise: it is delayed"
    await schedules.be(at("2026-03-01T13:00:30"))
    await schedules.tick()
    await schedules.set(jitter_seconds=3599.0, params='{"rate": 2}')
    await schedules.be(at("2026-03-01T13:59:59"))
    await schedules.tick()
    assert await schedules.outcomes() == {at("2026-03-01T13:00"): "run"}


async def test_edit_during_a_pause_keeps_what_catchup_makes_up_for(schedules: ScheduleRoom) -> None:
    await schedules.set(catchup=Catchup.ALL)
    await schedules.pause()
    await schedules.later(hours=3, minutes=1)
    await schedules.set(catchup=Catchup.ALL, params='{"rate": 2}')
    await schedules.pause(paused=False)
    await schedules.tick()
    assert list((await schedules.outcomes()).values()) == ["run"] * 3


async def test_run_that_is_not_made_does_not_count_to_the_last(schedules: ScheduleRoom) -> None:
    await schedules.set(runs_max=1, params='{"rate": 1}')
    await schedules.watcher.execute('update schedule set params = \'{"rate": "x"}\'')
    await schedules.later(hours=1, minutes=1)
    await schedules.tick()
    assert await schedules.states() == ["skip"]
    await schedules.watcher.execute("update schedule set params = '{\"rate\": 1}'")
    await schedules.later(hours=1)
    await schedules.tick()
    await schedules.later(hours=1)
    await schedules.tick()
    assert await schedules.states() == ["skip", "run"]


async def test_no_more_ticks_wait_than_may(schedules: ScheduleRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glidepath_server.core.overlap.WAITING_MAX", 30)
    monkeypatch.setattr("glidepath_server.operations.tick_schedules.TICKS_AT_ONCE", 10)
    await schedules.set(IntervalRule(60.0), overlap=Overlap.QUEUE_ALL, catchup=Catchup.ALL)
    await schedules.tick()
    for _ in range(10):
        await schedules.later(minutes=5)
        await schedules.tick()
    assert (await schedules.states()).count("waiting") == 30


async def test_no_more_runs_are_made_than_may_however_many_wait(
    schedules: ScheduleRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glidepath_server.operations.tick_schedules.TICKS_AT_ONCE", 3)
    await schedules.set(IntervalRule(60.0), overlap=Overlap.QUEUE_ALL, catchup=Catchup.ALL, runs_max=6)
    await schedules.tick()
    for _ in range(10):
        await schedules.later(minutes=1)
        await schedules.tick()
    for _ in range(12):
        await schedules.end_runs()
        await schedules.tick()
    assert (await schedules.states()).count("run") == 6


async def test_fewer_runs_from_now_on_skips_what_waits_beyond(schedules: ScheduleRoom) -> None:
    await schedules.set(IntervalRule(60.0), overlap=Overlap.QUEUE_ALL)
    await schedules.tick()
    for _ in range(6):
        await schedules.later(minutes=1)
        await schedules.tick()
    await schedules.set(IntervalRule(60.0), overlap=Overlap.QUEUE_ALL, runs_max=3)
    for _ in range(12):
        await schedules.end_runs()
        await schedules.tick()
    states = await schedules.states()
    assert (states.count("run"), states.count("waiting")) == (3, 0), states


async def test_continuous_schedule_is_not_asked_while_its_run_is_active(schedules: ScheduleRoom) -> None:
    await schedules.set(ContinuousRule(), overlap_runs=5)
    await schedules.tick()
    assert len(await schedules.active()) == 1
    for _ in range(3):
        assert (await tick_waiting(schedules.database, schedules.plans)).schedules == 0


async def test_sequence_waits_for_a_run_that_was_met(schedules: ScheduleRoom) -> None:
    await schedules.set(overlap=Overlap.SEQUENCE)
    await schedules.later(hours=1, minutes=1)
    await schedules.tick()
    await schedules.watcher.execute("update dag_run set run_type = 'backfill'")
    await schedules.watcher.execute("update schedule_tick set state = 'met'")
    await schedules.later(hours=1)
    await schedules.tick()
    assert await schedules.states() == ["met", "waiting"]
    await schedules.end_runs()
    await schedules.tick()
    assert await schedules.states() == ["met", "run"]


async def test_many_that_are_far_behind_keep_another_from_nothing_and_get_on(schedules: ScheduleRoom) -> None:
    behind = [f"s{number}" for number in range(20)]
    for name in behind:
        await schedules.set(IntervalRule(1.0), name=name)
    await schedules.tick()
    await schedules.be(START + timedelta(minutes=50))
    await schedules.set(IntervalRule(60.0), name="new")
    await schedules.later(minutes=1)
    await tick_due(schedules.database, schedules.plans, 1000)
    assert await schedules.states("new") == ["run"]
    decided = await schedules.watcher.fetchval("select count(*) from schedule_tick where schedule_name <> 'new'")
    assert decided >= 1000, "the premise: a round has no place for all"


async def test_what_waits_goes_when_any_number_may_run(schedules: ScheduleRoom) -> None:
    await schedules.set(IntervalRule(60.0), overlap=Overlap.QUEUE_ALL)
    for _ in range(4):
        await schedules.tick()
        await schedules.later(minutes=1)
    await schedules.set(IntervalRule(60.0), overlap=Overlap.ALLOW)
    await tick_waiting(schedules.database, schedules.plans)
    assert "waiting" not in await schedules.states()


async def test_edit_during_a_pause_of_the_dag_keeps_what_catchup_makes_up_for(schedules: ScheduleRoom) -> None:
    await schedules.set(catchup=Catchup.LATEST)
    await _pause_dag(schedules, True)
    await schedules.later(hours=3, minutes=1)
    await schedules.set(IntervalRule(1800.0), catchup=Catchup.LATEST)
    await _pause_dag(schedules, False)
    await schedules.tick()
    assert await schedules.states() == ["skip"] * 5 + ["run"]
    assert (await schedules.judged()).outcome == "PASS"


async def test_schedule_that_is_made_during_a_pause_of_the_dag_begins_then(schedules: ScheduleRoom) -> None:
    await schedules.set(catchup=Catchup.ALL)
    await _pause_dag(schedules, True)
    await schedules.delete()
    await schedules.later(hours=3, minutes=1)
    await schedules.set(catchup=Catchup.ALL)
    await schedules.set(catchup=Catchup.ALL, name="new")
    await _pause_dag(schedules, False)
    await schedules.tick()
    assert await schedules.states() == await schedules.states("new") == []


async def _pause_dag(schedules: ScheduleRoom, paused: bool) -> None:
    async with transaction(schedules.database.api, "pause_dag") as connection:
        await set_dag_paused(connection, namespace="default", dag_id="dag", paused=paused, actor="tester")


async def test_round_looks_for_no_more_missed_ticks_than_it_can_decide(
    schedules: ScheduleRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, a thousand schedules after ten hours were looked through, and the database ended what stood still."""
    await _many_that_are_far_behind(schedules, 50)
    looked_at: list[str] = []

    def plan_of(row: ScheduleRow, now: datetime) -> TickPlan:
        looked_at.append(row.schedule_name)
        return plan_schedules.plan_of(row, now)

    monkeypatch.setattr(tick_schedules, "plan_of", plan_of)
    await tick_due(schedules.database, schedules.plans, 1000)
    assert len(looked_at) == 2
    assert await schedules.watcher.fetchval("select count(*) from schedule_tick") == tick_schedules.TICKS_AT_ONCE


async def test_who_has_no_turn_in_time_stays_due(schedules: ScheduleRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    await _many_that_are_far_behind(schedules, 5)
    monkeypatch.setattr(tick_schedules, "LOOK_SECONDS_MAX", -1.0)
    assert (await tick_due(schedules.database, schedules.plans, 1000)).schedules == 1
    await schedules.tick()
    for number in range(5):
        assert len(await schedules.states(f"s{number}")) == 600


async def test_what_cannot_be_planned_in_time_is_planned_next(
    schedules: ScheduleRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_schedules, "SECONDS_MAX", -1.0)
    for number in range(3):
        await schedules.set(name=f"s{number}")
    await schedules.watcher.execute("update schedule set planned = '', next_due_time = null, plan_due = true")
    await plan_schedules.plan_schedules(schedules.database, 300)
    assert await schedules.watcher.fetchval("select count(*) from schedule where plan_due") == 2
    await schedules.later(hours=1, minutes=1)
    await schedules.tick()
    assert [await schedules.states(f"s{number}") for number in range(3)] == [["run"]] * 3


async def _many_that_are_far_behind(schedules: ScheduleRoom, count: int) -> None:
    for number in range(count):
        await schedules.set(IntervalRule(60.0), name=f"s{number}")
    await schedules.tick()
    await schedules.later(hours=10)
