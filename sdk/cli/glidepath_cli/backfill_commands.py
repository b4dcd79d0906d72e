"""`glidepath backfill`: runs of a DAG for many dates, made at a pace; and steering that."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from . import backfill_watch, completion, local_dates
from .capacity_commands import Rate
from .local_dates import LocalMoment
from .output import Column, about, enum_name, moment, print_json, print_list, print_one, proto_json, say, span
from .params import merge_params, needs_schema, split_pairs
from .session import NUMBER, Session, command

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from glidepath.client import BackfillOptions

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DAILY = "0 0 * * *"


@click.group()
def backfill() -> None:
    """Backfills: runs of a DAG for many dates, made at a pace beside its scheduled runs."""


class Period(click.ParamType[float]):
    """A span of time: "6h", "90m", "1d"."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([smhd])", value)
        if match is None:
            self.fail(f"{value!r} is no span of time; write it as 90m, 6h or 1d", param, ctx)
        return float(match[1]) * _SECONDS[match[2]]


def _seconds(message: Any, field: str) -> str:
    if not message.HasField(field):
        return ""
    value = getattr(message, field)
    return span(value.seconds + value.nanos / 1e9)


def _rate(each: Any) -> str:
    return f"{each.spec.rate_runs} in {_seconds(each.spec, 'rate_period')}" if each.spec.rate_runs else ""


_DATE: list[Column] = [
    ("DATE", lambda each: moment(each, "logical_date")),
    ("OUTCOME", lambda each: enum_name(each, "outcome")),
    ("STATE", lambda each: enum_name(each, "run_state")),
    ("RUN", lambda each: each.dag_run_id),
    ("VERSION", lambda each: each.dag_version_number),
    ("REASON", lambda each: each.reason),
]
_BACKFILL: list[Column] = [
    ("ID", lambda each: each.backfill_id),
    ("DAG", lambda each: each.spec.dag_id),
    ("SERIES", lambda each: each.spec.series),
    ("STATE", lambda each: enum_name(each, "state")),
    ("DATES", lambda each: each.date_count),
    ("PROGRESS", backfill_watch.progress),
    ("CREATED", lambda each: moment(each, "create_time")),
    ("BY", lambda each: each.created_by),
]


def _show(session: Session, each: Any) -> None:
    rows: list[tuple[str, object]] = [
        ("backfill", each.backfill_id),
        ("dag", each.spec.dag_id),
        ("series", each.spec.series),
        ("state", enum_name(each, "state")),
        ("reason", each.reason),
        ("dates", each.date_count),
        ("progress", backfill_watch.progress(each)),
        ("time left", backfill_watch.time_left(each, datetime.now(UTC))),
        ("from", moment(each.spec, "range_start")),
        ("to", moment(each.spec, "range_end")),
        ("order", enum_name(each.spec, "order")),
        ("version", each.spec.dag_version),
        ("params", "" if each.spec.params in ("", "{}") else each.spec.params),
        ("existing runs", enum_name(each.spec, "existing").replace("_", " ")),
        ("active runs", f"at most {each.spec.runs_active_max}"),
        ("rate", _rate(each)),
        ("weight", f"{each.spec.weight:g}"),
        ("pool", each.spec.pool_name),
        ("queue", each.spec.queue_name),
        ("created", moment(each, "create_time")),
        ("by", each.created_by),
        ("ended", moment(each, "end_time")),
    ]
    print_one(session.output, each, rows)


@command(
    backfill,
    "create",
    example="glidepath backfill create sales --from 2026-01-01 --to 2026-03-31 --daily --dry-run\n"
    "glidepath backfill create sales --from 2026-01-01 --to 2026-03-31 --schedule nightly --active 5 --watch\n"
    "glidepath backfill create sales --date 2026-01-01 --date 2026-02-01 --existing rerun-failed",
)
@click.argument("dag_id", shell_complete=completion.dag_ids)
@click.option("--from", "start", type=LocalMoment(), default=None, help="Logical dates from here on.")
@click.option(
    "--to", "end", type=LocalMoment(), default=None, help="Up to here, included: a date alone is all its day."
)
@click.option("--date", "dates", type=LocalMoment(), multiple=True, help="Instead of a range: may be repeated.")
@click.option("--schedule", default="", help="The dates of this schedule of the DAG; its runs are met.")
@click.option("--daily", is_flag=True, help="A date per day, at midnight in --zone.")
@click.option("--cron", default="", help="The dates of a cron expression, in --zone.")
@click.option("--every", type=Period(), default=None, help="A date per span from --from on: 6h, 1d.")
@click.option("--zone", default="", help="IANA zone of --daily (default UTC) and --cron.")
@click.option("--series", default="", help="Run keys are SERIES@DATE. Default: the schedule's name, else manual.")
@click.option(
    "--order",
    type=click.Choice(["ascending", "descending", "newest-first"]),
    default="ascending",
    show_default=True,
    help="By logical date; newest-first is another word for descending.",
)
@click.option("--version", default="", help="latest (default), a number, an alias, or original: that of each date.")
@click.option("-p", "--param", "pairs", multiple=True, metavar="NAME=VALUE", help="Of all runs; may be repeated.")
@click.option("--params-file", type=click.File(), help="A JSON object with params; - reads stdin.")
@click.option(
    "--existing",
    type=click.Choice(["skip", "rerun-failed", "rerun-all"]),
    default="skip",
    show_default=True,
    help="What becomes of a date that has a run.",
)
@click.option("--active", type=click.IntRange(1, 10_000), default=None, help="Runs at once. Default: 3.")
@click.option("--rate", type=Rate(), default=None, help="Runs per span: 10/1h. Default: as --active allows.")
@click.option("--weight", type=float, default=None, help="Share of a queue, where a DAG has 1. Default: 0.1.")
@click.option("--pool", default="", shell_complete=completion.pool_names, help="New runs also take slots of this pool.")
@click.option("--queue", default="", help="New runs use this queue.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--watch", is_flag=True, help="Follow it to its end; exit code 1 when a run failed.")
def backfill_create(session: Session, dag_id: str, dry_run: bool, watch: bool, **given: Any) -> None:
    """Make runs of a DAG for a range or a list of dates, at most 10,000. A date never gets a second run.

    Times without an offset are local in --zone, or in the zone of --schedule; else in UTC.
    """
    options = _options(session, dag_id, **given)
    if dry_run:
        _preview(session, dag_id, options, _zone(session, dag_id, given["schedule"], given["zone"]))
        return
    made = session.client.create_backfill(dag_id, **options)
    if watch:
        say(f"backfill {made.backfill_id} goes; Ctrl-C leaves it: glidepath backfill watch {made.backfill_id}")
        backfill_watch.follow(session, made.backfill_id)
        return
    _show(session, made)
    say(f"next:  glidepath backfill watch {made.backfill_id}")


def _options(
    session: Session, dag_id: str, daily: bool, pairs: tuple[str, ...], params_file: Any, **given: Any
) -> BackfillOptions:
    """The options that were given, as the client takes them."""
    if daily and given["cron"]:
        raise click.UsageError("--daily and --cron are both given; a range has one rule")
    if daily:
        given |= {"cron": _DAILY, "zone": given["zone"] or "UTC"}
    _place(given, _zone(session, dag_id, given["schedule"], given["zone"]))
    texts = split_pairs(pairs)
    schema = session.client.get_dag_version(dag_id).spec.params_schema if needs_schema(texts) else ""
    given["params"] = merge_params(params_file.read() if params_file else "", texts, schema)
    given["runs_active_max"] = given.pop("active")
    given["existing"] = given["existing"].replace("-", "_")
    given["order"] = "ascending" if given["order"] == "ascending" else "descending"
    said: Any = {name: value for name, value in given.items() if value not in (None, "", [])}
    options: BackfillOptions = said
    return options


def _zone(session: Session, dag_id: str, schedule_name: str, zone: str) -> ZoneInfo:
    """In which local times are meant."""
    if schedule_name:
        named = [each.declaration for each in session.client.list_schedules(dag_id)]
        zone = next((each.spec.zone for each in named if each.schedule_name == schedule_name), "")
    return local_dates.zone_of(zone)


def _place(given: dict[str, Any], zone: ZoneInfo) -> None:
    """Local times become instants."""
    if given["start"]:
        given["start"] = local_dates.instant(given["start"], zone)
    if given["end"]:
        given["end"] = local_dates.instant(given["end"], zone, now=datetime.now(UTC))
    given["dates"] = [local_dates.instant(each, zone) for each in given["dates"]]


def _planned(zone: ZoneInfo) -> list[Column]:
    """The columns of dates that have no outcome yet."""
    if zone.key == "UTC":
        return _DATE

    def local(each: Any) -> str:
        return local_dates.local_text(each.logical_date.ToDatetime(UTC), zone)

    return [_DATE[0], (f"IN {zone.key}", local), *_DATE[1:]]


def _preview(session: Session, dag_id: str, options: BackfillOptions, zone: ZoneInfo) -> None:
    found = session.client.preview_backfill(dag_id, dates_max=1_000, **options)
    if session.json:
        print_json(proto_json(found))
        return
    print_list(session.output, found.dates, _planned(zone), "no dates")
    if found.date_count > len(found.dates):
        say(f"... and {found.date_count - len(found.dates)} more dates")
    say(
        f"{found.date_count} dates: {found.created_count} new runs, {found.rerun_count} runs again, "
        f"{found.skipped_count} skipped"
    )
    if found.HasField("estimated"):
        each = _seconds(found, "run_duration")
        whole = about(found.estimated.ToTimedelta().total_seconds())
        say(f"estimated: {whole} (a run of {dag_id} takes {each})")
    else:
        say(f"estimated: not known, no run of {dag_id} has succeeded yet")


@command(backfill, "list", example="glidepath backfill list\nglidepath backfill list --dag sales --all")
@click.option("--dag", "dag_id", default="", shell_complete=completion.dag_ids, help="Only of this DAG.")
@click.option("--all", "include_ended", is_flag=True, help="Also those that have ended or were cancelled.")
@click.option("--limit", type=NUMBER, default=50, show_default=True)
def backfill_list(session: Session, dag_id: str, include_ended: bool, limit: int) -> None:
    """Backfills that run or are paused, newest first."""
    pages = session.client.list_backfills(dag_id, include_ended=include_ended, page_size=min(limit, 100))
    nothing = "there is no backfill" if include_ended else "no backfill runs or is paused; those that have ended: --all"
    print_list(session.output, islice(pages, limit), _BACKFILL, nothing)


_ID = click.argument("backfill_id", shell_complete=completion.backfill_ids)
_REASON = click.option("--reason", default="", help="Kept with it and in the audit trail.")


@command(backfill, "show", example="glidepath backfill show BACKFILL_ID")
@_ID
def backfill_show(session: Session, backfill_id: str) -> None:
    """A backfill, how far it is, and how long it may still take."""
    _show(session, session.client.get_backfill(backfill_id))


@command(backfill, "watch", example="glidepath backfill watch BACKFILL_ID")
@_ID
def backfill_watch_command(session: Session, backfill_id: str) -> None:
    """Follow a backfill to its end: progress and time left. Exit code 1 when a run failed or was cancelled."""
    backfill_watch.follow(session, backfill_id)


@command(
    backfill,
    "dates",
    example="glidepath backfill dates BACKFILL_ID\nglidepath backfill dates BACKFILL_ID --outcome skipped",
)
@_ID
@click.option(
    "--outcome",
    "outcomes",
    multiple=True,
    type=click.Choice(["waiting", "created", "rerun", "skipped"]),
    help="Only these; may be repeated.",
)
@click.option("--failed", is_flag=True, help="Only those whose run failed or was cancelled.")
@click.option("--limit", type=NUMBER, default=100, show_default=True)
def backfill_dates(session: Session, backfill_id: str, outcomes: tuple[str, ...], failed: bool, limit: int) -> None:
    """The dates of a backfill, what became of each, and why one was skipped."""
    pages = session.client.list_backfill_dates(
        backfill_id, outcomes=outcomes, only_failed=failed, page_size=min(limit, 500)
    )
    print_list(session.output, islice(pages, limit), _DATE, "no such dates")


@command(backfill, "pause", example='glidepath backfill pause BACKFILL_ID --reason "month end"')
@_ID
@_REASON
def backfill_pause(session: Session, backfill_id: str, reason: str) -> None:
    """Begin no further runs; those that are there go on."""
    _show(session, session.client.pause_backfill(backfill_id, reason=reason))


@command(backfill, "resume", example="glidepath backfill resume BACKFILL_ID")
@_ID
@_REASON
def backfill_resume(session: Session, backfill_id: str, reason: str) -> None:
    """Go on where it was paused."""
    _show(session, session.client.resume_backfill(backfill_id, reason=reason))


@command(backfill, "cancel", example="glidepath backfill cancel BACKFILL_ID --runs")
@_ID
@click.option("--runs", "cancel_runs", is_flag=True, help="Also cancel its runs that are active.")
@_REASON
def backfill_cancel(session: Session, backfill_id: str, cancel_runs: bool, reason: str) -> None:
    """End a backfill for good: dates that wait are skipped. Its active runs go on, unless --runs is given."""
    _show(session, session.client.cancel_backfill(backfill_id, cancel_runs=cancel_runs, reason=reason))


@command(backfill, "retry", example="glidepath backfill retry BACKFILL_ID")
@_ID
@_REASON
def backfill_retry(session: Session, backfill_id: str, reason: str) -> None:
    """Rerun what has failed or was cancelled, at the backfill's pace; what has succeeded in these runs stays."""
    _show(session, session.client.retry_backfill(backfill_id, reason=reason))
