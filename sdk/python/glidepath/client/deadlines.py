"""Methods for deadlines: what runs have to be done by, and what became of that."""

from __future__ import annotations

from collections.abc import Sequence

from glidepath.authoring.deadline_messages import deadline_message
from glidepath.authoring.deadlines import Deadline
from glidepath.client.calls import Call, Pages, iterated, rpc
from glidepath.client.requests import Api, Service
from glidepath_proto.schedule.v1 import deadline_pb2
from glidepath_proto.schedule.v1 import deadline_service_pb2 as pb

_DEADLINES = Service(pb, "DeadlineService")


class DeadlineMethods(Api):
    """Deadlines of DAGs and of their runs."""

    @rpc
    def set_deadline(self, dag_id: str, deadline: Deadline) -> Call[deadline_pb2.Deadline]:
        """Give a DAG a deadline, or replace the one of its name; runs created from then on have it.

        StateConflict for one that was declared with the DAG.
        """
        return _DEADLINES.call(self, "SetDeadline", "deadline", dag_id=dag_id, declaration=deadline_message(deadline))

    @rpc
    def delete_deadline(self, dag_id: str, deadline_name: str) -> Call[pb.DeleteDeadlineResponse]:
        """Runs that have it keep it. One that is gone is no error."""
        return _DEADLINES.call(self, "DeleteDeadline", dag_id=dag_id, deadline_name=deadline_name)

    @rpc
    def list_deadlines(self, dag_id: str) -> Call[Sequence[deadline_pb2.Deadline]]:
        """What the next run of a DAG will have to be done by."""
        return _DEADLINES.call(self, "ListDeadlines", "deadlines", dag_id=dag_id)

    @iterated
    def list_run_deadlines(
        self, *, dag_id: str = "", dag_run_id: str = "", states: Sequence[str] = (), page_size: int = 0
    ) -> Pages[deadline_pb2.RunDeadline]:
        """Deadlines of runs, newest first: of a run, a DAG or the namespace; in states such as "missed", or all."""
        numbers = [deadline_pb2.DeadlineState.Value(f"DEADLINE_STATE_{state.upper()}") for state in states]
        return _DEADLINES.pages(
            self,
            "ListRunDeadlines",
            "deadlines",
            dag_id=dag_id,
            dag_run_id=dag_run_id,
            states=numbers,
            page_size=page_size,
        )
