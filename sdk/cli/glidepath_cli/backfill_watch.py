"""Following a backfill: one line that moves on a terminal, a line per change elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from .exits import Exit
from .output import enum_name, print_json_line, span
from .session import Session

POLL_SECONDS = 1.0
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
        text += f"; about {span(each.remaining.seconds + each.remaining.nanos / 1e9)} left"
    return text


def follow(session: Session, backfill_id: str) -> None:
    """Until it has ended or was cancelled and none of its runs is active. Exits with FAILED when a run failed."""
    last = ""
    while True:
        found = session.client.get_backfill(backfill_id)
        if (text := line(found)) != last:
            _tell(session, found, text)
            last = text
        if _is_over(found):
            break
        time.sleep(POLL_SECONDS)
    if sys.stderr.isatty() and not session.json:
        click.echo(err=True)
    if any(getattr(found.counts, name) for name in _FAILED):
        click.echo(f"next:  glidepath backfill dates {backfill_id} --failed", err=True)
        sys.exit(Exit.FAILED)


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
