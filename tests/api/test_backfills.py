"""Backfills: a date gets one outcome, in order, at the pace that was asked for; what is there is met, not doubled."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import grpc
import pytest
import pytest_asyncio
from backfill_room import DAY, FIRST, Backfills, Doer, at, counted, days, key, outcome, run_state, state
from google.protobuf.duration_pb2 import Duration
from runs_room import CHAIN, RATE_SCHEMA, Room, dag, open_room

from glidepath_proto.run.v1 import backfill_pb2
from glidepath_server.store import backfills as store

pytestmark = pytest.mark.asyncio(loop_scope="module")
Spec = backfill_pb2.BackfillSpec


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def room(module_database_url: str) -> AsyncIterator[Room]:
    async with open_room(module_database_url, poll_interval_seconds=0.05) as room:
        yield room


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def doer(room: Room) -> AsyncIterator[Doer]:
    doer = Doer(room.server, slots=100)
    await doer.connect()
    yield doer


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def fills(room: Room) -> Backfills:
    return Backfills(room)


async def fresh(room: Room, name: str, **fields: object) -> str:
    """A DAG of its own."""
    await room.register(dag(name, CHAIN, **fields))
    return name


async def test_each_date_of_a_range_gets_a_run_of_the_right_key_and_dates(
    room: Room, fills: Backfills, doer: Doer
) -> None:
    made = await fills.create(days(5, await fresh(room, "each_date")))
    ended = await fills.ended(made.backfill_id)
    assert counted(ended) == {"success": 5} and ended.date_count == 5 and ended.HasField("end_time")
    rows = await room.rows(
        "select run_key, run_type, logical_date, data_interval_end, backfill_id::text from dag_run where dag_id = $1"
        " order by dag_run_id",
        "each_date",
    )
    dates = [FIRST + DAY * number for number in range(5)]
    assert [tuple(row) for row in rows] == [(key(date), "backfill", date, date, made.backfill_id) for date in dates]
    assert await fills.outcomes(made.backfill_id) == [("created", "", "success")] * 5


async def test_descending_begins_with_the_newest(room: Room, fills: Backfills, doer: Doer) -> None:
    made = await fills.create(
        days(4, await fresh(room, "newest"), order=Spec.ORDER_DESCENDING, runs_active_max=1, series="sales")
    )
    await fills.ended(made.backfill_id)
    rows = await room.rows("select run_key from dag_run where dag_id = 'newest' order by dag_run_id")
    assert [row["run_key"] for row in rows] == [key(FIRST + DAY * number, "sales") for number in (3, 2, 1, 0)]


async def test_never_more_runs_are_active_than_the_cap_says_and_a_cancel_ends_them(
    room: Room, fills: Backfills, doer: Doer
) -> None:
    doer.holds.add("capped")
    made = await fills.create(days(9, await fresh(room, "capped"), runs_active_max=2))
    await fills.until(made.backfill_id, lambda each: each.counts.running == 2)
    await rounds(room)
    assert (await room.rows("select count(*) from dag_run where dag_id = 'capped'"))[0][0] == 2
    await fills.call("CancelBackfill", backfill_id=made.backfill_id, cancel_runs=True, reason="wrong year")
    cancelled = await fills.until(made.backfill_id, lambda each: each.counts.cancelled == 2)
    assert counted(cancelled) == {"cancelled": 2, "skipped": 7} and state(cancelled) == "cancelled"
    reasons = {each.reason for each in await fills.dates(made.backfill_id) if each.reason}
    assert reasons == {"the backfill was cancelled: wrong year (by a-admin)"}
    code, words = await fills.refused("ResumeBackfill", backfill_id=made.backfill_id)
    assert code is grpc.StatusCode.FAILED_PRECONDITION and "cannot resume a backfill that was cancelled" in words


async def test_the_time_left_counts_from_the_last_start(room: Room, fills: Backfills, doer: Doer) -> None:
    made = await fills.create(days(30, await fresh(room, "left"), rate_runs=1, rate_period=DAY))
    one = await fills.until(made.backfill_id, lambda each: each.counts.success == 1)
    left = one.remaining.ToTimedelta()
    assert DAY * 28.99 < left < DAY * 29.01  # the next begins in a day


async def test_a_cancel_without_more_lets_active_runs_end(room: Room, fills: Backfills, doer: Doer) -> None:
    doer.holds.add("let_end")
    made = await fills.create(days(3, await fresh(room, "let_end"), runs_active_max=1))
    await fills.until(made.backfill_id, lambda each: each.counts.running == 1)
    await fills.call("CancelBackfill", backfill_id=made.backfill_id)
    await rounds(room)
    doer.go_on("let_end")
    done = await fills.until(made.backfill_id, lambda each: each.counts.success == 1)
    assert counted(done) == {"success": 1, "skipped": 2}


async def test_a_paused_backfill_begins_nothing_until_it_is_resumed(room: Room, fills: Backfills, doer: Doer) -> None:
    doer.holds.add("paused")
    made = await fills.create(days(4, await fresh(room, "paused"), runs_active_max=1))
    await fills.until(made.backfill_id, lambda each: each.counts.running == 1)
    answer = await fills.call("PauseBackfill", backfill_id=made.backfill_id, reason="month end")
    assert state(answer.backfill) == "paused" and answer.backfill.reason == "month end (by a-admin)"
    assert not answer.backfill.HasField("remaining")
    doer.go_on("paused")
    await fills.until(made.backfill_id, lambda each: each.counts.success == 1)
    await rounds(room)
    assert counted(await fills.get(made.backfill_id)) == {"success": 1, "waiting": 3}
    await fills.call("ResumeBackfill", backfill_id=made.backfill_id)
    assert counted(await fills.ended(made.backfill_id)) == {"success": 4}


async def test_dates_that_have_a_run_are_skipped_with_the_reason(room: Room, fills: Backfills, doer: Doer) -> None:
    await fresh(room, "skips")
    doer.fails["skips"] = {FIRST}
    first = await fills.ended((await fills.create(days(2, "skips"))).backfill_id)
    assert counted(first) == {"failed": 1, "success": 1}
    second = await fills.ended((await fills.create(days(3, "skips"))).backfill_id)
    assert await fills.outcomes(second.backfill_id) == [
        ("skipped", "its run has failed", "failed"),
        ("skipped", "its run has succeeded", "success"),
        ("created", "", "success"),
    ]


async def test_failed_runs_are_rerun_where_that_is_asked_for(room: Room, fills: Backfills, doer: Doer) -> None:
    await fresh(room, "reruns")
    doer.fails["reruns"] = {FIRST}
    await fills.ended((await fills.create(days(2, "reruns"))).backfill_id)
    doer.fails["reruns"] = set()
    again = await fills.create(days(2, "reruns", existing=Spec.EXISTING_RERUN_FAILED))
    await fills.ended(again.backfill_id)
    assert await fills.outcomes(again.backfill_id) == [
        ("rerun", "", "success"),
        ("skipped", "its run has succeeded", "success"),
    ]
    attempts = await room.rows(
        "select attempt_number from task_attempt join dag_run using (dag_run_id)"
        " where dag_id = 'reruns' and logical_date = $1 and task_index = 0",
        FIRST,
    )
    assert [row[0] for row in attempts] == [1, 2]


async def test_all_runs_run_again_on_the_version_that_is_named(room: Room, fills: Backfills, doer: Doer) -> None:
    await fresh(room, "all_again")
    await fills.ended((await fills.create(days(3, "all_again"))).backfill_id)
    await room.register(dag("all_again", CHAIN | {"extra": ["report"]}))
    again = await fills.create(days(3, "all_again", existing=Spec.EXISTING_RERUN_ALL, dag_version="latest"))
    await fills.ended(again.backfill_id)
    assert await fills.outcomes(again.backfill_id) == [("rerun", "", "success")] * 3
    rows = await room.rows(
        "select v.dag_version_number, r.run_key from dag_run r join dag_version v using (dag_version_id)"
        " where r.dag_id = 'all_again' order by r.dag_run_id"
    )
    assert [tuple(row) for row in rows] == [(2, key(FIRST + DAY * number)) for number in range(3)]
    kept = await fills.create(days(3, "all_again", existing=Spec.EXISTING_RERUN_ALL, dag_version="original"))
    await fills.ended(kept.backfill_id)
    attempts = await room.rows(
        "select max(attempt_number) from task_attempt join dag_run using (dag_run_id) where dag_id = 'all_again'"
        " group by dag_run_id"
    )
    assert [row[0] for row in attempts] == [3, 3, 3]


async def test_an_active_run_of_a_date_is_left_alone(room: Room, fills: Backfills, doer: Doer) -> None:
    await fresh(room, "active")
    doer.holds.add("active")
    await room.start("active", run_key=key(FIRST), logical_date=at(FIRST))
    made = await fills.create(days(1, "active", existing=Spec.EXISTING_RERUN_ALL))
    await fills.ended(made.backfill_id)
    [(how, reason, _)] = await fills.outcomes(made.backfill_id)
    assert (how, reason) in {("skipped", "its run is running"), ("skipped", "its run is queued")}
    doer.go_on("active")


async def test_a_retry_reruns_what_has_failed_and_nothing_else(room: Room, fills: Backfills, doer: Doer) -> None:
    await fresh(room, "retried")
    doer.fails["retried"] = {FIRST + DAY, FIRST + DAY * 3}
    made = await fills.create(days(4, "retried", runs_active_max=1))
    assert counted(await fills.ended(made.backfill_id)) == {"success": 2, "failed": 2}
    failed = await fills.dates(made.backfill_id, only_failed=True)
    assert [each.logical_date for each in failed] == [at(FIRST + DAY), at(FIRST + DAY * 3)]
    doer.fails["retried"] = {FIRST + DAY * 3}
    answer = await fills.call("RetryBackfill", backfill_id=made.backfill_id, request_id="retry-1")
    assert answer.date_count == 2 and state(answer.backfill) == "running"
    assert (await fills.call("RetryBackfill", backfill_id=made.backfill_id, request_id="retry-1")).date_count == 2
    assert counted(await fills.ended(made.backfill_id)) == {"success": 3, "failed": 1}
    doer.fails["retried"] = set()
    await fills.call("RetryBackfill", backfill_id=made.backfill_id)
    assert counted(await fills.ended(made.backfill_id)) == {"success": 4}
    code, words = await fills.refused("RetryBackfill", backfill_id=made.backfill_id)
    assert code is grpc.StatusCode.FAILED_PRECONDITION and "nothing to retry" in words


async def test_a_rate_holds_whatever_the_cap_allows(room: Room, fills: Backfills, doer: Doer) -> None:
    made = await fills.create(
        days(5, await fresh(room, "rated"), rate_runs=2, rate_period=Duration(seconds=3600), runs_active_max=5)
    )
    await fills.until(made.backfill_id, lambda each: each.counts.success == 2)
    await rounds(room)
    assert counted(await fills.get(made.backfill_id)) == {"success": 2, "waiting": 3}
    await room.rows(
        "update backfill_run set start_time = start_time - interval '1 hour' where backfill_id = $1", made.backfill_id
    )
    await fills.until(made.backfill_id, lambda each: each.counts.success == 4)
    await rounds(room)
    assert counted(await fills.get(made.backfill_id)) == {"success": 4, "waiting": 1}
    await fills.call("CancelBackfill", backfill_id=made.backfill_id)


async def test_a_rate_counts_each_start_of_a_date_that_is_retried(room: Room, fills: Backfills, doer: Doer) -> None:
    doer.fails["again"] = {FIRST + DAY}
    made = await fills.create(
        days(2, await fresh(room, "again"), rate_runs=3, rate_period=Duration(seconds=3600), runs_active_max=5)
    )
    await fills.ended(made.backfill_id)
    await fills.call("RetryBackfill", backfill_id=made.backfill_id)
    assert counted(await fills.ended(made.backfill_id)) == {"success": 1, "failed": 1}
    async with room.server.database.worker.acquire() as connection:
        assert len(await store.start_ages(connection, UUID(made.backfill_id), 10)) == 3
    await fills.call("RetryBackfill", backfill_id=made.backfill_id)
    await rounds(room)
    assert counted(await fills.get(made.backfill_id)) == {"success": 1, "waiting": 1}
    await fills.call("CancelBackfill", backfill_id=made.backfill_id)


async def test_a_rate_counts_no_run_that_somebody_else_has_rerun(room: Room, fills: Backfills, doer: Doer) -> None:
    name = await fresh(room, "by_hand")
    doer.holds.add(name)
    doer.fails[name] = {FIRST, FIRST + DAY}
    made = await fills.create(days(2, name, rate_runs=3, rate_period=Duration(seconds=3600)))
    await fills.until(made.backfill_id, lambda each: each.counts.running == 2)
    await fills.call("PauseBackfill", backfill_id=made.backfill_id)
    doer.go_on(name)
    await fills.until(made.backfill_id, lambda each: each.counts.failed == 2)
    await fills.call("RetryBackfill", backfill_id=made.backfill_id)
    doer.fails[name] = set()
    for row in await room.rows("select dag_run_id::text from dag_run where dag_id = $1", name):
        await room.call("RerunDagRun", dag_run_id=row[0])
        await room.watch(row[0])
    await fills.call("ResumeBackfill", backfill_id=made.backfill_id)
    assert counted(await fills.ended(made.backfill_id)) == {"success": 2}
    async with room.server.database.worker.acquire() as connection:
        assert len(await store.start_ages(connection, UUID(made.backfill_id), 10)) == 2


async def test_the_original_version_is_the_one_of_that_date(room: Room, fills: Backfills, doer: Doer) -> None:
    await fresh(room, "versions")
    await room.register(dag("versions", CHAIN | {"second": ["report"]}))
    await room.register(dag("versions", CHAIN | {"third": ["report"]}), aliases=["stable"])
    for number, since in enumerate((FIRST + DAY, FIRST + DAY * 2, FIRST + DAY * 30), start=1):
        await room.rows(
            "update dag_version set create_time = $2 where dag_id = 'versions' and dag_version_number = $1",
            number,
            since,
        )
    for version, numbers in (("original", [1, 1, 2, 2]), ("2", [2] * 4), ("stable", [3] * 4), ("", [3] * 4)):
        made = await fills.create(days(4, "versions", dag_version=version, series=f"v{version}"))
        await fills.ended(made.backfill_id)
        rows = await room.rows(
            "select v.dag_version_number from dag_run r join dag_version v using (dag_version_id)"
            " where r.backfill_id = $1 order by r.logical_date",
            made.backfill_id,
        )
        assert [row[0] for row in rows] == numbers


async def test_the_version_is_pinned_when_the_backfill_is_created(room: Room, fills: Backfills, doer: Doer) -> None:
    doer.holds.add("pinned")
    made = await fills.create(days(3, await fresh(room, "pinned"), runs_active_max=1))
    await fills.until(made.backfill_id, lambda each: each.counts.running == 1)
    await room.register(dag("pinned", CHAIN | {"later": ["report"]}))
    doer.go_on("pinned")
    await fills.ended(made.backfill_id)
    assert {each.dag_version_number for each in await fills.dates(made.backfill_id)} == {1}
    rows = await room.rows("select distinct length(board) from dag_run where dag_id = 'pinned'")
    assert len(rows) == 1


async def test_params_are_those_of_every_run(room: Room, fills: Backfills, doer: Doer) -> None:
    await fresh(room, "params", params_schema=RATE_SCHEMA)
    made = await fills.create(days(2, "params", params='{"model": "net"}'))
    await fills.ended(made.backfill_id)
    rows = await room.rows("select distinct params from dag_run where dag_id = 'params'")
    assert [row[0] for row in rows] == ['{"learning_rate":0.1,"model":"net"}']


async def test_own_queue_and_pool_hold_for_new_runs(room: Room, fills: Backfills, doer: Doer) -> None:
    await fresh(room, "lanes")
    await room.rows("insert into queue (namespace, queue_name) values ('default', 'slow') on conflict do nothing")
    await room.rows(
        "insert into concurrency_limit (namespace, kind, name, capacity) values ('default', 'pool', 'fills', 2)"
    )
    made = await fills.create(days(6, "lanes", queue_name="slow", pool_name="fills", runs_active_max=6))
    await fills.until(made.backfill_id, lambda each: each.counts.running == 6)
    assert doer.kept == [] and counted(await fills.get(made.backfill_id)) == {"running": 6}
    slow = Doer(room.server, slots=10, queue_names={"slow"}, identity="slow")
    slow.holds.add("lanes")
    await slow.connect()
    async with asyncio.timeout(10):
        while len(slow.kept) < 2:
            await asyncio.sleep(0.01)
    await rounds(room)
    assert len(slow.kept) == 2
    slow.go_on("lanes")
    assert counted(await fills.ended(made.backfill_id)) == {"success": 6}
    direct = await room.start("lanes")
    await room.watch(direct)  # an ordinary run goes where it always went


async def test_a_preview_says_what_would_be_and_does_nothing(room: Room, fills: Backfills, doer: Doer) -> None:
    await fresh(room, "previewed")
    doer.fails["previewed"] = {FIRST + DAY}
    await fills.ended((await fills.create(days(3, "previewed"))).backfill_id)
    part = await room.start("previewed", only_task_ids=["load"])  # says nothing of how long a whole run takes
    await room.watch(part)
    await room.rows("update dag_run set end_time = start_time + interval '1 day' where dag_run_id = $1", UUID(part))
    spec = Spec(**days(10, "previewed", existing=Spec.EXISTING_RERUN_FAILED, runs_active_max=2))
    answer = await fills.call("PreviewBackfill", spec=spec, dates_max=4)
    assert (answer.date_count, answer.created_count, answer.rerun_count, answer.skipped_count) == (10, 7, 1, 2)
    assert [outcome(each) for each in answer.dates] == ["skipped", "rerun", "skipped", "created"]
    assert [run_state(each) for each in answer.dates] == ["success", "failed", "success", ""]
    each = answer.run_duration.ToTimedelta()
    assert answer.estimated.ToTimedelta() / each == pytest.approx(4, rel=1e-3)
    assert each < timedelta(hours=1)
    assert (await room.rows("select count(*) from dag_run where dag_id = 'previewed'"))[0][0] == 4


async def test_a_request_id_makes_one_backfill_and_it_is_audited(room: Room, fills: Backfills, doer: Doer) -> None:
    spec = days(2, await fresh(room, "once"))
    one = await fills.create(spec, request_id="backfill-1")
    assert await fills.create(spec, request_id="backfill-1") == one
    await fills.ended(one.backfill_id)
    code, _ = await fills.refused("CreateBackfill", spec=Spec(**days(3, "once")), request_id="backfill-1")
    assert code is grpc.StatusCode.ALREADY_EXISTS
    rows = await room.rows(
        "select detail from audit_event where action = 'backfill.create' and target = $1", f"backfill/{one.backfill_id}"
    )
    assert [json.loads(row[0]) for row in rows] == [{"dag_id": "once", "dates": 2, "series": "manual"}]


async def test_lists_are_paged_newest_first(room: Room, fills: Backfills, doer: Doer) -> None:
    await fresh(room, "listed")
    made = [await fills.create(days(1, "listed", series=f"s{number}")) for number in range(3)]
    for each in made:
        await fills.ended(each.backfill_id)
    assert (await fills.call("ListBackfills", dag_id="listed")).backfills == []
    first = await fills.call("ListBackfills", dag_id="listed", include_ended=True, page_size=2)
    rest = await fills.call(
        "ListBackfills", dag_id="listed", include_ended=True, page_size=2, page_token=first.next_page_token
    )
    found = [*first.backfills, *rest.backfills]
    assert [each.backfill_id for each in found] == [each.backfill_id for each in reversed(made)]
    assert [counted(each) for each in found] == [{"success": 1}] * 3 and not rest.next_page_token
    long = await fills.create(days(3, "listed", series="long"))
    page = await fills.call("ListBackfillDates", backfill_id=long.backfill_id, page_size=2)
    more = await fills.call(
        "ListBackfillDates", backfill_id=long.backfill_id, page_size=2, page_token=page.next_page_token
    )
    assert [each.logical_date for each in (*page.dates, *more.dates)] == [at(FIRST + DAY * n) for n in range(3)]


async def test_a_list_of_dates_needs_no_rule(room: Room, fills: Backfills, doer: Doer) -> None:
    await fresh(room, "by_hand")
    dates = [at(FIRST + DAY * 9), at(FIRST)]
    made = await fills.create({"dag_id": "by_hand", "logical_dates": dates})
    await fills.ended(made.backfill_id)
    assert [each.logical_date for each in await fills.dates(made.backfill_id)] == [dates[1], dates[0]]


async def test_a_date_that_no_version_can_run_is_skipped_and_the_others_go_on(
    room: Room, fills: Backfills, doer: Doer
) -> None:
    """What a chunk finds out only when it makes the runs."""
    await fresh(room, "late_words", params_schema=RATE_SCHEMA)
    made = await fills.create(days(3, "late_words"))
    await fills.ended(made.backfill_id)
    await room.rows(
        "update backfill_run set outcome = 'waiting', dag_run_id = null, start_time = null where backfill_id = $1",
        made.backfill_id,
    )
    await room.rows("delete from dag_run_key where dag_id = 'late_words'")
    wrong = '{"learning_rate": 7}'
    await room.rows(
        "update backfill set params = $2, state = 'running', end_time = null where backfill_id = $1",
        made.backfill_id,
        wrong,
    )
    await fills.ended(made.backfill_id)
    for how, reason, _ in await fills.outcomes(made.backfill_id):
        assert how == "skipped" and "its run cannot be made" in reason and "learning_rate" in reason


async def rounds(room: Room, count: int = 3) -> None:
    """So many further rounds of the pacer."""
    for _ in range(count):
        await room.server.backfill_pacer.once()
