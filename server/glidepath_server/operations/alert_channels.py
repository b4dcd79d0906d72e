"""Channels of alerts: a plugin and its configuration under a name; and routes: what goes where."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ..core.alerts import CHANNEL_NAME, CHANNEL_NAME_SAID, Route, check_kinds
from ..core.errors import InvalidInput, LimitExceeded, NotFound, StateConflict, Unavailable, Violation
from ..plugin_host.host import Channel as PluginChannel
from ..plugin_host.host import PluginFault, PluginHost, PluginUnavailable
from ..store import alerts as store
from ..store.database import Connection, database_now
from .audit import append_audit

MASKED = "***"
OPTIONS_MAX, VALUE_CHARACTERS_MAX = 50, 8_192
# Beside the facts of an alert it has to fit into what a plugin is given at once.
CONFIG_BYTES_MAX = 256 * 1024
ROUTES_PER_NAMESPACE_MAX = 500


def masked(channel: store.Channel) -> dict[str, str]:
    """A channel's configuration as it may be shown."""
    return {name: MASKED if name in channel.secret_options else value for name, value in sorted(channel.config.items())}


async def find_kind(host: PluginHost, plugin: str, config: Mapping[str, str]) -> tuple[PluginChannel, dict[str, str]]:
    """What the plugin brings, and the configuration once it has checked it. Outside any transaction.

    Raises InvalidInput by option, NotFound, Unavailable for a plugin that cannot be asked.
    """
    wrong = [
        Violation(f"config.{name[:64]}", f"{len(value)} characters", f"at most {VALUE_CHARACTERS_MAX}")
        for name, value in config.items()
        if len(value) > VALUE_CHARACTERS_MAX
    ]
    if len(config) > OPTIONS_MAX:
        wrong.append(Violation("config", f"{len(config)} options", f"at most {OPTIONS_MAX}"))
    if not wrong and (size := len(json.dumps(dict(config)))) > CONFIG_BYTES_MAX:
        wrong.append(Violation("config", f"{size} bytes as JSON", f"at most {CONFIG_BYTES_MAX}"))
    if wrong:
        raise InvalidInput("; ".join(map(str, wrong)), violations=wrong)
    try:
        kind = await host.channel(plugin)
        await host.check_config(kind, config)
    except (PluginUnavailable, PluginFault) as error:
        raise Unavailable(str(error), hint="look at `glidepath plugin list`") from error
    return kind, dict(config)


def keep_secrets(before: store.Channel | None, plugin: str, config: Mapping[str, str]) -> dict[str, str]:
    """The configuration as asked, but for secrets that were given as they are shown: those stay what they are.

    Only while all else stays, too: who may set a channel, and was never told its password, must not have it sent to a
    server of his own. Raises InvalidInput for a secret that has to be given anew.
    """
    secret = set(before.secret_options) if before is not None and before.plugin == plugin else set()
    known = before.config if before is not None else {}
    shown = [name for name in config if config[name] == MASKED and name in secret and name in known]
    moved = sorted(name for name in config.keys() | known.keys() if name not in secret and _differ(name, config, known))
    if shown and moved:
        expected = f"the secret itself, because {', '.join(moved)[:200]} changes: it could go to somebody else"
        wrong = [Violation(f"config.{name}", MASKED, expected) for name in sorted(shown)]
        raise InvalidInput("; ".join(map(str, wrong)), violations=wrong)
    return dict(config) | {name: known[name] for name in shown}


def _differ(name: str, config: Mapping[str, str], known: Mapping[str, str]) -> bool:
    return config.get(name) != known.get(name)


async def set_channel(
    connection: Connection,
    *,
    namespace: str,
    name: str,
    kind: PluginChannel,
    config: Mapping[str, str],
    actor: str,
) -> store.Channel:
    """Create a channel or replace its configuration, inside the caller's transaction."""
    check_name("channel_name", name)
    now = await database_now(connection)
    secret = tuple(each.name for each in kind.options if each.secret)
    channel = store.Channel(namespace, name, kind.plugin, kind.name, dict(config), secret, now, actor)
    before = await store.get_channel(connection, namespace, name, hold=True)
    if before is not None and before._replace(update_time=now, updated_by=actor) == channel:
        return before
    await store.set_channel(connection, channel)
    detail = {"plugin": kind.plugin, "config": masked(channel)}
    await append_audit(
        connection,
        namespace=namespace,
        actor=actor,
        action="alert_channel.set",
        target=f"alert_channel/{name}",
        detail=detail,
        now=now,
    )
    return channel


async def delete_channel(connection: Connection, *, namespace: str, name: str, actor: str) -> None:
    """Delete a channel that no route names, inside the caller's transaction; one that is not there is deleted already.

    What is on its way to it is dead with its next try. Raises StateConflict with the routes.
    """
    if await store.get_channel(connection, namespace, name, hold=True) is None:
        return
    if routes := await store.routes_to_channel(connection, namespace, name):
        raise StateConflict(f"channel {name!r} is named by route {', '.join(routes)}", hint="delete its routes first")
    await store.delete_channel(connection, namespace, name)
    await append_audit(
        connection,
        namespace=namespace,
        actor=actor,
        action="alert_channel.delete",
        target=f"alert_channel/{name}",
        detail={},
        now=await database_now(connection),
    )


async def set_route(connection: Connection, *, namespace: str, name: str, route: Route, actor: str) -> None:
    """Create a route or replace it, inside the caller's transaction. Its channel must be there. Facts that are routed
    from then on go by it."""
    wrong = check_kinds("kinds", route.kinds)
    if not CHANNEL_NAME.fullmatch(name):
        wrong.append(Violation("route_name", repr(name[:80]), CHANNEL_NAME_SAID))
    if wrong:
        raise InvalidInput("; ".join(map(str, wrong)), violations=wrong)
    if await store.get_channel(connection, namespace, route.channel_name, hold=True) is None:
        raise NotFound(f"there is no channel {route.channel_name!r}", hint="set it: glidepath alert channel set")
    if await store.count_other_routes(connection, namespace, name) >= ROUTES_PER_NAMESPACE_MAX:
        raise LimitExceeded(f"namespace {namespace} has {ROUTES_PER_NAMESPACE_MAX} routes, as many as it may have")
    now = await database_now(connection)
    await store.set_route(connection, namespace, name, route, now, actor)
    await append_audit(
        connection,
        namespace=namespace,
        actor=actor,
        action="alert_route.set",
        target=f"alert_route/{name}",
        detail=route._asdict(),
        now=now,
    )


async def delete_route(connection: Connection, *, namespace: str, name: str, actor: str) -> None:
    """Delete a route, inside the caller's transaction; one that is not there is deleted already."""
    if await store.delete_route(connection, namespace, name):
        await append_audit(
            connection,
            namespace=namespace,
            actor=actor,
            action="alert_route.delete",
            target=f"alert_route/{name}",
            detail={},
            now=await database_now(connection),
        )


def check_name(field: str, name: str) -> None:
    """Raises InvalidInput."""
    if not CHANNEL_NAME.fullmatch(name):
        violation = Violation(field, repr(name[:80]), CHANNEL_NAME_SAID)
        raise InvalidInput(str(violation), violations=[violation])
