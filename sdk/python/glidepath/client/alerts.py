"""Methods for alerts: channels, routes, what became of alerts; and the plugins of the server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from glidepath.client.calls import Call, Pages, iterated, rpc
from glidepath.client.requests import Api, Service
from glidepath_proto.admin.v1 import alert_service_pb2 as pb

_ALERTS = Service(pb, "AlertService")


class AlertMethods(Api):
    """By which channels facts leave the house, and who hears of what."""

    @rpc
    def set_alert_channel(
        self, channel_name: str, plugin_name: str, config: Mapping[str, str]
    ) -> Call[pb.AlertChannel]:
        """Create a channel, or replace it. The plugin checks its configuration: InvalidInput names each option.

        A secret given as "***", as it is shown, stays what it is while all other options stay, too.
        """
        return _ALERTS.call(
            self,
            "SetAlertChannel",
            "channel",
            channel_name=channel_name,
            plugin_name=plugin_name,
            config=dict(config),
        )

    @iterated
    def list_alert_channels(self, *, page_size: int = 0) -> Pages[pb.AlertChannel]:
        """Channels by name, secrets masked."""
        return _ALERTS.pages(self, "ListAlertChannels", "channels", page_size=page_size)

    @rpc
    def delete_alert_channel(self, channel_name: str) -> Call[pb.DeleteAlertChannelResponse]:
        """StateConflict while a route names it. One that is gone is no error."""
        return _ALERTS.call(self, "DeleteAlertChannel", channel_name=channel_name)

    @rpc
    def test_alert_channel(self, channel_name: str) -> Call[pb.TestAlertChannelResponse]:
        """Send a test alert, at once and once. The answer says what the channel said: look at `error`."""
        return _ALERTS.call(self, "TestAlertChannel", channel_name=channel_name)

    @rpc
    def set_alert_route(
        self, route_name: str, kinds: Sequence[str], channel_name: str, *, dag_id: str = ""
    ) -> Call[pb.SetAlertRouteResponse]:
        """Facts of these kinds go to the channel; of one DAG, or of all. It holds for facts from now on."""
        return _ALERTS.call(
            self, "SetAlertRoute", route_name=route_name, kinds=list(kinds), channel_name=channel_name, dag_id=dag_id
        )

    @iterated
    def list_alert_routes(self, *, page_size: int = 0) -> Pages[pb.AlertRoute]:
        """Routes of the namespace by name; DAGs may declare others."""
        return _ALERTS.pages(self, "ListAlertRoutes", "routes", page_size=page_size)

    @rpc
    def delete_alert_route(self, route_name: str) -> Call[pb.DeleteAlertRouteResponse]:
        """One that is gone is no error."""
        return _ALERTS.call(self, "DeleteAlertRoute", route_name=route_name)

    @iterated
    def list_alerts(
        self,
        channel_name: str = "",
        *,
        states: Sequence[str] = (),
        run_id: str = "",
        page_size: int = 0,
    ) -> Pages[pb.Alert]:
        """Alerts with their facts and what became of them, newest first. A state is "pending", "retrying", "delivered"
        or "dead"."""
        return _ALERTS.pages(
            self,
            "ListAlerts",
            "alerts",
            channel_name=channel_name,
            states=[f"STATE_{state.upper()}" for state in states],
            dag_run_id=run_id,
            page_size=page_size,
        )

    @rpc
    def resend_alerts(self, alert_ids: Sequence[str] = (), *, channel_name: str = "") -> Call[pb.ResendAlertsResponse]:
        """Try dead alerts anew: these, or all of a channel. StateConflict when one that is named is not dead."""
        return _ALERTS.call(self, "ResendAlerts", alert_ids=list(alert_ids), channel_name=channel_name)

    @rpc
    def list_plugins(self) -> Call[pb.ListPluginsResponse]:
        """Plugins of the server that answers: what they bring, and why one cannot be used."""
        return _ALERTS.call(self, "ListPlugins")
