"""Methods for runs: creating, following, steering."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Required, TypedDict, Unpack

from glidepath.client.calls import Call, Pages, Stream, iterated, outcome, rpc
from glidepath.client.requests import Api, Service, new_request_id, to_enums, to_timestamp
from glidepath.payloads import decode
from glidepath_proto.run.v1 import eta_pb2, run_pb2
from glidepath_proto.run.v1 import run_service_pb2 as pb

_RUNS = Service(pb, "RunService")
_FINAL = (run_pb2.RUN_STATE_SUCCESS, run_pb2.RUN_STATE_FAILED, run_pb2.RUN_STATE_CANCELLED)

Date = datetime | str
"""A datetime with a zone, or ISO 8601 text; a date alone is midnight UTC."""


Mark = Literal["success", "failed", "skipped"]
"""The state that an operator may give a task."""


class RunOptions(TypedDict, total=False):
    """What a run is created with, beside its DAG."""

    version: int
    """Number of the DAG version; the latest unless this or `alias` is given."""
    alias: str
    params: Mapping[str, Any]
    run_key: str
    """Unique per DAG: triggering the same key again gives the run that exists."""
    logical_date: Date
    data_interval_start: Date
    data_interval_end: Date
    traceparent: str
    """W3C trace context to continue."""
    refresh_cache: bool
    """Cached tasks run anew, and what they give takes the place of what is kept."""
    pause_at: Sequence[str]
    """Tasks that the run is created paused at; see `pause_dag_run`."""
    only: Sequence[str]
    """The run has these tasks alone, without those that it leaves out; see also the two below."""
    only_with_upstream: bool
    """And all that comes before them."""
    only_with_downstream: bool
    """And all that comes after them."""


class RunItem(RunOptions, total=False):
    """One run of `trigger_many`."""

    dag_id: Required[str]


class RunMethods(Api):
    """Runs: triggering, following, cancelling, running again."""

    @rpc
    def trigger(self, dag_id: str, *, request_id: str = "", **options: Unpack[RunOptions]) -> Call[pb.TriggeredDagRun]:
        """Create one run; the answer has its `dag_run_id`. See `RunOptions`.

        A lost answer is asked for again under the same request id, so one wish makes one run; keep a `request_id` of
        your own to go on with that after an Unavailable.
        """
        call = _trigger(self, [_run_request(dag_id, options)], request_id)
        return Call(call.method, call.request, call.response, lambda response: response.runs[0])

    @rpc
    def trigger_many(self, runs: Iterable[RunItem], *, request_id: str = "") -> Call[Sequence[pb.TriggeredDagRun]]:
        """Create up to 1,000 runs in one transaction, all or none; the answers are in the order given."""
        return _trigger(self, [_run_request(item["dag_id"], item) for item in runs], request_id)

    @rpc
    def get_dag_run(self, run_id: str) -> Call[run_pb2.DagRun]:
        return _RUNS.call(self, "GetDagRun", "dag_run", dag_run_id=run_id)

    @iterated
    def list_dead_letters(self, dag_id: str = "", *, page_size: int = 0) -> Pages[run_pb2.DeadLetter]:
        """Task instances that were given up and not cleared since, newest first; of one DAG or of all."""
        return _RUNS.pages(self, "ListDeadLetters", "dead_letters", dag_id=dag_id, page_size=page_size)

    @iterated
    def list_dag_runs(
        self,
        dag_id: str = "",
        *,
        states: Sequence[str] = (),
        run_id_prefix: str = "",
        children_of: str = "",
        page_size: int = 0,
    ) -> Pages[run_pb2.DagRun]:
        """Runs, newest first, of one DAG or of all; `states` such as ["failed"]; ids that begin with the prefix.

        `children_of` a run gives the child runs that its tasks have called, whatever their DAGs.
        """
        return _RUNS.pages(
            self,
            "ListDagRuns",
            "dag_runs",
            dag_id=dag_id,
            states=to_enums(run_pb2.RunState, "RUN_STATE", states, "states"),
            dag_run_id_prefix=run_id_prefix,
            children_of_dag_run_id=children_of,
            page_size=page_size,
        )

    @iterated
    def list_task_instances(
        self, run_id: str, *, task_id: str = "", states: Sequence[str] = (), page_size: int = 0
    ) -> Pages[run_pb2.TaskInstance]:
        """Tasks of a run, upstreams first, a mapped one with the counts of its instances; or, with a `task_id`, the
        instances of that one. `states` such as ["failed"]."""
        return _RUNS.pages(
            self,
            "ListTaskInstances",
            "task_instances",
            dag_run_id=run_id,
            task_id=task_id,
            states=to_enums(run_pb2.TaskState, "TASK_STATE", states, "states"),
            page_size=page_size,
        )

    @iterated
    def list_attempts(
        self, run_id: str, task_id: str = "", *, map_index: int | None = None, page_size: int = 0
    ) -> Pages[run_pb2.Attempt]:
        """Attempts of a run, of one of its tasks, or of one instance of a mapped task; oldest first."""
        return _RUNS.pages(
            self,
            "ListAttempts",
            "attempts",
            dag_run_id=run_id,
            task_id=task_id,
            map_index=map_index,
            page_size=page_size,
        )

    @iterated
    def watch(self, run_id: str, *, after_revision: int = 0) -> Stream[pb.WatchDagRunResponse]:
        """The run and the task instances that changed, message by message, until it is final.

        A cut is bridged: the stream goes on behind the last message. Unavailable when that fails for half a minute.
        """
        return _watch(self, run_id, after_revision, lambda response: [response])

    @outcome
    def wait(self, run_id: str, timeout: float | None = None) -> Stream[run_pb2.DagRun]:
        """The run once it is final; look at its `state`. WaitTimeout after `timeout` seconds."""
        return _watch(self, run_id, 0, lambda response: [response.dag_run], timeout, run_only=True)

    @iterated
    def logs(
        self,
        run_id: str,
        task_id: str = "",
        *,
        map_index: int | None = None,
        attempt_number: int = 0,
        follow: bool = False,
    ) -> Stream[run_pb2.LogLine]:
        """Log lines of a run, a task, an instance of a mapped one or an attempt, in the order the server received them.

        `follow` goes on until the run is final. A cut is bridged: the stream goes on behind the last line.
        """
        call = _RUNS.call(
            self,
            "StreamLogs",
            dag_run_id=run_id,
            task_id=task_id,
            map_index=map_index,
            attempt_number=attempt_number,
            follow=follow,
        )

        def take(response: pb.StreamLogsResponse) -> list[run_pb2.LogLine]:
            call.request.after = response.cursor or call.request.after  # type: ignore[attr-defined]
            return list(response.lines)

        return Stream(call, take)

    @rpc
    def cancel_dag_run(self, run_id: str, *, reason: str = "", request_id: str = "") -> Call[run_pb2.DagRun]:
        """End a run: nothing new starts, what runs is told to end."""
        return _RUNS.call(
            self,
            "CancelDagRun",
            "dag_run",
            dag_run_id=run_id,
            reason=reason,
            request_id=request_id or new_request_id(),
        )

    @rpc
    def cancel_task_instances(
        self,
        run_id: str,
        task_ids: Sequence[str],
        *,
        map_indexes: Sequence[int] = (),
        reason: str = "",
        request_id: str = "",
    ) -> Call[run_pb2.DagRun]:
        """End single tasks of a run; what follows them goes by its trigger rules. With `map_indexes`, only these
        instances of the one task that is named, which is mapped."""
        return _RUNS.call(
            self,
            "CancelTaskInstances",
            "dag_run",
            dag_run_id=run_id,
            task_ids=task_ids,
            map_indexes=map_indexes,
            reason=reason,
            request_id=request_id or new_request_id(),
        )

    @rpc
    def mark_task_instances(
        self,
        run_id: str,
        task_ids: Sequence[str],
        state: Mark,
        *,
        map_indexes: Sequence[int] = (),
        reason: str = "",
        request_id: str = "",
    ) -> Call[run_pb2.DagRun]:
        """Say how single tasks have ended; what is live is told to end and has that state once it has. With
        `map_indexes`, only these instances of the one task that is named, which is mapped."""
        return _RUNS.call(
            self,
            "MarkTaskInstances",
            "dag_run",
            dag_run_id=run_id,
            task_ids=task_ids,
            map_indexes=map_indexes,
            state=f"TASK_STATE_{state.upper()}",
            reason=reason,
            request_id=request_id or new_request_id(),
        )

    @rpc
    def clear_task_instances(
        self,
        run_id: str,
        task_ids: Sequence[str],
        *,
        map_indexes: Sequence[int] = (),
        downstream: bool = False,
        upstream: bool = False,
        only_failed: bool = False,
        cancel_running: bool = False,
        version: int | str = "",
        reason: str = "",
        request_id: str = "",
    ) -> Call[pb.ClearTaskInstancesResponse]:
        """Let tasks run again, with what follows them if `downstream` and what they follow from if `upstream`, or of
        all these what has failed if `only_failed`; their history stays. With `map_indexes`, only these instances of
        the one task that is named, which is mapped.

        StateConflict while one of them runs, unless `cancel_running`. `version`: see `rerun_dag_run`.
        """
        return _RUNS.call(
            self,
            "ClearTaskInstances",
            dag_run_id=run_id,
            task_ids=task_ids,
            map_indexes=map_indexes,
            downstream=downstream,
            upstream=upstream,
            only_failed=only_failed,
            cancel_running=cancel_running,
            dag_version=str(version),
            reason=reason,
            request_id=request_id or new_request_id(),
        )

    @rpc
    def rerun_dag_run(
        self, run_id: str, *, version: int | str = "", reason: str = "", request_id: str = ""
    ) -> Call[pb.RerunDagRunResponse]:
        """Clear what failed, was cancelled or never ran because of that, and let the run go on.

        `version` moves the run to another version of its DAG: "latest", "original" or a number. Tasks of the same id
        keep how they have ended; StateConflict while something of the run is queued or runs.
        """
        return _RUNS.call(
            self,
            "RerunDagRun",
            dag_run_id=run_id,
            dag_version=str(version),
            reason=reason,
            request_id=request_id or new_request_id(),
        )

    @rpc
    def set_dag_run_priority(
        self, run_id: str, priority: int | None, *, task_ids: Sequence[str] = (), reason: str = "", request_id: str = ""
    ) -> Call[pb.SetDagRunPriorityResponse]:
        """Change which of what waits goes first: of a run, or of single tasks of it; None: as the DAG says.

        What it releases later goes by it, too. `moved` of the answer says how many task instances wait and were moved.
        """
        return _RUNS.call(
            self,
            "SetDagRunPriority",
            dag_run_id=run_id,
            priority=priority,
            task_ids=task_ids,
            reason=reason,
            request_id=request_id or new_request_id(),
        )

    @rpc
    def add_note(
        self, run_id: str, text: str, task_id: str = "", *, map_index: int = -1, request_id: str = ""
    ) -> Call[pb.Note]:
        """Note something on a run, or on a task of it, for whoever looks at it next; up to 4,000 characters."""
        return _RUNS.call(
            self,
            "AddNote",
            "note",
            dag_run_id=run_id,
            task_id=task_id,
            map_index=map_index,
            text=text,
            request_id=request_id or new_request_id(),
        )

    @iterated
    def list_notes(self, run_id: str, *, page_size: int = 0) -> Pages[pb.Note]:
        """What people noted of a run and its tasks, oldest first."""
        return _RUNS.pages(self, "ListNotes", "notes", dag_run_id=run_id, page_size=page_size)

    @rpc
    def pause_dag_run(
        self, run_id: str, task_ids: Sequence[str] = (), *, reason: str = "", request_id: str = ""
    ) -> Call[run_pb2.DagRun]:
        """Nothing of these tasks, or without any of the run, starts any more; what runs goes on."""
        return _RUNS.call(
            self,
            "PauseDagRun",
            "dag_run",
            dag_run_id=run_id,
            task_ids=task_ids,
            reason=reason,
            request_id=request_id or new_request_id(),
        )

    @rpc
    def resume_dag_run(
        self, run_id: str, task_ids: Sequence[str] = (), *, reason: str = "", request_id: str = ""
    ) -> Call[run_pb2.DagRun]:
        """Lift the pauses of these tasks, or without any all those of the run."""
        return _RUNS.call(
            self,
            "ResumeDagRun",
            "dag_run",
            dag_run_id=run_id,
            task_ids=task_ids,
            reason=reason,
            request_id=request_id or new_request_id(),
        )

    @rpc
    def get_task_output(self, run_id: str, task_id: str, map_index: int = -1) -> Call[run_pb2.TaskOutput]:
        """The output of a task, or of one instance of a mapped one, as it travels. NotFound when it has none."""
        return _RUNS.call(self, "GetTaskOutput", "task_output", dag_run_id=run_id, task_id=task_id, map_index=map_index)

    @rpc
    def output(self, run_id: str, task_id: str, map_index: int = -1) -> Call[Any]:
        """The output of a task as a value: JSON decoded, text as str, anything else as bytes.

        Of a mapped task it is the list of its instances' outputs, or with a `map_index` that of one.

        InputError when it lies in storage; `get_task_output` says where.
        """
        call = _RUNS.call(self, "GetTaskOutput", dag_run_id=run_id, task_id=task_id, map_index=map_index)
        return Call(call.method, call.request, call.response, lambda response: decode(response.task_output.output))

    @rpc
    def get_run_eta(self, run_id: str, due_time: Date | None = None) -> Call[eta_pb2.RunEta]:
        """When a run that goes on will end, as far as earlier runs tell; each task's slack up to `due_time` (or to the
        run's expected end). Raises StateConflict for a run that has ended."""
        return _RUNS.call(self, "GetRunEta", "eta", dag_run_id=run_id, due_time=to_timestamp(due_time, "due_time"))

    @rpc
    def explain_dag_run(self, run_id: str, task_id: str = "") -> Call[pb.ExplainDagRunResponse]:
        """What each task instance that is not final waits for, and the run's critical path."""
        return _RUNS.call(self, "ExplainDagRun", dag_run_id=run_id, task_id=task_id)


def _trigger(api: Api, runs: list[pb.DagRunRequest], request_id: str) -> Call[Any]:
    return _RUNS.call(api, "TriggerDagRuns", "runs", request_id=request_id or new_request_id(), runs=runs)


def _run_request(dag_id: str, options: RunOptions) -> pb.DagRunRequest:
    if "version" in options and "alias" in options:
        raise ValueError(f"run of '{dag_id}': version and alias are both given; a run has one version")
    return pb.DagRunRequest(
        dag_id=dag_id,
        dag_version_number=options.get("version"),
        alias=options.get("alias"),
        run_key=options.get("run_key", ""),
        params=json.dumps(options["params"]) if options.get("params") else "",
        logical_date=to_timestamp(options.get("logical_date"), "logical_date"),
        data_interval_start=to_timestamp(options.get("data_interval_start"), "data_interval_start"),
        data_interval_end=to_timestamp(options.get("data_interval_end"), "data_interval_end"),
        traceparent=options.get("traceparent", ""),
        refresh_cache=options.get("refresh_cache", False),
        pause_at_task_ids=options.get("pause_at", ()),
        only_task_ids=options.get("only", ()),
        only_with_upstream=options.get("only_with_upstream", False),
        only_with_downstream=options.get("only_with_downstream", False),
    )


def _watch(
    api: Api, run_id: str, after_revision: int, items: Any, timeout: float | None = None, *, run_only: bool = False
) -> Stream[Any]:
    call = _RUNS.call(api, "WatchDagRun", dag_run_id=run_id, after_revision=after_revision, run_only=run_only)
    final = False

    def take(response: pb.WatchDagRunResponse) -> list[Any]:
        nonlocal final
        call.request.after_revision = response.dag_run.revision  # type: ignore[attr-defined]
        final = response.dag_run.state in _FINAL
        return list(items(response))

    return Stream(call, take, complete=lambda: final, timeout=timeout)
