"""glidepath.admin.v1.AlertService: channels, routes, what became of alerts, plugins."""

from __future__ import annotations

from collections.abc import Callable

from glidepath_proto.admin.v1 import alert_service_pb2 as pb
from glidepath_proto.admin.v1 import alert_service_pb2_grpc

from ..core.alerts import Route
from ..operations import alert_channels as channels
from ..operations import alerts as operations
from ..plugin_host.host import PluginHost
from ..store import alerts as store
from ..store.database import Database, transaction
from .auth import current_identity, namespace_for
from .convert_alerts import alert_out, channel_out, plugin_out, route_out, states_in, tested_out
from .convert_common import storable, to_uuid
from .convert_run import text_in
from .handlers import Context
from .paging import Page, fitting, page_token

_NEWEST = 2**63 - 1


class AlertServicer(alert_service_pb2_grpc.AlertServiceServicer):
    """Thin: checks the wire, runs an operation in one transaction, converts the answer. Plugins are asked outside."""

    def __init__(self, database: Database, plugins: PluginHost, wake: Callable[[], None]) -> None:
        """`wake` is called when alerts have become due."""
        self._database, self._plugins, self._wake = database, plugins, wake

    async def SetAlertChannel(self, request: pb.SetAlertChannelRequest, context: Context) -> pb.SetAlertChannelResponse:
        caller = current_identity()
        namespace = namespace_for(request, caller)
        name, plugin = text_in("channel_name", request.channel_name), text_in("plugin_name", request.plugin_name)
        channels.check_name("channel_name", name)
        given = {
            text_in("config", option): text_in(f"config.{option}", text) for option, text in request.config.items()
        }
        async with self._database.api.acquire() as connection:
            before = await store.get_channel(connection, namespace, name)
        kind, config = await channels.find_kind(self._plugins, plugin, channels.keep_secrets(before, plugin, given))
        async with transaction(self._database.api, "alert_channel") as connection:
            channel = await channels.set_channel(
                connection, namespace=namespace, name=name, kind=kind, config=config, actor=caller.name
            )
        return pb.SetAlertChannelResponse(channel=channel_out(channel))

    async def ListAlertChannels(
        self, request: pb.ListAlertChannelsRequest, context: Context
    ) -> pb.ListAlertChannelsResponse:
        namespace = namespace_for(request, current_identity())
        page = Page(request, ("ListAlertChannels", namespace), str)
        async with self._database.api.acquire() as connection:
            found = await store.list_channels(connection, namespace, page.first(""), page.limit)
        rows, token = page.cut(found, lambda row: [row.channel_name])
        return pb.ListAlertChannelsResponse(channels=map(channel_out, rows), next_page_token=token)

    async def DeleteAlertChannel(
        self, request: pb.DeleteAlertChannelRequest, context: Context
    ) -> pb.DeleteAlertChannelResponse:
        caller = current_identity()
        namespace = namespace_for(request, caller)
        async with transaction(self._database.api, "alert_channel") as connection:
            await channels.delete_channel(
                connection, namespace=namespace, name=storable(request.channel_name), actor=caller.name
            )
        return pb.DeleteAlertChannelResponse()

    async def TestAlertChannel(
        self, request: pb.TestAlertChannelRequest, context: Context
    ) -> pb.TestAlertChannelResponse:
        namespace = namespace_for(request, current_identity())
        alert_id, outcome = await operations.test_channel(
            self._database, self._plugins, namespace, storable(request.channel_name)
        )
        return tested_out(alert_id, outcome)

    async def SetAlertRoute(self, request: pb.SetAlertRouteRequest, context: Context) -> pb.SetAlertRouteResponse:
        caller = current_identity()
        namespace = namespace_for(request, caller)
        dag_id, channel = text_in("dag_id", request.dag_id), text_in("channel_name", request.channel_name)
        async with transaction(self._database.api, "alert_route") as connection:
            await channels.set_route(
                connection,
                namespace=namespace,
                name=text_in("route_name", request.route_name),
                route=Route(tuple(request.kinds), channel, dag_id),
                actor=caller.name,
            )
        return pb.SetAlertRouteResponse()

    async def ListAlertRoutes(self, request: pb.ListAlertRoutesRequest, context: Context) -> pb.ListAlertRoutesResponse:
        namespace = namespace_for(request, current_identity())
        page = Page(request, ("ListAlertRoutes", namespace), str)
        async with self._database.api.acquire() as connection:
            found = await store.list_routes(connection, namespace, page.first(""), page.limit)
        rows, token = page.cut(found, lambda row: [row["route_name"]])
        return pb.ListAlertRoutesResponse(routes=map(route_out, rows), next_page_token=token)

    async def DeleteAlertRoute(
        self, request: pb.DeleteAlertRouteRequest, context: Context
    ) -> pb.DeleteAlertRouteResponse:
        caller = current_identity()
        namespace = namespace_for(request, caller)
        async with transaction(self._database.api, "alert_route") as connection:
            await channels.delete_route(
                connection, namespace=namespace, name=storable(request.route_name), actor=caller.name
            )
        return pb.DeleteAlertRouteResponse()

    async def ListAlerts(self, request: pb.ListAlertsRequest, context: Context) -> pb.ListAlertsResponse:
        namespace = namespace_for(request, current_identity())
        channel, states = text_in("channel_name", request.channel_name), states_in(request.states)
        run_id = to_uuid("dag_run_id", request.dag_run_id) if request.dag_run_id else None
        scope = ("ListAlerts", namespace, channel, states, str(run_id))
        page = Page(request, scope, int)
        found = await operations.list_alerts(
            self._database,
            namespace,
            channel_name=channel,
            states=states,
            dag_run_id=run_id,
            below=page.first(_NEWEST),
            limit=page.limit,
        )
        shown, token = page.cut(found, lambda each: [each.row["alert_number"]])
        alerts = fitting(map(alert_out, shown))
        if len(alerts) < len(shown):
            token = page_token([shown[len(alerts) - 1].row["alert_number"]], scope)
        return pb.ListAlertsResponse(alerts=alerts, next_page_token=token)

    async def ResendAlerts(self, request: pb.ResendAlertsRequest, context: Context) -> pb.ResendAlertsResponse:
        caller = current_identity()
        namespace = namespace_for(request, caller)
        ids = [to_uuid(f"alert_ids[{place}]", text) for place, text in enumerate(request.alert_ids)]
        async with transaction(self._database.api, "alert_resend") as connection:
            resent = await operations.resend_alerts(
                connection,
                namespace=namespace,
                alert_ids=ids,
                channel_name=text_in("channel_name", request.channel_name),
                actor=caller.name,
            )
        self._wake()
        return pb.ResendAlertsResponse(alert_ids=map(str, resent))

    async def ListPlugins(self, request: pb.ListPluginsRequest, context: Context) -> pb.ListPluginsResponse:
        namespace_for(request, current_identity())
        return pb.ListPluginsResponse(plugins=map(plugin_out, await self._plugins.load_all()))
