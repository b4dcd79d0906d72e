"""Wrong calls of the run service and what each must be answered, as data.

The scene they are made in (see test_runs_wrong_calls.py): namespace `default` has DAG `churn` in version 1, alias
`production` on it, tasks load -> train -> report, params `learning_rate` (number, at most 1) and `model`; DAG `plain`
takes no params. One run of churn, `{run}`, has the key `first`, learning_rate 0.5 and the logical date 2026-01-01; its
task load is queued. `{token}` is a page token of ListDagRuns for churn, `{token_start}` its beginning. The request id
`used` was used, at `{used}`, to trigger plain. In fields and messages the names in braces are replaced.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import grpc

Code = grpc.StatusCode
NOWHERE = "01890a5d-ac96-774b-bcce-b302099a8057"


@dataclass(frozen=True, slots=True)
class WrongCall:
    """A method with its request's fields, by whom it is called, and the exact answer."""

    why: str
    method: str
    fields: dict[str, Any]
    code: grpc.StatusCode
    message: str
    caller: str = "admin"


@dataclass(frozen=True, slots=True)
class Many:
    """Stands for a list of `count` equal items, which would be long to write."""

    item: dict[str, Any] = field(default_factory=dict)
    count: int = 0


def _trigger(why: str, code: grpc.StatusCode, message: str, *runs: dict[str, Any], **more: Any) -> WrongCall:
    caller = more.pop("caller", "admin")
    return WrongCall(why, "TriggerDagRuns", {"runs": list(runs), **more}, code, message, caller)


CHURN = {"dag_id": "churn"}

WRONG_CALLS = (
    # ---- which DAG, which version
    _trigger(
        "misspelt DAG",
        Code.NOT_FOUND,
        "runs[0].dag_id: there is no DAG 'chrun' in namespace 'default' (did you mean churn?)",
        {"dag_id": "chrun"},
    ),
    _trigger(
        "unknown DAG",
        Code.NOT_FOUND,
        "runs[1].dag_id: there is no DAG 'zebra' in namespace 'default' "
        "(register it first, or look at the DAGs of namespace default)",
        CHURN,
        {"dag_id": "zebra"},
    ),
    _trigger(
        "unknown version",
        Code.NOT_FOUND,
        "runs[0].dag_version_number: DAG churn has no version 7 (its versions go from 1 to 1)",
        {"dag_id": "churn", "dag_version_number": 7},
    ),
    _trigger(
        "unknown alias",
        Code.NOT_FOUND,
        "runs[0].alias: DAG churn has no alias 'prodution' (did you mean production?)",
        {"dag_id": "churn", "alias": "prodution"},
    ),
    _trigger(
        "a NUL in a name",
        Code.INVALID_ARGUMENT,
        "runs[0].dag_id: got 'churn\\x00', expected text without NUL characters",
        {"dag_id": "churn\0"},
    ),
    # ---- params
    _trigger(
        "param of another type",
        Code.INVALID_ARGUMENT,
        'runs[1].params.learning_rate: got "fast", expected a number',
        CHURN,
        {"dag_id": "churn", "params": '{{"learning_rate": "fast"}}'},
    ),
    _trigger(
        "param out of range",
        Code.INVALID_ARGUMENT,
        "runs[0].params.learning_rate: got 2, expected at most 1",
        {"dag_id": "churn", "params": '{{"learning_rate": 2}}'},
    ),
    _trigger(
        "misspelt param",
        Code.INVALID_ARGUMENT,
        "runs[0].params.learning_rat: got 0.2, expected a param of this DAG; did you mean learning_rate?",
        {"dag_id": "churn", "params": '{{"learning_rat": 0.2}}'},
    ),
    _trigger(
        "param that is none of the choices",
        Code.INVALID_ARGUMENT,
        'runs[0].params.model: got "forest", expected one of "tree", "net"',
        {"dag_id": "churn", "params": '{{"model": "forest"}}'},
    ),
    _trigger(
        "params of a DAG without params",
        Code.INVALID_ARGUMENT,
        "runs[0].params.rate: got 1, expected no params: this DAG takes none",
        {"dag_id": "plain", "params": '{{"rate": 1}}'},
    ),
    _trigger(
        "params that are no object",
        Code.INVALID_ARGUMENT,
        "runs[0].params: got [1], expected a JSON object",
        {"dag_id": "churn", "params": "[1]"},
    ),
    _trigger(
        "two wrong items",
        Code.INVALID_ARGUMENT,
        "runs[0].params.learning_rate: got 2, expected at most 1 (and 1 more)",
        {"dag_id": "churn", "params": '{{"learning_rate": 2}}'},
        {"dag_id": "plain", "params": '{{"a": 1}}'},
    ),
    # ---- the rest of an item
    _trigger(
        "half an interval",
        Code.INVALID_ARGUMENT,
        "runs[0].data_interval_end: got nothing, expected both ends of the data interval, or neither",
        {"dag_id": "churn", "data_interval_start": "2026-01-01T00:00:00Z"},
    ),
    _trigger(
        "an interval that runs backwards",
        Code.INVALID_ARGUMENT,
        "runs[0].data_interval_end: got 2026-01-01T00:00:00+00:00, expected not before data_interval_start "
        "2026-01-02T00:00:00+00:00",
        {"dag_id": "churn", "data_interval_start": "2026-01-02T00:00:00Z", "data_interval_end": "2026-01-01T00:00:00Z"},
    ),
    _trigger(
        "a trace context that is none",
        Code.INVALID_ARGUMENT,
        "runs[0].traceparent: got '00-1', expected a W3C traceparent (00-...), or nothing",
        {"dag_id": "churn", "traceparent": "00-1"},
    ),
    _trigger(
        "a run key with a line break",
        Code.INVALID_ARGUMENT,
        "runs[0].run_key: got 'a\\nb', expected 1 to 200 printable characters",
        {"dag_id": "churn", "run_key": "a\nb"},
    ),
    _trigger("no runs", Code.INVALID_ARGUMENT, "runs: got 0 runs, expected 1 to 1000 runs in one call"),
    WrongCall(
        "too many runs",
        "TriggerDagRuns",
        {"runs": Many(CHURN, 1001)},
        Code.INVALID_ARGUMENT,
        "runs: got 1001 runs, expected 1 to 1000 runs in one call",
    ),
    # ---- what exists already
    _trigger(
        "run key with other params",
        Code.ALREADY_EXISTS,
        "runs[1].run_key: DAG churn has run {run} with key 'first', which differs: "
        'params are {{"learning_rate":0.5,"model":"tree"}}, asked for {{"learning_rate":0.1,"model":"tree"}} '
        "(use another run key, or ask for the same content)",
        CHURN,
        {"dag_id": "churn", "run_key": "first"},
    ),
    _trigger(
        "run key with another date",
        Code.ALREADY_EXISTS,
        "runs[0].run_key: DAG churn has run {run} with key 'first', which differs: "
        "logical_date is 2026-01-01T00:00:00+00:00, asked for 2026-01-02T00:00:00+00:00 "
        "(use another run key, or ask for the same content)",
        {
            "dag_id": "churn",
            "run_key": "first",
            "params": '{{"learning_rate": 0.5}}',
            "logical_date": "2026-01-02T00:00:00Z",
        },
    ),
    _trigger(
        "a request id too long",
        Code.INVALID_ARGUMENT,
        f"request_id: got '{'r' * 128}', expected 1 to 128 printable characters",
        CHURN,
        request_id="r" * 129,
    ),
    # ---- who and where
    _trigger(
        "a viewer triggers",
        Code.PERMISSION_DENIED,
        "TriggerDagRuns needs the role operator, 'a-viewer' has viewer (use a token with the role operator)",
        CHURN,
        caller="viewer",
    ),
    _trigger(
        "another namespace than the token's",
        Code.PERMISSION_DENIED,
        "'an-operator' holds namespace 'default', not 'other' (use a token of that namespace)",
        CHURN,
        caller="operator of default",
        namespace="other",
    ),
    WrongCall(
        "a run of another namespace",
        "GetDagRun",
        {"namespace": "other", "dag_run_id": "{run}"},
        Code.NOT_FOUND,
        "there is no run {run} in namespace 'other' (list the runs of the DAG to find it)",
    ),
    # ---- reading
    WrongCall(
        "unknown run",
        "GetDagRun",
        {"dag_run_id": NOWHERE},
        Code.NOT_FOUND,
        f"there is no run {NOWHERE} in namespace 'default' (list the runs of the DAG to find it)",
    ),
    WrongCall(
        "an id that is no UUID",
        "GetDagRun",
        {"dag_run_id": "17"},
        Code.INVALID_ARGUMENT,
        f"dag_run_id: got '17', expected a UUID like {NOWHERE}",
    ),
    WrongCall(
        "runs of an unknown DAG",
        "ListDagRuns",
        {"dag_id": "chrun"},
        Code.NOT_FOUND,
        "there is no DAG 'chrun' in namespace 'default' (did you mean churn?)",
    ),
    WrongCall(
        "a state that is none",
        "ListDagRuns",
        {"states": [17]},
        Code.INVALID_ARGUMENT,
        "states: got 17, expected one of queued, running, success, failed, cancelled",
    ),
    WrongCall(
        "child runs of an unknown run",
        "ListDagRuns",
        {"children_of_dag_run_id": NOWHERE},
        Code.NOT_FOUND,
        f"there is no run {NOWHERE} in namespace 'default' (list the runs of the DAG to find it)",
    ),
    WrongCall(
        "child runs of a run, of one DAG",
        "ListDagRuns",
        {"children_of_dag_run_id": NOWHERE, "dag_id": "churn"},
        Code.INVALID_ARGUMENT,
        "dag_id: got 'churn', expected nothing beside children_of_dag_run_id",
    ),
    WrongCall(
        "a page too large",
        "ListDagRuns",
        {"page_size": 501},
        Code.INVALID_ARGUMENT,
        "page_size: got 501, expected 1 to 500, or 0 for 100",
    ),
    WrongCall(
        "a page token that is none",
        "ListDagRuns",
        {"page_token": "???"},
        Code.INVALID_ARGUMENT,
        "page_token: got '???', expected next_page_token of the page before, unchanged",
    ),
    WrongCall(
        "a page token of another list",
        "ListDagRuns",
        {"page_token": "{token}"},
        Code.INVALID_ARGUMENT,
        "page_token: got '{token_start}', expected a token of the same method with the same filters",
    ),
    WrongCall(
        "dead letters of an unknown DAG",
        "ListDeadLetters",
        {"dag_id": "chrun"},
        Code.NOT_FOUND,
        "there is no DAG 'chrun' in namespace 'default' (did you mean churn?)",
    ),
    WrongCall(
        "a page token of runs for dead letters",
        "ListDeadLetters",
        {"page_token": "{token}"},
        Code.INVALID_ARGUMENT,
        "page_token: got '{token_start}', expected next_page_token of the page before, unchanged",
    ),
    WrongCall(
        "task instances of an unknown run",
        "ListTaskInstances",
        {"dag_run_id": NOWHERE},
        Code.NOT_FOUND,
        f"there is no run {NOWHERE} in namespace 'default' (list the runs of the DAG to find it)",
    ),
    WrongCall(
        "task instances of an unknown task",
        "ListTaskInstances",
        {"dag_run_id": "{run}", "task_id": "trian"},
        Code.NOT_FOUND,
        "DAG churn version 1 has no task 'trian' (did you mean train?)",
    ),
    WrongCall(
        "task instances in no state",
        "ListTaskInstances",
        {"dag_run_id": "{run}", "states": [99]},
        Code.INVALID_ARGUMENT,
        "states: got 99, expected one of scheduled, waiting, queued, running, success, failed, upstream_failed, "
        "skipped, up_for_retry, deferred, cancelled, removed",
    ),
    WrongCall(
        "attempts of an instance of no task",
        "ListAttempts",
        {"dag_run_id": "{run}", "map_index": 3},
        Code.INVALID_ARGUMENT,
        "map_index: got 3, expected none without a task_id",
    ),
    WrongCall(
        "attempts of an unknown task",
        "ListAttempts",
        {"dag_run_id": "{run}", "task_id": "trian"},
        Code.NOT_FOUND,
        "DAG churn version 1 has no task 'trian' (did you mean train?)",
    ),
    WrongCall(
        "output of a task that has not run",
        "GetTaskOutput",
        {"dag_run_id": "{run}", "task_id": "load"},
        Code.NOT_FOUND,
        "task load has no output: no attempt of it has succeeded, it is queued (ask again once it has succeeded)",
    ),
    WrongCall(
        "explanation of an unknown task",
        "ExplainDagRun",
        {"dag_run_id": "{run}", "task_id": "x"},
        Code.NOT_FOUND,
        "DAG churn version 1 has no task 'x' (list the run's task instances)",
    ),
    # ---- following
    WrongCall(
        "watching from a revision to come",
        "WatchDagRun",
        {"dag_run_id": "{run}", "after_revision": 99},
        Code.INVALID_ARGUMENT,
        "after_revision: got 99, expected 0 to 1, the run's revision",
    ),
    WrongCall(
        "a log cursor that is none",
        "StreamLogs",
        {"dag_run_id": "{run}", "after": "x"},
        Code.INVALID_ARGUMENT,
        "after: got 'x', expected cursor of the last message seen, unchanged",
    ),
    WrongCall(
        "logs of an instance of no task",
        "StreamLogs",
        {"dag_run_id": "{run}", "map_index": 0},
        Code.INVALID_ARGUMENT,
        "map_index: got 0, expected none without a task_id",
    ),
    WrongCall(
        "logs of an unknown run",
        "StreamLogs",
        {"dag_run_id": NOWHERE},
        Code.NOT_FOUND,
        f"there is no run {NOWHERE} in namespace 'default' (list the runs of the DAG to find it)",
    ),
    # ---- steering
    *(
        WrongCall(
            f"{method} for an unknown run",
            method,
            {"dag_run_id": NOWHERE},
            Code.NOT_FOUND,
            f"there is no run {NOWHERE} in namespace 'default' (list the runs of the DAG to find it)",
        )
        for method in ("PauseDagRun", "ResumeDagRun")
    ),
    WrongCall(
        "cancelling an unknown run",
        "CancelDagRun",
        {"dag_run_id": NOWHERE},
        Code.NOT_FOUND,
        f"there is no run {NOWHERE} in namespace 'default' (list the runs of the DAG to find it)",
    ),
    WrongCall(
        "a reason too long",
        "CancelDagRun",
        {"dag_run_id": "{run}", "reason": "r" * 1001},
        Code.INVALID_ARGUMENT,
        "reason: got 1001 characters, expected at most 1000 characters",
    ),
    WrongCall(
        "the request id of another call",
        "CancelDagRun",
        {"dag_run_id": "{run}", "request_id": "used"},
        Code.ALREADY_EXISTS,
        "request id 'used' was used at {used}",
    ),
    WrongCall(
        "cancelling an unknown task",
        "CancelTaskInstances",
        {"dag_run_id": "{run}", "task_ids": ["trian"]},
        Code.NOT_FOUND,
        "DAG churn version 1 has no task 'trian' (did you mean train?)",
    ),
    WrongCall(
        "marking an unknown task",
        "MarkTaskInstances",
        {"dag_run_id": "{run}", "task_ids": ["trian"], "state": "TASK_STATE_SUCCESS"},
        Code.NOT_FOUND,
        "DAG churn version 1 has no task 'trian' (did you mean train?)",
    ),
    WrongCall(
        "marking a task as running",
        "MarkTaskInstances",
        {"dag_run_id": "{run}", "task_ids": ["train"], "state": "TASK_STATE_RUNNING"},
        Code.INVALID_ARGUMENT,
        "state: got TASK_STATE_RUNNING, expected TASK_STATE_FAILED, TASK_STATE_SKIPPED, TASK_STATE_SUCCESS",
    ),
    WrongCall(
        "marking a task without saying as what",
        "MarkTaskInstances",
        {"dag_run_id": "{run}", "task_ids": ["train"]},
        Code.INVALID_ARGUMENT,
        "state: got TASK_STATE_UNSPECIFIED, expected TASK_STATE_FAILED, TASK_STATE_SKIPPED, TASK_STATE_SUCCESS",
    ),
    WrongCall(
        "clearing no tasks",
        "ClearTaskInstances",
        {"dag_run_id": "{run}"},
        Code.INVALID_ARGUMENT,
        "task_ids: got 0 task ids, expected 1 to 10000 task ids",
    ),
    WrongCall(
        "clearing an unknown task",
        "ClearTaskInstances",
        {"dag_run_id": "{run}", "task_ids": ["load", "trian"]},
        Code.NOT_FOUND,
        "DAG churn version 1 has no task 'trian' (did you mean train?)",
    ),
    WrongCall(
        "clearing what has not begun",
        "ClearTaskInstances",
        {"dag_run_id": "{run}", "task_ids": ["report"]},
        Code.FAILED_PRECONDITION,
        "nothing to clear: none of these tasks has been released yet",
    ),
    WrongCall(
        "rerunning what has not failed",
        "RerunDagRun",
        {"dag_run_id": "{run}"},
        Code.FAILED_PRECONDITION,
        "nothing to rerun: no task of the run has failed, the run is running (clear the tasks that should run again)",
    ),
    WrongCall(
        "a priority out of bounds",
        "SetDagRunPriority",
        {"dag_run_id": "{run}", "priority": 101},
        Code.INVALID_ARGUMENT,
        "priority: got 101, expected -100 to 100",
    ),
    WrongCall(
        "the priority of a task misspelt",
        "SetDagRunPriority",
        {"dag_run_id": "{run}", "priority": 1, "task_ids": ["trian"]},
        Code.NOT_FOUND,
        "DAG churn version 1 has no task 'trian' (did you mean train?)",
    ),
    WrongCall(
        "the priority of a run of nowhere",
        "SetDagRunPriority",
        {"dag_run_id": NOWHERE, "priority": 1},
        Code.NOT_FOUND,
        f"there is no run {NOWHERE} in namespace 'default' (list the runs of the DAG to find it)",
    ),
)
