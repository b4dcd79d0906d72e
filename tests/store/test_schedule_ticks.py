from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from schedule_room import HOURLY, START, ScheduleRoom, at, open_room

from glidepath_server.core.errors import InvalidInput, NotFound, StateConflict
from glidepath_server.core.schedules import Catchup, ContinuousRule, CronRule, DatesRule, IntervalRule, Overlap
from glidepath_server.operations.pause_dag import set_dag_paused
from glidepath_server.operations.set_schedules import SCHEDULES_MAX
from glidepath_server.store.database import transaction


@pytest.fixture
async def schedules(module_database_url: str) -> AsyncIterator[ScheduleRoom]:
    """A database of the module, without schedules and runs, at the start of time."""
    async with open_room(module_database_url) as found:
        yield found


async def test_due_tick_becomes_a_run_of_its_logical_date_with_its_params(schedules: ScheduleRoom) -> None:
    row = await schedules.set(params='{"rate": 0.5}')
    assert row.next_due_time == at("2026-03-01T13:00")
    await schedules.be(at("2026-03-01T12:59:59"))
    await schedules.tick()
    assert await schedules.outcomes() == {}
    await schedules.be(at("2026-03-01T13:00:01"))
    await schedules.tick()
    run = await schedules.watcher.fetchrow("select * from dag_run")
    assert (run["run_key"], run["run_type"]) == ("main@2026-03-01T13:00:00Z", "scheduled")
    assert run["logical_date"] == run["data_interval_end"] == at("2026-03-01T13:00")
    assert json.loads(run["params"]) == {"rate": 0.5}
    assert await schedules.outcomes() == {at("2026-03-01T13:00"): "run"}
    await schedules.tick()
    assert len(await schedules.run_keys()) == 1


async def test_tick_whose_key_has_a_run_has_met_it(schedules: ScheduleRoom) -> None:
    await schedules.set(params='{"rate": 0.5}')
    run_id = await schedules.room.create_run(1)
    await schedules.watcher.execute(
        "insert into dag_run_key values ('default', 'dag', 'main@2026-03-01T13:00:00Z', $1)", run_id
    )
    await schedules.be(at("2026-03-01T13:00:01"))
    await schedules.tick()
    found = await schedules.watcher.fetchrow("select state, dag_run_id from schedule_tick")
    assert tuple(found) == ("met", run_id)
    assert len(await schedules.active()) == 1


async def test_run_that_cannot_be_made_is_a_recorded_skip_and_the_others_are_made(schedules: ScheduleRoom) -> None:
    for number in range(5):
        await schedules.set(name=f"s{number}")
    await schedules.watcher.execute("update schedule set params = '[]' where schedule_name = 's2'")
    await schedules.be(at("2026-03-01T13:00:01"))
    await schedules.tick()
    assert [await schedules.states(f"s{number}") for number in range(5)] == [
        ["run"],
        ["run"],
        ["skip"],
        ["run"],
        ["run"],
    ]
    (reason,) = await schedules.reasons("s2")
    assert reason.startswith("no run could be made: params: got")
    incident = await schedules.watcher.fetchrow("select kind, message from incident")
    assert incident["kind"] == "scheduled_run_refused" and "schedule s2 of DAG dag" in incident["message"]


async def test_tick_of_an_alias_that_is_gone_is_skipped_with_that_reason(schedules: ScheduleRoom) -> None:
    await schedules.set()
    await schedules.watcher.execute("update schedule set alias = 'gone'")
    await schedules.be(at("2026-03-01T13:00:01"))
    await schedules.tick()
    assert "has no alias 'gone'" in (await schedules.reasons())[0]


async def test_a_year_of_missed_ticks_is_skipped_one_by_one_unless_the_schedule_catches_up(
    schedules: ScheduleRoom,
) -> None:
    daily = CronRule("0 6 * * *")
    for name, catchup in (("none", Catchup.NONE), ("latest", Catchup.LATEST), ("all", Catchup.ALL)):
        await schedules.set(daily, name, catchup=catchup)
    await schedules.set(daily, "three", catchup=Catchup.LAST_N, catchup_runs=3)
    await schedules.set(daily, "week", catchup=Catchup.WITHIN, catchup_seconds=7 * 86_400.0)
    await schedules.be(at("2027-03-01T12:00"))
    await schedules.tick()
    runs = {name: (await schedules.states(name)).count("run") for name in ("none", "latest", "all", "three", "week")}
    assert runs == {"none": 0, "latest": 1, "all": 365, "three": 3, "week": 7}
    for name in runs:
        assert len(await schedules.states(name)) == 365
    assert (await schedules.states("three"))[-3:] == ["run"] * 3


@pytest.mark.parametrize("whole_dag", [False, True])
@pytest.mark.parametrize(("catchup", "runs"), [(Catchup.NONE, 0), (Catchup.LATEST, 1)])
async def test_unpausing_a_year_old_daily_dag_makes_at_most_one_run(
    schedules: ScheduleRoom, whole_dag: bool, catchup: Catchup, runs: int
) -> None:
    await schedules.set(CronRule("0 6 * * *"), catchup=catchup)
    await _pause(schedules, whole_dag, True)
    await schedules.be(at("2027-03-01T12:00"))
    await schedules.tick()
    assert await schedules.outcomes() == {}
    await _pause(schedules, whole_dag, False)
    await schedules.tick()
    states = await schedules.states()
    assert (states.count("run"), len(states)) == (runs, 365)
    await schedules.be(at("2027-03-02T06:00:01"))
    await schedules.tick()
    assert (await schedules.states())[-1] == "run"


async def _pause(schedules: ScheduleRoom, whole_dag: bool, paused: bool) -> None:
    if not whole_dag:
        await schedules.pause(paused=paused)
        return
    async with transaction(schedules.database.api, "set_paused") as connection:
        await set_dag_paused(connection, namespace="default", dag_id="dag", paused=paused, actor="tester")


async def test_plan_that_was_made_while_a_dag_was_being_paused_does_not_let_it_tick(schedules: ScheduleRoom) -> None:
    await schedules.set()
    await schedules.watcher.execute("update schedule set plan_due = true")
    await _pause(schedules, True, True)
    await schedules.watcher.execute("update schedule set plan_due = true")
    await schedules.be(at("2026-03-01T13:00:01"))
    await schedules.tick()
    assert await schedules.outcomes() == {}


# ---- overlap
async def test_skip_leaves_out_the_ticks_of_a_run_that_takes_long(schedules: ScheduleRoom) -> None:
    await schedules.set(overlap=Overlap.SKIP)
    assert await _hours(schedules, 3) == ["run", "skip", "skip"]
    await schedules.end_runs()
    assert await _hours(schedules, 4) == ["run", "skip", "skip", "run"]


async def test_queue_one_keeps_one_tick_and_runs_it_when_the_run_has_ended(schedules: ScheduleRoom) -> None:
    await schedules.set(overlap=Overlap.QUEUE_ONE)
    assert await _hours(schedules, 3) == ["run", "waiting", "skip"]
    await schedules.end_runs()
    await schedules.tick()
    assert await schedules.states() == ["run", "run", "skip"]
    assert await schedules.run_keys() == ["main@2026-03-01T13:00:00Z", "main@2026-03-01T14:00:00Z"]


async def test_queue_all_keeps_every_tick_and_runs_them_in_order(schedules: ScheduleRoom) -> None:
    await schedules.set(overlap=Overlap.QUEUE_ALL)
    assert await _hours(schedules, 4) == ["run", "waiting", "waiting", "waiting"]
    for count in (2, 3, 4):
        await schedules.end_runs()
        await schedules.tick()
        assert await schedules.states() == ["run"] * count + ["waiting"] * (4 - count)
        assert len(await schedules.active()) == 1


async def test_sequence_does_not_go_on_behind_a_run_that_failed_until_it_succeeds(schedules: ScheduleRoom) -> None:
    await schedules.set(overlap=Overlap.SEQUENCE)
    assert await _hours(schedules, 2) == ["run", "waiting"]
    (first,) = await schedules.active()
    await schedules.end_runs("failed")
    assert await _hours(schedules, 3) == ["run", "waiting", "waiting"]
    await schedules.watcher.execute("update dag_run set state = 'success' where dag_run_id = $1", first)
    await schedules.tick()
    assert await schedules.states() == ["run", "run", "waiting"]


async def test_latest_only_keeps_the_newest_tick(schedules: ScheduleRoom) -> None:
    await schedules.set(overlap=Overlap.LATEST_ONLY)
    assert await _hours(schedules, 4) == ["run", "skip", "skip", "waiting"]
    await schedules.end_runs()
    await schedules.tick()
    assert await schedules.states() == ["run", "skip", "skip", "run"]


async def test_cancel_older_tells_the_run_before_by_its_inbox(schedules: ScheduleRoom) -> None:
    await schedules.set(overlap=Overlap.CANCEL_OLDER)
    await _hours(schedules, 1)
    (older,) = await schedules.active()
    assert await _hours(schedules, 2) == ["run", "run"]
    told = await schedules.watcher.fetch("select dag_run_id, event from run_inbox")
    assert [row["dag_run_id"] for row in told] == [older]
    assert "a newer tick of its schedule came" in told[0]["event"]


async def test_missed_ticks_of_cancel_older_are_not_started_to_be_cancelled(schedules: ScheduleRoom) -> None:
    await schedules.set(overlap=Overlap.CANCEL_OLDER, catchup=Catchup.ALL)
    await schedules.later(hours=5)
    await schedules.tick()
    assert await schedules.states() == ["skip"] * 4 + ["run"]


async def test_allow_with_a_number_lets_so_many_run_beside_each_other(schedules: ScheduleRoom) -> None:
    await schedules.set(overlap=Overlap.ALLOW, overlap_runs=2)
    assert await _hours(schedules, 4) == ["run", "run", "waiting", "waiting"]
    await schedules.end_runs(run_ids=(await schedules.active())[:1])
    await schedules.tick()
    assert await schedules.states() == ["run", "run", "run", "waiting"]


@pytest.mark.parametrize("other", ["main2", "maintenance"])
async def test_runs_of_one_schedule_do_not_count_for_another_whose_name_begins_alike(
    schedules: ScheduleRoom, other: str
) -> None:
    await schedules.set(name="main", overlap=Overlap.SKIP)
    await schedules.set(CronRule("30 * * * *"), name=other, overlap=Overlap.SKIP)
    await schedules.be(at("2026-03-01T12:31"))
    await schedules.tick()
    assert await _hours(schedules, 1) == ["run"]


async def _hours(schedules: ScheduleRoom, count: int) -> list[str]:
    """Be at each hour after the start, as far as this one; the states of all ticks then."""
    while await schedules.now() < START + timedelta(hours=count):
        passed = (await schedules.now() - START) // timedelta(hours=1)
        await schedules.be(START + timedelta(hours=passed + 1, seconds=1))
        await schedules.tick()
    return await schedules.states()


# ---- continuous, bounded
async def test_continuous_schedule_begins_its_next_run_when_the_last_has_ended(schedules: ScheduleRoom) -> None:
    await schedules.set(ContinuousRule(pause_seconds=60))
    await schedules.tick()
    assert await schedules.states() == ["run"]
    await schedules.later(seconds=600)
    await schedules.tick()
    assert await schedules.states() == ["run"]
    await schedules.end_runs()
    await schedules.tick()
    assert await schedules.states() == ["run"]
    await schedules.later(seconds=61)
    await schedules.tick()
    assert await schedules.states() == ["run", "run"]
    await schedules.end_runs()
    await schedules.tick()
    await schedules.pause()
    await schedules.later(seconds=61)
    await schedules.tick()
    assert await schedules.states() == ["run", "run"]
    await schedules.pause(paused=False)
    await schedules.tick()
    assert await schedules.states() == ["run"] * 3


async def test_schedule_makes_no_more_runs_than_it_may(schedules: ScheduleRoom) -> None:
    await schedules.set(runs_max=2)
    assert await _hours(schedules, 5) == ["run", "run"]
    await schedules.set(runs_max=3)
    assert await _hours(schedules, 7) == ["run"] * 3


async def test_dates_run_once_each_and_then_the_schedule_rests(schedules: ScheduleRoom) -> None:
    dates = (at("2026-03-01T13:15"), at("2026-03-01T14:45"))
    await schedules.set(DatesRule(dates))
    await _hours(schedules, 4)
    assert list(await schedules.outcomes()) == list(dates)
    rest = await schedules.watcher.fetchrow("select next_due_time, plan_due from schedule")
    assert tuple(rest) == (None, False)


# ---- changes
async def test_edit_lets_what_was_due_before_go_by_what_was_said_then(schedules: ScheduleRoom) -> None:
    await schedules.set()
    await schedules.be(at("2026-03-01T13:00:01"))
    await schedules.set(CronRule("*/10 * * * *"))
    assert await schedules.outcomes() == {at("2026-03-01T13:00"): "run"}
    await schedules.be(at("2026-03-01T13:10:01"))
    await schedules.tick()
    assert list(await schedules.outcomes()) == [at("2026-03-01T13:00"), at("2026-03-01T13:10")]


async def test_schedule_that_is_made_again_goes_on_where_it_stopped(schedules: ScheduleRoom) -> None:
    await schedules.set(catchup=Catchup.ALL)
    assert await _hours(schedules, 3) == ["run"] * 3
    await schedules.delete()
    # The clock is set back by an hour and a half: no tick of that time is new.
    await schedules.be(at("2026-03-01T13:30"))
    await schedules.set(catchup=Catchup.ALL)
    await schedules.tick()
    await schedules.be(at("2026-03-01T15:30"))
    await schedules.tick()
    assert await schedules.states() == ["run"] * 3
    await schedules.be(at("2026-03-01T16:00:01"))
    await schedules.tick()
    assert await schedules.states() == ["run"] * 4


async def test_clock_that_goes_back_gives_no_tick_twice_and_runs_none_early(schedules: ScheduleRoom) -> None:
    await schedules.set()
    assert await _hours(schedules, 2) == ["run"] * 2
    await schedules.later(hours=-1)
    await schedules.tick()
    assert await schedules.states() == ["run"] * 2
    await schedules.be(at("2026-03-01T14:59:59"))
    await schedules.tick()
    assert await schedules.states() == ["run"] * 2
    await schedules.be(at("2026-03-01T15:00:01"))
    await schedules.tick()
    assert await schedules.states() == ["run"] * 3


async def test_the_same_again_changes_nothing(schedules: ScheduleRoom) -> None:
    first = await schedules.set()
    await schedules.later(minutes=1)
    assert await schedules.set() == first
    assert await schedules.watcher.fetchval("select count(*) from audit_event where action = 'schedule.set'") == 1


async def test_deleting_skips_what_waited(schedules: ScheduleRoom) -> None:
    await schedules.set(overlap=Overlap.QUEUE_ALL)
    assert await _hours(schedules, 3) == ["run", "waiting", "waiting"]
    await schedules.delete()
    assert await schedules.states() == ["run", "skip", "skip"]
    await schedules.end_runs()
    await schedules.tick()
    assert len(await schedules.run_keys()) == 1


async def test_edit_of_a_schedule_that_is_far_behind_waits_for_it(schedules: ScheduleRoom) -> None:
    await schedules.set(IntervalRule(60.0), catchup=Catchup.NONE)
    await schedules.later(days=30)
    with pytest.raises(StateConflict, match="is still catching up"):
        await schedules.set(HOURLY)
    await schedules.pause()
    assert await schedules.outcomes() == {}


async def test_schedules_of_a_dag_are_bounded(schedules: ScheduleRoom) -> None:
    await schedules.watcher.execute(
        """insert into schedule (namespace, dag_id, schedule_name, origin, spec, params, last_tick_time, create_time,
                                 update_time, updated_by)
           select 'default', 'dag', 'n' || n, 'api', '', '', now(), now(), now(), '' from generate_series(1, $1) n""",
        SCHEDULES_MAX,
    )
    with pytest.raises(InvalidInput, match="at most 100 of one DAG"):
        await schedules.set()


async def test_missing_schedules_and_dags_are_told(schedules: ScheduleRoom) -> None:
    with pytest.raises(NotFound, match="DAG 'dag' has no schedule 'other'"):
        await schedules.pause("other")
    await schedules.delete("other")
    await schedules.set()
    await schedules.watcher.execute("update schedule set origin = 'dag'")
    with pytest.raises(StateConflict, match="was declared with DAG dag"):
        await schedules.delete()


# ---- replicas
async def test_replicas_share_what_is_due_and_pass_over_what_another_holds(schedules: ScheduleRoom) -> None:
    for number in range(4):
        await schedules.set(name=f"s{number}")
    await schedules.be(at("2026-03-01T13:00:01"))
    async with schedules.database.engine.acquire() as connection, connection.transaction():
        held = await connection.fetch(
            "select schedule_name from schedule order by schedule_name limit 2 for update skip locked"
        )
        assert (await schedules.tick_once()).schedules == 2
        for row in held:
            assert await schedules.outcomes(row["schedule_name"]) == {}
    assert (await schedules.tick_once()).schedules == 2


async def test_second_outcome_of_a_tick_is_refused_by_the_database(schedules: ScheduleRoom) -> None:
    await schedules.set()
    await _hours(schedules, 1)
    await schedules.watcher.execute("update schedule set last_tick_time = $1, plan_due = true", START)
    await schedules.tick()
    assert await schedules.states() == ["run"] and len(await schedules.run_keys()) == 1
    assert "schedule_tick_pkey" in await schedules.watcher.fetchval("select message from incident")


async def test_who_comes_while_many_are_behind_is_served_beside_them(schedules: ScheduleRoom) -> None:
    await schedules.set()
    # Ten thousand that have been due for ten seconds, as planned.
    await schedules.watcher.execute(
        """insert into schedule (namespace, dag_id, schedule_name, origin, spec, params, last_tick_time, planned,
                                 next_due_time, create_time, update_time, updated_by)
           select s.namespace, s.dag_id, 'crowd' || n, s.origin, s.spec, s.params, s.last_tick_time, s.planned,
                  s.next_due_time - interval '10 s', s.create_time, s.update_time, s.updated_by
           from schedule s, generate_series(1, 10000) n"""
    )
    await schedules.be(at("2026-03-01T13:00:01"))
    await schedules.tick_once()
    assert await schedules.states() == ["run"]


def test_times_of_this_file_are_utc() -> None:
    assert at("2026-03-01T12:00") == START == datetime(2026, 3, 1, 12, tzinfo=UTC)
