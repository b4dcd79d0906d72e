"""glidepath.run.v1.RunService: creating, following and steering runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

from glidepath_proto.run.v1 import run_pb2, run_service_pb2_grpc
from glidepath_proto.run.v1 import run_service_pb2 as pb

from ..core.run_view import EndedRow
from ..operations.command_runs import REASON_CHARACTERS_MAX, CommandCall, RunCommander, Selection
from ..operations.explain_run import explain_run
from ..operations.follow_runs import LogQuestion, stream_logs, watch_run
from ..operations.foresee_runs import get_run_eta
from ..operations.move_run import RunMover
from ..operations.new_runs import RUNS_PER_CALL_MAX
from ..operations.notes import add_note, list_notes
from ..operations.pause_run import pause_run, resume_run
from ..operations.plans import Plans
from ..operations.read_runs import RunReader
from ..operations.run_engine import RunEngine
from ..operations.set_priority import SetPriority
from ..operations.trigger_dag_runs import TriggerCall, TriggerDagRuns
from ..store.database import Database
from .auth import current_identity, namespace_for
from .convert_common import body_of, from_timestamp, invalid, to_uuid
from .convert_eta import eta_out
from .convert_note import added_out, index_in, note_out
from .convert_run import (
    attempt_out,
    cursor_out,
    dead_letter_out,
    explanation_out,
    ids_in,
    line_out,
    map_index_in,
    mark_in,
    output_out,
    place_in,
    run_out,
    run_request_in,
    states_in,
    step_out,
    task_instance_out,
    task_states_in,
    text_in,
    triggered_out,
)
from .handlers import Context
from .paging import Page, fitting, page_token

TASK_INSTANCES_DEFAULT = 1_000
TASK_INSTANCES_MAX = 2_000
_NEWEST = 2**63 - 1
_OLDEST = datetime(1, 1, 1, tzinfo=UTC)


class RunServicer(run_service_pb2_grpc.RunServiceServicer):
    """Thin: checks the wire, asks an operation, converts the answer."""

    def __init__(
        self,
        database: Database,
        plans: Plans,
        engine: RunEngine,
        on_changed: Callable[[set[int]], Awaitable[None]],
    ) -> None:
        """`on_changed` is awaited after a commit that made task classes."""
        self._engine = engine
        self._reader = RunReader(database, plans)
        self._trigger = TriggerDagRuns(database, plans, engine, on_changed)
        self._commander = RunCommander(self._reader, engine, RunMover(database, plans, on_changed))
        self._set_priority = SetPriority(self._reader)

    # ---- creating
    async def TriggerDagRuns(self, request: pb.TriggerDagRunsRequest, context: Context) -> pb.TriggerDagRunsResponse:
        caller = current_identity()
        namespace = namespace_for(request, caller)
        if len(request.runs) > RUNS_PER_CALL_MAX:
            raise invalid("runs", f"{len(request.runs)} runs", f"1 to {RUNS_PER_CALL_MAX} runs in one call")
        runs = [run_request_in(each, f"runs[{index}]") for index, each in enumerate(request.runs)]
        call = TriggerCall(namespace, caller.name, request.request_id, body_of(request), runs)
        return pb.TriggerDagRunsResponse.FromString(await self._trigger(call, triggered_out))

    # ---- reading
    async def GetDagRun(self, request: pb.GetDagRunRequest, context: Context) -> pb.GetDagRunResponse:
        return pb.GetDagRunResponse(dag_run=await self._run(request))

    async def _run(self, request: Any) -> run_pb2.DagRun:
        namespace = namespace_for(request, current_identity())
        run, counts = await self._reader.get(namespace, to_uuid("dag_run_id", request.dag_run_id))
        return run_out(run, counts)

    async def ListDagRuns(self, request: pb.ListDagRunsRequest, context: Context) -> pb.ListDagRunsResponse:
        namespace = namespace_for(request, current_identity())
        dag_id, states = text_in("dag_id", request.dag_id), states_in(request.states)
        first, last = ids_in("dag_run_id_prefix", request.dag_run_id_prefix)
        parent = _parent_in(request)
        scope = ("ListDagRuns", namespace, dag_id, sorted(states), str(first), str(last), str(parent))
        page = Page(request, scope, str)
        below = _token_uuid(page.first(str(last)), request.page_token)
        if parent is not None:
            found = await self._reader.list_children(namespace, parent, states, first, below, page.limit)
        else:
            found = await self._reader.list_runs(namespace, dag_id, states, first, below, page.limit)
        runs, token = page.cut(found, lambda run: [str(run.dag_run_id)])
        return pb.ListDagRunsResponse(dag_runs=[run_out(run) for run in runs], next_page_token=token)

    async def ListTaskInstances(
        self, request: pb.ListTaskInstancesRequest, context: Context
    ) -> pb.ListTaskInstancesResponse:
        namespace = namespace_for(request, current_identity())
        run_id = to_uuid("dag_run_id", request.dag_run_id)
        task_id, states = text_in("task_id", request.task_id), task_states_in(request.states)
        scope = ("ListTaskInstances", namespace, str(run_id), task_id, sorted(states))
        page = Page(request, scope, int, default=TASK_INSTANCES_DEFAULT, most=TASK_INSTANCES_MAX)
        first = min(max(page.first(0), 0), 2**31 - 1)
        plan, views, total = await self._reader.task_instances(namespace, run_id, task_id, first, page.limit - 1)
        found = fitting(task_instance_out(plan, view) for view in views)
        end = first + len(found)
        token = page_token([end], scope) if found and end < total else ""
        shown = [each for each in found if not states or each.state in states]
        return pb.ListTaskInstancesResponse(task_instances=shown, next_page_token=token)

    async def ListAttempts(self, request: pb.ListAttemptsRequest, context: Context) -> pb.ListAttemptsResponse:
        namespace = namespace_for(request, current_identity())
        run_id = to_uuid("dag_run_id", request.dag_run_id)
        map_index = map_index_in(request)
        scope = ("ListAttempts", namespace, str(run_id), request.task_id, map_index)
        page = Page(request, scope, str, int, int, int)
        after = _attempt_keys(page.keys, request.page_token)
        plan, rows = await self._reader.attempts(namespace, run_id, request.task_id, map_index, after, page.limit)
        shown, token = page.cut(rows, _keys_of)
        found = fitting(attempt_out(plan, row) for row in shown)
        if len(found) < len(shown):
            token = page_token(_keys_of(rows[len(found) - 1]), scope)
        return pb.ListAttemptsResponse(attempts=found, next_page_token=token)

    async def ListDeadLetters(self, request: pb.ListDeadLettersRequest, context: Context) -> pb.ListDeadLettersResponse:
        namespace = namespace_for(request, current_identity())
        dag_id = text_in("dag_id", request.dag_id)
        page = Page(request, ("ListDeadLetters", namespace, dag_id), int)
        found = await self._reader.dead_letters(namespace, dag_id, page.first(_NEWEST), page.limit)
        letters, token = page.cut(found, lambda letter: [letter.dead_letter_id])
        return pb.ListDeadLettersResponse(dead_letters=map(dead_letter_out, letters), next_page_token=token)

    async def GetTaskOutput(self, request: pb.GetTaskOutputRequest, context: Context) -> pb.GetTaskOutputResponse:
        namespace = namespace_for(request, current_identity())
        run_id = to_uuid("dag_run_id", request.dag_run_id)
        map_index = request.map_index if request.HasField("map_index") else -1
        output = await self._reader.output(namespace, run_id, request.task_id, map_index)
        return pb.GetTaskOutputResponse(task_output=output_out(request.task_id, map_index, output))

    async def ExplainDagRun(self, request: pb.ExplainDagRunRequest, context: Context) -> pb.ExplainDagRunResponse:
        namespace = namespace_for(request, current_identity())
        run_id = to_uuid("dag_run_id", request.dag_run_id)
        plan, explanations, path = await explain_run(self._reader, namespace, run_id, request.task_id)
        return pb.ExplainDagRunResponse(
            explanations=[explanation_out(plan, each) for each in explanations],
            critical_path=[step_out(plan, step) for step in path],
        )

    async def GetRunEta(self, request: pb.GetRunEtaRequest, context: Context) -> pb.GetRunEtaResponse:
        namespace = namespace_for(request, current_identity())
        due_time = from_timestamp(request, "due_time")
        run_id = to_uuid("dag_run_id", request.dag_run_id)
        return pb.GetRunEtaResponse(eta=eta_out(*await get_run_eta(self._reader, namespace, run_id, due_time)))

    # ---- following
    async def WatchDagRun(
        self, request: pb.WatchDagRunRequest, context: Context
    ) -> AsyncIterator[pb.WatchDagRunResponse]:
        namespace = namespace_for(request, current_identity())
        run_id = to_uuid("dag_run_id", request.dag_run_id)
        told = request.after_revision
        looks = watch_run(self._reader, self._engine, namespace, run_id, told, request.run_only)
        async with aclosing(looks):
            async for look in looks:
                parts = list(_parts([task_instance_out(look.plan, view) for view in look.changed])) or [[]]
                for part in parts:
                    run = run_out(look.run, look.counts)
                    # A client that is cut off between parts must not resume behind what it has not seen.
                    run.revision = run.revision if part is parts[-1] else told
                    yield pb.WatchDagRunResponse(dag_run=run, task_instances=part)
                told = look.run.revision

    async def StreamLogs(self, request: pb.StreamLogsRequest, context: Context) -> AsyncIterator[pb.StreamLogsResponse]:
        namespace = namespace_for(request, current_identity())
        question = LogQuestion(
            to_uuid("dag_run_id", request.dag_run_id),
            request.task_id,
            request.attempt_number,
            request.follow,
            place_in(request.after),
            map_index_in(request),
        )
        messages = stream_logs(self._reader, self._engine, namespace, question)
        async with aclosing(messages):
            async for each in messages:
                yield pb.StreamLogsResponse(
                    lines=[line_out(each.plan, line) for line in each.lines], cursor=cursor_out(each.place)
                )

    # ---- steering
    async def CancelDagRun(self, request: pb.CancelDagRunRequest, context: Context) -> pb.CancelDagRunResponse:
        await self._commander.cancel_run(_call(request, "CancelDagRun"))
        return pb.CancelDagRunResponse(dag_run=await self._run(request))

    async def CancelTaskInstances(
        self, request: pb.CancelTaskInstancesRequest, context: Context
    ) -> pb.CancelTaskInstancesResponse:
        call = _call(request, "CancelTaskInstances")
        await self._commander.cancel_tasks(call, request.task_ids, request.map_indexes)
        return pb.CancelTaskInstancesResponse(dag_run=await self._run(request))

    async def ClearTaskInstances(
        self, request: pb.ClearTaskInstancesRequest, context: Context
    ) -> pb.ClearTaskInstancesResponse:
        cleared = await self._commander.clear(
            _call(request, "ClearTaskInstances"),
            request.task_ids,
            Selection(request.downstream, request.upstream, request.only_failed, request.cancel_running),
            request.map_indexes,
            text_in("dag_version", request.dag_version),
        )
        return pb.ClearTaskInstancesResponse(dag_run=await self._run(request), cleared_task_ids=cleared)

    async def MarkTaskInstances(
        self, request: pb.MarkTaskInstancesRequest, context: Context
    ) -> pb.MarkTaskInstancesResponse:
        call = _call(request, "MarkTaskInstances")
        await self._commander.mark(call, request.task_ids, mark_in(request.state), request.map_indexes)
        return pb.MarkTaskInstancesResponse(dag_run=await self._run(request))

    async def AddNote(self, request: pb.AddNoteRequest, context: Context) -> pb.AddNoteResponse:
        text, task_id = text_in("text", request.text), text_in("task_id", request.task_id)
        call = _command(request, "AddNote")
        stored = await add_note(self._reader, call, task_id, index_in(request), text, added_out)
        return pb.AddNoteResponse.FromString(stored)

    async def ListNotes(self, request: pb.ListNotesRequest, context: Context) -> pb.ListNotesResponse:
        namespace = namespace_for(request, current_identity())
        run_id = to_uuid("dag_run_id", request.dag_run_id)
        page = Page(request, ("ListNotes", namespace, str(run_id)), int)
        found = await list_notes(self._reader, namespace, run_id, page.first(0), page.limit)
        notes, token = page.cut(found, lambda note: [note.note_id])
        return pb.ListNotesResponse(notes=map(note_out, notes), next_page_token=token)

    async def PauseDagRun(self, request: pb.PauseDagRunRequest, context: Context) -> pb.PauseDagRunResponse:
        await pause_run(self._commander, _call(request, "PauseDagRun"), request.task_ids)
        return pb.PauseDagRunResponse(dag_run=await self._run(request))

    async def ResumeDagRun(self, request: pb.ResumeDagRunRequest, context: Context) -> pb.ResumeDagRunResponse:
        await resume_run(self._commander, _call(request, "ResumeDagRun"), request.task_ids)
        return pb.ResumeDagRunResponse(dag_run=await self._run(request))

    async def RerunDagRun(self, request: pb.RerunDagRunRequest, context: Context) -> pb.RerunDagRunResponse:
        cleared = await self._commander.rerun(
            _call(request, "RerunDagRun"), text_in("dag_version", request.dag_version)
        )
        return pb.RerunDagRunResponse(dag_run=await self._run(request), cleared_task_ids=cleared)

    async def SetDagRunPriority(
        self, request: pb.SetDagRunPriorityRequest, context: Context
    ) -> pb.SetDagRunPriorityResponse:
        priority = request.priority if request.HasField("priority") else None
        moved = await self._set_priority(_call(request, "SetDagRunPriority"), request.task_ids, priority)
        return pb.SetDagRunPriorityResponse(dag_run=await self._run(request), moved=moved)


def _call(request: Any, method: str) -> CommandCall:
    """A command's request, checked as far as the wire goes. Raises InvalidInput."""
    reason = text_in("reason", request.reason)
    if len(reason) > REASON_CHARACTERS_MAX:
        raise invalid("reason", f"{len(reason)} characters", f"at most {REASON_CHARACTERS_MAX} characters")
    return _command(request, method, reason)


def _command(request: Any, method: str, reason: str = "") -> CommandCall:
    caller = current_identity()
    return CommandCall(
        method,
        namespace_for(request, caller),
        caller.name,
        to_uuid("dag_run_id", request.dag_run_id),
        request.request_id,
        body_of(request),
        reason,
    )


def _parent_in(request: pb.ListDagRunsRequest) -> UUID | None:
    """Whose child runs are asked for, if only somebody's are. Raises InvalidInput."""
    if not request.children_of_dag_run_id:
        return None
    if request.dag_id:
        raise invalid("dag_id", repr(request.dag_id[:80]), "nothing beside children_of_dag_run_id")
    return to_uuid("children_of_dag_run_id", request.children_of_dag_run_id)


def _parts(messages: Sequence[run_pb2.TaskInstance]) -> Iterable[list[run_pb2.TaskInstance]]:
    """All of them, in answers that are small enough."""
    start = 0
    while start < len(messages):
        part = fitting(messages[start:])
        yield part
        start += len(part)


def _keys_of(row: EndedRow) -> list[Any]:
    return [row.start_time.isoformat(), row.task, row.map_index, row.attempt_number]


def _attempt_keys(keys: list[Any] | None, token: str) -> tuple[datetime, int, int, int]:
    if keys is None:
        return (_OLDEST, -1, -1, 0)
    return (_from_token(_instant, keys[0], token), *(min(max(key, -1), 2**31 - 1) for key in keys[1:]))


def _instant(text: str) -> datetime:
    value = datetime.fromisoformat(text)
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)


def _token_uuid(text: str, token: str) -> UUID:
    return _from_token(UUID, text, token)


Value = TypeVar("Value")


def _from_token(parse: Callable[[str], Value], text: str, token: str) -> Value:
    try:
        return parse(text)
    except ValueError:
        raise invalid("page_token", repr(token[:64]), "next_page_token of the page before, unchanged") from None
