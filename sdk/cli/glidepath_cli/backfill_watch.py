"""Following a backfill: one line that moves on a terminal, a line per change elsewhere."""

from __future__ import annotations

import sys
import time
from datetime import datetime, timedelta
from typing import Any

import click

from .exits import Exit
from .output import about, enum_name, print_json_line
from .session import Session

POLL_SECONDS = 1.0
STILL_SECONDS = 15.0
_WORTH_AN_END = timedelta(hours=1)
_OVER = ("success", "failed", "cancelled", "skipped", "gone")
_FAILED = ("failed", "cancelled")


def progress(each: Any) -> str:
    """ "12 of 30 done: 11 success, 1 failed; 3 running"."""
    counts = {field.name: value for field, value in each.counts.ListFields()}
    over = sum(counts.get(name, 0) for name in _OVER)
    done = ", ".join(f"{counts[name]} {name}" for name in _OVER if counts.get(name))
    active = ", ".join(f"{counts[name]} {name}" for name in ("running", "queued") if counts.get(name))
    return f"{over} of {each.date_count} done" + (f": {done}" if done else "") + (f"; {active}" if active else "")


def line(each: Any) -> str:
    """Progress, and the time that it may still take."""
    text = f"{enum_name(each, 'state')}  {progress(each)}"
    if each.HasField("remaining"):
        text += f"; {about(each.remaining.ToTimedelta().total_seconds())} left"
    return text


def time_left(each: Any, now: datetime) -> str:
    """For how long it will go on, and until when; "" for one that does not run."""
    if enum_name(each, "state") != "running":
        return ""
    if not each.HasField("remaining"):
        return "not known yet"
    left = each.remaining.ToTimedelta()
    end = f", until {now + left:%Y-%m-%d %H:%MZ}" if left >= _WORTH_AN_END else ""
    return about(left.total_seconds()) + end


def follow(session: Session, backfill_id: str) -> None:
    """Until it has ended or was cancelled and none of its runs is active. Exits with FAILED when a run failed."""
    last, last_counts, since, is_reminded = "", None, time.monotonic(), False
    while True:
        found = session.client.get_backfill(backfill_id)
        if (text := line(found)) != last:
            _tell(session, found, text)
            last = text
        if found.counts != last_counts:
            last_counts, since, is_reminded = found.counts, time.monotonic(), False
        elif not is_reminded and time.monotonic() - since > STILL_SECONDS:
            _remind(session, found)
            is_reminded = True
        if _is_over(found):
            break
        time.sleep(POLL_SECONDS)
    if sys.stderr.isatty() and not session.json:
        click.echo(err=True)
    if any(getattr(found.counts, name) for name in _FAILED):
        click.echo(f"next:  glidepath backfill dates {backfill_id} --failed", err=True)
        sys.exit(Exit.FAILED)


def _remind(session: Session, found: Any) -> None:
    """Nothing has moved for a while: where to see why."""
    if enum_name(found, "state") == "paused":
        step = f"it is paused: glidepath backfill resume {found.backfill_id}"
    else:
        page = session.client.list_backfill_dates(found.backfill_id, outcomes=("created", "rerun"))
        active = (each.dag_run_id for each in page if enum_name(each, "run_state") in ("running", "queued"))
        run_id = next(active, "")
        step = "nothing has ended for a while" + (f"; see why: glidepath run explain {run_id}" if run_id else "")
    click.echo(("\n" if sys.stderr.isatty() and not session.json else "") + step, err=True)


def _is_over(found: Any) -> bool:
    state = enum_name(found, "state")
    return state == "ended" or (state == "cancelled" and not found.counts.running and not found.counts.queued)


def _tell(session: Session, found: Any, text: str) -> None:
    if session.json:
        print_json_line(found)
    elif sys.stderr.isatty():
        click.echo(f"\r\033[K{text}", nl=False, err=True)
    else:
        click.echo(text)
