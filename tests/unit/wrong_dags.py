"""Wrong DAGs and every violation that each must give, as data.

The DAG that each is a change of is `good()`: tasks load -> train -> report, params `rate` and `model`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from glidepath_server.core.definition import (
    SHELL,
    CachePolicy,
    Handler,
    Input,
    InputList,
    IsolationMode,
    LeaseMode,
    Literal,
    OutputRef,
    Param,
    Template,
)
from glidepath_server.core.draft import DagDraft, MapDraft, PolicyDraft, RetryDraft, TaskDraft
from glidepath_server.core.failure import FailureKind
from glidepath_server.core.graph import TaskRole
from glidepath_server.core.templates import KNOWN_NAMES
from glidepath_server.core.trigger_rules import TriggerRule
from glidepath_server.core.validation import MAP_SOURCE
from glidepath_server.core.value_checks import ID_WORDS

SCHEMA = '{"type": "object", "properties": {"rate": {"type": "number", "default": 0.1}, "model": {"type": "string"}}}'
SOURCE = "a" * 64
POOLS = {"gpus": 4}
YEAR = 366 * 86_400
NO_LIMIT = "a limit of this namespace; make it first: SetLimit"
Said = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class WrongDag:
    why: str
    draft: DagDraft
    violations: Sequence[Said]


def task(task_id: str, *upstream: str, **fields: Any) -> TaskDraft:
    fields.setdefault("handler", Handler("test:task"))
    return TaskDraft(task_id, upstream_task_ids=upstream, **fields)


def good() -> DagDraft:
    return DagDraft("churn", [task("load"), task("train", "load"), task("report", "train")], params_schema=SCHEMA)


def dag(why: str, *violations: Said, **fields: Any) -> WrongDag:
    return WrongDag(why, replace(good(), **fields), violations)


def train(why: str, *violations: Said, **fields: Any) -> WrongDag:
    """Wrong in the task train; violations begin below it."""
    tasks = [task("load"), task("train", "load", **fields), task("report", "train")]
    below = [(f"tasks.train.{at}", value, expected) for at, value, expected in violations]
    return WrongDag(why, replace(good(), tasks=tasks), below)


def policy(why: str, *violations: Said, **fields: Any) -> WrongDag:
    below = [(f"policy.{at}", value, expected) for at, value, expected in violations]
    return train(why, *below, policy=PolicyDraft(**fields))


def retry(why: str, *violations: Said, **fields: Any) -> WrongDag:
    below = [(f"retry.{at}", value, expected) for at, value, expected in violations]
    return policy(why, *below, retry=RetryDraft(**fields))


def given(why: str, source: Input | None, *violations: Said) -> WrongDag:
    """Wrong in the input env.DAY of train."""
    below = [(f"inputs.env.DAY{at}", value, expected) for at, value, expected in violations]
    return train(why, *below, inputs={"env.DAY": source})


def schema(why: str, value: Any, *violations: Said) -> WrongDag:
    text = value if isinstance(value, str) else json.dumps(value)
    below = [(f"params_schema{at}", shown, expected) for at, shown, expected in violations]
    return dag(why, *below, params_schema=text)


FAILURE_NAMES = 'a kind of failure such as "timeout", or the name of an error\'s type, of up to 200 characters'
RULES = (
    "one of all_success, all_failed, all_done, all_skipped, one_success, one_failed, one_done, none_failed, "
    "none_failed_min_one_success, none_skipped, always"
)
OBJECT = "a JSON Schema (draft 2020-12) of type object"
INLINE = IsolationMode.INLINE

WRONG_DAGS = (
    # ---- the DAG
    dag("an empty id", ("dag_id", "''", ID_WORDS), dag_id=""),
    dag("an id that begins with a dot", ("dag_id", "'.churn'", ID_WORDS), dag_id=".churn"),
    dag("an id that ends with a line break", ("dag_id", "'churn\\n'", ID_WORDS), dag_id="churn\n"),
    dag("an id of other letters", ("dag_id", "'größe'", ID_WORDS), dag_id="größe"),
    dag("an id too long", ("dag_id", f"'{'x' * 77}...'", ID_WORDS), dag_id="x" * 201),
    dag("no tasks", ("tasks", "0 tasks", "1 to 20000 tasks"), tasks=[]),
    dag("too many tasks", ("tasks", "20001 tasks", "1 to 20000 tasks"), tasks=[task("same")] * 20_001),
    dag("a long description", ("description", "4098 bytes", "at most 4096 bytes"), description="é" * 2_049),
    dag("a NUL", ("description", "'a\\x00b'", "text without NUL characters"), description="a\0b"),
    dag("many tags", ("tags", "51 tags", "at most 50 tags"), tags=["t"] * 51),
    dag("a long tag", ("tags[1]", f"'{'t' * 65}'", "1 to 64 printable characters"), tags=["a", "t" * 65]),
    dag("a timeout of zero", ("run_timeout", "0 s", f"more than 0 to {YEAR} s"), run_timeout_seconds=0.0),
    dag("no runs at all", ("runs_active_max", "0", "1 to 1000000"), runs_active_max=0),
    dag(
        "two runs at once that go in order",
        ("runs_active_max", "2", "1 or nothing, because runs_in_order lets one run go after the other"),
        runs_active_max=2,
        runs_in_order=True,
    ),
    dag("no tasks at all", ("tasks_active_max", "-1", "1 to 1000000"), tasks_active_max=-1),
    dag("no tasks of a run", ("run_tasks_active_max", "0", "1 to 1000000"), run_tasks_active_max=0),
    dag("no weight", ("weight", "0", "0.001 to 1000"), weight=0.0),
    dag("a weight that is none", ("weight", "nan", "0.001 to 1000"), weight=float("nan")),
    dag("no attempts", ("defaults.active_max", "0", "1 to 1000000"), defaults=PolicyDraft(active_max=0)),
    dag(
        "limits that cannot be",
        ("defaults.limits", "'a b'", f"the name of a limit: {ID_WORDS}"),
        ("defaults.limits.gpu", "0", "1 to 1000000 slots"),
        ("defaults.limits", "'a b'", NO_LIMIT),
        ("defaults.limits", "'gpu'", NO_LIMIT),
        defaults=PolicyDraft(limits={"gpu": 0, "a b": 1}),
    ),
    dag("a limit that is not there", ("defaults.limits", "'gpu'", NO_LIMIT), defaults=PolicyDraft(limits={"gpu": 1})),
    dag("a wrong default", ("defaults.priority", "101", "-100 to 100"), defaults=PolicyDraft(priority=101)),
    # ---- the graph
    dag(
        "an id twice",
        ("tasks[1].task_id", "'load'", "an id of its own; tasks[0] has this one"),
        tasks=[task("load"), task("load")],
    ),
    dag("a task without a name", ("tasks[0].task_id", "''", ID_WORDS), tasks=[task("")]),
    dag(
        "an upstream misspelt",
        ("tasks.b.upstream_task_ids", "'laod'", "a task of this DAG; did you mean load?"),
        tasks=[task("load"), task("b", "laod")],
    ),
    dag(
        "an upstream nobody knows",
        ("tasks.b.upstream_task_ids", "'zebra'", "a task of this DAG"),
        tasks=[task("load"), task("b", "zebra")],
    ),
    dag(
        "waiting for itself",
        ("tasks.a.upstream_task_ids", "'a'", "other tasks; a task cannot wait for itself"),
        tasks=[task("a", "a")],
    ),
    dag(
        "a cycle",
        ("tasks", "a -> b -> c -> a", "no cycle"),
        tasks=[task("start"), task("a", "c", "start"), task("b", "a"), task("c", "b"), task("end", "c")],
    ),
    dag(
        "a cycle by an output",
        ("tasks", "a -> b -> a", "no cycle"),
        tasks=[task("a", inputs={"x": OutputRef("b")}), task("b", "a")],
    ),
    dag(
        "nothing that could fail",
        ("tasks.a.trigger_rule", "one_failed", "at least one upstream task, or another rule"),
        tasks=[task("a", trigger_rule=TriggerRule.ONE_FAILED)],
    ),
    train(
        "a teardown with a trigger rule",
        ("trigger_rule", "one_success", "none: a teardown runs when all before it has ended"),
        role=TaskRole.TEARDOWN,
        trigger_rule=TriggerRule.ONE_SUCCESS,
    ),
    train(
        "a teardown that depends on the past",
        ("policy.depends_on_past", "true", "nothing: a teardown runs when all before it has ended"),
        role=TaskRole.TEARDOWN,
        policy=PolicyDraft(depends_on_past=True),
    ),
    dag(
        "a teardown after nothing",
        ("tasks.a.role", "teardown", "at least one upstream task, which it is to run after"),
        tasks=[task("a", role=TaskRole.TEARDOWN)],
    ),
    train("a role that is none", ("role", "17", "one of work, branch, short_circuit, setup, teardown"), role=17),
    train("a rule that is none", ("trigger_rule", "17", RULES), trigger_rule=17),
    # ---- caches
    dag(
        "a cache for all tasks",
        ("defaults.cache", "a cache", "none: each task whose results may be used again says so itself"),
        defaults=PolicyDraft(cache=CachePolicy()),
    ),
    policy(
        "a cache that keeps nothing",
        ("cache.expire_after", "0 s", f"more than 0 to {3_660 * 86_400} s"),
        cache=CachePolicy(0.0),
    ),
    train(
        "an argument to leave out misspelt",
        ("policy.cache.ignore[0]", "'debgu'", "an input of this task; did you mean debug?"),
        policy=PolicyDraft(cache=CachePolicy(ignore=("debgu", "env"))),
        inputs={"debug": Literal(b"1"), "env.DAY": Literal(b"1")},
    ),
    train(
        "an own key and arguments to leave out",
        ("policy.cache.ignore", "'debug'", "nothing, because a key counts instead of the inputs"),
        policy=PolicyDraft(cache=CachePolicy(ignore=("debug",), key="{{ ds }}")),
        inputs={"debug": Literal(b"1")},
    ),
    policy(
        "a key of an output that comes later",
        ("cache.key.template", "'outputs.report.x'", "an upstream task; add report to upstream_task_ids"),
        cache=CachePolicy(key="{{ outputs.report.x }}"),
    ),
    policy(
        "a key of a param that nobody knows",
        ("cache.key.template", "'params.modle'", "a param of params_schema; did you mean model?"),
        cache=CachePolicy(key="{{ params.modle }}"),
    ),
    policy(
        "a long cache version",
        ("cache.version", f"'{'v' * 77}...'", "1 to 200 printable characters"),
        cache=CachePolicy(version="v" * 201),
    ),
    train(
        "a branch that is cached",
        ("policy.cache", "a cache of a branch", "none: what such a task does has to be done each time"),
        policy=PolicyDraft(cache=CachePolicy()),
        role=TaskRole.BRANCH,
    ),
    policy(
        "a cache of what must not run twice at once",
        (
            "cache",
            "a cache under lease mode exclusive",
            "none, or lease mode hold: what must not run twice at once is run for more than its result",
        ),
        cache=CachePolicy(),
        lease_mode=LeaseMode.EXCLUSIVE,
    ),
    # ---- handlers
    train(
        "no handler",
        ("handler.name", "nothing", 'a handler, such as "python:module:function" or "shell"'),
        handler=Handler(""),
    ),
    train(
        "half a function",
        ("handler.name", "'python:churn'", '"python:module:function"'),
        handler=Handler("python:churn"),
    ),
    train(
        "source that nobody sent",
        ("handler.version", f"'{'b' * 64}'", "the hash of a stored source bundle"),
        handler=Handler("python:churn:train", "b" * 64),
    ),
    train(
        "no command",
        ("inputs.command", "nothing", 'the command, because the handler is "shell"'),
        handler=Handler(SHELL),
    ),
    # ---- policies
    policy(
        "a timeout of zero", ("execution_timeout", "0 s", f"more than 0 to {YEAR} s"), execution_timeout_seconds=0.0
    ),
    policy(
        "a negative timeout", ("execution_timeout", "-1 s", f"more than 0 to {YEAR} s"), execution_timeout_seconds=-1.0
    ),
    policy("no number", ("execution_timeout", "nan s", f"more than 0 to {YEAR} s"), execution_timeout_seconds=math.nan),
    policy("no end", ("execution_timeout", "inf s", f"more than 0 to {YEAR} s"), execution_timeout_seconds=math.inf),
    policy("a long grace", ("cancel_grace", "3601 s", "0 to 3600 s"), cancel_grace_seconds=3601.0),
    policy("priority", ("priority", "-101", "-100 to 100"), priority=-101),
    policy(
        "no pool",
        ("pool_name", "'zoo'", "a pool of this namespace; make it first: SetPool"),
        pool_name="zoo",
    ),
    policy("a pool misspelt", ("pool_name", "'gpu'", "a pool of this namespace; did you mean gpus?"), pool_name="gpu"),
    policy(
        "a pool too small", ("pool_slots", "5", "at most 4, the slots of pool gpus"), pool_name="gpus", pool_slots=5
    ),
    policy("no slots", ("pool_slots", "0", "1 to 1000000"), pool_name="gpus", pool_slots=0),
    policy("slots of nothing", ("pool_slots", "2", "nothing, because there is no pool_name"), pool_slots=2),
    policy("less than nothing", ("resources.cpu", "-1", "a number from 0 to 1e+12"), resources={"cpu": -1.0}),
    policy("no amount", ("resources.cpu", "nan", "a number from 0 to 1e+12"), resources={"cpu": math.nan}),
    policy("endless", ("resources.gpu", "inf", "a number from 0 to 1e+12"), resources={"gpu": math.inf}),
    policy("an isolation that is none", ("isolation", "9", "one of process, inline"), isolation=9),
    policy("a lease mode that is none", ("lease_mode", "9", "one of hold, exclusive"), lease_mode=9),
    policy(
        "exclusive inline",
        ("lease_mode", "exclusive", "hold, because isolation inline cannot be killed"),
        isolation=INLINE,
        lease_mode=LeaseMode.EXCLUSIVE,
    ),
    policy(
        "a limit inline",
        ("memory_limit_mb", "64", "nothing, because isolation inline cannot be killed"),
        isolation=INLINE,
        memory_limit_mb=64,
    ),
    policy("no memory", ("memory_limit_mb", "0", "1 to 2147483647"), memory_limit_mb=0),
    # ---- retries
    retry("less than none", ("retries_max", "-1", "0 to 1000"), retries_max=-1),
    retry("without end", ("retries_max", "1001", "0 to 1000"), retries_max=1_001),
    retry("losses", ("losses_max", "101", "0 to 100"), losses_max=101),
    retry("preemptions", ("preemptions_max", "1001", "0 to 1000"), preemptions_max=1_001),
    retry("a negative delay", ("delay", "-1 s", f"0 to {YEAR} s"), delay_seconds=-1.0),
    retry("a delay that shrinks", ("backoff", "0.5", "1 to 100"), backoff=0.5),
    retry("a delay that explodes", ("backoff", "101", "1 to 100"), backoff=101.0),
    retry("more jitter than delay", ("jitter", "1.5", "0 to 1, a share of the delay"), jitter=1.5),
    retry(
        "no name of an error",
        ("only_on[1]", "'Value Error'", FAILURE_NAMES),
        only_on=("timeout", "Value Error"),
    ),
    retry(
        "a misspelt kind",
        ("only_on[0]", "'timeuot'", f"one of {', '.join(FailureKind)}, or a type's name; did you mean timeout?"),
        only_on=("timeuot",),
    ),
    retry("an empty name", ("never_on[0]", "''", FAILURE_NAMES), never_on=("",)),
    retry("another queue that is no name", ("reroute_queue", "'a b'", ID_WORDS), reroute_queue="a b"),
    retry(
        "another queue before anything failed",
        ("reroute_after", "0", "1 to 1000"),
        reroute_queue="big",
        reroute_after=0,
    ),
    retry(
        "after so many failures nowhere",
        ("reroute_after", "2", "nothing, because there is no reroute_queue"),
        reroute_after=2,
    ),
    retry("no factor", ("backoff", "nan", "1 to 100"), backoff=math.nan),
    retry("a cap of zero", ("delay_max", "0 s", f"more than 0 to {YEAR} s"), delay_max_seconds=0.0),
    retry(
        "both kinds of delay",
        ("delay", "3", "nothing, because delays are given; choose one of them"),
        delay_seconds=3.0,
        delays_seconds=(1.0, 2.0),
    ),
    retry("one of many delays", ("delays[1]", "nan s", f"0 to {YEAR} s"), delays_seconds=(1.0, math.nan)),
    # ---- inputs
    given("nothing", None, ("", "nothing", "a literal, template, output, list or param")),
    given("a large literal", Literal(b'"' + b"x" * 65_535 + b'"'), (".literal", "65537 bytes", "at most 65536 bytes")),
    given(
        "no JSON",
        Literal(b"{"),
        (".literal", "'{'", "JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1))"),
    ),
    given(
        "an output of nobody",
        OutputRef("laod"),
        (".output.task_id", "'laod'", "a task of this DAG; did you mean load?"),
    ),
    given(
        "its own output",
        OutputRef("train"),
        (".output.task_id", "'train'", "another task; a task cannot wait for itself"),
    ),
    given("a param of nobody", Param("rat"), (".param", "'rat'", "a param of params_schema; did you mean rate?")),
    given(
        "deep in a list",
        InputList((Literal(b"1"), InputList((Param("x"),)))),
        (".list[1].list[0].param", "'x'", "a param of params_schema"),
    ),
    # ---- templates
    given(
        "open braces",
        Template("day {{ ds"),
        (".template", "'{{' at character 4", "'}}' after it, or '{{{{' for two braces"),
    ),
    given(
        "an expression",
        Template("{{ ds + 1 }}"),
        (".template", "'{{ ds + 1 }}'", "a dotted name in the braces, no expression"),
    ),
    given("a name of nobody", Template("{{ today }}"), (".template", "'today'", f"one of {KNOWN_NAMES}")),
    given(
        "a date in no format",
        Template("{{ logical_date.week }}"),
        (
            ".template",
            "'logical_date.week'",
            "a date with one of the formats day, ds, ds_nodash, hour, month, ts, ts_nodash, unix, year",
        ),
    ),
    given(
        "a param in a template",
        Template("{{ params.modle }}"),
        (".template", "'params.modle'", "a param of params_schema; did you mean model?"),
    ),
    given(
        "an output that is not upstream",
        Template("{{ outputs.report.rows }}"),
        (".template", "'outputs.report.rows'", "an upstream task; add report to upstream_task_ids"),
    ),
    given(
        "its own output in a template",
        Template("{{ outputs.train.rows }}"),
        (".template", "'outputs.train.rows'", "an upstream task; a task has no output before it ends"),
    ),
    given(
        "an output in a template",
        Template("{{ outputs.laod }}"),
        (".template", "'outputs.laod'", "the output of an upstream task; did you mean load?"),
    ),
    # ---- params
    schema(
        "no JSON",
        "{",
        ("", "{", f"{OBJECT} (Expecting property name enclosed in double quotes: line 1 column 2 (char 1))"),
    ),
    schema("a list", [], ("", "[]", OBJECT)),
    schema("of a list", {"type": "array"}, ("", '{"type":"array"}', OBJECT)),
    schema(
        "no schema",
        {"type": "object", "properties": {"a": {"type": "float"}}},
        (".properties.a.type", '"float"', f"{OBJECT}: 'float' is not valid under any of the given schemas"),
    ),
    schema(
        "a default that breaks its schema",
        {"type": "object", "properties": {"a": {"minimum": 1, "default": 0}}},
        (".properties.a.default", "0", "a default that its own schema admits: 0 is less than the minimum of 1"),
    ),
    schema(
        "a default inside",
        {
            "type": "object",
            "properties": {"a": {"type": "object", "properties": {"b": {"type": "string", "default": 7}}}},
        },
        (".properties.a.properties.b.default", "7", "a default that its own schema admits: 7 is not of type 'string'"),
    ),
    schema(
        "a reference to elsewhere",
        {"type": "object", "properties": {"a": {"$ref": "https://example.com/a"}}},
        ("", "$ref 'https://example.com/a'", "a $ref to a place in the same schema"),
    ),
    # ---- maps
    train("mapped over nothing", ("map.inputs", "0 inputs", "1 to 1000 inputs, each with a list"), map=MapDraft()),
    train(
        "mapped over what is no list",
        ("map.inputs.day.literal", "'1'", "a list, in JSON"),
        ("map.inputs.text", "template", MAP_SOURCE),
        ("map.inputs.many", "inputlist", MAP_SOURCE),
        ("map.inputs.none", "nothing", "a literal, template, output, list or param"),
        ("map.inputs.from.output.task_id", "'lod'", "a task of this DAG; did you mean load?"),
        map=MapDraft(
            [
                ("day", Literal(b"1")),
                ("text", Template("{{ ds }}")),
                ("many", InputList(())),
                ("none", None),
                ("from", OutputRef("lod")),
            ]
        ),
    ),
    train(
        "an argument twice",
        ("map.inputs", "'x'", "each argument once, and none that is in inputs too"),
        ("map.inputs", "'y'", "each argument once, and none that is in inputs too"),
        inputs={"x": Literal(b"1")},
        map=MapDraft([("x", Param("model")), ("y", Param("model")), ("y", Param("model"))]),
    ),
    train(
        "a map out of bounds",
        ("role", "branch", "work, because the task is mapped"),
        ("map.mode", "7", "one of zip, product"),
        ("map.empty", "9", "one of skip, succeed"),
        ("map.active_max", "2001", "1 to 2000"),
        ("map.success_ratio_min", "0", "above 0, up to 1"),
        ("map.name", "'params.model'", "map_item, or what is in it: map_item.NAME"),
        role=TaskRole.BRANCH,
        map=MapDraft([("x", Param("model"))], 7, 2001, 0.0, 9, "{{ params.model }} {{ map_item.x }}"),
    ),
    schema("too large", " " * 262_145, ("", "262145 bytes", "at most 262144 bytes")),
)
