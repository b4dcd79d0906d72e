"""Deadlines: when each is due, what becomes of it as its run goes on, and what must be told of that.

A deadline is watched in one row per run. Two things move it: its instant passes, and what it watches is done. Whichever
comes first is its outcome and stays: what a run does after it was met, a clear among others, changes nothing. The
prediction may call it at risk, and take that back. Each kind of fact is told once in the life of a row at most.

Done means that nothing is left to do: a run has succeeded; a task, or all tasks of a group, succeeded, were skipped, or
are no longer in the version that the run was moved to. What failed, was cancelled or was never reached is not done, and
will be missed unless it is cleared and succeeds in time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from .errors import Violation
from .facts import FactKind
from .json_text import from_json, to_json
from .states import RunState, TaskState

NAME_CHARACTERS_MAX = 200
AFTER_SECONDS_MAX = 366 * 86_400.0
DEADLINES_MAX = 100
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Anchor(StrEnum):
    """What a deadline counts from, of the run, whatever it watches."""

    QUEUE = "queue"
    START = "start"
    LOGICAL_DATE = "logical_date"
    INTERVAL_END = "interval_end"
    WALL = "wall"


class DeadlineState(StrEnum):
    ON_TRACK = "on_track"
    AT_RISK = "at_risk"
    MISSED = "missed"
    MET = "met"
    MET_LATE = "met_late"


class DeadlineEvent(StrEnum):
    # The prediction doubts it; no longer doubts it.
    RISK = "risk"
    CALM = "calm"
    # The instant has passed.
    PASS = "pass"
    # What it watches is done.
    DONE = "done"


_S, _E = DeadlineState, DeadlineEvent
# What is absent changes nothing: a deadline takes the first outcome that it gets.
DEADLINE_TRANSITIONS: dict[tuple[DeadlineState, DeadlineEvent], tuple[DeadlineState, FactKind | None]] = {
    (_S.ON_TRACK, _E.RISK): (_S.AT_RISK, FactKind.AT_RISK),
    (_S.ON_TRACK, _E.PASS): (_S.MISSED, FactKind.MISSED),
    (_S.ON_TRACK, _E.DONE): (_S.MET, None),
    (_S.AT_RISK, _E.CALM): (_S.ON_TRACK, FactKind.RECOVERED),
    (_S.AT_RISK, _E.PASS): (_S.MISSED, FactKind.MISSED),
    (_S.AT_RISK, _E.DONE): (_S.MET, FactKind.RECOVERED),
    (_S.MISSED, _E.DONE): (_S.MET_LATE, FactKind.MET_LATE),
}
DEADLINE_OPEN = frozenset({_S.ON_TRACK, _S.AT_RISK})
DEADLINE_FINAL = frozenset({_S.MET, _S.MET_LATE})
TASK_DONE = frozenset({TaskState.SUCCESS, TaskState.SKIPPED, TaskState.REMOVED})


@dataclass(frozen=True, slots=True)
class Deadline:
    """A deadline as a DAG has it. `after_seconds` is of all anchors but WALL, which has `wall_time` (local, no zone in
    it), `zone` (IANA) and `weekdays` (Monday 0, local days; none: all). Neither task nor group: it watches the run."""

    name: str
    anchor: Anchor
    after_seconds: float = 0.0
    wall_time: time | None = None
    zone: str = ""
    weekdays: tuple[int, ...] = ()
    task_id: str = ""
    group_id: str = ""


@dataclass(frozen=True, slots=True)
class RunTimes:
    """What of a run a due time is counted from."""

    run_type: str
    create_time: datetime
    logical_date: datetime
    data_interval_end: datetime
    start_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Watched:
    """A deadline of a run. No due time: it counts from a start that has not been."""

    state: DeadlineState = DeadlineState.ON_TRACK
    due_time: datetime | None = None
    told: frozenset[FactKind] = frozenset()


# ---- when
def due_time(deadline: Deadline, run: RunTimes) -> datetime | None:
    """The instant by which it has to be done, which still is in time; None while the run has not started, and when it
    lies beyond the calendar, which nobody misses."""
    try:
        return _due_time(deadline, run)
    except OverflowError:
        return None


def _due_time(deadline: Deadline, run: RunTimes) -> datetime | None:
    if deadline.anchor is Anchor.WALL:
        # A scheduled run stands for its interval, whenever it is created; others begin by that.
        begin = run.data_interval_end if run.run_type == "scheduled" else run.create_time
        assert deadline.wall_time is not None
        return next_wall_time(begin, deadline.wall_time, deadline.zone, deadline.weekdays)
    begins = {
        Anchor.QUEUE: run.create_time,
        Anchor.START: run.start_time,
        Anchor.LOGICAL_DATE: run.logical_date,
        Anchor.INTERVAL_END: run.data_interval_end,
    }
    start = begins[deadline.anchor]
    return None if start is None else start + timedelta(seconds=deadline.after_seconds)


def holds(deadline: Deadline, run: RunTimes) -> bool:
    """Whether a new run has this deadline. A scheduled one has all: it was due when it should have been created.

    Runs of a backfill stand for the past and wait for their turn: they have those that count from their start. Nobody
    can meet what was over before a run was asked for: other runs do not have such deadlines.
    """
    if run.run_type == "scheduled" or deadline.anchor is Anchor.START:
        return True
    due = due_time(deadline, run)
    return run.run_type != "backfill" and due is not None and due > run.create_time


def promised_due_time(deadline: Deadline, logical_date: datetime, data_interval_end: datetime) -> datetime | None:
    """When a run is due that a schedule owes for a tick, created or not; None for what counts from its creation or
    start."""
    if deadline.anchor in (Anchor.QUEUE, Anchor.START):
        return None
    return due_time(deadline, RunTimes("scheduled", data_interval_end, logical_date, data_interval_end))


def next_wall_time(begin: datetime, wall: time, zone: str, weekdays: Sequence[int] = ()) -> datetime:
    """The first instant, at or after `begin`, at which clocks in the zone show this time on one of these weekdays.

    A time that the clocks skip is at the end of the gap; one that they show twice, at the first of both. A local day
    that does not exist at all has none. UTC.
    """
    place = ZoneInfo(zone)
    day = begin.astimezone(place).date()
    # A week finds every weekday; a day more when the first is over by now, and another when a zone leaves one out.
    for offset in range(16):
        each = day + timedelta(days=offset)
        if (weekdays and each.weekday() not in weekdays) or not _exists(each, place):
            continue
        instant = _instant(datetime.combine(each, wall), place)
        if instant >= begin:
            return instant
    raise ValueError(f"no {wall} in {zone} on weekdays {weekdays} within 16 days of {begin}")


def _instant(local: datetime, place: ZoneInfo) -> datetime:
    first = local.replace(tzinfo=place, fold=0)
    instant = first.astimezone(UTC)
    if instant.astimezone(place).replace(tzinfo=None) == local:
        return instant
    # In a gap: fold 0 counts with the offset before it, fold 1 with that after. The gap ends between the two.
    early, late = local.replace(tzinfo=place, fold=1).astimezone(UTC), instant
    after = late.astimezone(place).utcoffset()
    while late - early > timedelta(seconds=1):
        middle = early + (late - early) // 2
        if middle.astimezone(place).utcoffset() == after:
            late = middle
        else:
            early = middle
    return late.replace(microsecond=0)


def _exists(day: date, place: ZoneInfo) -> bool:
    """Not every day does: Apia had no 30 December 2011."""
    noon = datetime.combine(day, time(12), place)
    return noon.astimezone(UTC).astimezone(place).date() == day


# ---- what becomes of it
def follow(watched: Watched, event: DeadlineEvent) -> tuple[Watched, FactKind | None]:
    """The deadline after an event, and the fact that must be told, if it is new."""
    state, fact = DEADLINE_TRANSITIONS.get((watched.state, event), (watched.state, None))
    told = fact if fact not in watched.told else None
    return replace(watched, state=state, told=watched.told | ({told} if told else frozenset())), told


def judge(watched: Watched, now: datetime, *, done: bool) -> tuple[Watched, list[FactKind]]:
    """The deadline at an instant at which what it watches is done or not, and the facts that must be told, in order.

    What is done at the very instant is in time. What ends late is missed first, whoever comes to look first.
    """
    events = []
    if watched.due_time is not None and watched.due_time < now:
        events.append(DeadlineEvent.PASS)
    if done:
        events.append(DeadlineEvent.DONE)
    facts = []
    for event in events:
        watched, fact = follow(watched, event)
        facts += [fact] if fact is not None else []
    return watched, facts


def is_done(
    deadline: Deadline, run_state: RunState, states: Sequence[int], task_ids: Sequence[str], group_ids: Sequence[str]
) -> bool:
    """Whether nothing is left to do of what it watches. `states`, `task_ids`, `group_ids` are by task index."""
    if not deadline.task_id and not deadline.group_id:
        return run_state is RunState.SUCCESS
    return all(states[task] in TASK_DONE for task in members(deadline, task_ids, group_ids))


def members(deadline: Deadline, task_ids: Sequence[str], group_ids: Sequence[str]) -> list[int]:
    """Indexes of the tasks that it watches: one, or those of a group and of the groups in it."""
    if deadline.task_id:
        return [task_ids.index(deadline.task_id)] if deadline.task_id in task_ids else []
    group = deadline.group_id
    return [task for task, name in enumerate(group_ids) if name == group or name.startswith(f"{group}.")]


# ---- words
def target(deadline: Deadline) -> str:
    """What it watches, for people; empty for the run."""
    if deadline.task_id:
        return f"task {deadline.task_id}"
    return f"group {deadline.group_id}" if deadline.group_id else ""


def describe(deadline: Deadline) -> str:
    """When it is due, for people: "09:15 Asia/Kolkata mon-fri", "6h after the start"."""
    if deadline.anchor is Anchor.WALL:
        assert deadline.wall_time is not None
        clock = deadline.wall_time.isoformat("seconds" if deadline.wall_time.second else "minutes")
        return " ".join(filter(None, (clock, deadline.zone, _weekdays_text(deadline.weekdays))))
    anchors = {
        Anchor.QUEUE: "it was queued",
        Anchor.START: "its start",
        Anchor.LOGICAL_DATE: "its logical date",
        Anchor.INTERVAL_END: "the end of its data interval",
    }
    return f"{_span(deadline.after_seconds)} after {anchors[deadline.anchor]}"


def default_name(deadline: Deadline) -> str:
    """The name of one that was given none: what it says, after as much of what it watches as there is room for."""
    said, watched = describe(deadline), deadline.task_id or deadline.group_id
    return f"{watched[: NAME_CHARACTERS_MAX - len(said) - 2]}: {said}" if watched else said


def _weekdays_text(weekdays: Sequence[int]) -> str:
    """Runs of days joined: (0, 1, 2, 3, 4) is mon-fri."""
    parts: list[list[int]] = []
    for day in sorted(weekdays):
        if parts and parts[-1][-1] == day - 1:
            parts[-1].append(day)
        else:
            parts.append([day])
    return ",".join(
        WEEKDAYS[part[0]] if len(part) == 1 else f"{WEEKDAYS[part[0]]}-{WEEKDAYS[part[-1]]}" for part in parts
    )


def _span(seconds: float) -> str:
    rest, words = seconds, ""
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        count, rest = divmod(rest, size)
        words += f"{count:.0f}{unit}" if count else ""
    return words + (f"{rest:g}s" if rest or not words else "")


# ---- checks
def check_deadline(deadline: Deadline, at: str) -> Iterator[Violation]:
    """What is wrong with one, by itself. Its name may be empty: it gets one by what it says."""
    name = deadline.name
    if len(name) > NAME_CHARACTERS_MAX or not name.isprintable():
        yield Violation(f"{at}.name", repr(name[:80]), f"1 to {NAME_CHARACTERS_MAX} printable characters, or nothing")
    if deadline.task_id and deadline.group_id:
        yield Violation(f"{at}.group_id", repr(deadline.group_id[:80]), "a task or a group, not both")
    if deadline.anchor is Anchor.WALL:
        yield from _check_wall(deadline, at)
    elif not 0 < deadline.after_seconds <= AFTER_SECONDS_MAX:
        yield Violation(f"{at}.after", f"{deadline.after_seconds:g} s", f"above 0 s, at most {AFTER_SECONDS_MAX:g} s")


def _check_wall(deadline: Deadline, at: str) -> Iterator[Violation]:
    if deadline.wall_time is None:
        yield Violation(f"{at}.wall.clock", "nothing", "a local time, as in 09:15")
    if not known_zone(deadline.zone):
        yield Violation(f"{at}.wall.zone", repr(deadline.zone[:80]), "an IANA time zone, as in Asia/Kolkata")
    wrong = [day for day in deadline.weekdays if not 0 <= day <= 6]
    if wrong or len(set(deadline.weekdays)) < len(deadline.weekdays):
        yield Violation(
            f"{at}.wall.weekdays", str(list(deadline.weekdays)[:10]), "each of 0 (Monday) to 6 once at most"
        )


def known_zone(name: str) -> bool:
    """Whether this names a zone of the time zone database."""
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        return False
    return True


def check_deadlines(
    deadlines: Sequence[Deadline], at: str, task_ids: Collection[str], group_ids: Collection[str]
) -> Iterator[Violation]:
    """What is wrong with the deadlines of a DAG that has these tasks and groups."""
    if len(deadlines) > DEADLINES_MAX:
        yield Violation(at, f"{len(deadlines)} deadlines", f"at most {DEADLINES_MAX} of a DAG")
        return
    taken: dict[str, int] = {}
    for index, each in enumerate(deadlines):
        here = f"{at}[{index}]"
        found = [*check_deadline(each, here), *check_target(each, here, task_ids, group_ids)]
        yield from found
        name = each.name if found else each.name or default_name(each)
        if name in taken:
            yield Violation(f"{here}.name", repr(name[:80]), f"another name than that of {at}[{taken[name]}]")
        elif name:
            taken[name] = index


def check_target(
    deadline: Deadline, at: str, task_ids: Collection[str], group_ids: Collection[str]
) -> Iterator[Violation]:
    """Whether there is what it watches."""
    if deadline.task_id and deadline.task_id not in task_ids:
        yield Violation(f"{at}.task_id", repr(deadline.task_id[:80]), "a task of the DAG")
    elif not deadline.task_id and deadline.group_id and not members(deadline, (), list(group_ids)):
        yield Violation(f"{at}.group_id", repr(deadline.group_id[:80]), "a group of the DAG that has tasks")


def named(deadline: Deadline) -> Deadline:
    """The deadline, with a name."""
    return deadline if deadline.name else replace(deadline, name=default_name(deadline))


# ---- as it is stored
def deadline_to_json(deadline: Deadline) -> str:
    """Canonical JSON of all but the name; what is not said is left out."""
    content: Mapping[str, Any] = {
        "anchor": deadline.anchor.value,
        "after_seconds": deadline.after_seconds,
        "wall_time": deadline.wall_time.isoformat() if deadline.wall_time is not None else None,
        "zone": deadline.zone,
        "weekdays": sorted(deadline.weekdays),
        "task_id": deadline.task_id,
        "group_id": deadline.group_id,
    }
    return to_json({name: value for name, value in content.items() if value})


def deadline_from_json(name: str, text: str) -> Deadline:
    content = from_json(text)
    wall = content.get("wall_time")
    return Deadline(
        name,
        Anchor(content["anchor"]),
        content.get("after_seconds", 0.0),
        time.fromisoformat(wall) if wall is not None else None,
        content.get("zone", ""),
        tuple(content.get("weekdays", ())),
        content.get("task_id", ""),
        content.get("group_id", ""),
    )
