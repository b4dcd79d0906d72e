"""A run as a tree of its groups and tasks, with states and times. Pure: no I/O, the time is given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from . import ends, instances
from .output import enum_name, moment, span

FINAL = frozenset({"success", "failed", "upstream_failed", "skipped", "cancelled", "removed"})
# A group is in the first of these states that one of its tasks is in.
_WORST_FIRST = (
    "failed",
    "upstream_failed",
    "cancelled",
    "running",
    "up_for_retry",
    "waiting",
    "deferred",
    "queued",
    "scheduled",
    "success",
    "skipped",
    "removed",
)
SYMBOLS = {
    "success": "✓",
    "failed": "✗",
    "upstream_failed": "✗",
    "skipped": "↷",
    "cancelled": "⊘",
    "running": "▶",
    "queued": "…",
    "scheduled": "·",
    "up_for_retry": "↻",
    "deferred": "⏾",
    "waiting": "?",
    "removed": "-",
}


@dataclass(frozen=True)
class Row:
    """One line: `branch` are the lines of the tree before the name; `state` is "" for none."""

    branch: str
    name: str
    state: str
    time: str = ""
    note: str = ""

    def text(self) -> str:
        parts = [f"{self.branch}{SYMBOLS.get(self.state, '')} {self.name}".strip(), self.state, self.time, self.note]
        return "  ".join(part for part in parts if part)


@dataclass
class _Group:
    children: dict[str, _Group | Any] = field(default_factory=dict)

    def instances(self) -> Iterable[Any]:
        for child in self.children.values():
            if isinstance(child, _Group):
                yield from child.instances()
            else:
                yield child


def key_of(instance: Any) -> tuple[str, int]:
    return instance.task_id, instance.map_index


def label(instance: Any) -> str:
    """The task's name, with its index when it is mapped."""
    name: str = instance.task_id
    return f"{name}[{instance.map_index}]" if instance.map_index >= 0 else name


def rows(tasks: Iterable[Any], now: datetime) -> list[Row]:
    """The lines of a run's tasks (upstreams first), groups where their first task is; a mapped one is one line."""
    root = _Group()
    for instance in tasks:
        place = root
        path = ""
        for part in filter(None, instance.group_id.split(".")):
            path = f"{path}.{part}" if path else part
            found = place.children.setdefault(f"group {path}", _Group())
            assert isinstance(found, _Group)
            place = found
        place.children[f"task {key_of(instance)}"] = instance
    return _rows(root, "", "", now)


def _rows(group: _Group, branch: str, prefix: str, now: datetime) -> list[Row]:
    found: list[Row] = []
    last = len(group.children) - 1
    for number, (key, child) in enumerate(group.children.items()):
        own, below = ("└─ ", "   ") if number == last else ("├─ ", "│  ")
        if isinstance(child, _Group):
            path = key.removeprefix("group ")
            found.append(_group_row(child, branch + own, path.removeprefix(prefix), now))
            found += _rows(child, branch + below, f"{path}.", now)
        else:
            found.append(_task_row(child, branch + own, prefix, now))
    return found


def _group_row(group: _Group, branch: str, name: str, now: datetime) -> Row:
    members = list(group.instances())
    states = [enum_name(each, "state") for each in members]
    done = sum(state in FINAL for state in states)
    state = next((each for each in _WORST_FIRST if each in states), "")
    return Row(branch, name, state, _at_work(members, now), f"{done}/{len(members)} ended")


def _at_work(members: Sequence[Any], now: datetime) -> str:
    """How long any of these was at work; "" before the first starts. What lies between an end and a clear is none."""
    spans = sorted(
        (start, moment(each, "end_time") or now) for each in members if (start := moment(each, "start_time"))
    )
    if not spans:
        return ""
    total, reached = 0.0, spans[0][0]
    for start, end in spans:
        if end > reached:
            total += (end - max(start, reached)).total_seconds()
            reached = end
    return span(total)


def _task_row(instance: Any, branch: str, prefix: str, now: datetime) -> Row:
    return Row(
        branch,
        label(instance).removeprefix(prefix),
        enum_name(instance, "state"),
        elapsed(instance, now),
        note(instance, now),
    )


def elapsed(message: Any, now: datetime) -> str:
    """How long a run, task instance or attempt has been at work; "" before it starts."""
    start, end = moment(message, "start_time"), moment(message, "end_time")
    return span(((end or now) - start).total_seconds()) if start else ""


def note(instance: Any, now: datetime) -> str:
    """What a person wants to know beside the state, in one line."""
    state, counts = enum_name(instance, "state"), instances.counts(instance)
    parts = [counts] if counts else []
    if instance.attempt_number > 1:
        parts.append(f"attempt {instance.attempt_number}")
    available = moment(instance, "available_time")
    if state == "up_for_retry" and available:
        parts.append(f"again in {span((available - now).total_seconds())}")
    if state == "running" and (instance.progress_percent or instance.progress_note):
        parts.append(f"{instance.progress_percent:.0f}% {instance.progress_note}".strip())
    if instance.HasField("failure") and state in ("failed", "up_for_retry"):
        parts.append(ends.why(instance))
    elif instance.reason and not instances.says_counts(instance):
        parts.append(instance.reason)
    return ", ".join(parts)


def headline(run: Any, tasks: Iterable[Any], now: datetime) -> Row:
    """The run in one line: counts per state, time, reason."""
    counts = Counter(enum_name(each, "state") for each in tasks)
    parts = [f"{counts[state]} {state}" for state in _WORST_FIRST if counts[state]]
    if run.cancel_requested and enum_name(run, "state") == "running":
        parts.insert(0, "cancelling")
    if run.reason and counts["failed"] <= 1:  # of several that failed, each says why in its own line
        parts.append(run.reason)
    if run.HasField("caller"):
        parts.append(f"called by {run.caller.task_id} of run {run.caller.dag_run_id} of {run.caller.dag_id}")
    return Row(
        "",
        f"{run.dag_id} v{run.dag_version_number} {run.dag_run_id}",
        enum_name(run, "state"),
        elapsed(run, now),
        ", ".join(parts),
    )


def fit(lines: Sequence[Row], height: int) -> list[Row]:
    """At most `height` lines: what ended well goes first, then what has not begun; a last line says how many."""
    kept = list(lines)
    for dull in (("success", "skipped"), ("scheduled",)):
        if len(kept) > height:
            kept = [each for each in kept if each.state not in dull or each.note.endswith(" ended")]
    kept = kept if len(kept) <= height and len(kept) == len(lines) else kept[: max(1, height - 1)]
    left_out = len(lines) - len(kept)
    return [*kept, Row("", f"{left_out} more", "")] if left_out else kept


def critical_path(steps: Sequence[Any], states: Mapping[tuple[str, int], str]) -> list[Row]:
    """The longest chain of waiting and work, step by step."""
    found = []
    for step in steps:
        waited, worked = step.waited.ToTimedelta().total_seconds(), step.worked.ToTimedelta().total_seconds()
        found.append(Row("", label(step), states.get(key_of(step), ""), span(worked), f"waited {span(waited)}"))
    return found
