"""Alerts, channels, routes and plugins as the wire has them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from glidepath_proto.admin.v1 import alert_service_pb2 as pb

from ..core.alerts import DeliveryState, NotNow, Refused, Sent
from ..operations.alert_channels import masked
from ..operations.alerts import AlertSeen
from ..operations.deliver_alerts import Outcome
from ..plugin_host.host import Channel as PluginChannel
from ..plugin_host.host import PluginState
from ..store.alerts import Channel, Row
from .convert_common import invalid, to_timestamp

_STATES: dict[DeliveryState, Any] = {state: pb.Alert.State.Value(f"STATE_{state.name}") for state in DeliveryState}
_NAMES = {number: state.value for state, number in _STATES.items()}
# Of what a channel said, how much is answered.
ERROR_CHARACTERS_MAX = 1_000


def states_in(states: Iterable[int]) -> list[str] | None:
    """None for all. Raises InvalidInput."""
    found = list(states)
    for place, state in enumerate(found):
        if state not in _NAMES:
            raise invalid(f"states[{place}]", str(state), "a state of an alert, but STATE_UNSPECIFIED")
    return sorted({_NAMES[state] for state in found}) or None


def channel_out(channel: Channel) -> pb.AlertChannel:
    return pb.AlertChannel(
        namespace=channel.namespace,
        channel_name=channel.channel_name,
        plugin_name=channel.plugin,
        config=masked(channel),
        update_time=to_timestamp(channel.update_time),
        updated_by=channel.updated_by,
    )


def route_out(row: Row) -> pb.AlertRoute:
    return pb.AlertRoute(
        namespace=row["namespace"],
        route_name=row["route_name"],
        kinds=row["kinds"],
        dag_id=row["dag_id"],
        channel_name=row["channel_name"],
        update_time=to_timestamp(row["update_time"]),
        updated_by=row["updated_by"],
    )


def alert_out(seen: AlertSeen) -> pb.Alert:
    row, open_ = seen.row, seen.row["end_time"] is None
    return pb.Alert(
        alert_id=str(row["alert_id"]),
        channel_name=row["channel_name"],
        dag_id=row["dag_id"],
        dag_run_id=str(row["dag_run_id"] or ""),
        state=_STATES[DeliveryState(row["state"])],
        create_time=to_timestamp(row["create_time"]),
        next_attempt_time=to_timestamp(row["next_attempt_time"]) if open_ else None,
        end_time=to_timestamp(row["end_time"]),
        attempt_count=row["attempt_count"],
        delivery_id=row["delivery_id"],
        last_error=row["last_error"][:ERROR_CHARACTERS_MAX],
        facts=map(_fact_out, seen.facts),
    )


def _fact_out(row: Row) -> pb.AlertFact:
    details = json.loads(row["body"])
    return pb.AlertFact(
        kind=row["kind"],
        task_id=row["task_id"],
        summary=details.pop("summary", ""),
        fact_time=to_timestamp(row["fact_time"]),
        details=json.dumps(details),
    )


def tested_out(alert_id: str, outcome: Outcome) -> pb.TestAlertChannelResponse:
    answer = pb.TestAlertChannelResponse(alert_id=alert_id)
    match outcome:
        case Sent(delivery_id):
            answer.delivery_id = delivery_id
        case NotNow(reason, after):
            answer.error, answer.retryable = reason[:ERROR_CHARACTERS_MAX], True
            if after is not None:
                answer.retry_after.FromTimedelta(timedelta(seconds=min(max(after, 0.0), 1e9)))
        case Refused(reason):
            answer.error = reason[:ERROR_CHARACTERS_MAX]
    return answer


def plugin_out(plugin: PluginState) -> pb.Plugin:
    first, last = plugin.api or (0, 0)
    return pb.Plugin(
        plugin_name=plugin.name,
        distribution=plugin.distribution,
        version=plugin.version,
        state=plugin.state,
        reason=plugin.reason,
        faults=plugin.faults,
        api_first=first,
        api_last=last,
        channels=map(_plugin_channel_out, plugin.channels),
    )


def _plugin_channel_out(channel: PluginChannel) -> pb.PluginChannel:
    options = [
        pb.PluginOption(
            option_name=each.name,
            type=each.type,
            help=each.help,
            default=each.default,
            secret=each.secret,
            choices=each.choices,
            least=each.least,
            most=each.most,
        )
        for each in channel.options
    ]
    return pb.PluginChannel(channel_name=channel.name, summary=channel.summary, options=options)
