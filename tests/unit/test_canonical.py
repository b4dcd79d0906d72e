"""The same meaning gives the same text and hash; another meaning gives another; the text gives the DAG back."""

from __future__ import annotations

import json
import random
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glidepath_server.core.canonical import canonical_json, content_hash, from_canonical_json
from glidepath_server.core.definition import (
    CachePolicy,
    DagSpec,
    Handler,
    Input,
    InputList,
    IsolationMode,
    LeaseMode,
    Literal,
    MapEmpty,
    MapMode,
    OutputRef,
    Param,
    Template,
)
from glidepath_server.core.draft import DagDraft, MapDraft, PolicyDraft, RetryDraft, TaskDraft, resolve
from glidepath_server.core.graph import TaskRole
from glidepath_server.core.trigger_rules import TriggerRule
from glidepath_server.core.validation import check_dag

# A third of what the profile says: whole DAGs are slow to make.
fewer = settings(max_examples=settings().max_examples // 3)
SCHEMA = '{"type": "object", "properties": {"rate": {"type": "number", "default": 0.5}}}'
NAMES = st.text(st.characters(codec="utf-8", categories=("L", "N", "P")), min_size=1, max_size=8)
SECONDS = st.floats(0.001, 86_400)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def spec_of(draft: DagDraft) -> DagSpec:
    checked = check_dag(draft)
    assert checked.violations == []
    return resolve(draft, checked.order)


def text_of(draft: DagDraft) -> str:
    return canonical_json(spec_of(draft))


@st.composite
def retries(draw: st.DrawFn) -> RetryDraft:
    common = {
        "retries_max": draw(st.none() | st.integers(0, 1000)),
        "losses_max": draw(st.none() | st.integers(0, 100)),
        "preemptions_max": draw(st.none() | st.integers(0, 1_000)),
        "jitter": draw(st.none() | st.floats(0, 1)),
        "reroute_queue": draw(st.none() | st.just("big")),
        "only_on": draw(st.none() | st.just(("timeout", "ValueError"))),
    }
    if draw(st.booleans()):
        return RetryDraft(delays_seconds=tuple(draw(st.lists(SECONDS, min_size=1, max_size=3))), **common)
    return RetryDraft(
        delay_seconds=draw(st.none() | SECONDS),
        backoff=draw(st.none() | st.floats(1, 100)),
        delay_max_seconds=draw(st.none() | SECONDS),
        **common,
    )


POLICIES = st.builds(
    PolicyDraft,
    owner=st.none() | NAMES,
    queue_name=st.none() | st.sampled_from(["default", "gpu"]),
    retry=retries(),
    execution_timeout_seconds=st.none() | SECONDS,
    priority=st.none() | st.integers(-100, 100),
    resources=st.none() | st.dictionaries(st.sampled_from(["cpu", "gpu"]), st.floats(0, 64), min_size=1),
    worker_selector=st.none() | st.dictionaries(NAMES, NAMES, min_size=1, max_size=2),
    cancel_grace_seconds=st.none() | SECONDS.filter(lambda seconds: seconds < 3600),
)


def inputs(upstream: list[str]) -> st.SearchStrategy[Input]:
    leaf: st.SearchStrategy[Input] = (
        st.builds(lambda value: Literal(json.dumps(value).encode()), JSON_VALUES)
        | st.builds(Literal, data=st.binary(max_size=8), content_type=st.just("application/octet-stream"))
        | st.builds(Literal, uri=st.just("s3://b/k"), size_bytes=st.integers(0, 9), sha256=st.just("a" * 64))
        | st.builds(Template, st.sampled_from(["", "{{ ds }}/x", "{{ params.rate }}"]))
        | st.just(Param("rate"))
    )
    if upstream:
        leaf |= st.builds(OutputRef, st.sampled_from(upstream), st.sampled_from(["", "rows"]))
    return leaf | st.builds(InputList, st.lists(leaf, max_size=3).map(tuple))


def maps(upstream: list[str]) -> st.SearchStrategy[MapDraft]:
    lists = st.just(Param("rate")) | st.just(Literal(b'[1, {"b": 2.0, "a": 1}]'))
    if upstream:
        lists |= st.builds(OutputRef, st.sampled_from(upstream), st.sampled_from(["", "rows"]))
    given_inputs = st.dictionaries(st.sampled_from(["item", "other"]), lists, min_size=1).map(dict.items).map(list)
    return st.builds(
        MapDraft,
        given_inputs,
        st.sampled_from(MapMode),
        st.none() | st.integers(1, 9),
        st.floats(0.1, 1),
        st.sampled_from(MapEmpty),
        st.sampled_from(["", "{{ map_item.item }}"]),
    )


CACHES = st.none() | st.builds(
    CachePolicy,
    st.none() | SECONDS,
    key=st.sampled_from(["", "{{ params.rate }}-{{ ds }}"]),
    version=st.sampled_from(["", "2"]),
)


@st.composite
def drafts(draw: st.DrawFn) -> DagDraft:
    ids = draw(st.lists(st.text("abc.", min_size=1, max_size=3).map("t".__add__), unique=True, min_size=1, max_size=6))
    tasks = [
        TaskDraft(
            name,
            Handler("h", draw(st.sampled_from(["", "v1"]))),
            draw(NAMES),
            draw(st.sampled_from(["", "g"])),
            draw(st.lists(st.sampled_from(ids[:n]), max_size=3)) if n else (),
            draw(st.sampled_from([TriggerRule.ALL_SUCCESS, TriggerRule.ALL_DONE])),
            draw(st.dictionaries(st.sampled_from(["x", "y", "env.A"]), inputs(ids[:n]), max_size=3)),
            draw(POLICIES),
            draw(st.sampled_from([TaskRole.WORK, TaskRole.BRANCH, TaskRole.SETUP])),
        )
        for n, name in enumerate(ids)
    ]
    for n, each in enumerate(tasks):
        if each.role is TaskRole.WORK and draw(st.booleans()):
            tasks[n] = replace(each, map=draw(maps(ids[:n])), policy=replace(each.policy, cache=draw(CACHES)))
    return DagDraft(
        "d",
        tasks,
        draw(NAMES),
        draw(NAMES),
        draw(st.lists(NAMES, max_size=3)),
        SCHEMA,
        draw(POLICIES),
        draw(st.none() | SECONDS),
        draw(st.none() | st.integers(1, 9)),
        draw(st.none() | st.integers(1, 9)),
    )


@fewer
@given(drafts())
def test_the_text_gives_the_dag_back(draft: DagDraft) -> None:
    spec = spec_of(draft)
    text = canonical_json(spec)
    assert from_canonical_json(text) == spec
    assert canonical_json(from_canonical_json(text)) == text
    assert text.isascii()


@fewer
@given(drafts(), st.randoms(use_true_random=False))
def test_the_order_in_which_things_are_given_does_not_count(draft: DagDraft, chance: random.Random) -> None:
    def shuffled(things: Any) -> list[Any]:
        return chance.sample(list(things), len(things))

    tasks = [
        replace(
            task, upstream_task_ids=shuffled(task.upstream_task_ids) * 2, inputs=dict(shuffled(task.inputs.items()))
        )
        for task in draft.tasks
    ]
    other = replace(draft, tasks=shuffled(tasks), tags=shuffled(draft.tags) * 2)
    assert text_of(other) == text_of(draft)


@fewer
@given(drafts())
def test_defaults_may_stand_on_the_dag_or_on_each_task(draft: DagDraft) -> None:
    """What resolution made of each task, given on the task itself, means the same without the DAG's defaults."""
    spec = spec_of(draft)
    explicit = []
    for task in spec.tasks:
        policy = {each.name: getattr(task.policy, each.name) for each in fields(task.policy)}
        retry = {each.name: getattr(task.policy.retry, each.name) for each in fields(task.policy.retry)}
        if retry["delays_seconds"]:
            retry = {**retry, "delay_seconds": None, "backoff": None, "delay_max_seconds": None}
        else:
            retry["delays_seconds"] = None
        retry |= {name: retry[name] or None for name in ("only_on", "never_on", "reroute_queue")}
        retry["reroute_after"] = retry["reroute_after"] if retry["reroute_queue"] else None
        if policy["pool_name"] is None:
            policy["pool_slots"] = None
        given_task = next(each for each in draft.tasks if each.task_id == task.task_id)
        explicit.append(replace(given_task, policy=PolicyDraft(**{**policy, "retry": RetryDraft(**retry)})))
    assert text_of(replace(draft, tasks=explicit, defaults=PolicyDraft())) == canonical_json(spec)


ONE = DagDraft("d", [TaskDraft("a", Handler("h")), TaskDraft("b", Handler("h"), upstream_task_ids=["a"])])


def with_b(**changes: Any) -> DagDraft:
    return replace(ONE, tasks=[ONE.tasks[0], replace(ONE.tasks[1], **changes)])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            with_b(policy=PolicyDraft(execution_timeout_seconds=60)),
            with_b(policy=PolicyDraft(execution_timeout_seconds=60.0)),
        ),
        (replace(ONE, weight=1), ONE),
        (with_b(policy=PolicyDraft(priority=0, queue_name="default", pool_name="")), ONE),
        (with_b(inputs={"x": OutputRef("a")}, upstream_task_ids=[]), with_b(inputs={"x": OutputRef("a")})),
        (with_b(inputs={"x": Literal(b'{"b": 1, "a": [1,2]}')}), with_b(inputs={"x": Literal(b'{"a":[1, 2],"b":1}')})),
        (with_b(inputs={"x": Literal(b'"\\u00e9"')}), with_b(inputs={"x": Literal('"é"'.encode())})),
        (replace(ONE, params_schema=SCHEMA), replace(ONE, params_schema=json.dumps(json.loads(SCHEMA), indent=4))),
        (
            replace(
                ONE,
                defaults=PolicyDraft(pool_name="p", pool_slots=2),
                tasks=[replace(task, policy=PolicyDraft(pool_name="")) for task in ONE.tasks],
            ),
            ONE,
        ),
    ],
    ids=[
        "60 and 60.0",
        "the usual weight",
        "defaults said",
        "output makes upstream",
        "keys",
        "escapes",
        "schema layout",
        "no pool",
    ],
)
def test_two_ways_to_say_one_thing_have_one_hash(one: DagDraft, other: DagDraft) -> None:
    assert content_hash(text_of(one)) == content_hash(text_of(other))


MAP = MapDraft([("x", Literal(b"[1]"))])
CHANGES: dict[str, DagDraft] = {
    "dag id": replace(ONE, dag_id="e"),
    "description": replace(ONE, description="x"),
    "owner": replace(ONE, owner="x"),
    "tag": replace(ONE, tags=["x"]),
    "params schema": replace(ONE, params_schema=SCHEMA),
    "run timeout": replace(ONE, run_timeout_seconds=1),
    "runs cap": replace(ONE, runs_active_max=1),
    "tasks cap": replace(ONE, tasks_active_max=1),
    "tasks cap of a run": replace(ONE, run_tasks_active_max=1),
    "weight": replace(ONE, weight=2),
    "order of runs": replace(ONE, runs_in_order=True),
    "limits": with_b(policy=PolicyDraft(limits={"gpu": 1})),
    "slots of a limit": with_b(policy=PolicyDraft(limits={"gpu": 2})),
    "dependency on the past": with_b(policy=PolicyDraft(depends_on_past=True)),
    "attempts of a task": with_b(policy=PolicyDraft(active_max=1)),
    "task": replace(ONE, tasks=ONE.tasks[:1]),
    "upstream": with_b(upstream_task_ids=[]),
    "run retries": replace(ONE, run_retries_max=1),
    "run retry delay": replace(ONE, run_retry_delay_seconds=1.0),
    "fail fast": replace(ONE, fail_fast=True),
    "role": with_b(role=TaskRole.TEARDOWN),
    "map": with_b(map=MAP),
    "map of two": with_b(map=replace(MAP, inputs=[*MAP.inputs, ("y", OutputRef("a"))])),
    "map from elsewhere": with_b(map=replace(MAP, inputs=[("x", OutputRef("a"))])),
    "map mode": with_b(map=replace(MAP, mode=MapMode.PRODUCT)),
    "map bound": with_b(map=replace(MAP, active_max=3)),
    "map ratio": with_b(map=replace(MAP, success_ratio_min=0.5)),
    "map of nothing": with_b(map=replace(MAP, empty=MapEmpty.SUCCEED)),
    "map name": with_b(map=replace(MAP, name="{{ map_item.x }}")),
    "rule": with_b(trigger_rule=TriggerRule.ALL_DONE),
    "handler": with_b(handler=Handler("g")),
    "handler version": with_b(handler=Handler("h", "1")),
    "group": with_b(group_id="g"),
    "literal": with_b(inputs={"x": Literal(b"1")}),
    "float literal": with_b(inputs={"x": Literal(b"1.0")}),
    "bytes": with_b(inputs={"x": Literal(b"1", "text/plain")}),
    "template": with_b(inputs={"x": Template("1")}),
    "output": with_b(inputs={"x": OutputRef("a")}),
    "output key": with_b(inputs={"x": OutputRef("a", "k")}),
    "list": with_b(inputs={"x": InputList((OutputRef("a"),))}),
    "retries": with_b(policy=PolicyDraft(retry=RetryDraft(retries_max=1))),
    "reroute": with_b(policy=PolicyDraft(retry=RetryDraft(reroute_queue="big"))),
    "reroute after": with_b(policy=PolicyDraft(retry=RetryDraft(reroute_queue="big", reroute_after=2))),
    "jitter": with_b(policy=PolicyDraft(retry=RetryDraft(jitter=0.5))),
    "only on": with_b(policy=PolicyDraft(retry=RetryDraft(only_on=("timeout",)))),
    "never on": with_b(policy=PolicyDraft(retry=RetryDraft(never_on=("timeout",)))),
    "wait timeout": with_b(policy=PolicyDraft(wait_timeout_seconds=60)),
    "delay": with_b(policy=PolicyDraft(retry=RetryDraft(delay_seconds=1))),
    "delays": with_b(policy=PolicyDraft(retry=RetryDraft(delays_seconds=(1,)))),
    "queue": with_b(policy=PolicyDraft(queue_name="q")),
    "pool": with_b(policy=PolicyDraft(pool_name="p")),
    "slots": with_b(policy=PolicyDraft(pool_name="p", pool_slots=2)),
    "resources": with_b(policy=PolicyDraft(resources={"cpu": 1})),
    "selector": with_b(policy=PolicyDraft(worker_selector={"zone": "a"})),
    "isolation": with_b(policy=PolicyDraft(isolation=IsolationMode.INLINE)),
    "lease": with_b(policy=PolicyDraft(lease_mode=LeaseMode.EXCLUSIVE)),
    "memory": with_b(policy=PolicyDraft(memory_limit_mb=1)),
    "cache": with_b(policy=PolicyDraft(cache=CachePolicy())),
    "expiry": with_b(policy=PolicyDraft(cache=CachePolicy(60.0))),
    "own key": with_b(policy=PolicyDraft(cache=CachePolicy(key="{{ ds }}"))),
    "cache version": with_b(policy=PolicyDraft(cache=CachePolicy(version="2"))),
    "grace": with_b(policy=PolicyDraft(cancel_grace_seconds=1)),
}


def test_every_change_of_meaning_changes_the_hash() -> None:
    hashes = {name: content_hash(text_of(draft)) for name, draft in {"nothing": ONE, **CHANGES}.items()}
    assert len(set(hashes.values())) == len(CHANGES) + 1


def test_the_text_of_a_small_dag_is_this_one() -> None:
    """Stored hashes depend on it: a change here makes a new version of every DAG that is registered again."""
    assert text_of(replace(ONE, tasks=ONE.tasks[:1])) == (
        '{"dag_id":"d","format":1,"tasks":[{"handler":{"name":"h"},"policy":{"cancel_grace_seconds":10.0,'
        '"isolation":"process","lease_mode":"hold","pool_slots":1,"priority":0,"queue_name":"default","retry":'
        '{"backoff":1.0,"delay_max_seconds":3600.0,"delay_seconds":0.0,"losses_max":3,"retries_max":0}},'
        '"task_id":"a","trigger_rule":"all_success"}]}'
    )


def test_a_text_of_another_format_is_not_read() -> None:
    with pytest.raises(ValueError, match="the stored DAG d has a format that this server does not read"):
        from_canonical_json(text_of(ONE).replace('"format":1', '"format":2'))
