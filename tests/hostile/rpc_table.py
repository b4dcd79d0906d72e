"""Who may call what, written out by hand: a new RPC without a row here fails the matrix.

In fields, names in braces are ids of the scene (see scene.py): the matrix fills them with the caller's own, with those
of the other namespace, and with ids of nothing. Fields are in the JSON form of the request.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import grpc

Code = grpc.StatusCode

ADMIN = frozenset({"admin"})
AUTHOR = ADMIN | {"author"}
OPERATOR = AUTHOR | {"operator"}
VIEWER = OPERATOR | {"viewer"}
WORKER = frozenset({"worker"})
ANYBODY = VIEWER | WORKER
ROLES = ("viewer", "operator", "author", "admin", "worker")

DONE = frozenset({Code.OK})
# The roles call one after the other: what the first has changed, the second finds changed.
DONE_BEFORE = frozenset({Code.OK, Code.FAILED_PRECONDITION, Code.ALREADY_EXISTS})


@dataclass(frozen=True, slots=True)
class Rpc:
    """`may` are the roles; `own` the answers to them about their own; `strange` the answer about ids of nothing."""

    may: frozenset[str]
    fields: dict[str, Any] = field(default_factory=dict)
    own: frozenset[grpc.StatusCode] = DONE
    strange: grpc.StatusCode = Code.NOT_FOUND
    public: bool = False
    # Only for callers that hold every namespace.
    everywhere: bool = False


RUN = {"dag_run_id": "{run}"}
TASK = {**RUN, "task_id": "load"}
TASKS = {**RUN, "task_ids": ["load"]}
DAG = {"dag_id": "{dag}"}
SESSION = {"session": {"session_id": "{session}", "generation": 1}}
TOKEN = {"task_token": "{task_token}"}

ADMIN_RPCS = {
    "GetServerInfo": Rpc(ANYBODY, public=True),
    "CreateNamespace": Rpc(ADMIN, {"new_namespace": "green"}, DONE_BEFORE, everywhere=True),
    "ListNamespaces": Rpc(VIEWER),
    "SetPool": Rpc(ADMIN, {"pool_name": "one-more", "slots": 1}),
    "ListPools": Rpc(VIEWER),
    # What is not there is deleted already; that of another namespace must still be there afterwards.
    "DeletePool": Rpc(ADMIN, {"pool_name": "{pool}"}, strange=Code.OK),
    "CreateToken": Rpc(ADMIN, {"name": "one-more", "role": "ROLE_VIEWER"}),
    "ListTokens": Rpc(ADMIN),
    "RevokeToken": Rpc(ADMIN, {"token_id": "{token}"}),
    "ListWorkers": Rpc(VIEWER),
    "ListAuditEvents": Rpc(ADMIN),
    "ListIncidents": Rpc(VIEWER),
    "ReleaseDagRun": Rpc(ADMIN, RUN),
}
CAPACITY_RPCS = {
    "SetLimit": Rpc(ADMIN, {"limit_name": "one-more", "slots": 1}),
    "ListLimits": Rpc(VIEWER),
    # As with pools.
    "DeleteLimit": Rpc(ADMIN, {"limit_name": "{pool}"}, strange=Code.OK),
    "SetNamespaceWeight": Rpc(ADMIN, {"weight": 2.0}, everywhere=True),
    "ListNamespaceWeights": Rpc(VIEWER),
}
ALERT_RPCS = {
    "SetAlertChannel": Rpc(
        ADMIN,
        {
            "channel_name": "one-more",
            "plugin_name": "email",
            "config": {"host": "h", "sender": "a@b.example", "recipients": "a@b.example"},
        },
    ),
    "ListAlertChannels": Rpc(VIEWER),
    # As with pools.
    "DeleteAlertChannel": Rpc(ADMIN, {"channel_name": "one-more"}, strange=Code.OK),
    "TestAlertChannel": Rpc(OPERATOR, {"channel_name": "none"}, frozenset({Code.NOT_FOUND})),
    "SetAlertRoute": Rpc(
        ADMIN,
        {"route_name": "one-more", "kinds": ["missed"], "channel_name": "none"},
        frozenset({Code.NOT_FOUND}),
    ),
    "ListAlertRoutes": Rpc(VIEWER),
    "DeleteAlertRoute": Rpc(ADMIN, {"route_name": "one-more"}, strange=Code.OK),
    "ListAlerts": Rpc(VIEWER),
    "ResendAlerts": Rpc(OPERATOR, {"channel_name": "none"}, frozenset({Code.NOT_FOUND})),
    "ListPlugins": Rpc(VIEWER),
}
REGISTRY_RPCS = {
    "RegisterDagVersion": Rpc(
        AUTHOR, {"spec": {"dag_id": "one-more", "tasks": [{"task_id": "only", "handler": {"name": "test:task"}}]}}
    ),
    "GetDag": Rpc(VIEWER, DAG),
    "ListDags": Rpc(VIEWER),
    "GetDagVersion": Rpc(VIEWER, DAG),
    "ListDagVersions": Rpc(VIEWER, DAG),
    "DiffDagVersions": Rpc(VIEWER, {**DAG, "from_version_number": 1, "to_version_number": 1}),
    "SetDagAlias": Rpc(AUTHOR, {**DAG, "alias": "production", "dag_version_number": 1}),
    "PauseDag": Rpc(OPERATOR, DAG),
    "UnpauseDag": Rpc(OPERATOR, DAG),
    "ClearDagCache": Rpc(OPERATOR, DAG),
}
RUN_RPCS = {
    "TriggerDagRuns": Rpc(OPERATOR, {"runs": [DAG]}),
    "GetDagRun": Rpc(VIEWER, RUN),
    "ListDagRuns": Rpc(VIEWER, DAG),
    "ListDeadLetters": Rpc(VIEWER, DAG),
    "ListTaskInstances": Rpc(VIEWER, RUN),
    "ListAttempts": Rpc(VIEWER, RUN),
    "WatchDagRun": Rpc(VIEWER, RUN),
    "GetTaskOutput": Rpc(VIEWER, TASK),
    "StreamLogs": Rpc(VIEWER, RUN),
    "ExplainDagRun": Rpc(VIEWER, RUN),
    "ClearTaskInstances": Rpc(OPERATOR, TASKS, DONE_BEFORE),
    "MarkTaskInstances": Rpc(OPERATOR, {**TASKS, "state": "TASK_STATE_SUCCESS"}, DONE_BEFORE),
    "RerunDagRun": Rpc(OPERATOR, RUN, DONE_BEFORE),
    "SetDagRunPriority": Rpc(OPERATOR, {**RUN, "priority": 5}),
    "CancelTaskInstances": Rpc(OPERATOR, TASKS, DONE_BEFORE),
    "CancelDagRun": Rpc(OPERATOR, RUN, DONE_BEFORE),
}
RUN_RPCS |= {
    "AddNote": Rpc(OPERATOR, {**RUN, "text": "looked at it"}),
    "ListNotes": Rpc(VIEWER, RUN),
    "GetRunEta": Rpc(VIEWER, RUN, DONE_BEFORE),
    "PauseDagRun": Rpc(OPERATOR, RUN, DONE_BEFORE),
    "ResumeDagRun": Rpc(OPERATOR, RUN, DONE_BEFORE),
}
DEADLINE_RPCS = {
    "SetDeadline": Rpc(OPERATOR, {**DAG, "declaration": {"after_start": "3600s"}}),
    # What is not there is deleted already.
    "DeleteDeadline": Rpc(OPERATOR, {**DAG, "deadline_name": "another"}),
    "ListDeadlines": Rpc(VIEWER, DAG),
    "ListRunDeadlines": Rpc(VIEWER, RUN),
}
SCHEDULE = {**DAG, "schedule_name": "{pool}"}
ONE_DAY = {"schedule_name": "one-more", "spec": {"dates": {"tick_time": ["2190-01-01T00:00:00Z"]}, "zone": "UTC"}}
SCHEDULE_RPCS = {
    "SetSchedule": Rpc(OPERATOR, {**DAG, "declaration": ONE_DAY}),
    "GetSchedule": Rpc(VIEWER, SCHEDULE),
    "ListSchedules": Rpc(VIEWER),
    "PauseSchedule": Rpc(OPERATOR, SCHEDULE),
    "ResumeSchedule": Rpc(OPERATOR, SCHEDULE),
    "ListTicks": Rpc(VIEWER, SCHEDULE),
    # What is not there is deleted already.
    "DeleteSchedule": Rpc(OPERATOR, {**DAG, "schedule_name": "another"}),
}
APPROVAL_RPCS = {
    "ListApprovals": Rpc(VIEWER, RUN),
    # The scene's task asks nothing; what answers may say is in tests/api/test_approvals.py.
    "AnswerApproval": Rpc(OPERATOR, {**TASK, "answer": "APPROVAL_ANSWER_APPROVE"}, frozenset({Code.INVALID_ARGUMENT})),
}
FILL = {"backfill_id": "{backfill}"}
FILLED = {"spec": {"dag_id": "{dag}", "logical_dates": ["2026-01-01T00:00:00Z"]}}
BACKFILL_RPCS = {
    "PreviewBackfill": Rpc(VIEWER, FILLED),
    "CreateBackfill": Rpc(OPERATOR, FILLED),
    "GetBackfill": Rpc(VIEWER, FILL),
    "ListBackfills": Rpc(VIEWER),
    "ListBackfillDates": Rpc(VIEWER, FILL),
    "PauseBackfill": Rpc(OPERATOR, FILL, DONE_BEFORE),
    "ResumeBackfill": Rpc(OPERATOR, FILL, DONE_BEFORE),
    # None of its runs has failed.
    "RetryBackfill": Rpc(OPERATOR, FILL, frozenset({Code.FAILED_PRECONDITION})),
    "CancelBackfill": Rpc(OPERATOR, FILL, DONE_BEFORE),
}
VALUE_RPCS = {
    "ListXComs": Rpc(VIEWER, RUN),
    "ListArtifactUses": Rpc(VIEWER, RUN),
    # Nobody of the scene has used an artifact: what is one's own is not told from what is not there.
    "GetArtifactLineage": Rpc(VIEWER, {"artifact": "artifact:{artifact}"}, frozenset({Code.NOT_FOUND})),
    "ListMetrics": Rpc(VIEWER, DAG),
}
WORKER_RPCS = {
    # Without a hello nothing is begun; what hello may list is in test_task_tokens.py.
    "Work": Rpc(WORKER, {"heartbeat": {}}, frozenset({Code.INVALID_ARGUMENT})),
    "Claim": Rpc(WORKER, SESSION),
    "Heartbeat": Rpc(WORKER, SESSION),
    # Task tokens speak for themselves, in test_task_tokens.py; the session is named for its memory alone.
    "Report": Rpc(WORKER, SESSION, strange=Code.OK),
    "GetOutput": Rpc(WORKER, {**TOKEN, "task_id": "load"}, strange=Code.ABORTED),
    "GetXCom": Rpc(WORKER, {**TOKEN, "task_id": "load", "key": "rows"}, frozenset({Code.NOT_FOUND}), Code.ABORTED),
    "PutArtifact": Rpc(WORKER, {**TOKEN, "chunk": "YQ=="}, strange=Code.ABORTED),
    "GetArtifact": Rpc(WORKER, {**TOKEN, "uri": "artifact:{artifact}"}, strange=Code.ABORTED),
    "GetSource": Rpc(WORKER, {"content_hash": "{source}"}),
}
RPCS = {
    f"glidepath.{package}/{name}": rpc
    for package, rpcs in {
        "admin.v1.AdminService": ADMIN_RPCS,
        "admin.v1.AlertService": ALERT_RPCS,
        "admin.v1.CapacityService": CAPACITY_RPCS,
        "registry.v1.RegistryService": REGISTRY_RPCS,
        "run.v1.RunService": RUN_RPCS,
        "run.v1.ApprovalService": APPROVAL_RPCS,
        "run.v1.BackfillService": BACKFILL_RPCS,
        "run.v1.ValueService": VALUE_RPCS,
        "schedule.v1.DeadlineService": DEADLINE_RPCS,
        "schedule.v1.ScheduleService": SCHEDULE_RPCS,
        "worker.v1.WorkerService": WORKER_RPCS,
    }.items()
    for name, rpc in rpcs.items()
}
