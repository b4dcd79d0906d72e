"""Between a look and a deed, and after words of people: what rests stays at rest, and nothing is decided twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from schedule_room import HOURLY, START, ScheduleRoom, at, open_room

from glidepath_server.core.errors import StateConflict
from glidepath_server.core.schedules import Catchup, ContinuousRule, CronRule, Overlap
from glidepath_server.operations.pause_dag import set_dag_paused
from glidepath_server.store import schedules as store
from glidepath_server.store import trigger
from glidepath_server.store.database import transaction
from glidepath_server.store.schedules import TickRow

HALF_HOURLY = CronRule("*/30 * * * *")


@pytest.fixture
async def schedules(module_database_url: str) -> AsyncIterator[ScheduleRoom]:
    """A database of the module, without schedules and runs, at the start of time."""
    async with open_room(module_database_url) as found:
        yield found


async def rest(schedules: ScheduleRoom, whole_dag: bool, paused: bool = True) -> None:
    """Pause the schedule or its DAG, or let it go on."""
    if not whole_dag:
        await schedules.pause(paused=paused)
        return
    async with transaction(schedules.database.api, "set_paused") as connection:
        await set_dag_paused(connection, namespace="default", dag_id="dag", paused=paused, actor="tester")


async def hour(schedules: ScheduleRoom, text: str) -> list[str]:
    """Be just after that hour; the states of all ticks then."""
    await schedules.be(at(f"2026-03-01T{text}:01"))
    await schedules.tick()
    return await schedules.states()


# ---- paused
@pytest.mark.parametrize("whole_dag", [False, True])
async def test_what_waits_does_not_go_in_a_pause(schedules: ScheduleRoom, whole_dag: bool) -> None:
    await schedules.set(overlap=Overlap.QUEUE_ALL)
    await hour(schedules, "13:00")
    assert await hour(schedules, "14:00") == ["run", "waiting"]
    await rest(schedules, whole_dag)
    await schedules.end_runs()
    await schedules.tick()
    assert await schedules.states() == ["run", "waiting"]
    await rest(schedules, whole_dag, paused=False)
    await schedules.tick()
    assert await schedules.states() == ["run", "run"]


@pytest.mark.parametrize("whole_dag", [False, True])
async def test_a_paused_schedule_that_is_edited_stays_at_rest(schedules: ScheduleRoom, whole_dag: bool) -> None:
    await schedules.set(catchup=Catchup.ALL)
    await rest(schedules, whole_dag)
    assert await hour(schedules, "15:00") == []
    await schedules.set(HALF_HOURLY, catchup=Catchup.ALL)
    assert await schedules.states() == [], "what fell into the pause has no outcome yet"
    assert await hour(schedules, "16:30") == []
    await rest(schedules, whole_dag, paused=False)
    await schedules.tick()
    assert next(iter(await schedules.outcomes())) == at("2026-03-01T12:30"), "by what is said now"


async def test_a_schedule_that_is_paused_in_a_dag_that_goes_on_stays_paused(schedules: ScheduleRoom) -> None:
    await schedules.set(catchup=Catchup.ALL)
    await schedules.pause()
    for paused in (True, False):
        await rest(schedules, True, paused)
    assert await hour(schedules, "14:00") == []


@pytest.mark.parametrize("whole_dag", [False, True])
async def test_a_tick_of_a_short_pause_is_missed(schedules: ScheduleRoom, whole_dag: bool) -> None:
    """One that is not late by itself: nobody is five minutes behind."""
    await schedules.set()
    await rest(schedules, whole_dag)
    await schedules.be(at("2026-03-01T13:00:01"))
    await rest(schedules, whole_dag, paused=False)
    await schedules.tick()
    (reason,) = await schedules.reasons()
    assert "while the schedule was paused" in reason


# ---- deleted
async def test_what_was_due_before_a_deletion_has_its_outcome_and_nothing_follows(schedules: ScheduleRoom) -> None:
    await schedules.set()
    await schedules.be(at("2026-03-01T13:00:01"))
    await schedules.delete()
    assert await schedules.states() == ["run"]
    assert await hour(schedules, "15:00") == ["run"]


@pytest.mark.parametrize("whole_dag", [False, True])
async def test_what_fell_into_a_pause_has_no_outcome_when_the_schedule_is_deleted(
    schedules: ScheduleRoom, whole_dag: bool
) -> None:
    await schedules.set(catchup=Catchup.ALL)
    await rest(schedules, whole_dag)
    await schedules.be(at("2026-03-01T15:00:01"))
    await schedules.delete()
    assert await schedules.states() == []


async def test_a_deleted_schedule_stays_silent_when_its_dag_goes_on(schedules: ScheduleRoom) -> None:
    await schedules.set()
    await schedules.delete()
    for paused in (True, False):
        await rest(schedules, True, paused)
    assert await hour(schedules, "14:00") == []


async def test_a_schedule_that_is_made_again_is_not_paused_and_counts_its_runs_anew(schedules: ScheduleRoom) -> None:
    await schedules.set(runs_max=1)
    assert await hour(schedules, "13:00") == ["run"]
    await schedules.pause()
    await schedules.delete()
    row = await schedules.set(runs_max=1)
    assert not row.paused
    assert await hour(schedules, "14:00") == ["run", "run"]


# ---- changed
async def test_what_waits_for_a_cron_schedule_is_skipped_when_it_becomes_continuous(schedules: ScheduleRoom) -> None:
    await schedules.set(overlap=Overlap.QUEUE_ALL)
    await hour(schedules, "13:00")
    assert await hour(schedules, "14:00") == ["run", "waiting"]
    await schedules.set(ContinuousRule())
    assert await schedules.reasons() == ["the schedule was changed while it waited"]


async def test_a_continuous_schedule_leaves_nothing_that_waits_when_it_changes(schedules: ScheduleRoom) -> None:
    await schedules.set(ContinuousRule())
    await schedules.tick()
    assert (await schedules.row("main")).waiting == 1, "the premise: it waits for its run"
    assert (await schedules.set(HOURLY, runs_max=2)).waiting == 0
    assert await hour(schedules, "13:00") == ["run", "run"]


async def test_a_schedule_that_a_dag_declares_is_not_set_by_hand(schedules: ScheduleRoom) -> None:
    await schedules.set()
    await schedules.watcher.execute("update schedule set origin = 'dag'")
    with pytest.raises(StateConflict, match="was declared with DAG dag"):
        await schedules.set(HALF_HOURLY)


# ---- decided once
async def test_a_tick_that_has_its_outcome_is_not_settled_again(schedules: ScheduleRoom) -> None:
    await schedules.set()
    await hour(schedules, "13:00")
    tick = at("2026-03-01T13:00")
    row = TickRow("default", "dag", "main", tick, tick, tick, tick, "skip", None, "late")
    async with schedules.database.api.acquire() as connection:
        assert await store.settle_ticks(connection, [row]) == 0
    assert await schedules.states() == ["run"]


@pytest.mark.parametrize("other", ["main2", "maintenance"])
async def test_what_waits_beside_a_schedule_whose_name_begins_alike_goes(schedules: ScheduleRoom, other: str) -> None:
    await schedules.set(name="main", overlap=Overlap.QUEUE_ALL)
    await hour(schedules, "13:00")
    assert await hour(schedules, "14:00") == ["run", "waiting"]
    mine = await schedules.active()
    await schedules.set(HALF_HOURLY, name=other, overlap=Overlap.SKIP)
    assert await hour(schedules, "14:30") == ["run", "waiting"]
    await schedules.end_runs(run_ids=mine)
    await schedules.tick()
    assert await schedules.states() == ["run", "run"]


async def test_a_sequence_goes_on_behind_a_run_that_succeeded_after_one_that_failed(schedules: ScheduleRoom) -> None:
    await schedules.set()
    for text, end in (("13:00", "failed"), ("14:00", "success")):
        await hour(schedules, text)
        await schedules.end_runs(end)
    await schedules.set(overlap=Overlap.SEQUENCE)
    assert await hour(schedules, "15:00") == ["run"] * 3


async def test_a_run_that_somebody_triggered_is_not_one_of_the_schedule(schedules: ScheduleRoom) -> None:
    """Also when its key reads as if it were."""
    await schedules.set(overlap=Overlap.SKIP)
    run_id = await schedules.room.create_run(1)
    await schedules.watcher.execute("update dag_run set run_key = 'main@by-hand' where dag_run_id = $1", run_id)
    assert await hour(schedules, "13:00") == ["run"]


async def test_a_key_that_is_taken_after_the_look_is_met(
    schedules: ScheduleRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a run of other params, made between the look at the keys and the making. What is made beside it is made."""
    await schedules.set(params='{"rate": 0.5}')
    await schedules.set(name="other")
    await schedules.be(START)
    run_id = await schedules.room.create_run(1)
    await schedules.watcher.execute(
        "insert into dag_run_key values ('default', 'dag', 'main@2026-03-01T13:00:00Z', $1)", run_id
    )
    look, looked = trigger.runs_by_key, [0]

    async def late_look(*arguments: Any) -> Any:
        looked[0] += 1
        return {} if looked[0] == 1 else await look(*arguments)

    monkeypatch.setattr(trigger, "runs_by_key", late_look)
    assert await hour(schedules, "13:00") == ["met"]
    assert await schedules.states("other") == ["run"]
    assert len(await schedules.active()) == 2


async def test_what_another_replica_holds_is_passed_over_and_not_waited_for(schedules: ScheduleRoom) -> None:
    for name in ("held", "free"):
        await schedules.set(name=name)
    await schedules.be(at("2026-03-01T13:00:01"))
    async with schedules.watcher.transaction():
        await schedules.watcher.execute("select from schedule where schedule_name = 'held' for update")
        async with asyncio.timeout(5):
            assert (await schedules.tick_once()).schedules == 1
        assert (await schedules.states("held"), await schedules.states("free")) == ([], ["run"])
    assert (await schedules.tick_once()).schedules == 1


async def test_replicas_that_tick_at_once_make_each_run_once(schedules: ScheduleRoom) -> None:
    names = [f"s{number}" for number in range(6)]
    for name in names:
        await schedules.set(name=name)
    await schedules.be(at("2026-03-01T13:00:01"))
    ticked = await asyncio.gather(*(schedules.tick_once() for _ in range(6)))
    assert sum(each.schedules for each in ticked) == len(names)
    assert [await schedules.states(name) for name in names] == [["run"]] * len(names)
    assert await schedules.watcher.fetchval("select count(*) from incident") == 0
