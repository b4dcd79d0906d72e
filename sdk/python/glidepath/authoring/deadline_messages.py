"""Deadlines to the messages that the server takes."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from glidepath.authoring.deadlines import Deadline
from glidepath_proto.schedule.v1 import deadline_pb2


def deadline_message(deadline: Deadline) -> deadline_pb2.DeadlineDeclaration:
    message = deadline_pb2.DeadlineDeclaration(name=deadline.name)
    if deadline.rule == "wall":
        message.wall.CopyFrom(
            deadline_pb2.WallTime(clock=deadline.clock, zone=deadline.zone, weekdays=deadline.weekdays)
        )
    else:
        span: Duration = getattr(message, deadline.rule)
        span.FromTimedelta(deadline.span)
    if deadline.task:
        message.task_id = deadline.task
    elif deadline.group:
        message.group_id = deadline.group
    return message
