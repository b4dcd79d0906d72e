"""Wrong calls of the registry service and what each must be answered, as data.

The scene they are made in (see test_wrong_registrations.py): namespace `default` has the pool gpus of 4 slots, and DAG
`churn` in version 1 (load -> train -> report, params `learning_rate` and `model`) with the alias `production`. The
request id `used` was used, at `{used}`, to register it. In messages the names in braces are replaced.

A registration is a change of `good()`; the message is that of the call, `more` are the violations that its details
list beside the first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

Code = grpc.StatusCode
ID_WORDS = "1 to 200 of A-Z a-z 0-9 _ . -, beginning with a letter or digit"
DURATION = "more than 0 to 31622400 s"
ARCHIVE = "UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA=="
ARCHIVE_HASH = hashlib.sha256(b"PK\x05\x06" + bytes(18)).hexdigest()
SCHEMA = '{"type": "object", "properties": {"rate": {"type": "number", "default": 0.1}}}'
Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class WrongCall:
    """A method with its request's fields, by whom it is called, and the exact answer."""

    why: str
    method: str
    fields: Fields
    code: grpc.StatusCode
    message: str
    caller: str = "admin"
    more: Sequence[str] = ()


def task(task_id: str, *upstream: str, **fields: Any) -> Fields:
    return {"task_id": task_id, "upstream_task_ids": list(upstream), "handler": {"name": "test:task"}, **fields}


def good() -> Fields:
    return {
        "dag_id": "wrong",
        "params_schema": SCHEMA,
        "tasks": [task("load"), task("train", "load"), task("report", "train")],
    }


def _dag(why: str, message: str, *more: str, **fields: Any) -> WrongCall:
    return WrongCall(
        why,
        "RegisterDagVersion",
        {"spec": {**good(), **fields}},
        Code.INVALID_ARGUMENT,
        f"{message} (and {len(more)} more)" if more else message,
        more=more,
    )


def _train(why: str, message: str, **fields: Any) -> WrongCall:
    """Wrong in the task train; the message begins below it."""
    return _dag(why, f"tasks.train.{message}", tasks=[task("load"), task("train", "load", **fields)])


def _policy(why: str, message: str, **fields: Any) -> WrongCall:
    return _train(why, f"policy.{message}", policy=fields)


def _retry(why: str, message: str, **fields: Any) -> WrongCall:
    return _policy(why, f"retry.{message}", retry=fields)


def _input(why: str, message: str, source: Mapping[str, Any]) -> WrongCall:
    return _train(why, f"inputs.env.DAY{message}", inputs={"env.DAY": source})


def _call(why: str, code: grpc.StatusCode, message: str, caller: str = "admin", **fields: Any) -> WrongCall:
    return WrongCall(why, "RegisterDagVersion", {"spec": good(), **fields}, code, message, caller)


NO_DAG = "there is no DAG 'chrun' in namespace 'default' (did you mean churn?)"
NO_VERSION = "DAG churn has no version 7 (its versions go from 1 to 1)"

WRONG_CALLS = (
    # ---- the DAG
    _dag("no id", f"dag_id: got '', expected {ID_WORDS}", dag_id=""),
    _dag("a NUL in the id", f"dag_id: got 'a\\x00b', expected {ID_WORDS}", dag_id="a\0b"),
    _dag("no tasks", "tasks: got 0 tasks, expected 1 to 20000 tasks", tasks=[]),
    _dag("too many tasks", "tasks: got 20001 tasks, expected 1 to 20000 tasks", tasks=[{}] * 20_001),
    _dag("a long description", "description: got 4097 bytes, expected at most 4096 bytes", description="x" * 4_097),
    _dag("a long tag", f"tags[0]: got '{'t' * 65}', expected 1 to 64 printable characters", tags=["t" * 65]),
    _dag("a timeout of zero", f"run_timeout: got 0 s, expected {DURATION}", run_timeout="0s"),
    _dag("no runs at all", "runs_active_max: got 0, expected 1 to 1000000", runs_active_max=0),
    _dag("a wrong default", "defaults.priority: got 101, expected -100 to 100", defaults={"priority": 101}),
    # ---- the graph
    _dag(
        "an id twice",
        "tasks[1].task_id: got 'a', expected an id of its own; tasks[0] has this one",
        tasks=[task("a"), task("a")],
    ),
    _dag(
        "an upstream misspelt",
        "tasks.b.upstream_task_ids: got 'laod', expected a task of this DAG; did you mean load?",
        tasks=[task("load"), task("b", "laod")],
    ),
    _dag(
        "waiting for itself",
        "tasks.a.upstream_task_ids: got 'a', expected other tasks; a task cannot wait for itself",
        tasks=[task("a", "a")],
    ),
    _dag(
        "a cycle",
        "tasks: got a -> b -> c -> a, expected no cycle",
        tasks=[task("a", "c"), task("b", "a"), task("c", "b")],
    ),
    _dag(
        "nothing that could fail",
        "tasks.a.trigger_rule: got one_failed, expected at least one upstream task, or another rule",
        tasks=[task("a", trigger_rule="TRIGGER_RULE_ONE_FAILED")],
    ),
    _train(
        "a teardown with a trigger rule",
        "trigger_rule: got one_done, expected none: a teardown runs when all before it has ended",
        role="TASK_ROLE_TEARDOWN",
        trigger_rule="TRIGGER_RULE_ONE_DONE",
    ),
    _train(
        "a role that is none", "role: got 17, expected one of work, branch, short_circuit, setup, teardown", role=17
    ),
    _train(
        "a rule that is none",
        "trigger_rule: got 17, expected one of all_success, all_failed, all_done, all_skipped, one_success, "
        "one_failed, one_done, none_failed, none_failed_min_one_success, none_skipped, always",
        trigger_rule=17,
    ),
    _dag(
        "several things at once",
        "dag_id: got 'a b', expected " + ID_WORDS,
        "tags[0]: got '', expected 1 to 64 printable characters",
        "tasks.a.upstream_task_ids: got 'b', expected a task of this DAG",
        "tasks.a.policy.pool_name: got 'zoo', expected a pool of this namespace; make it first: SetPool",
        dag_id="a b",
        tags=[""],
        tasks=[task("a", "b", policy={"pool_name": "zoo"})],
    ),
    # ---- handlers
    _train(
        "no handler",
        'handler.name: got nothing, expected a handler, such as "python:module:function" or "shell"',
        handler={},
    ),
    _train(
        "source that nobody sent",
        f"handler.version: got '{'b' * 64}', expected the hash of a stored source bundle",
        handler={"name": "python:churn:train", "version": "b" * 64},
    ),
    _train(
        "no command",
        'inputs.command: got nothing, expected the command, because the handler is "shell"',
        handler={"name": "shell"},
    ),
    # ---- policies
    _policy("a negative timeout", f"execution_timeout: got -1 s, expected {DURATION}", execution_timeout="-1s"),
    _policy(
        "a pool of nobody",
        "pool_name: got 'zoo', expected a pool of this namespace; make it first: SetPool",
        pool_name="zoo",
    ),
    _policy(
        "a pool too small",
        "pool_slots: got 5, expected at most 4, the slots of pool gpus",
        pool_name="gpus",
        pool_slots=5,
    ),
    _policy("slots of nothing", "pool_slots: got 2, expected nothing, because there is no pool_name", pool_slots=2),
    _policy("no amount", "resources.cpu: got nan, expected a number from 0 to 1e+12", resources={"cpu": "NaN"}),
    _policy(
        "exclusive inline",
        "lease_mode: got exclusive, expected hold, because isolation inline cannot be killed",
        isolation="ISOLATION_MODE_INLINE",
        lease_mode="LEASE_MODE_EXCLUSIVE",
    ),
    _policy("an isolation that is none", "isolation: got 9, expected one of process, inline", isolation=9),
    _policy("no memory", "memory_limit_mb: got 0, expected 1 to 2147483647", memory_limit_mb=0),
    _retry("without end", "retries_max: got 1001, expected 0 to 1000", retries_max=1_001),
    _retry("a delay that shrinks", "backoff: got 0.5, expected 1 to 100", backoff=0.5),
    _retry(
        "both kinds of delay",
        "delay: got 3, expected nothing, because delays are given; choose one of them",
        delay="3s",
        delays=["1s"],
    ),
    # ---- inputs
    _input("nothing", ": got nothing, expected a literal, template, output, list or param", {}),
    _input(
        "nothing in a list",
        ".list[0]: got nothing, expected a literal, template, output, list or param",
        {"list": {"items": [{}]}},
    ),
    _input(
        "a literal that is no JSON",
        ".literal: got '{', expected JSON (Expecting property name enclosed in double "
        "quotes: line 1 column 2 (char 1))",
        {"literal": {"data": "ew=="}},
    ),
    _input(
        "a large literal",
        ".literal: got 65537 bytes, expected at most 65536 bytes",
        {"literal": {"content_type": "text/plain", "data": "AAAA" * 21_845 + "AAA="}},
    ),
    _input(
        "an output of nobody",
        ".output.task_id: got 'laod', expected a task of this DAG; did you mean load?",
        {"output": {"task_id": "laod"}},
    ),
    _input(
        "a param of nobody",
        ".param: got 'rat', expected a param of params_schema; did you mean rate?",
        {"param": "rat"},
    ),
    _input(
        "an expression",
        ".template: got '{{ ds + 1 }}', expected a dotted name in the braces, no expression",
        {"template": "{{ ds + 1 }}"},
    ),
    _input(
        "open braces",
        ".template: got '{{' at character 4, expected '}}' after it, or '{{{{' for two braces",
        {"template": "day {{ ds"},
    ),
    _input(
        "its own output",
        ".template: got 'outputs.train', expected an upstream task; a task has no output before it ends",
        {"template": "{{ outputs.train }}"},
    ),
    # ---- params
    _dag(
        "a schema of a list",
        'params_schema: got {"type":"array"}, expected a JSON Schema (draft 2020-12) of type object',
        params_schema='{"type": "array"}',
    ),
    _dag(
        "a default that breaks its schema",
        "params_schema.properties.a.default: got 0, expected a default that its "
        "own schema admits: 0 is less than the minimum of 1",
        params_schema='{"type": "object", "properties": {"a": {"minimum": 1, "default": 0}}}',
    ),
    # ---- the call
    _call(
        "an archive of another hash",
        Code.INVALID_ARGUMENT,
        f"sources[0].content_hash: got 'aa', expected {ARCHIVE_HASH}, the SHA-256 of its archive",
        sources=[{"content_hash": "aa", "archive": ARCHIVE}],
    ),
    _call(
        "a wrong alias",
        Code.INVALID_ARGUMENT,
        "aliases[1]: got 'to be', expected 1 to 100 of A-Z a-z 0-9 _ . -, beginning with a letter or digit",
        aliases=["a", "to be"],
    ),
    _call(
        "a wrong DAG that is only checked",
        Code.INVALID_ARGUMENT,
        f"dag_id: got '.', expected {ID_WORDS}",
        spec={**good(), "dag_id": "."},
        validate_only=True,
    ),
    _call(
        "a request id too long",
        Code.INVALID_ARGUMENT,
        f"request_id: got '{'r' * 128}', expected 1 to 128 printable characters",
        request_id="r" * 129,
    ),
    _call(
        "the request id of another call", Code.ALREADY_EXISTS, "request id 'used' was used at {used}", request_id="used"
    ),
    _call(
        "a viewer registers",
        Code.PERMISSION_DENIED,
        "RegisterDagVersion needs the role author, 'a-viewer' has viewer (use a token with the role author)",
        caller="viewer",
    ),
    _call(
        "another namespace than the token's",
        Code.PERMISSION_DENIED,
        "'an-author' holds namespace 'default', not 'other' (use a token of that namespace)",
        caller="author of default",
        namespace="other",
    ),
    # ---- what is there
    WrongCall("a DAG misspelt", "GetDag", {"dag_id": "chrun"}, Code.NOT_FOUND, NO_DAG),
    WrongCall(
        "a page too large",
        "ListDags",
        {"page_size": 501},
        Code.INVALID_ARGUMENT,
        "page_size: got 501, expected 1 to 500, or 0 for 100",
    ),
    WrongCall("versions of nobody", "ListDagVersions", {"dag_id": "chrun"}, Code.NOT_FOUND, NO_DAG),
    WrongCall(
        "a version to come", "GetDagVersion", {"dag_id": "churn", "dag_version_number": 7}, Code.NOT_FOUND, NO_VERSION
    ),
    WrongCall(
        "an alias misspelt",
        "GetDagVersion",
        {"dag_id": "churn", "alias": "prodution"},
        Code.NOT_FOUND,
        "DAG churn has no alias 'prodution' (did you mean production?)",
    ),
    WrongCall(
        "a difference to nothing",
        "DiffDagVersions",
        {"dag_id": "churn", "from_version_number": 1, "to_version_number": 7},
        Code.NOT_FOUND,
        NO_VERSION,
    ),
    WrongCall(
        "an alias of a version to come",
        "SetDagAlias",
        {"dag_id": "churn", "alias": "production", "dag_version_number": 7},
        Code.NOT_FOUND,
        NO_VERSION,
    ),
    WrongCall(
        "an alias that is none",
        "SetDagAlias",
        {"dag_id": "churn", "alias": "", "dag_version_number": 1},
        Code.INVALID_ARGUMENT,
        "alias: got '', expected 1 to 100 of A-Z a-z 0-9 _ . -, beginning with a letter or digit",
    ),
    WrongCall("pausing nobody", "PauseDag", {"dag_id": "chrun"}, Code.NOT_FOUND, NO_DAG),
    WrongCall("forgetting nobody's results", "ClearDagCache", {"dag_id": "chrun"}, Code.NOT_FOUND, NO_DAG),
    WrongCall(
        "a viewer forgets results",
        "ClearDagCache",
        {"dag_id": "churn"},
        Code.PERMISSION_DENIED,
        "ClearDagCache needs the role operator, 'a-viewer' has viewer (use a token with the role operator)",
        "viewer",
    ),
    WrongCall("unpausing nobody", "UnpauseDag", {"dag_id": "chrun"}, Code.NOT_FOUND, NO_DAG),
    WrongCall(
        "a viewer pauses",
        "PauseDag",
        {"dag_id": "churn"},
        Code.PERMISSION_DENIED,
        "PauseDag needs the role operator, 'a-viewer' has viewer (use a token with the role operator)",
        "viewer",
    ),
    WrongCall(
        "an operator moves an alias",
        "SetDagAlias",
        {"dag_id": "churn", "alias": "production", "dag_version_number": 1},
        Code.PERMISSION_DENIED,
        "SetDagAlias needs the role author, 'an-operator' has operator (use a token with the role author)",
        "operator",
    ),
)
