"""Schedules over the wire, on a server whose own loops give ticks their runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.json_format import ParseDict
from runs_room import RATE_SCHEMA, dag, open_room
from schedules_room import SchedulesRoom

from glidepath_proto.schedule.v1 import schedule_pb2

pytestmark = pytest.mark.asyncio(loop_scope="module")
Code = grpc.StatusCode
DAILY = {"cron": "0 2 * * *", "zone": "Asia/Kolkata"}
NIGHTLY = {"schedule_name": "nightly", "spec": DAILY}


def declaration(said: dict[str, Any]) -> schedule_pb2.ScheduleDeclaration:
    return ParseDict(said, schedule_pb2.ScheduleDeclaration())


@pytest_asyncio.fixture(loop_scope="module")
async def room(database_url: str) -> AsyncIterator[SchedulesRoom]:
    async with open_room(database_url) as found:
        made = SchedulesRoom(found)
        await made.be(datetime(2026, 3, 1, 12, tzinfo=UTC))
        await made.register(dag("churn", {"only": []}, params_schema=RATE_SCHEMA), aliases=["production"])
        yield made


async def test_schedule_is_set_read_and_ticks_by_itself(room: SchedulesRoom) -> None:
    made = (await room.ask("SetSchedule", declaration={**NIGHTLY, "params": '{"model": "net"}'})).schedule
    assert made.next_tick_time.ToJsonString() == "2026-03-01T20:30:00Z"
    assert (await room.ask("GetSchedule", schedule_name="nightly")).schedule == made
    assert list((await room.ask("ListSchedules")).schedules) == [made]
    assert await room.ticks() == []
    await room.be(datetime(2026, 3, 1, 20, 30, 1, tzinfo=UTC))
    (tick,) = await room.until_ticked(1)
    assert tick.outcome == schedule_pb2.TICK_OUTCOME_RUN
    run = (await room.call("GetDagRun", dag_run_id=tick.dag_run_id)).dag_run
    assert (run.run_key, run.logical_date) == ("nightly@2026-03-01T20:30:00Z", tick.logical_date)
    assert '"model":"net"' in run.params
    await room.watch(tick.dag_run_id, only="queued")
    # Paused: nothing ticks. Resumed: what was missed is a recorded skip.
    assert (await room.ask("PauseSchedule", schedule_name="nightly")).schedule.paused
    await room.be(datetime(2026, 3, 5, 12, tzinfo=UTC))
    resumed = (await room.ask("ResumeSchedule", schedule_name="nightly")).schedule
    assert not resumed.paused
    states = [each.outcome for each in await room.until_ticked(4)]
    assert states == [schedule_pb2.TICK_OUTCOME_SKIPPED] * 3 + [schedule_pb2.TICK_OUTCOME_RUN]
    first, token = await _page(room, "")
    second, _ = await _page(room, token)
    assert [*first, *second] == (await room.ticks())[:4]
    await room.ask("DeleteSchedule", schedule_name="nightly")
    assert (await room.refused("GetSchedule", schedule_name="nightly"))[0] is Code.NOT_FOUND
    assert len(await room.ticks()) == 4


async def _page(room: SchedulesRoom, token: str) -> tuple[list[schedule_pb2.Tick], str]:
    page = await room.ask("ListTicks", schedule_name="nightly", page_size=2, page_token=token)
    return list(page.ticks), page.next_page_token


async def test_registration_makes_and_removes_the_schedules_that_it_declares(room: SchedulesRoom) -> None:
    await room.ask("SetSchedule", declaration={"schedule_name": "by-hand", "spec": DAILY})
    spec = dag("churn", {"only": []}, params_schema=RATE_SCHEMA)
    declared = [declaration(NIGHTLY), declaration({**NIGHTLY, "schedule_name": "b"})]
    number = await room.register(spec, schedules=declared)
    assert number == 1, "another schedule is no other version"
    names = [each.declaration.schedule_name for each in (await room.ask("ListSchedules")).schedules]
    assert names == ["b", "by-hand", "nightly"]
    code, message = await room.refused("DeleteSchedule", schedule_name="nightly")
    assert (code, "was declared with DAG churn" in message) == (Code.FAILED_PRECONDITION, True)
    code, message = await room.refused("SetSchedule", declaration=NIGHTLY)
    assert code is Code.FAILED_PRECONDITION
    await room.ask("PauseSchedule", schedule_name="nightly")
    await room.register(spec, schedules=declared[:1])
    found = (await room.ask("ListSchedules")).schedules
    assert [(each.declaration.schedule_name, each.paused) for each in found] == [("by-hand", False), ("nightly", True)]
    with pytest.raises(grpc.aio.AioRpcError, match="a name that SetSchedule has not set"):
        await room.register(spec, schedules=[declaration({**NIGHTLY, "schedule_name": "by-hand"})])
    with pytest.raises(grpc.aio.AioRpcError, match=r"schedules\[0\]\.params\.colour"):
        await room.register(spec, schedules=[declaration({**NIGHTLY, "params": '{"colour": 1}'})])


WRONG: list[tuple[str, dict[str, Any], grpc.StatusCode, str]] = [
    ("SetSchedule", {"declaration": {"schedule_name": "a b", "spec": DAILY}}, Code.INVALID_ARGUMENT,
     "declaration.schedule_name: got 'a b', expected 1 to 100 of A-Z a-z 0-9 _ . -, beginning with a letter or digit"),
    ("SetSchedule", {"declaration": {"schedule_name": "n", "spec": DAILY, "alias": "a\0"}}, Code.INVALID_ARGUMENT,
     "declaration.alias: got"),
    ("SetSchedule", {"declaration": {"schedule_name": "n", "spec": {"zone": "UTC"}}}, Code.INVALID_ARGUMENT,
     "declaration.spec.rule: got nothing, expected one of cron, interval, dates, continuous"),
    ("SetSchedule", {"declaration": {"schedule_name": "n", "spec": {"cron": "0 2 * * *"}}}, Code.INVALID_ARGUMENT,
     "declaration.spec.zone: got ''"),
    ("SetSchedule", {"declaration": {"schedule_name": "n", "spec": {**DAILY, "cron": "0 2 * *"}}},
     Code.INVALID_ARGUMENT, "declaration.spec.cron: got '0 2 * *'"),
    ("SetSchedule", {"declaration": {"schedule_name": "n", "spec": {**DAILY, "excluded_dates": ["soon"]}}},
     Code.INVALID_ARGUMENT, "declaration.spec.excluded_dates[0]: got 'soon', expected a date such as 2026-12-25"),
    ("SetSchedule", {"declaration": {"schedule_name": "n", "spec": {**DAILY, "catchup": 9}}}, Code.INVALID_ARGUMENT,
     "declaration.spec.catchup: got 9, expected one of none, latest, all, last_n, within"),
    ("SetSchedule", {"declaration": {"schedule_name": "n", "spec": {"interval": {"every": "0.5s"}, "zone": "UTC"}}},
     Code.INVALID_ARGUMENT, "declaration.spec.interval.every: got 0.5 s"),
    ("SetSchedule", {"declaration": {**NIGHTLY, "params": '{"learning_rate": 2}'}}, Code.INVALID_ARGUMENT,
     "declaration.params.learning_rate: got 2"),
    ("SetSchedule", {"declaration": {**NIGHTLY, "alias": "gone"}}, Code.NOT_FOUND,
     "declaration.alias: DAG churn has no alias 'gone'"),
    ("SetSchedule", {"dag_id": "chrun", "declaration": NIGHTLY}, Code.NOT_FOUND, "there is no DAG 'chrun'"),
    ("GetSchedule", {"schedule_name": ""}, Code.NOT_FOUND, "DAG 'churn' has no schedule ''"),
    ("PauseSchedule", {"schedule_name": "x"}, Code.NOT_FOUND, "DAG 'churn' has no schedule 'x'"),
    ("ResumeSchedule", {"schedule_name": "x"}, Code.NOT_FOUND, "DAG 'churn' has no schedule 'x'"),
    ("DeleteSchedule", {"dag_id": "chrun", "schedule_name": "x"}, Code.NOT_FOUND, "there is no DAG 'chrun'"),
    ("ListTicks", {"schedule_name": "x"}, Code.NOT_FOUND, "DAG 'churn' has no schedule 'x'"),
    ("ListSchedules", {"page_size": 501}, Code.INVALID_ARGUMENT, "page_size: got 501"),
]  # fmt: skip


async def test_wrong_calls_say_what_was_expected_and_store_nothing(room: SchedulesRoom) -> None:
    for method, fields, code, message in WRONG:
        answer = await room.refused(method, **fields)
        assert (answer[0], answer[1][: len(message)]) == (code, message), (method, fields)
    assert await room.rows("select * from schedule") == []


async def test_every_policy_of_the_wire_is_stored_and_told_again(room: SchedulesRoom) -> None:
    full = {
        **DAILY,
        "dst_gap": "DST_GAP_SKIP",
        "dst_overlap": "DST_OVERLAP_BOTH",
        "start_time": "2026-04-01T00:00:00Z",
        "end_time": "2027-04-01T00:00:00Z",
        "runs_max": 9,
        "jitter": "300s",
        "excluded_dates": ["2026-12-25"],
        "excluded_weekdays": [5, 6],
        "data_interval": "DATA_INTERVAL_BEFORE",
        "catchup": "CATCHUP_LAST_N",
        "catchup_runs": 4,
        "overlap": "OVERLAP_ALLOW",
        "overlap_runs": 3,
    }
    made = (await room.ask("SetSchedule", declaration={**NIGHTLY, "spec": full, "alias": "production"})).schedule
    assert made.declaration == declaration({**NIGHTLY, "spec": full, "alias": "production"})
    for rule in (
        {"interval": {"every": "900s", "anchor_time": "2026-01-01T00:00:00Z"}},
        {"dates": {"tick_time": ["2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z"]}},
        {"continuous": {"pause": "5s"}},
    ):
        made = (await room.ask("SetSchedule", declaration={**NIGHTLY, "spec": {**rule, "zone": "UTC"}})).schedule
        spec = ParseDict({**rule, "zone": "UTC"}, schedule_pb2.ScheduleSpec())
        assert getattr(made.declaration.spec, next(iter(rule))) == getattr(spec, next(iter(rule)))
