"""Methods for schedules: setting, pausing and reading them, and what became of their ticks."""

from __future__ import annotations

from glidepath.authoring.schedule_messages import to_declaration
from glidepath.authoring.schedules import Schedule
from glidepath.client.calls import Call, Pages, iterated, rpc
from glidepath.client.requests import Api, Service
from glidepath_proto.schedule.v1 import schedule_pb2 as pb
from glidepath_proto.schedule.v1 import schedule_service_pb2

_SCHEDULES = Service(schedule_service_pb2, "ScheduleService")


class ScheduleMethods(Api):
    """When DAGs run by themselves."""

    @rpc
    def set_schedule(self, dag_id: str, schedule: Schedule | pb.ScheduleDeclaration) -> Call[pb.Schedule]:
        """Create a schedule, or replace what is said of it: `Cron("0 2 * * *", zone="Asia/Kolkata", name="nightly")`.

        What was due before goes by what was said then. StateConflict for one that was declared with its DAG.
        """
        declaration = to_declaration(schedule) if isinstance(schedule, Schedule) else schedule
        return _SCHEDULES.call(self, "SetSchedule", "schedule", dag_id=dag_id, declaration=declaration)

    @rpc
    def get_schedule(self, dag_id: str, schedule_name: str) -> Call[pb.Schedule]:
        """A schedule with its next tick. NotFound when there is none."""
        return _SCHEDULES.call(self, "GetSchedule", "schedule", dag_id=dag_id, schedule_name=schedule_name)

    @iterated
    def list_schedules(self, dag_id: str = "", *, page_size: int = 0) -> Pages[pb.Schedule]:
        """Schedules by DAG and name; of one DAG when it is given."""
        return _SCHEDULES.pages(self, "ListSchedules", "schedules", dag_id=dag_id, page_size=page_size)

    @rpc
    def pause_schedule(self, dag_id: str, schedule_name: str) -> Call[pb.Schedule]:
        """Make no further runs; those that were made go on."""
        return _SCHEDULES.call(self, "PauseSchedule", "schedule", dag_id=dag_id, schedule_name=schedule_name)

    @rpc
    def resume_schedule(self, dag_id: str, schedule_name: str) -> Call[pb.Schedule]:
        """Let a paused schedule go on. Of the ticks of its pause at most the last is run."""
        return _SCHEDULES.call(self, "ResumeSchedule", "schedule", dag_id=dag_id, schedule_name=schedule_name)

    @rpc
    def delete_schedule(self, dag_id: str, schedule_name: str) -> Call[schedule_service_pb2.DeleteScheduleResponse]:
        """Delete a schedule; its runs go on. One that is gone is no error."""
        return _SCHEDULES.call(self, "DeleteSchedule", dag_id=dag_id, schedule_name=schedule_name)

    @iterated
    def list_ticks(self, dag_id: str, schedule_name: str, *, page_size: int = 0) -> Pages[pb.Tick]:
        """What became of each tick, the newest first: a run, a skip with its reason, or it waits."""
        return _SCHEDULES.pages(
            self, "ListTicks", "ticks", dag_id=dag_id, schedule_name=schedule_name, page_size=page_size
        )
