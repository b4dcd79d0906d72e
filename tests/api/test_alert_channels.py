"""Alerts over the wire: channels, routes, tests, what a failed run sends by a real plugin to a real receiver."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from runs_room import CHAIN, Hand, Room, dag, open_room
from serving import until

from glidepath_proto.admin.v1 import alert_service_pb2 as pb
from glidepath_proto.admin.v1 import alert_service_pb2_grpc
from glidepath_proto.registry.v1 import dag_pb2
from glidepath_server.core.states import AttemptState
from glidepath_server.operations import alert_channels as operation

sys.path.append(str(Path(__file__).resolve().parents[1] / "plugins"))
from receivers import KEY, Receiver, http_receiver

pytestmark = pytest.mark.asyncio
Code = grpc.StatusCode


class AlertsRoom(Room):
    """A room with the service of alerts."""

    def __init__(self, room: Room) -> None:
        self.__dict__.update(room.__dict__)
        self.alerts: Any = alert_service_pb2_grpc.AlertServiceStub(self.api_channel)

    async def ask(self, method: str, **fields: Any) -> Any:
        request = getattr(pb, f"{method}Request")(**fields)
        return await getattr(self.alerts, method)(request, metadata=self.metadata)

    async def refused(self, method: str, **fields: Any) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.ask(method, **fields)
        return caught.value.code(), caught.value.details() or ""

    async def set_channel(self, receiver: Receiver, path: str = "/", **more: str) -> pb.AlertChannel:
        config = receiver.config(path, **more)
        answer = await self.ask("SetAlertChannel", channel_name="ops", plugin_name="webhook", config=config)
        channel: pb.AlertChannel = answer.channel
        return channel

    async def listed(self) -> list[pb.Alert]:
        return list((await self.ask("ListAlerts")).alerts)

    async def until_state(self, state: Any) -> pb.Alert:
        async def so() -> bool:
            return [each.state for each in await self.listed()] == [state]

        await until(so, 20)
        return (await self.listed())[0]


@pytest_asyncio.fixture
async def room(database_url: str) -> AsyncIterator[AlertsRoom]:
    async with open_room(database_url, alert_group_seconds=0.0, poll_interval_seconds=0.05) as found:
        yield AlertsRoom(found)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_receiver() as found:
        yield found


async def fail_a_run(room: AlertsRoom, **fields: Any) -> str:
    await room.register(dag("training", CHAIN, **fields))
    hand = Hand(room.server, 2)
    await hand.connect()
    run_id = await room.start("training")
    await hand.end("load", AttemptState.FAILED, message="no such column: rate")
    return run_id


async def test_a_failed_run_reaches_the_receiver_that_its_dag_names(room: AlertsRoom, receiver: Receiver) -> None:
    channel = await room.set_channel(receiver)
    assert dict(channel.config) == {"url": receiver.url(), "secret": "***", "allow_private": "true"}
    tested = await room.ask("TestAlertChannel", channel_name="ops")
    assert (tested.error, tested.delivery_id) == ("", tested.alert_id)
    run_id = await fail_a_run(room, alerts=[dag_pb2.AlertRoute(on=["run_failed"], channel="ops")])
    alert = await room.until_state(pb.Alert.STATE_DELIVERED)
    test, sent = receiver.alerts
    assert (test["is_test"], sent["is_test"], sent["dag_run_id"]) == (True, False, run_id)
    assert sent["facts"][0]["details"]["tasks_failed"][0]["reason"] == "ValueError: no such column: rate"
    assert sent["title"] == "[glidepath] training has failed: load (ValueError: no such column: rate)"
    assert (alert.alert_id, alert.dag_run_id, alert.attempt_count) == (sent["alert_id"], run_id, 1)
    assert alert.facts[0].summary in sent["title"]
    assert not (await room.ask("ListAlerts", channel_name="other")).alerts


async def test_what_is_refused_is_dead_and_is_resent_once_the_channel_is_mended(
    room: AlertsRoom, receiver: Receiver
) -> None:
    receiver.answers["/gone"] = (410, {})
    await room.set_channel(receiver, "/gone")
    await room.ask("SetAlertRoute", route_name="all", kinds=["run_failed"], channel_name="ops", dag_id="training")
    await fail_a_run(room)
    dead = await room.until_state(pb.Alert.STATE_DEAD)
    assert dead.last_error.startswith("answered 410")
    await room.set_channel(receiver)
    assert (await room.ask("ResendAlerts", alert_ids=[dead.alert_id])).alert_ids == [dead.alert_id]
    delivered = await room.until_state(pb.Alert.STATE_DELIVERED)
    assert delivered.attempt_count == 2
    assert [headers["webhook-id"] for _, headers, _ in receiver.got] == [dead.alert_id] * 2
    code, text = await room.refused("ResendAlerts", alert_ids=[dead.alert_id])
    assert code is Code.FAILED_PRECONDITION and "1 of 1 alerts are not dead" in text


async def test_a_secret_given_as_it_is_shown_stays_and_goes_to_nobody_else(
    room: AlertsRoom, receiver: Receiver
) -> None:
    """Who may set a channel, and was never told its secret, must not have it sent to a server of his own."""
    await room.set_channel(receiver)
    shown = receiver.config() | {"secret": "***"}
    elsewhere = shown | {"url": receiver.url("/elsewhere")}
    for config in (elsewhere, shown | {"timeout_seconds": "5"}, {"url": shown["url"], "secret": "***"}):
        code, text = await room.refused("SetAlertChannel", channel_name="ops", plugin_name="webhook", config=config)
        assert code is Code.INVALID_ARGUMENT and "config.secret: got ***" in text and "the secret itself" in text
    await room.ask("SetAlertChannel", channel_name="ops", plugin_name="webhook", config=shown)
    (stored,) = await room.rows("select config from alert_channel")
    assert KEY in stored["config"] and "elsewhere" not in stored["config"]
    await room.ask("SetAlertChannel", channel_name="ops", plugin_name="webhook", config=elsewhere | {"secret": KEY})


async def test_a_configuration_that_no_plugin_can_be_given_is_refused(room: AlertsRoom, receiver: Receiver) -> None:
    config = receiver.config() | {f"option{number}": "\N{PILE OF POO}" * 8_192 for number in range(4)}
    code, text = await room.refused("SetAlertChannel", channel_name="ops", plugin_name="webhook", config=config)
    assert code is Code.INVALID_ARGUMENT and "config: got" in text and "at most 262144" in text


async def test_a_secret_is_seen_nowhere_again(room: AlertsRoom, receiver: Receiver) -> None:
    await room.set_channel(receiver)
    found = str(await room.ask("ListAlertChannels")) + str(await room.rows("select * from audit_event"))
    assert KEY not in found and KEY[6:] not in found and "***" in found
    code, text = await room.refused(
        "SetAlertChannel", channel_name="ops", plugin_name="webhook", config=receiver.config() | {"secret": "whsec_x"}
    )
    assert code is Code.INVALID_ARGUMENT and "whsec_x" not in text


async def test_a_full_namespace_takes_another_route_no_more_and_one_that_it_has_anew(
    room: AlertsRoom, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operation, "ROUTES_PER_NAMESPACE_MAX", 1)
    await room.set_channel(receiver)
    route = {"channel_name": "ops", "route_name": "all"}
    await room.ask("SetAlertRoute", kinds=["missed"], **route)
    await room.ask("SetAlertRoute", kinds=["run_failed"], **route)
    assert [list(each.kinds) for each in (await room.ask("ListAlertRoutes")).routes] == [["run_failed"]]
    code, said = await room.refused("SetAlertRoute", kinds=["missed"], **{**route, "route_name": "other"})
    assert code == Code.RESOURCE_EXHAUSTED and "has 1 routes" in said


async def test_a_channel_with_a_route_stays_and_goes_once_that_is_gone(room: AlertsRoom, receiver: Receiver) -> None:
    await room.set_channel(receiver)
    await room.ask("SetAlertRoute", route_name="all", kinds=["missed", "at_risk"], channel_name="ops")
    (route,) = (await room.ask("ListAlertRoutes")).routes
    assert (route.route_name, list(route.kinds), route.dag_id) == ("all", ["missed", "at_risk"], "")
    code, text = await room.refused("DeleteAlertChannel", channel_name="ops")
    assert code is Code.FAILED_PRECONDITION and "named by route all" in text
    for _ in range(2):
        await room.ask("DeleteAlertRoute", route_name="all")
        await room.ask("DeleteAlertChannel", channel_name="ops")
    assert not (await room.ask("ListAlertChannels")).channels
    actions = [row["action"] for row in await room.rows("select action from audit_event order by audit_event_id")]
    assert [each for each in actions if each.startswith("alert_")] == [
        "alert_channel.set",
        "alert_route.set",
        "alert_route.delete",
        "alert_channel.delete",
    ]


@pytest.mark.parametrize(
    ("method", "fields", "code", "says"),
    [
        (
            "SetAlertChannel",
            {"channel_name": "Ops", "plugin_name": "webhook"},
            Code.INVALID_ARGUMENT,
            "channel_name: got 'Ops'",
        ),
        ("SetAlertChannel", {"channel_name": "ops", "plugin_name": "pager"}, Code.NOT_FOUND, "no plugin 'pager'"),
        (
            "SetAlertChannel",
            {"channel_name": "ops", "plugin_name": "webhook", "config": {"url": "x", "colour": "red"}},
            Code.INVALID_ARGUMENT,
            "config.colour: got not an option",
        ),
        (
            "SetAlertChannel",
            {"channel_name": "ops", "plugin_name": "webhook", "config": {"url": "x" * 8193}},
            Code.INVALID_ARGUMENT,
            "config.url: got 8193 characters, expected at most 8192",
        ),
        ("TestAlertChannel", {"channel_name": "none"}, Code.NOT_FOUND, "there is no channel 'none'"),
        (
            "SetAlertRoute",
            {"route_name": "all", "kinds": ["failed", "missed", "missed"], "channel_name": "none"},
            Code.INVALID_ARGUMENT,
            "kinds[0]: got 'failed', expected one of run_failed, run_recovered",
        ),
        ("SetAlertRoute", {"route_name": "all", "channel_name": "none"}, Code.INVALID_ARGUMENT, "kinds: got nothing"),
        (
            "SetAlertRoute",
            {"route_name": "all", "kinds": ["missed"], "channel_name": "none"},
            Code.NOT_FOUND,
            "there is no channel 'none'",
        ),
        ("ListAlerts", {"states": [0]}, Code.INVALID_ARGUMENT, "states[0]: got 0"),
        ("ListAlerts", {"dag_run_id": "x"}, Code.INVALID_ARGUMENT, "dag_run_id: got 'x'"),
        ("ResendAlerts", {}, Code.INVALID_ARGUMENT, "alert_ids: got 0 ids, channel ''"),
        ("ResendAlerts", {"channel_name": "typo"}, Code.NOT_FOUND, "there is no channel 'typo'"),
        ("ResendAlerts", {"alert_ids": ["x"]}, Code.INVALID_ARGUMENT, "alert_ids[0]: got 'x'"),
    ],
)
async def test_a_wrong_call_names_its_field(
    room: AlertsRoom, method: str, fields: dict[str, Any], code: grpc.StatusCode, says: str
) -> None:
    found, text = await room.refused(method, **fields)
    assert (found, says in text) == (code, True), text
    for table in ("alert_channel", "alert_route", "alert_delivery"):
        assert await room.rows(f"select * from {table}") == []
    assert await room.rows("select * from audit_event where action like 'alert%'") == []


async def test_a_dag_with_a_wrong_alert_is_refused_by_its_field(room: AlertsRoom) -> None:
    for on, channel, says in [
        (["run_faild"], "ops", "alerts[0].on[0]: got 'run_faild'"),
        (["missed", "missed"], "ops", "alerts[0].on: got missed, missed, expected each kind once"),
        (["missed"], "Ops!", "alerts[0].channel: got 'Ops!'"),
    ]:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await room.register(dag("training", CHAIN, alerts=[dag_pb2.AlertRoute(on=on, channel=channel)]))
        assert says in (caught.value.details() or "")
    many = [dag_pb2.AlertRoute(on=["missed"], channel="ops")] * 21
    with pytest.raises(grpc.aio.AioRpcError, match="alerts: got 21 routes, expected at most 20"):
        await room.register(dag("training", CHAIN, alerts=many))


async def test_plugins_are_listed_with_what_they_take(room: AlertsRoom) -> None:
    found = {each.plugin_name: each for each in (await room.ask("ListPlugins")).plugins}
    assert (found["webhook"].state, found["webhook"].api_first) == ("running", 1)
    (channel,) = found["email"].channels
    options = {each.option_name: each for each in channel.options}
    assert (options["security"].choices, options["security"].default) == (["starttls", "tls", "none"], "starttls")
    assert options["password"].secret and not options["host"].HasField("default")
