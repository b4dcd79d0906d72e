"""`glidepath schedule`: when DAGs run by themselves, and what became of each tick."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import completion
from .local_dates import exact_local_text, zone_of
from .output import Column, enum_name, moment, print_json, print_list, print_one, proto_json, say
from .params import merge_params, split_pairs
from .schedule_group import schedule, zone_option
from .session import NUMBER, Session, command

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_CATCHUPS = ("none", "latest", "all", "last_n", "within")
_OVERLAPS = ("allow", "skip", "queue_one", "queue_all", "cancel_older", "latest_only", "sequence")
_GAPS = ("run_after", "skip")
_DAG_ID = click.argument("dag_id", shell_complete=completion.dag_ids)
_NAME = click.argument("schedule_name", shell_complete=completion.schedule_names)
# Where nothing is lost by it, the name may be left out, as in `create`.
_NAME_OR_MAIN = click.argument("schedule_name", default="main", shell_complete=completion.schedule_names)


def _rule(each: Any) -> str:
    """The rule in a line: "0 2 * * *", "every 900 s", "3 dates", "continuous"."""
    spec = each.declaration.spec
    match spec.WhichOneof("rule"):
        case "cron":
            return str(spec.cron)
        case "interval":
            return f"every {spec.interval.every.seconds + spec.interval.every.nanos / 1e9:g} s"
        case "dates":
            return f"{len(spec.dates.tick_time)} dates"
    return "continuous"


def _state(each: Any) -> str:
    return "DAG paused" if each.dag_paused else "paused" if each.paused else "active"


def _version(each: Any) -> str:
    said = each.declaration
    return said.alias or (str(said.dag_version_number) if said.HasField("dag_version_number") else "latest")


_SCHEDULE: list[Column] = [
    ("DAG", lambda each: each.dag_id),
    ("SCHEDULE", lambda each: each.declaration.schedule_name),
    ("RULE", _rule),
    ("ZONE", lambda each: each.declaration.spec.zone),
    ("STATE", _state),
    ("NEXT TICK", lambda each: moment(each, "next_tick_time")),
    ("RUNS", lambda each: each.runs_made),
    ("WAITING", lambda each: each.ticks_waiting or ""),
]
_MORE: list[Column] = [
    ("FROM", lambda each: "its DAG" if enum_name(each, "origin") == "dag" else "glidepath schedule create"),
    ("VERSION", _version),
    ("PARAMS", lambda each: each.declaration.params),
    ("CATCHUP", lambda each: enum_name(each.declaration.spec, "catchup")),
    ("OVERLAP", lambda each: enum_name(each.declaration.spec, "overlap")),
    ("DATA INTERVAL", lambda each: enum_name(each.declaration.spec, "data_interval")),
    ("DECIDED UNTIL", lambda each: moment(each, "decided_until_time")),
    ("UPDATED", lambda each: moment(each, "update_time")),
    ("BY", lambda each: each.updated_by),
]
_TICK: list[Column] = [
    ("TICK", lambda each: moment(each, "tick_time")),
    ("LOGICAL DATE", lambda each: moment(each, "logical_date")),
    ("OUTCOME", lambda each: enum_name(each, "outcome")),
    ("RUN", lambda each: each.dag_run_id),
    ("REASON", lambda each: each.reason),
]


def _show(session: Session, found: Any) -> None:
    rows: list[tuple[str, object]] = []
    for name, get in [*_SCHEDULE, *_MORE]:
        rows.append((name.lower(), get(found)))
        if name == "NEXT TICK":
            rows += _next_locally(found)
    print_one(session.output, found, rows)


def _next_locally(found: Any) -> list[tuple[str, object]]:
    zone, at = zone_of(found.declaration.spec.zone), moment(found, "next_tick_time")
    return [] if at is None or zone.key == "UTC" else [(f"in {zone.key}", exact_local_text(at, zone))]


def _tick_columns(zone: ZoneInfo) -> list[Column]:
    """Of ticks of a schedule of the zone: beside UTC the local time, where that is another."""
    if zone.key == "UTC":
        return _TICK

    def local(each: Any) -> str:
        return exact_local_text(each.tick_time.ToDatetime(UTC), zone)

    return [_TICK[0], (f"IN {zone.key}", local), *_TICK[1:]]


def _zone(session: Session, dag_id: str, schedule_name: str) -> ZoneInfo:
    """UTC when the schedule was deleted: its ticks can still be read, its zone cannot."""
    from glidepath.errors import NotFound

    try:
        found = session.client.get_schedule(dag_id, schedule_name)
    except NotFound:
        return zone_of("UTC")
    return zone_of(found.declaration.spec.zone)


@command(
    schedule,
    "create",
    example='glidepath schedule create training --cron "0 2 * * *" --zone Asia/Kolkata --catchup latest\n'
    "glidepath schedule create refresh quarterly --every 15m --zone UTC --param full=false",
)
@_DAG_ID
@click.argument("schedule_name", default="main")
@click.option("--cron", default=None, help='Minute, hour, day of month, month, day of week: "0 2 * * *"; or @daily.')
@click.option("--every", default=None, help="Every so long: 15m, 1h30m, 2d.")
@click.option("--at", "dates", multiple=True, help="A time: 2026-12-01T02:00, local in the zone; may be repeated.")
@click.option("--continuous", is_flag=True, help="The next run begins when the last has ended.")
@click.option("--pause", default="", help="With --continuous: how long after its end: 30s.")
@click.option("--anchor", default=None, help="With --every: the time from which it is counted. Default: 1970-01-01Z.")
@zone_option
@click.option("--gap", type=click.Choice(_GAPS), default="run_after", help="Local times that do not exist.")
@click.option(
    "--overlap-hours",
    type=click.Choice(["first", "last", "both"]),
    default="first",
    help="Local times that occur twice.",
)
@click.option("--start", default=None, help="No tick before this time.")
@click.option("--end", default=None, help="No tick after this time.")
@click.option("--runs-max", type=NUMBER, default=None, help="It ends after so many runs.")
@click.option("--jitter", default="0s", help="Spread its runs over so long: 5m.")
@click.option("--exclude-date", "exclude_dates", multiple=True, help="No run on this local date; may be repeated.")
@click.option("--exclude-weekday", "exclude_weekdays", multiple=True, help="No run on it: sunday; may be repeated.")
@click.option("--data-interval", type=click.Choice(["point", "before"]), default="point", help="What a run covers.")
@click.option("--catchup", type=click.Choice(_CATCHUPS), default="none", help="What becomes of missed ticks.")
@click.option("--catchup-runs", type=NUMBER, default=None, help="With last_n.")
@click.option("--catchup-within", default=None, help="With within: 6h.")
@click.option("--overlap", type=click.Choice(_OVERLAPS), default="allow", help="A tick while a run is active.")
@click.option("--overlap-runs", type=NUMBER, default=None, help="With allow: how many runs may be active.")
@click.option("--version", type=NUMBER, default=None, help="Of this version. Default: the latest at the time.")
@click.option("--alias", default=None, help="Of the version that this alias names at the time.")
@click.option("--param", "pairs", multiple=True, help="NAME=VALUE of its runs; may be repeated.")
@click.option(
    "--params-file", type=click.Path(path_type=Path, exists=True), default=None, help="JSON object of params."
)
def schedule_create(
    session: Session,
    dag_id: str,
    cron: str | None,
    every: str | None,
    dates: Sequence[str],
    continuous: bool,
    pause: str,
    anchor: str | None,
    schedule_name: str,
    pairs: Sequence[str],
    params_file: Path | None,
    **said: Any,
) -> None:
    """Create a schedule of a DAG, or replace what is said of it. A tick never gets a second outcome."""
    from glidepath.authoring.schedules import check_schedules

    rules = {"cron": cron, "every": every, "dates": list(dates) or None, "continuous": continuous or None}
    given = {name: value for name, value in rules.items() if value is not None}
    if len(given) != 1:
        raise click.UsageError('expected one of --cron, --every, --at, --continuous, such as --cron "0 2 * * *"')
    if pause and not continuous:
        raise click.UsageError("--pause goes with --continuous")
    if pause:
        said["pause"] = pause
    if anchor is not None:
        said["anchor"] = anchor
    if pairs or params_file:
        document = params_file.read_text() if params_file else ""
        schema = session.client.get_dag_version(dag_id).spec.params_schema if pairs else ""
        said["params"] = merge_params(document, split_pairs(pairs), schema)
    (made,) = check_schedules(None, [{**given, "name": schedule_name, **said}], f"DAG '{dag_id}'")
    _show(session, session.client.set_schedule(dag_id, made))


@command(schedule, "list", example="glidepath schedule list\nglidepath schedule list --dag training -o json")
@click.option("--dag", "dag_id", default="", shell_complete=completion.dag_ids, help="Only of this DAG.")
def schedule_list(session: Session, dag_id: str) -> None:
    """Schedules with their next tick."""
    nothing = 'no schedules; make one: glidepath schedule create DAG_ID --cron "0 2 * * *" --zone UTC'
    print_list(session.output, session.client.list_schedules(dag_id), _SCHEDULE, nothing)


@command(schedule, "show", example="glidepath schedule show training main")
@_DAG_ID
@_NAME_OR_MAIN
def schedule_show(session: Session, dag_id: str, schedule_name: str) -> None:
    """One schedule with all that is said of it."""
    _show(session, session.client.get_schedule(dag_id, schedule_name))


@command(schedule, "pause", example="glidepath schedule pause training main")
@_DAG_ID
@_NAME_OR_MAIN
def schedule_pause(session: Session, dag_id: str, schedule_name: str) -> None:
    """Make no further runs. Those that were made go on."""
    _show(session, session.client.pause_schedule(dag_id, schedule_name))


@command(schedule, "resume", example="glidepath schedule resume training main")
@_DAG_ID
@_NAME_OR_MAIN
def schedule_resume(session: Session, dag_id: str, schedule_name: str) -> None:
    """Let a paused schedule go on. Of the ticks of its pause at most the last is run."""
    _show(session, session.client.resume_schedule(dag_id, schedule_name))


@command(schedule, "delete", example="glidepath schedule delete training main")
@_DAG_ID
@_NAME
def schedule_delete(session: Session, dag_id: str, schedule_name: str) -> None:
    """Delete a schedule. Its runs go on, and what became of its ticks can still be read."""
    known = [each.declaration.schedule_name for each in session.client.list_schedules(dag_id)]
    answer = session.client.delete_schedule(dag_id, schedule_name)
    if session.json:
        print_json(proto_json(answer))
    if schedule_name in known:
        say(f"schedule {schedule_name} of {dag_id} is deleted")
    else:
        say(f"{dag_id} had no schedule {schedule_name} (there is: {', '.join(known) or 'none'}); nothing changed")


@command(schedule, "ticks", example="glidepath schedule ticks training main --limit 10")
@_DAG_ID
@_NAME_OR_MAIN
@click.option("--limit", type=NUMBER, default=50, show_default=True, help="Newest ones to print.")
def schedule_ticks(session: Session, dag_id: str, schedule_name: str, limit: int) -> None:
    """What became of each tick: its run, or why it was skipped. Newest first."""
    pages = session.client.list_ticks(dag_id, schedule_name, page_size=min(limit, 500))
    nothing = f"no tick yet; the next one: glidepath schedule show {dag_id} {schedule_name}"
    found = list(islice(pages, limit))
    columns = _TICK if session.json or not found else _tick_columns(_zone(session, dag_id, schedule_name))
    print_list(session.output, found, columns, nothing)
