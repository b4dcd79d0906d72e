"""`glidepath doctor`: what can be wrong between here and the server, checked one by one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .clocks import SKEW_SECONDS_MAX, is_wrong, told
from .exits import Exit
from .home import Home
from .output import moment, print_json, print_table, say, span
from .session import Session, command
from .words import ours

if TYPE_CHECKING:
    from glidepath.client import Client

DISK_FREE_BYTES_MIN = 1 << 30


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
    """Check connection, versions, workers, clocks and the disk. Exit code 1 when a check fails, 5 without a server."""
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
    incidents = list(client.list_incidents(page_size=1))
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
