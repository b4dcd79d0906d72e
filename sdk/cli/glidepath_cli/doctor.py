"""`glidepath doctor`: what can be wrong between here and the server, checked one by one."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .clocks import SKEW_SECONDS_MAX, is_wrong, told
from .exits import Exit
from .home import Home
from .output import cell, moment, print_json, print_table, say, span
from .session import Session, command
from .words import ours

if TYPE_CHECKING:
    from glidepath.client import Client

DISK_FREE_BYTES_MIN = 1 << 30
LOOKED_AT_MAX = 500
"""Of what there may be many of."""
SHOWN_MAX = 3
_SCHEDULES_LOOKED_BACK = timedelta(hours=24)
_SCHEDULE_KINDS = ("schedule_failed", "scheduled_run_refused")
# What incidents of schedules say.
_OF_SCHEDULE = re.compile(r"schedule (?P<schedule>\S+) of DAG (?P<dag>\S+): (?P<reason>.*)", re.DOTALL)


@dataclass(frozen=True)
class Check:
    """`state` is "ok", "warn" or "fail"; `next` says what to do about it."""

    name: str
    state: str
    message: str
    next: str = ""


@click.group(hidden=True)
def _top() -> None:
    """Holds the command until the root takes it."""


@command(_top, "doctor", example="glidepath doctor -o json")
def doctor(session: Session) -> None:
    """Check connection, versions, clocks, workers, schedules, alerts, plugins and the disk.

    Exit code 1 when a check fails, 5 without a server.
    """
    from glidepath.errors import GlidepathError, Unavailable

    checks: list[Check] = []
    code = Exit.OK
    try:
        checks.extend(_server_checks(session.client))  # what was found before an error stays
    except GlidepathError as error:
        code = Exit.UNREACHABLE if isinstance(error, Unavailable) else Exit.FAILED
        what = {"NotFound": "namespace", "PermissionDenied": "token", "Unauthenticated": "token"}
        name = what.get(type(error).__name__, "connection")
        step = session.verdict(error)[1]
        checks.append(Check(name, "fail", ours(str(error)), "" if "glidepath doctor" in step else step))
    checks.append(_disk((Home.nearest() or Home(Path.cwd())).path))
    if session.json:
        print_json([asdict(each) for each in checks])
    else:
        print_table(
            ["CHECK", "STATE", "FOUND", "NEXT"], [(each.name, each.state, each.message, each.next) for each in checks]
        )
    failed = [each.name for each in checks if each.state == "fail"]
    say(f"wrong: {', '.join(failed)}" if failed else "no check failed")
    raise click.exceptions.Exit(code or (Exit.FAILED if failed else Exit.OK))


def _server_checks(client: Client) -> Iterator[Check]:
    before = datetime.now(UTC)
    info = client.get_server_info()
    after = datetime.now(UTC)
    seconds = (after - before).total_seconds()
    yield Check("connection", "ok", f"{client.connection.address}, answered in {span(seconds)}")
    yield versions(info, version("glidepath-cli"))
    yield skew(info, before, after)
    yield from _access_checks(client, info)


def _access_checks(client: Client, info: Any) -> Iterator[Check]:
    workers = list(client.list_workers())
    incidents = list(islice(client.list_incidents(page_size=LOOKED_AT_MAX), LOOKED_AT_MAX))
    how = "admitted" if info.authentication_required else "not needed here"
    yield Check("token", "ok", f"{how}; namespace {client.connection.namespace}")
    working = [each for each in workers if each.state == "open"]
    names = ", ".join(each.worker_identity for each in working[:5])
    yield (
        Check("workers", "ok", f"{len(working)} connected: {names}")
        if working
        else Check("workers", "fail", "none is connected, so nothing runs", "start one: glidepath worker")
    )
    yield from worker_clocks(working)
    yield (
        Check("incidents", "warn", incidents[0].message, "look at them: glidepath incidents")
        if incidents
        else Check("incidents", "ok", "none")
    )
    yield schedules(incidents, moment(info, "database_time") or datetime.now(UTC))
    yield dead_alerts(list(islice(client.list_alerts(states=["dead"], page_size=LOOKED_AT_MAX), LOOKED_AT_MAX)))
    yield plugins(client.list_plugins().plugins)


def schedules(incidents: Sequence[Any], now: datetime) -> Check:
    """Those that could not be dealt with lately, or whose runs could not be made: the newest word of each."""
    found: dict[tuple[str, str], tuple[Any, str]] = {}
    for each in incidents:
        about = _OF_SCHEDULE.fullmatch(each.message)
        if each.kind in _SCHEDULE_KINDS and about and each.time.ToDatetime(UTC) > now - _SCHEDULES_LOOKED_BACK:
            found.setdefault((about["dag"], about["schedule"]), (each, about["reason"]))
    if not found:
        return Check("schedules", "ok", "none has failed in the last 24 h")
    said = [
        f"{name} of {dag_id} has failed, last at {cell(moment(incident, 'time'))}: {reason}"
        for (dag_id, name), (incident, reason) in found.items()
    ]
    dag_id, name = next(iter(found))
    step = f"see its rule and version: glidepath schedule show {dag_id} {name}"
    return Check(
        "schedules", "warn", _few(said), f"{step}; what became of its ticks: glidepath schedule ticks {dag_id} {name}"
    )


def dead_alerts(dead: Sequence[Any]) -> Check:
    """What nobody has heard of: alerts that were given up and not sent again since."""
    if not dead:
        return Check("alerts", "ok", "none is dead")
    number = f"{len(dead)} or more" if len(dead) >= LOOKED_AT_MAX else str(len(dead))
    newest: dict[str, str] = {}
    for each in dead:
        newest.setdefault(each.channel_name, each.last_error)
    said = _few([f"of channel {name}: {error}" for name, error in newest.items()])
    step = "see each: glidepath alert list --state dead; when it is mended, send them anew: "
    return Check(
        "alerts", "warn", f"{number} dead, {said}", f"{step}glidepath alert resend --channel {dead[0].channel_name}"
    )


def plugins(installed: Sequence[Any]) -> Check:
    """Those that crash, were given up after that, or cannot be used; not those that somebody has blocked."""
    wrong = [each for each in installed if each.state in ("disabled", "paused", "refused") or each.faults]
    if not wrong:
        return Check("plugins", "ok", ", ".join(each.plugin_name for each in installed) or "none is installed")
    said = [f"{each.plugin_name} is {each.state}: {each.reason}" for each in wrong]
    steps = [
        f"look at it: glidepath plugin show {wrong[0].plugin_name}; what it wrote is in the server's log (plugin_said)"
    ]
    if any(each.state == "disabled" for each in wrong):
        steps.append("when it is mended, start the server anew")
    if any(each.state == "refused" for each in wrong):
        steps.append("install a release of it that fits this server")
    return Check("plugins", "warn", _few(said), "; ".join(steps))


def _few(said: Sequence[str]) -> str:
    more = len(said) - SHOWN_MAX
    return "; ".join(said[:SHOWN_MAX]) + (f"; and {more} more" if more > 0 else "")


def worker_clocks(workers: list[Any]) -> Iterator[Check]:
    """Nothing where no worker has said: those of other SDKs need not."""
    known = [each for each in workers if told(each)]
    wrong = [f"{each.host_name or each.worker_identity} is {told(each)}" for each in known if is_wrong(each)]
    if wrong:
        found = "; ".join(dict.fromkeys(wrong))
        yield Check(
            "worker clocks", "warn", found, "set the clocks right (NTP); times in logs of tasks are off by that"
        )
    elif known:
        yield Check("worker clocks", "ok", f"{len(known)} within {SKEW_SECONDS_MAX:g} s of the database's")


def versions(info: Any, own: str) -> Check:
    """Client and server of one release fit; others may lack what the other expects."""
    found = f"server {info.server_version}, schema {info.schema_revision}, command {own}"
    if info.server_version == own:
        return Check("versions", "ok", found)
    return Check("versions", "warn", found, "install the release of the server")


def skew(info: Any, before: datetime, after: datetime) -> Check:
    """How far this host's and the server's clocks are from the database's, which decides about due times.

    The answer was made between `before` and `after`: inside of that nothing can be told.
    """
    database = moment(info, "database_time") or before
    server = moment(info, "server_time") or database
    early, late = (before - database).total_seconds(), (database - after).total_seconds()
    host = max(0.0, early, late)
    between = abs((server - database).total_seconds())
    message = f"this host {span(host)} or less apart from the database, the server {span(between)}"
    if host <= SKEW_SECONDS_MAX and between <= SKEW_SECONDS_MAX:
        return Check("clocks", "ok", message)
    message = f"this host is {span(host)} away from the database's clock, the server {span(between)}"
    return Check("clocks", "warn", message, "set the clocks right (NTP); logical dates made here are off by that")


def _disk(path: Path) -> Check:
    usage = shutil.disk_usage(path)
    message = f"{usage.free / 1e9:.1f} GB free at {path}"
    if usage.free >= DISK_FREE_BYTES_MIN:
        return Check("disk", "ok", message)
    return Check("disk", "fail", message, "make room: Postgres stops when the disk is full")
