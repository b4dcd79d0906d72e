"""When runs will end, from the core to the wire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from google.protobuf.duration_pb2 import Duration

from glidepath_proto.run.v1 import eta_pb2

from ..core.prediction import Phase, TaskForecast
from ..core.states import TaskState
from ..core.warning import Cause
from ..operations.foresee_runs import Eta
from .convert_common import to_timestamp

UNKNOWN_SHOWN_MAX = 100
# Times have an end on the wire; what is further off is said to be there.
_SECONDS_MAX = 100 * 366 * 86_400.0
_STATES = {
    Phase.RUNNING: "TASK_STATE_RUNNING",
    Phase.QUEUED: "TASK_STATE_QUEUED",
    Phase.SCHEDULED: "TASK_STATE_SCHEDULED",
}


def eta_out(eta: Eta, causes: Sequence[Cause]) -> eta_pb2.RunEta:
    found, ids, due_time = eta.forecast, eta.plan.graph.task_ids, eta.due_time
    return eta_pb2.RunEta(
        time=to_timestamp(eta.now),
        p50_end_time=to_timestamp(_after(eta.now, found.end(0.5))),
        p90_end_time=to_timestamp(_after(eta.now, found.end(0.9))),
        due_time=to_timestamp(due_time),
        late_probability=found.late((due_time - eta.now).total_seconds()) if due_time is not None else 0.0,
        tasks=[_task_out(eta, each) for each in found.tasks.values()],
        causes=[_cause_out(ids[each.task], each) for each in causes],
        unknown_task_ids=[ids[task] for task in found.unknown[:UNKNOWN_SHOWN_MAX]],
    )


def _task_out(eta: Eta, task: TaskForecast) -> eta_pb2.TaskEta:
    asked = eta.board.states[task.task] == TaskState.WAITING
    return eta_pb2.TaskEta(
        task_id=eta.plan.graph.task_ids[task.task],
        state="TASK_STATE_WAITING" if asked else _STATES[eta.tasks[task.task].phase],
        end_time=to_timestamp(_after(eta.now, task.end)),
        usual_duration=_duration(task.usual),
        remaining_duration=_duration(task.length),
        slack=_duration(task.slack),
        critical=task.critical,
    )


def _cause_out(task_id: str, cause: Cause) -> eta_pb2.LateCause:
    return eta_pb2.LateCause(
        task_id=task_id,
        duration=_duration(cause.took),
        usual_duration=_duration(cause.usual),
        message=cause.text(task_id),
    )


def _after(now: datetime, seconds: float) -> datetime:
    return now + timedelta(seconds=min(seconds, _SECONDS_MAX))


def _duration(seconds: float) -> Duration:
    found = Duration()
    found.FromTimedelta(timedelta(seconds=max(min(seconds, _SECONDS_MAX), -_SECONDS_MAX)))
    return found
