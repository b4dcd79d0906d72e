"""What runs have to be done by: `@dag(deadlines=[...])`, `@task(deadline=...)`, and the same in a YAML document.

    @dag(deadlines=[
        Deadline.wall("09:15", zone="Asia/Kolkata", weekdays="mon-fri"),
        Deadline.after_start(hours=6),
        Deadline.after_interval_end("2h", task="load"),
    ])

Each is checked here as far as its form goes; zones and names of tasks are the server's to judge.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import time, timedelta
from typing import Any

from glidepath.authoring.options import DurationLike, parse_duration
from glidepath.authoring.suggestions import suggestion
from glidepath.errors import AuthoringError

DEADLINES_MAX = 100
SPANS = ("after_queue", "after_start", "after_logical_date", "after_interval_end")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FULL = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_TIME = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d)?", re.ASCII)
_OF_WALL = ("zone", "weekdays")
_TARGETS = ("task", "group", "name")


@dataclass(frozen=True)
class Deadline:
    """An instant by which a run of the DAG, a task or a group of it has to be done. Made by the methods below.

    `rule` is "wall" or one of SPANS. `weekdays` are local days, 0 (Monday) to 6; none: all.
    """

    rule: str
    span: timedelta = timedelta(0)
    clock: str = ""
    zone: str = ""
    weekdays: tuple[int, ...] = ()
    task: str = ""
    group: str = ""
    name: str = ""

    @staticmethod
    def wall(
        at: str | time,
        *,
        zone: str,
        weekdays: str | Sequence[int | str] = (),
        task: str = "",
        group: str = "",
        name: str = "",
    ) -> Deadline:
        """The next such local time after the end of a scheduled run's data interval, or the creation of another run.

        `weekdays` are all, or "mon-fri", "mon,wed,sat", a list of names or of numbers from 0 (Monday).
        """
        said = {"wall": at, "zone": zone, "weekdays": weekdays, "task": task, "group": group, "name": name}
        return read_deadline(said, "Deadline.wall")

    @staticmethod
    def after_queue(
        span: DurationLike = 0, *, task: str = "", group: str = "", name: str = "", **parts: float
    ) -> Deadline:
        """So long after the run was created: "90m", a timedelta, seconds, or hours=6, minutes=30."""
        return _after("after_queue", span, parts, task, group, name)

    @staticmethod
    def after_start(
        span: DurationLike = 0, *, task: str = "", group: str = "", name: str = "", **parts: float
    ) -> Deadline:
        """So long after the run has started, also for a task. A run that never starts has no such deadline."""
        return _after("after_start", span, parts, task, group, name)

    @staticmethod
    def after_logical_date(
        span: DurationLike = 0, *, task: str = "", group: str = "", name: str = "", **parts: float
    ) -> Deadline:
        """So long after the run's logical date."""
        return _after("after_logical_date", span, parts, task, group, name)

    @staticmethod
    def after_interval_end(
        span: DurationLike = 0, *, task: str = "", group: str = "", name: str = "", **parts: float
    ) -> Deadline:
        """So long after the end of the run's data interval."""
        return _after("after_interval_end", span, parts, task, group, name)


def _after(rule: str, span: DurationLike, parts: Mapping[str, float], task: str, group: str, name: str) -> Deadline:
    where = f"Deadline.{rule}"
    try:
        whole = parse_duration(span, where) + timedelta(**parts)
    except (TypeError, OverflowError):
        raise AuthoringError(f"{where}: {dict(parts)!r:.80} is no span; expected hours=, minutes=, ...") from None
    return read_deadline({rule: whole, "task": task, "group": group, "name": name}, where)


def check_deadlines(value: object, where: str) -> tuple[Deadline, ...]:
    """The deadlines of a list of them, or of their mappings. AuthoringError says what is wrong."""
    if isinstance(value, str | Mapping | Deadline) or not isinstance(value, Sequence):
        raise AuthoringError(f"{where} is {value!r:.60}; expected a list of deadlines")
    if len(value) > DEADLINES_MAX:
        raise AuthoringError(f"{where}: {len(value)} deadlines; expected at most {DEADLINES_MAX}")
    return tuple(read_deadline(each, f"{where}[{index}]") for index, each in enumerate(value))


def check_own_deadline(value: object, where: str) -> tuple[Deadline, ...]:
    """What `deadline` of a task says: one, or a list. They watch that task, so they name none."""
    one = isinstance(value, Mapping | Deadline) or not isinstance(value, Sequence)
    found = (read_deadline(value, where),) if one else check_deadlines(value, where)
    for each in found:
        if each.task or each.group:
            named = each.task or each.group
            raise AuthoringError(f"{where} names {named!r}; expected no task or group: it is that of its own task")
    return found


def of_task(deadline: Deadline, task_id: str) -> Deadline:
    return replace(deadline, task=task_id)


def read_deadline(value: object, where: str) -> Deadline:
    """A deadline of its mapping, such as {"after_start": "6h", "task": "load"}."""
    if isinstance(value, Deadline):
        return value
    if not isinstance(value, Mapping):
        raise AuthoringError(f"{where} is {value!r:.60}; expected a Deadline, such as Deadline.after_start(hours=6)")
    rules = [rule for rule in ("wall", *SPANS) if rule in value]
    if len(rules) != 1:
        expected = ", ".join(("wall", *SPANS))
        raise AuthoringError(f"{where} has {' and '.join(rules) or 'no rule'}; expected one of {expected}")
    known = {rules[0], *_TARGETS, *(_OF_WALL if rules == ["wall"] else ())}
    for key in value:
        if key not in known:
            raise AuthoringError(f"{where}: unknown key {key!r}; {suggestion(str(key), known, 'keys of a deadline')}")
    said = {key: _text(value.get(key, ""), f"{where}: {key}") for key in _TARGETS}
    if said["task"] and said["group"]:
        raise AuthoringError(f"{where}: task and group are both given; expected one of them, or none for the run")
    if rules == ["wall"]:
        return _wall(value, where, said)
    span = parse_duration(value[rules[0]], f"{where}: {rules[0]}")
    if not span:
        raise AuthoringError(f"{where}: {rules[0]} is {value[rules[0]]!r:.60}; expected a span above 0")
    return Deadline(rules[0], span, task=said["task"], group=said["group"], name=said["name"])


def _wall(value: Mapping[str, Any], where: str, said: dict[str, str]) -> Deadline:
    at = value["wall"]
    if isinstance(at, time):
        at = at.isoformat("seconds" if at.second else "minutes")
    if not isinstance(at, str) or not _TIME.fullmatch(at):
        raise AuthoringError(f'{where}: wall is {at!r:.60}; expected a local time such as "09:15", in quotes')
    zone = value.get("zone")
    if not isinstance(zone, str) or not zone:
        raise AuthoringError(f'{where}: zone is {zone!r:.60}; expected an IANA zone, such as "Asia/Kolkata"')
    weekdays = _weekdays(value.get("weekdays", ()), f"{where}: weekdays")
    return Deadline("wall", timedelta(0), at, zone, weekdays, said["task"], said["group"], said["name"])


def _text(value: object, field: str) -> str:
    if not isinstance(value, str):
        raise AuthoringError(f"{field} is {value!r:.60}; expected text")
    return value


def _weekdays(value: object, field: str) -> tuple[int, ...]:
    parts = value.replace(" ", "").split(",") if isinstance(value, str) and value else value or ()
    found: list[int] = []
    for part in parts if isinstance(parts, Sequence) else [value]:
        first, _, last = part.partition("-") if isinstance(part, str) else (part, "", "")
        begin, end = _weekday(first), _weekday(last or first)
        if begin is None or end is None or begin > end:
            raise AuthoringError(f"{field} has {part!r:.60}; expected days such as mon-fri, or mon,wed, or 0 to 6")
        found += range(begin, end + 1)
    return tuple(sorted(set(found)))


def _weekday(value: object) -> int | None:
    if isinstance(value, str):
        name = value.lower()
        return next((days.index(name) for days in (WEEKDAYS, _FULL) if name in days), None)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 6 else None
