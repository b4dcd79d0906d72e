"""Facts become alerts, alerts are sent: each once it must be, in order, and nothing is lost on the way."""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from alert_room import GROUP_SECONDS, OK, AlertRoom
from step_room import SOON_SECONDS, StepRoom

from glidepath_server import crash_points
from glidepath_server.core.alerts import Refused, Route, Sent, Terms
from glidepath_server.core.errors import InvalidInput, StateConflict
from glidepath_server.core.facts import FactKind
from glidepath_server.loops import alert_sender
from glidepath_server.loops.pruner import prune_alerts, prune_facts
from glidepath_server.operations.alerts import resend_alerts
from glidepath_server.operations.deliver_alerts import claim_alerts, settle_alert
from glidepath_server.operations.route_facts import route_facts
from glidepath_server.plugin_host.frames import BadFrame
from glidepath_server.plugin_host.host import PluginFault, PluginUnavailable
from tests.full_disk import full_disk

LATER = {"retry_later": "busy", "after": None}
TERMS = Terms(25, 86_400.0)


@pytest_asyncio.fixture
async def alerts(room: StepRoom) -> AlertRoom:
    found = AlertRoom(room)
    await found.channel()
    await found.route()
    return found


# ---- routing
async def test_facts_of_one_run_are_one_alert_in_their_order_once_its_time_is_over(alerts: AlertRoom) -> None:
    run, other = uuid.uuid4(), uuid.uuid4()
    for number in range(3):
        await alerts.fact(f"one {number}", run)
    await alerts.fact("another", other)
    await alerts.go()
    assert alerts.host.sent == []
    await alerts.later(2)
    await alerts.fact("one 3", run)
    await alerts.go()
    await alerts.later(4)
    await alerts.fact("one 4", run)
    await alerts.go()
    assert sorted(alerts.host.told_of()) == [["another"], ["one 0", "one 1", "one 2", "one 3"]]
    await alerts.later(6)
    await alerts.go()
    assert alerts.host.told_of()[2:] == [["one 4"]]
    ids = [alert["alert_id"] for alert in alerts.host.sent]
    assert len(set(ids)) == 3


async def test_facts_join_no_alert_whose_time_is_over(alerts: AlertRoom) -> None:
    """It may be on its way already, to whoever has claimed it a moment ago."""
    run = uuid.uuid4()
    await alerts.fact("first", run)
    await alerts.sender._route()
    await alerts.later(6)
    await alerts.fact("second", run)
    await alerts.sender._route()
    assert len(await alerts.deliveries()) == 2


async def test_a_fact_goes_to_each_channel_once_and_only_where_its_kind_and_dag_are_wanted(alerts: AlertRoom) -> None:
    await alerts.channel("pager")
    await alerts.channel("late")
    await alerts.route("run_failed", name="again")
    await alerts.route("run_failed", dag_id="dag", name="mine", channel="pager")
    await alerts.route("missed", name="late", channel="late")
    await alerts.fact("failed", uuid.uuid4())
    await alerts.fact("failed elsewhere", uuid.uuid4(), dag_id="other")
    await alerts.go()
    await alerts.later(6)
    await alerts.go()
    told = sorted((alert["channel"], alert["dag_id"]) for alert in alerts.host.sent)
    assert told == [("ops", "dag"), ("ops", "other"), ("pager", "dag")]


async def test_what_a_dag_declares_is_a_route_of_its_runs_and_of_what_has_no_run(alerts: AlertRoom) -> None:
    await alerts.room.watcher.execute("delete from alert_route")
    await alerts.room.store_dag(1, alerts=(Route(("run_failed", "missed"), "ops"),))
    await alerts.fact("of a run", await alerts.room.create_run(1))
    await alerts.fact("of none", kind=FactKind.MISSED)
    await alerts.fact("not wanted", kind=FactKind.AT_RISK)
    await alerts.go()
    await alerts.later(6)
    await alerts.go()
    assert sorted(alerts.host.told_of()) == [["of a run"], ["of none"]]


async def test_runs_of_a_large_dag_that_fail_together_are_told_of_at_once(alerts: AlertRoom) -> None:
    """Its version was read for each of them: of hundreds, for longer than a statement may take, so nothing went out."""
    await alerts.room.watcher.execute("delete from alert_route")
    await alerts.room.store_dag(1, alerts=(Route(("run_failed",), "ops"),))
    runs = [await alerts.room.create_run(number) for number in range(20)]
    for run in runs:
        await alerts.fact("failed", run)
    await alerts.room.watcher.execute(
        """update dag_version set spec = (
               select split_part(spec, ',"tasks":[', 1) || ',"tasks":[' || string_agg(
                   format('{"inputs":{"text":{"literal":{"json":"1"}}},"policy":{"a":1},"task_id":"t%s"}', g), ',')
               || ']}' from generate_series(1, 40000) g)"""
    )
    async with asyncio.timeout(2):
        await alerts.go()
    assert len(await alerts.deliveries()) == len(runs)


async def test_more_facts_than_an_alert_holds_are_two_alerts_in_order(alerts: AlertRoom) -> None:
    run = uuid.uuid4()
    for number in range(103):
        await alerts.fact(f"{number}", run)
    await alerts.go()
    await alerts.later(6)
    await alerts.go()
    told = alerts.host.told_of()
    assert [len(each) for each in told] == [100, 3]
    assert [fact for each in told for fact in each] == [f"{number}" for number in range(103)]


async def test_facts_of_more_bytes_than_a_plugin_is_given_at_once_are_more_alerts(alerts: AlertRoom) -> None:
    run = uuid.uuid4()
    for round_number in range(2):
        for _ in range(12):
            await alerts.fact(f"{round_number}" * 60_000, run)
        await alerts.go()
    await alerts.later(6)
    await alerts.go()
    assert [len(each) for each in alerts.host.told_of()] == [8, 8, 8]


async def test_an_alert_that_no_plugin_can_be_given_is_dead_and_the_next_goes_on(alerts: AlertRoom) -> None:
    alerts.host.answers = deque([BadFrame("a message of 2 bytes, at most 1"), OK])
    run = uuid.uuid4()
    for _ in range(2):
        await alerts.fact("failed", run)
        await alerts.go()
        await alerts.later(6)
    await alerts.go()
    reason = "it cannot be given to its plugin: a message of 2 bytes, at most 1"
    assert await alerts.deliveries() == [("dead", reason), ("delivered", "")]


async def test_what_nobody_wants_is_passed_over_and_forgotten_after_its_retention(alerts: AlertRoom) -> None:
    await alerts.room.watcher.execute("delete from alert_route")
    await alerts.fact("unheard")
    await alerts.go()
    assert await alerts.deliveries() == []
    await alerts.later(8 * 86_400)
    await alerts.fact("not routed yet")
    await alerts.later(8 * 86_400)
    assert await prune_facts(alerts.room.database, 7, 100) == 1
    assert await alerts.room.watcher.fetchval("select body from outbox") == '{"summary":"not routed yet"}'


async def test_a_fact_of_an_older_transaction_is_not_passed_by(alerts: AlertRoom, database_url: str) -> None:
    """Its id and its place in the order are lower than those of one that is committed first."""
    older = await asyncpg.connect(database_url)
    transaction = older.transaction()
    await transaction.start()
    await alerts.fact("older", connection=older)
    await alerts.fact("younger")
    assert await alerts.sender.once() is not None
    assert await alerts.deliveries() == []
    await transaction.commit()
    await older.close()
    await alerts.go()
    await alerts.later(6)
    await alerts.go()
    assert alerts.host.told_of() == [["older", "younger"]]


async def test_the_order_of_transactions_is_that_of_numbers(alerts: AlertRoom) -> None:
    """As text 10 comes before 9, and the reader would stop before a fact that it has routed."""
    run = uuid.uuid4()
    for transaction in ("9", "10"):
        await alerts.fact(f"by {transaction}", run)
        await alerts.room.watcher.execute(
            "update outbox set written = $1::text::xid8 where fact_id = (select max(fact_id) from outbox)", transaction
        )
    await alerts.go()
    await alerts.later(6)
    await alerts.go()
    assert alerts.host.told_of() == [["by 9", "by 10"]]
    assert await alerts.room.watcher.fetchval("select written::text from outbox_reader") == "10"


async def test_two_replicas_route_each_fact_once(alerts: AlertRoom) -> None:
    for number in range(20):
        await alerts.fact(f"{number}", uuid.uuid4())
    async with alerts.room.database.api.acquire() as one, alerts.room.database.api.acquire() as two:
        transactions = [one.transaction(), two.transaction()]
        for each in transactions:
            await each.start()
        assert [await route_facts(one, 5), await route_facts(two, 5)] == [20, 0]
        for each in transactions:
            await each.commit()
    assert len(await alerts.deliveries()) == 20


async def test_what_was_not_routed_before_a_dump_is_routed_once_where_it_is_restored(alerts: AlertRoom) -> None:
    """Another cluster's transactions have other numbers: there, the reader is ahead of all that comes."""
    for summary in ("before", "not routed"):
        await alerts.fact(summary, uuid.uuid4())
        if summary == "before":
            await alerts.go()
    for table in ("outbox", "outbox_reader"):
        await alerts.room.watcher.execute(f"update {table} set written = (written::text::bigint + 1000000)::text::xid8")
    await alerts.fact("after", uuid.uuid4())
    await alerts.go()
    await alerts.later(6)
    await alerts.go()
    assert sorted(alerts.host.told_of()) == [["after"], ["before"], ["not routed"]]
    await alerts.fact("later", uuid.uuid4())
    await alerts.go()
    await alerts.later(6)
    await alerts.go()
    assert alerts.host.told_of()[3:] == [["later"]]


# ---- delivering
async def test_a_channel_that_fails_for_half_an_hour_gets_all_of_it_in_order(alerts: AlertRoom) -> None:
    runs = [uuid.uuid4() for _ in range(3)]
    alerts.host.answers = deque([LATER])
    for minute in range(30):
        if minute % 5 == 0:
            for place, run in enumerate(runs):
                await alerts.fact(f"{place} at {minute}", run)
        await alerts.go()
        await alerts.later(60)
    assert {state for state, _ in await alerts.deliveries()} <= {"pending", "retrying"}
    alerts.host.answers = deque([OK])
    alerts.host.sent.clear()
    for _ in range(60):
        await alerts.go()
        await alerts.later(60)
    assert set(await alerts.deliveries()) == {("delivered", "")}
    for place in range(3):
        told = [fact for each in alerts.host.told_of() for fact in each if fact.startswith(f"{place} ")]
        assert told == [f"{place} at {minute}" for minute in range(0, 30, 5)]


async def test_a_receiver_is_left_alone_for_as_long_as_it_asks(alerts: AlertRoom) -> None:
    alerts.host.answers = deque([{"retry_later": "429", "after": 900.0}, OK])
    await alerts.fact("failed")
    await alerts.go()
    await alerts.later(6)
    await alerts.go()
    await alerts.later(890)
    await alerts.go()
    assert (await alerts.deliveries(), len(alerts.host.sent)) == ([("retrying", "429")], 1)
    await alerts.later(20)
    await alerts.go()
    assert (await alerts.deliveries(), len(alerts.host.sent)) == ([("delivered", "")], 2)
    assert alerts.tries == [("webhook", "retried"), ("webhook", "delivered")]
    assert len({alert["alert_id"] for alert in alerts.host.sent}) == 1


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (LATER, "given up after 25 tries: busy"),
        (PluginFault("it raised"), "given up after 25 tries: it raised"),
        (PluginUnavailable("disabled"), "given up after 25 tries: disabled"),
        ({"retry_later": "busy", "after": 80_000.0}, "given up after 86400 s: busy"),
        ({"rejected": "unwanted"}, "unwanted"),
    ],
)
async def test_what_is_never_taken_is_dead_and_the_next_goes_on(alerts: AlertRoom, answer: Any, says: str) -> None:
    alerts.host.answers = deque([answer])
    run = uuid.uuid4()
    await alerts.fact("first", run)
    await alerts.go()
    await alerts.later(6)
    await alerts.fact("second", run)
    await alerts.sender._route()
    while (await alerts.deliveries())[0][0] != "dead":
        await alerts.sender.once()
        await asyncio.gather(*alerts.sender._sending)
        await alerts.later(700)
    assert (await alerts.deliveries())[0] == ("dead", says)
    alerts.host.answers = deque([OK])
    await alerts.later(90_000)
    await alerts.go()
    assert (await alerts.deliveries())[1] == ("delivered", "")


async def test_a_channel_that_is_not_there_makes_a_dead_alert_that_can_be_resent(alerts: AlertRoom) -> None:
    await alerts.route(name="lost", channel="pager")
    await alerts.fact("failed")
    await alerts.go()
    await alerts.later(6)
    await alerts.go()
    assert ("dead", "there is no channel 'pager'") in await alerts.deliveries()
    await alerts.channel("pager")
    async with alerts.room.database.api.acquire() as connection:
        assert (
            len(await resend_alerts(connection, namespace="default", alert_ids=[], channel_name="pager", actor="me"))
            == 1
        )
    await alerts.go()
    assert {state for state, _ in await alerts.deliveries()} == {"delivered"}
    assert sorted(alert["channel"] for alert in alerts.host.sent) == ["ops", "pager"]


async def test_a_resent_alert_has_all_its_tries_again(alerts: AlertRoom) -> None:
    alerts.host.answers = deque([{"rejected": "unwanted"}, LATER, OK])
    await alerts.fact("failed")
    await alerts.go()
    await alerts.later(6)
    await alerts.go()
    await alerts.room.watcher.execute("update alert_delivery set attempt_count = 25")
    (alert_id,) = [row["alert_id"] for row in await alerts.room.watcher.fetch("select alert_id from alert_delivery")]
    await resend_alerts(alerts.room.watcher, namespace="default", alert_ids=[alert_id], channel_name="", actor="me")
    for _ in range(2):
        await alerts.go()
        await alerts.later(60)
    assert await alerts.deliveries() == [("delivered", "")]
    with pytest.raises(StateConflict, match="1 of 1 alerts are not dead"):
        await resend_alerts(alerts.room.watcher, namespace="default", alert_ids=[alert_id], channel_name="", actor="me")
    with pytest.raises(InvalidInput, match="alert_ids"):
        await resend_alerts(alerts.room.watcher, namespace="default", alert_ids=[], channel_name="", actor="me")


async def test_the_word_of_a_try_counts_while_no_later_one_has_begun(alerts: AlertRoom) -> None:
    await alerts.fact("failed")
    await alerts.go()
    await alerts.later(6)
    async with alerts.room.database.api.acquire() as connection:
        (first,) = await claim_alerts(connection, ("default", "ops"), 4, 60)
        assert await claim_alerts(connection, ("default", "ops"), 4, 60) == []
        await alerts.later(61)
        (second,) = await claim_alerts(connection, ("default", "ops"), 4, 60)
        assert not await settle_alert(connection, first, Refused("too late"), TERMS)
        assert await settle_alert(connection, second, Sent("yes"), TERMS)
        assert not await settle_alert(connection, second, Refused("twice"), TERMS)
    assert await alerts.deliveries() == [("delivered", "")]


async def test_a_channel_that_hangs_holds_its_own_places_alone(alerts: AlertRoom) -> None:
    await alerts.channel("pager")
    for number in range(10):
        await alerts.fact(f"{number}", uuid.uuid4())
    await alerts.go()
    await alerts.later(6)
    alerts.host.hold = asyncio.Event()
    for _ in range(3):
        await alerts.sender.once()
        await asyncio.sleep(0)
    assert len(alerts.host.sent) == 4
    hanging, alerts.host.hold = alerts.host.hold, None
    await alerts.route(channel="pager")
    await alerts.fact("urgent", uuid.uuid4())
    await alerts.sender.once()
    await alerts.later(6)
    await alerts.sender.once()
    async with asyncio.timeout(SOON_SECONDS):
        while ["urgent"] not in alerts.host.told_of():
            await asyncio.sleep(0)
    hanging.set()
    await alerts.go()
    assert set(await alerts.deliveries()) == {("delivered", "")}


async def test_channels_that_cannot_send_leave_their_turn_to_others(
    alerts: AlertRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one the first alert is put off and a second is behind it; later it has no place."""
    monkeypatch.setattr(alert_sender, "CHANNELS_AT_ONCE", 1)
    await alerts.channel("pager")
    run = uuid.uuid4()
    alerts.host.answers = deque([LATER])
    await alerts.fact("first", run)
    await alerts.go()
    await alerts.later(6)
    await alerts.fact("second", run)
    await alerts.go()
    assert await alerts.deliveries() == [("retrying", "busy"), ("pending", "")]
    await alerts.later(5)
    await alerts.route(channel="pager")
    alerts.host.answers = deque([OK])
    await alerts.fact("third", uuid.uuid4())
    await alerts.sender.once()
    await alerts.room.watcher.execute(
        "update alert_delivery set next_attempt_time = glidepath_now() + '1 hour' where alert_number = 1"
    )
    await alerts.later(12)
    await alerts.sender.once()
    await asyncio.gather(*alerts.sender._sending)
    assert alerts.host.told_of()[-1] == ["third"]
    alerts.sender._places["default", "ops"] = alert_sender.PLACES_PER_CHANNEL
    await alerts.later(3601)
    await alerts.fact("fourth", uuid.uuid4())
    await alerts.sender.once()
    await alerts.later(6)
    await alerts.sender.once()
    await asyncio.gather(*alerts.sender._sending)
    assert alerts.host.told_of()[-1] == ["fourth"]


@pytest.mark.parametrize("place", ["alert_routing", "alert_claim", "alert_settle"])
@pytest.mark.parametrize("when", ["before_commit", "after_commit"])
async def test_a_lost_backend_loses_no_fact_and_doubles_none(
    alerts: AlertRoom, monkeypatch: pytest.MonkeyPatch, place: str, when: str
) -> None:
    monkeypatch.setattr(crash_points, "armed", crash_points.parse(f"{place}.{when}=fail"))
    monkeypatch.setattr(alert_sender, "SETTLE_PAUSE_SECONDS", 0.0)
    for number in range(3):
        await alerts.fact(f"{number}", uuid.uuid4())
    failed = 0
    for _ in range(4):
        try:
            await alerts.go()
        except ConnectionError:
            failed += 1
        await alerts.later(200)
    assert failed == (place != "alert_settle")
    assert await alerts.deliveries() == [("delivered", "")] * 3
    assert {each[0] for each in alerts.host.told_of()} == {"0", "1", "2"}
    if place == "alert_settle":
        assert len(alerts.host.sent) == 3, (
            "what a channel has taken is not sent again because that could not be written"
        )
    await alerts.later(31 * 86_400)
    assert await prune_alerts(alerts.room.database, 30, 2) == 2
    assert await prune_alerts(alerts.room.database, 30, 2) == 1
    assert await alerts.room.watcher.fetchval("select count(*) from alert_fact") == 0


@pytest.mark.parametrize("table", ["alert_delivery", "alert_fact"])
async def test_a_full_disk_delays_alerts_and_loses_none(alerts: AlertRoom, table: str) -> None:
    for number in range(3):
        await alerts.fact(f"{number}", uuid.uuid4())
    async with full_disk(alerts.room.watcher, table):
        with pytest.raises(asyncpg.DiskFullError):
            await alerts.go()
    await alerts.go()
    await alerts.later(GROUP_SECONDS + 1)
    await alerts.go()
    assert sorted(each[0] for each in alerts.host.told_of()) == ["0", "1", "2"]


async def test_a_plugin_that_is_given_up_is_an_incident_of_who_uses_it(alerts: AlertRoom) -> None:
    alerts.host.disabled = [("webhook", "it raised")]
    await alerts.go()
    await alerts.later(6)
    await alerts.go()
    (row,) = await alerts.room.watcher.fetch("select namespace, kind, message from incident")
    assert (row["namespace"], row["kind"]) == ("default", "plugin_disabled") and "it raised" in row["message"]
    assert [alert["facts"][0]["kind"] for alert in alerts.host.sent] == ["incident"]
