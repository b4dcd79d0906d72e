"""Deadlines between wire and core. What is wrong is found in core/deadlines.py, but for what has no form there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import time
from typing import Any

from google.protobuf.duration_pb2 import Duration

from glidepath_proto.schedule.v1 import deadline_pb2 as pb

from ..core.deadlines import Anchor, Deadline, DeadlineState, describe
from ..store.deadlines import DagDeadline, RunDeadline
from .convert_common import invalid, to_timestamp

_TIME = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d)?", re.ASCII)
_ANCHORS = {
    "after_queue": Anchor.QUEUE,
    "after_start": Anchor.START,
    "after_logical_date": Anchor.LOGICAL_DATE,
    "after_interval_end": Anchor.INTERVAL_END,
}
_FIELDS = {anchor: name for name, anchor in _ANCHORS.items()}
STATE_TO_WIRE: dict[DeadlineState, Any] = {
    state: pb.DeadlineState.Value(f"DEADLINE_STATE_{state.name}") for state in DeadlineState
}
_STATES = {number: state for state, number in STATE_TO_WIRE.items()}


def deadline_in(declaration: pb.DeadlineDeclaration, at: str) -> Deadline:
    """A deadline as it was sent. Raises InvalidInput for one that says no time, or no time of day."""
    name, task_id, group_id = declaration.name, declaration.task_id, declaration.group_id
    rule = declaration.WhichOneof("rule")
    if rule is None:
        raise invalid(f"{at}.rule", "nothing", "a span after something, or a wall time")
    if rule != "wall":
        span: Duration = getattr(declaration, rule)
        after = span.seconds + span.nanos / 1e9
        return Deadline(name, _ANCHORS[rule], after, task_id=task_id, group_id=group_id)
    wall = declaration.wall
    if not _TIME.fullmatch(wall.clock):
        raise invalid(f"{at}.wall.clock", repr(wall.clock[:40]), "a local time, as in 09:15")
    days, clock = tuple(sorted(wall.weekdays)), time.fromisoformat(wall.clock)
    return Deadline(name, Anchor.WALL, 0.0, clock, wall.zone, days, task_id, group_id)


def states_in(numbers: Iterable[int]) -> list[DeadlineState]:
    """The states that are asked for. Raises InvalidInput."""
    found = []
    for index, number in enumerate(numbers):
        if number not in _STATES:
            known = ", ".join(state.value for state in DeadlineState)
            raise invalid(f"states[{index}]", str(number), f"one of {known}")
        found.append(_STATES[number])
    return found


def deadline_out(each: DagDeadline) -> pb.Deadline:
    return pb.Deadline(
        dag_id=each.dag_id,
        declaration=_declaration(each.deadline),
        description=describe(each.deadline),
        declared=each.declared,
        update_time=to_timestamp(each.update_time),
        updated_by=each.updated_by,
    )


def run_deadline_out(each: RunDeadline) -> pb.RunDeadline:
    return pb.RunDeadline(
        deadline_id=each.deadline_id,
        dag_id=each.dag_id,
        run_key=each.run_key,
        dag_run_id=str(each.dag_run_id) if each.dag_run_id is not None else "",
        declaration=_declaration(each.deadline),
        description=describe(each.deadline),
        state=STATE_TO_WIRE[each.state],
        due_time=to_timestamp(each.due_time),
        create_time=to_timestamp(each.create_time),
        state_time=to_timestamp(each.state_time),
    )


def _declaration(deadline: Deadline) -> pb.DeadlineDeclaration:
    found = pb.DeadlineDeclaration(name=deadline.name)
    if deadline.task_id:
        found.task_id = deadline.task_id
    elif deadline.group_id:
        found.group_id = deadline.group_id
    if deadline.wall_time is None:
        span: Duration = getattr(found, _FIELDS[deadline.anchor])
        span.FromNanoseconds(round(deadline.after_seconds * 1e9))
    else:
        clock = deadline.wall_time.isoformat("seconds" if deadline.wall_time.second else "minutes")
        found.wall.CopyFrom(pb.WallTime(clock=clock, zone=deadline.zone, weekdays=deadline.weekdays))
    return found
