"""`glidepath schedule preview`: the next ticks of a rule, by the server's own code, without a server that runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import click

from .output import print_json, print_table, say
from .schedule_group import schedule, zone_option
from .server_verbs import need_server
from .session import local_command

if TYPE_CHECKING:
    from glidepath_server.core.preview import PreviewTick
    from glidepath_server.core.schedules import Rule, Schedule

TICKS_MAX = 10_000
SEED = "default/dag/main"
# What is wrong with a schedule is said of its fields; here they are options.
_OF_FIELDS = re.compile(r"\bschedule\.(?:rule\.)?(\w+)")
_OPTIONS = {
    "expression": "--cron",
    "seconds": "--every",
    "dates": "--at",
    "jitter_seconds": "--jitter",
    "excluded_dates": "--exclude-date",
    "excluded_weekdays": "--exclude-weekday",
}
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@local_command(
    schedule,
    "preview",
    example='glidepath schedule preview --cron "30 2 * * *" --zone America/New_York --from 2027-03-13 --count 3\n'
    "glidepath schedule preview --every 90m --zone UTC --data-interval before -o json\n"
    'glidepath schedule preview --cron "0 9 * * *" --zone Asia/Kolkata --exclude-weekday sunday',
)
@click.option("--cron", default=None, help='Minute, hour, day of month, month, day of week: "0 2 * * *"; or @daily.')
@click.option("--every", "--interval", "every", default=None, help="Every so long: 15m, 1h30m, 2d.")
@click.option("--at", "--dates", "dates", multiple=True, help="A time; may be repeated, or several with commas.")
@click.option("--anchor", default=None, help="With --every: the time it is counted from. Default: 1970-01-01 UTC.")
@zone_option
@click.option("--from", "since", default=None, help="The first time that is looked at. Default: now.")
@click.option("--count", type=click.IntRange(1, TICKS_MAX), default=5, show_default=True, help="So many ticks.")
@click.option(
    "--gap", type=click.Choice(["run_after", "skip"]), default="run_after", help="Times the clocks jump over."
)
@click.option(
    "--overlap-hours",
    type=click.Choice(["first", "last", "both"]),
    default="first",
    help="Times that occur twice, where the hours are fixed.",
)
@click.option("--start", default=None, help="No tick before this time.")
@click.option("--end", default=None, help="No tick after this time.")
@click.option("--jitter", default="0", help="Spread its runs over so long: 5m.")
@click.option("--exclude-date", "exclude_dates", multiple=True, help="No run on this local date; may be repeated.")
@click.option(
    "--exclude-weekday",
    "exclude_weekdays",
    multiple=True,
    type=click.Choice(_WEEKDAYS, case_sensitive=False),
    help="No run on it; may be repeated.",
)
@click.option("--data-interval", type=click.Choice(["point", "before"]), default="point", help="What a run covers.")
@click.option(
    "--seed",
    default=SEED,
    show_default=True,
    metavar="NAMESPACE/DAG/SCHEDULE",
    help="Whose ticks: decides what H stands for, and the jitter.",
)
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", help="How to print them.")
def schedule_preview(since: str | None, count: int, seed: str, output: str, **said: Any) -> None:
    """Show the next ticks of a rule in UTC and local time, and why some of them are skipped.

    Needs no server that runs, but glidepath-server installed here. Times without an offset are local in the zone. The
    next tick of a schedule that is there: `glidepath schedule show`.
    """
    need_server()
    from glidepath_server.core.preview import preview

    wanted = _schedule(**said)
    begins = _instant("--from", since, wanted.zone) or datetime.now(UTC)
    found = preview(wanted, seed, begins, count)
    if output == "json":
        print_json([_json(each, wanted.zone) for each in found])
    elif found:
        _table(found, wanted)
    if len(found) < count:
        say(f"{len(found)} of {count}: no further tick after {_text(begins)}" if not found else "no further tick")
    if seed == SEED and (wanted.jitter_seconds or "h" in (said["cron"] or "").lower().split("@")[0]):
        say(f"H and the jitter are those of {SEED}; for your schedule's: --seed NAMESPACE/DAG/SCHEDULE")


def _option(found: re.Match[str]) -> str:
    return _OPTIONS.get(found[1], "--" + found[1].replace("_", "-"))


def _schedule(
    *,
    zone: str,
    gap: str,
    overlap_hours: str,
    start: str | None,
    end: str | None,
    jitter: str,
    exclude_dates: Sequence[str],
    exclude_weekdays: Sequence[str],
    data_interval: str,
    **rule: Any,
) -> Schedule:
    """The schedule that the options say. Raises UsageError that says all that is wrong with it."""
    from glidepath_server.core.schedules import DataInterval, DstGap, DstOverlap, Schedule, check_schedule

    wanted = Schedule(
        _rule(zone, **rule),
        zone,
        DstGap(gap),
        DstOverlap(overlap_hours),
        start=_instant("--start", start, zone),
        end=_instant("--end", end, zone),
        jitter_seconds=_seconds("--jitter", jitter),
        excluded_dates=tuple(_date(each) for each in exclude_dates),
        excluded_weekdays=tuple(_WEEKDAYS.index(each) for each in exclude_weekdays),
        data_interval=DataInterval(data_interval),
    )
    wrong = check_schedule(wanted, "schedule")
    if wrong:
        raise click.UsageError("\n".join(_OF_FIELDS.sub(_option, str(each)) for each in wrong))
    return wanted


def _rule(zone: str, cron: str | None, every: str | None, dates: Sequence[str], anchor: str | None) -> Rule:
    from glidepath_server.core.schedules import CronRule, DatesRule, IntervalRule

    if [cron is not None, every is not None, bool(dates)].count(True) != 1:
        raise click.UsageError('expected one of --cron, --every, --at, such as --cron "0 2 * * *"')
    if anchor is not None and every is None:
        raise click.UsageError("--anchor goes with --every")
    if cron is not None:
        return CronRule(cron)
    if every is not None:
        return IntervalRule(_seconds("--every", every), _instant("--anchor", anchor, zone))
    texts = [text for each in dates for text in each.split(",")]
    return DatesRule(tuple(_instant("--at", text, zone) or datetime.now(UTC) for text in texts))


def _instant(option: str, text: str | None, zone: str) -> datetime | None:
    """ISO 8601; without an offset local in the zone, a date alone its first instant."""
    if text is None:
        return None
    from glidepath_server.core.local_times import load_zone, places
    from glidepath_server.core.schedule_checks import TIME_MAX, TIME_MIN

    try:
        found = datetime.fromisoformat(text.strip())
        if found.tzinfo is None:
            found = places(found, load_zone(zone)).first
        if TIME_MIN <= found <= TIME_MAX:
            return found.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        if "is no zone" in str(error):
            return datetime.now(UTC)  # the check of the zone says it better
        raise click.BadParameter(
            f"{text!r} is no time; write 2026-01-31, 2026-01-31T06:00 (local in the zone) or 2026-01-31T06:00Z",
            param_hint=option,
        ) from None
    raise click.BadParameter(f"{text!r}: expected {_text(TIME_MIN)} to {_text(TIME_MAX)}", param_hint=option)


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no date; write 2026-01-31", param_hint="--exclude-date") from None


def _seconds(option: str, text: str) -> float:
    from glidepath.authoring.options import parse_duration
    from glidepath.errors import AuthoringError

    number = text.strip()
    try:
        return parse_duration(float(number) if number.isdecimal() else number, option).total_seconds()
    except AuthoringError as error:
        raise click.UsageError(str(error)) from None


def _text(instant: datetime) -> str:
    from glidepath_server.core.schedules import time_text

    return time_text(instant)


def _json(each: PreviewTick, zone: str) -> dict[str, object]:
    """In the names that JSON of the protocol has (`Tick`), as all commands print it."""
    tick = each.tick
    return {
        "tickTime": _text(tick.tick_time),
        "localTime": each.local_time.isoformat(),
        "zone": zone,
        "abbreviation": each.abbreviation,
        "logicalDate": _text(tick.logical_date),
        "dataIntervalStart": _text(tick.data_interval_start),
        "dataIntervalEnd": _text(tick.data_interval_end),
        "dueTime": _text(tick.due_time),
        "skip": tick.skip,
        "note": each.note,
    }


def _table(found: Sequence[PreviewTick], wanted: Schedule) -> None:
    before, jitter = wanted.data_interval == "before", bool(wanted.jitter_seconds)
    headers = ["TICK", f"IN {wanted.zone}", *(["DATA FROM"] if before else []), *(["DUE"] if jitter else []), "NOTE"]
    rows: list[list[object]] = []
    for each in found:
        tick = each.tick
        row: list[object] = [_text(tick.tick_time), f"{each.local_time.isoformat(' ')} {each.abbreviation}"]
        row += ["" if tick.skip else _text(tick.data_interval_start)] if before else []
        row += [_text(tick.due_time)] if jitter else []
        rows.append([*row, f"skipped: {tick.skip}" if tick.skip else each.note])
    print_table(headers, rows)
