"""`glidepath alert` and `glidepath plugin`: how facts leave the house, who hears of what, what became of it."""

from __future__ import annotations

import importlib.util
import shlex
from collections.abc import Iterable
from itertools import islice
from typing import Any

import click

from . import completion
from .exits import Exit
from .output import Column, enum_name, moment, print_json, print_list, print_one, proto_json, say
from .params import split_pairs
from .run_group import find_run
from .session import NUMBER, Session, command

_KINDS = ["run_failed", "run_recovered", "incident", "at_risk", "missed", "met_late", "recovered"]
MASKED = "***"
"""What a server answers in place of a secret."""
_STATES = ["pending", "retrying", "delivered", "dead"]


@click.group()
def alert() -> None:
    """Alerts: channels, routes, deliveries."""


@alert.group("channel")
def channel() -> None:
    """Channels: a plugin and its configuration under a name."""


@alert.group("route")
def route() -> None:
    """Routes: which facts go to which channel."""


@click.group()
def plugin() -> None:
    """Plugins: what the server can do by them, and how they are."""


def _config(each: Any) -> list[str]:
    return [f"{name}={value}" for name, value in sorted(each.config.items())]


_CHANNEL: list[Column] = [
    ("CHANNEL", lambda each: each.channel_name),
    ("PLUGIN", lambda each: each.plugin_name),
    ("CONFIG", _config),
    ("SET BY", lambda each: each.updated_by),
]
_ROUTE: list[Column] = [
    ("ROUTE", lambda each: each.route_name),
    ("KINDS", lambda each: list(each.kinds)),
    ("DAG", lambda each: each.dag_id or "all"),
    ("CHANNEL", lambda each: each.channel_name),
]
_ALERT: list[Column] = [
    ("ALERT", lambda each: each.alert_id),
    ("CHANNEL", lambda each: each.channel_name),
    ("STATE", lambda each: enum_name(each, "state")),
    ("TRIES", lambda each: each.attempt_count),
    ("SINCE", lambda each: moment(each, "create_time")),
    ("NEXT", lambda each: moment(each, "next_attempt_time")),
    ("FACTS", lambda each: [*dict.fromkeys(fact.kind for fact in each.facts)]),
    ("RUN", lambda each: each.dag_run_id),
    ("ERROR", lambda each: each.last_error),
]
_PLUGIN: list[Column] = [
    ("PLUGIN", lambda each: each.plugin_name),
    ("VERSION", lambda each: f"{each.distribution} {each.version}"),
    ("STATE", lambda each: each.state),
    ("CHANNELS", lambda each: [brought.channel_name for brought in each.channels]),
    ("REASON", lambda each: each.reason),
]


# ---- channels
@command(
    channel,
    "set",
    example="glidepath alert channel set ops --plugin webhook --config url=https://hooks.example/x "
    "--config secret=whsec_...\nglidepath plugin show webhook",
)
@click.argument("channel_name", shell_complete=completion.channel_names)
@click.option("--plugin", "plugin_name", required=True, help="Which plugin: glidepath plugin list.")
@click.option("--config", "pairs", multiple=True, help="OPTION=VALUE of the plugin; may be repeated.")
def channel_set(session: Session, channel_name: str, plugin_name: str, pairs: tuple[str, ...]) -> None:
    """Create a channel, or replace its plugin and all its options. Secrets are never shown again."""
    config = split_pairs(pairs, "--config")
    found = session.client.set_alert_channel(channel_name, plugin_name, config)
    print_one(session.output, found, [(name.lower(), get(found)) for name, get in _CHANNEL])
    say(f"next:  glidepath alert test {channel_name}")


@command(channel, "list", example="glidepath alert channel list")
def channel_list(session: Session) -> None:
    """Channels, secrets masked."""
    empty = "no channels; make one: glidepath alert channel set NAME --plugin PLUGIN"
    print_list(session.output, session.client.list_alert_channels(), _CHANNEL, empty)


@command(channel, "delete", example="glidepath alert channel delete ops")
@click.argument("channel_name", shell_complete=completion.channel_names)
def channel_delete(session: Session, channel_name: str) -> None:
    """Delete a channel that no route names."""
    answer = session.client.delete_alert_channel(channel_name)
    if session.json:
        print_json(proto_json(answer))
    say(f"there is no channel {channel_name} now")


# ---- routes
@command(
    route,
    "set",
    example="glidepath alert route set failures --on run_failed --on run_recovered --channel ops\n"
    "glidepath alert route set training --on missed --dag training --channel oncall",
)
@click.argument("route_name")
@click.option("--on", "kinds", multiple=True, required=True, help="A kind of fact: " + ", ".join(_KINDS) + ".")
@click.option("--channel", "channel_name", required=True, shell_complete=completion.channel_names)
@click.option("--dag", "dag_id", default="", shell_complete=completion.dag_ids, help="Only of this DAG.")
def route_set(session: Session, route_name: str, kinds: tuple[str, ...], channel_name: str, dag_id: str) -> None:
    """Create a route, or replace it. It holds for what happens from now on."""
    answer = session.client.set_alert_route(route_name, kinds, channel_name, dag_id=dag_id)
    if session.json:
        print_json(proto_json(answer))
    say(f"{', '.join(kinds)} of {dag_id or 'all DAGs'} goes to channel {channel_name}")


@command(route, "list", example="glidepath alert route list")
def route_list(session: Session) -> None:
    """Routes of the namespace; DAGs may declare others (`glidepath dag show DAG_ID`)."""
    empty = "no routes; make one: glidepath alert route set NAME --on run_failed --channel CHANNEL"
    print_list(session.output, session.client.list_alert_routes(), _ROUTE, empty)


@command(route, "delete", example="glidepath alert route delete failures")
@click.argument("route_name")
def route_delete(session: Session, route_name: str) -> None:
    """Delete a route."""
    answer = session.client.delete_alert_route(route_name)
    if session.json:
        print_json(proto_json(answer))
    say(f"there is no route {route_name} now")


# ---- alerts
@command(alert, "test", example="glidepath alert test ops")
@click.argument("channel_name", shell_complete=completion.channel_names)
def alert_test(session: Session, channel_name: str) -> None:
    """Send a test alert through a channel, at once. Exit code 1 when it was not taken."""
    answer = session.client.test_alert_channel(channel_name)
    state = "not taken" if answer.error else "delivered"
    about = [("state", state), ("alert", answer.alert_id), ("delivery", answer.delivery_id), ("error", answer.error)]
    print_one(session.output, answer, [each for each in about if each[1]])
    if answer.error:
        say(f"next:  set the channel anew, with all its options: {_set_again(session, channel_name)}")
        raise click.exceptions.Exit(Exit.FAILED)


def missing_channels(session: Session, dags: Iterable[Any]) -> None:
    """Warn of channels that DAGs name and that are not there: they may be set later. Silent for who may not look."""
    from glidepath.errors import GlidepathError

    named = {(each.dag_id, said["channel"]) for each in dags for said in each.alerts}
    if not named:
        return
    try:
        known = {each.channel_name for each in session.client.list_alert_channels()}
    except GlidepathError:
        return
    for dag_id, name in sorted(named):
        if name not in known:
            say(f"warning: {dag_id}: alerts go to channel {name}, which is not there; until it is, they are dead")
            say(f"next:  glidepath alert channel set {name} --plugin PLUGIN; which there are: glidepath plugin list")


def _set_again(session: Session, channel_name: str) -> str:
    """The command that sets a channel as it is, to change what is wrong in it. Its secrets have to be given again."""
    found = next((each for each in session.client.list_alert_channels() if each.channel_name == channel_name), None)
    if found is None:
        return f"glidepath alert channel set {channel_name} --plugin PLUGIN --config ..."
    pairs = [f"{name}={'SECRET' if value == MASKED else value}" for name, value in sorted(found.config.items())]
    options = [word for pair in pairs for word in ("--config", pair)]
    return shlex.join(["glidepath", "alert", "channel", "set", channel_name, "--plugin", found.plugin_name, *options])


@command(alert, "list", example="glidepath alert list\nglidepath alert list --state dead -o json")
@click.option("--channel", "channel_name", default="", shell_complete=completion.channel_names)
@click.option("--state", "states", multiple=True, type=click.Choice(_STATES), help="May be repeated.")
@click.option("--run", "run_id", default="", shell_complete=completion.run_ids, help="Only of this run.")
@click.option("--limit", type=NUMBER, default=50, show_default=True)
def alert_list(session: Session, channel_name: str, states: tuple[str, ...], run_id: str, limit: int) -> None:
    """Alerts and what became of them, newest first; `-o json` has what each says."""
    run_id = find_run(session.client, run_id) if run_id else ""
    pages = session.client.list_alerts(channel_name, states=states, run_id=run_id, page_size=min(limit, 500))
    found = list(islice(pages, limit))
    print_list(session.output, found, _ALERT, "no alerts")
    dead = [each for each in found if enum_name(each, "state") == "dead"]
    if dead and not session.json:
        known = {each.channel_name for each in session.client.list_alert_channels()}
        for missing in sorted({each.channel_name for each in dead} - known):
            say(f"next:  glidepath alert channel set {missing} --plugin PLUGIN; then what is dead of it again:")
            say(f"       glidepath alert resend --channel {missing}")
        if again := [each for each in dead if each.channel_name in known]:
            say(f"next:  glidepath alert resend {again[0].alert_id}")


@command(alert, "resend", example="glidepath alert resend ALERT_ID\nglidepath alert resend --channel ops")
@click.argument("alert_ids", nargs=-1)
@click.option("--channel", "channel_name", default="", shell_complete=completion.channel_names, help="All of it.")
def alert_resend(session: Session, alert_ids: tuple[str, ...], channel_name: str) -> None:
    """Try dead alerts anew: these, or all of a channel."""
    if bool(alert_ids) == bool(channel_name):
        raise click.UsageError("name alerts, or --channel CHANNEL for all that are dead of it")
    answer = session.client.resend_alerts(alert_ids, channel_name=channel_name)
    if session.json:
        print_json(proto_json(answer))
    say(f"{len(answer.alert_ids)} alerts are tried anew; next:  glidepath alert list")


# ---- plugins
@command(plugin, "list", example="glidepath plugin list")
def plugin_list(session: Session) -> None:
    """Plugins of the server, with their states."""
    print_list(session.output, session.client.list_plugins().plugins, _PLUGIN, "no plugins are installed")


@command(plugin, "show", example="glidepath plugin show webhook")
@click.argument("plugin_name")
def plugin_show(session: Session, plugin_name: str) -> None:
    """What a plugin brings, and the options of its configuration."""
    found = {each.plugin_name: each for each in session.client.list_plugins().plugins}
    if plugin_name not in found:
        raise click.UsageError(f"there is no plugin {plugin_name!r}; there are: {', '.join(found) or 'none'}")
    about = found[plugin_name]
    api = f"{about.api_first} to {about.api_last}" if about.api_last else ""
    fields = [*((name.lower(), get(about)) for name, get in _PLUGIN), ("api", api)]
    for brought in about.channels:
        fields.append((f"channel {brought.channel_name}", brought.summary))
        fields += [(f"  {option.option_name}", _option(option)) for option in brought.options]
    print_one(session.output, about, fields)


def _option(option: Any) -> str:
    must = "must be given" if not option.HasField("default") else f"default {option.default!r}"
    about = [option.type, *(["secret"] if option.secret else []), must]
    if option.choices:
        about.append("one of " + ", ".join(option.choices))
    return f"{option.help} ({', '.join(about)})"


@click.command("check")
@click.argument("plugin_name")
@click.option("--channel", "channel_name", default="", help="Which channel of it; default: that of its name.")
@click.option("--config", "pairs", multiple=True, help="OPTION=VALUE: of a receiver that takes alerts.")
def plugin_check(plugin_name: str, channel_name: str, pairs: tuple[str, ...]) -> None:
    """Run the exercise of a plugin that is installed here. It sends a few alerts to the receiver of its configuration.

    Needs no server. Exit code 1 says which promise the plugin does not keep.

    \b
    Example:
      glidepath plugin check webhook --config url=http://localhost:8000/ --config secret=whsec_... \\
        --config allow_private=true
    """
    if importlib.util.find_spec("glidepath_plugin") is None:
        raise click.UsageError("glidepath-plugin is not installed here; it comes with each plugin")
    from glidepath_plugin.loading import find
    from glidepath_plugin.testing import exercise_alert_channel

    found = {each.name: each for each in find()}
    if plugin_name not in found:
        raise click.UsageError(f"there is no plugin {plugin_name!r}; there are: {', '.join(found) or 'none'}")
    try:
        module = found[plugin_name].entry_point.load()
        said = exercise_alert_channel(module, channel_name or plugin_name, split_pairs(pairs, "--config"))
    except Exception as error:
        say(f"error: {plugin_name}: {error}")
        say(f"next:  what it needs is given by --config OPTION=VALUE: glidepath plugin show {plugin_name}")
        raise click.exceptions.Exit(Exit.FAILED) from None
    for line in said:
        click.echo(line)


plugin.add_command(plugin_check)
