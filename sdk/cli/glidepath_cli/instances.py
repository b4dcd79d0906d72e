"""Instances of mapped tasks: how they are named, counted and listed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from . import ends
from .output import Column, cell, enum_name, moment, print_table, say, span

if TYPE_CHECKING:
    from datetime import datetime

_INSTANCE = re.compile(r"(?P<task_id>[^\[\]]+)\[(?P<map_index>\d{1,9})\]")
# The counts that are worth a word beside how many have ended, in the order of the words.
_TOLD = ("failed", "cancelled", "skipped", "running", "up_for_retry", "deferred", "queued")
_ENDED = ("success", "failed", "skipped", "cancelled")
_PARTS = 10


class Name(NamedTuple):
    """A task of a run, or one of the instances of a mapped one."""

    task_id: str
    map_index: int | None = None

    def __str__(self) -> str:
        return self.task_id if self.map_index is None else f"{self.task_id}[{self.map_index}]"


class NameType(click.ParamType[Name]):
    """TASK, or TASK[3] for an instance of a mapped one."""

    name = "TASK"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Name:
        if isinstance(value, Name):
            return value
        found = _INSTANCE.fullmatch(value)
        if found:
            return Name(found["task_id"], int(found["map_index"]))
        if "[" in value or "]" in value:
            self.fail(f"{value!r} is no task: expected its id, or 'train[3]' for one instance of it", param, ctx)
        return Name(value)


NAME = NameType()


def name_of(message: Any) -> Name:
    """Of anything that has a task and a map index."""
    return Name(message.task_id, message.map_index if message.map_index >= 0 else None)


def of_one_task(names: Sequence[Name]) -> tuple[list[str], list[int]]:
    """Task ids, and map indexes when instances are named. Raises UsageError for instances of several tasks."""
    tasks = list(dict.fromkeys(each.task_id for each in names))
    indexes = [each.map_index for each in names if each.map_index is not None]
    if indexes and (len(tasks) > 1 or len(indexes) < len(names)):
        raise click.UsageError(
            f"{', '.join(map(str, names))}: expected whole tasks, or instances of one mapped task at a time"
        )
    return tasks, indexes


def counts(instance: Any) -> str:
    """How far a mapped task is: "120/1000 done, 2 failed, 8 running"; "" for a task that is not mapped."""
    if not instance.HasField("map_counts") or not instance.map_counts.total:
        return ""
    found = instance.map_counts
    told = [f"{number} {name.replace('_', ' ')}" for name in _TOLD if (number := getattr(found, name))]
    return ", ".join([f"{ended(instance)}/{found.total} done", *told])


def says_counts(instance: Any) -> bool:
    """Whether the reason of a mapped task tells no more than its counts do."""
    return bool(instance.reason.startswith(f"{ended(instance)} of {instance.map_counts.total} instances"))


def which_failed(run_id: str, task: Any) -> str:
    """Where to see which instances of a mapped task have failed."""
    return f"which of {task.task_id} failed: glidepath run show {run_id} --task {task.task_id} --state failed"


def ended(instance: Any) -> int:
    """How many instances of a mapped task have ended."""
    return sum(getattr(instance.map_counts, name) for name in _ENDED)


def part_done(instance: Any) -> int:
    """Which tenth of a mapped task has ended: what is told line by line has no room for every instance."""
    total = instance.map_counts.total
    return ended(instance) * _PARTS // total if total else 0


def title(instance: Any) -> str:
    """What its map calls an instance: a template of what the instance is given; "" where that has no such thing."""
    from glidepath import templates
    from glidepath.errors import TemplateError

    if not instance.map_name:
        return ""
    try:
        return templates.render(instance.map_name, {"map_item": json.loads(instance.map_item or "{}")})
    except TemplateError:
        return ""


def columns(now: datetime) -> list[Column]:
    return [
        ("INSTANCE", lambda each: each.map_index if each.map_index >= 0 else each.task_id),
        ("NAME", title),
        ("STATE", lambda each: enum_name(each, "state")),
        ("ATTEMPT", lambda each: each.attempt_number or ""),
        ("STARTED", lambda each: moment(each, "start_time")),
        ("TOOK", lambda each: _took(each, now)),
        ("WORKER", lambda each: each.worker_identity),
        ("WHY", ends.why),
    ]


def _took(instance: Any, now: datetime) -> str:
    start, end = moment(instance, "start_time"), moment(instance, "end_time")
    return span(((end or now) - start).total_seconds()) if start else ""


def print_instances(found: Iterable[Any], limit: int, now: datetime, wider: str) -> None:
    """A table of as many as `limit`; columns that say nothing are left out. `wider` is the command that shows more."""
    rows = list(islice(found, limit + 1))
    if not rows:
        say("no instance of it is in such a state, or there is none yet")
        return
    shown = [
        (name, [get(each) for each in rows[:limit]])
        for name, get in columns(now)
        if any(cell(get(each)) for each in rows[:limit])
    ]
    print_table([name for name, _ in shown], zip(*(cells for _, cells in shown), strict=True))
    if len(rows) > limit:
        say(f"and more; see them: {wider}")
