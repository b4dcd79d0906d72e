"""What may not be registered, and how that is said: all of it at once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wrong_dags import POOLS, SOURCE, WRONG_DAGS, Said, WrongDag, good, task

from glidepath_server.core.definition import (
    Handler,
    InputList,
    IsolationMode,
    LeaseMode,
    Literal,
    OutputRef,
    Param,
    Template,
)
from glidepath_server.core.doubts import warnings
from glidepath_server.core.draft import DagDraft, PolicyDraft, RetryDraft, TaskDraft, resolve
from glidepath_server.core.graph import TaskRole
from glidepath_server.core.trigger_rules import TriggerRule
from glidepath_server.core.validation import (
    EDGES_MAX,
    TASKS_MAX,
    VIOLATIONS_MAX,
    LeaseTerms,
    check_dag,
    stored_violations,
)


def said(draft: DagDraft, lease: LeaseTerms | None = None) -> list[Said]:
    found = [*check_dag(draft, lease).violations, *stored_violations(draft, pools=POOLS, sources={SOURCE})]
    return [(each.field, each.value, each.expected) for each in found]


@pytest.mark.parametrize("wrong", WRONG_DAGS, ids=lambda wrong: wrong.why)
def test_a_wrong_dag_gives_exactly_its_violations(wrong: WrongDag) -> None:
    assert said(wrong.draft) == list(wrong.violations)


def test_nothing_is_wrong_with_a_dag_that_uses_everything() -> None:
    inputs = {
        "env.DAY": Template("{{ ds }} {{data_interval_end.unix}} {{ params.model.name }} {{ map_item }} {{{{ x"),
        "rows": Template("{{ outputs.load.rows.0 }}"),
        "whole": InputList((OutputRef("load", "key"), Param("rate"), Literal(b"x", "text/plain"))),
        "far": Literal(uri="s3://models/a", size_bytes=10, sha256="0" * 64),
    }
    policy = PolicyDraft(
        retry=RetryDraft(retries_max=1_000, delays_seconds=(0.0, 5.0), losses_max=0),
        pool_slots=4,
        priority=-100,
        execution_timeout_seconds=0.5,
        lease_mode=LeaseMode.EXCLUSIVE,
        memory_limit_mb=1,
        resources={"gpu": 0.5},
    )
    draft = replace(
        good(),
        defaults=PolicyDraft(pool_name="gpus", retry=RetryDraft(delay_seconds=3.0, backoff=2.0)),
        run_timeout_seconds=60.0,
        runs_active_max=1,
        tasks_active_max=1,
        tags=["a"] * 50,
        tasks=[
            task("load"),
            task("features.scale", "load", trigger_rule=TriggerRule.ONE_FAILED, group_id="features"),
            task("train", "load", handler=Handler("python:churn.model:Net.fit", SOURCE), inputs=inputs, policy=policy),
            task("x", handler=Handler("shell"), inputs={"command": Literal(b'"ls"')}, policy=PolicyDraft(pool_name="")),
        ],
    )
    assert said(draft) == []


def test_everything_wrong_is_said_at_once() -> None:
    draft = DagDraft("a b", [task("a", "a"), task("b", "x", trigger_rule=9), task("b")], runs_active_max=0)
    assert [field for field, _, _ in said(draft)] == [
        "dag_id",
        "runs_active_max",
        "tasks[2].task_id",
        "tasks.a.upstream_task_ids",
        "tasks.b.trigger_rule",
        "tasks.b.upstream_task_ids",
    ]


def test_what_the_defaults_say_wrong_is_said_once() -> None:
    draft = replace(good(), defaults=PolicyDraft(pool_name="tpus", priority=500))
    assert [field for field, _, _ in said(draft)] == ["defaults.priority", "defaults.pool_name"]


def test_a_task_that_takes_more_of_the_pool_of_the_defaults_than_it_has() -> None:
    draft = replace(good(), defaults=PolicyDraft(pool_name="gpus"), tasks=[task("a", policy=PolicyDraft(pool_slots=5))])
    assert said(draft) == [("tasks.a.policy.pool_slots", "5", "at most 4, the slots of pool gpus")]


def test_isolation_of_the_defaults_meets_the_lease_mode_of_the_task() -> None:
    draft = replace(
        good(),
        defaults=PolicyDraft(isolation=IsolationMode.INLINE),
        tasks=[task("a", policy=PolicyDraft(lease_mode=LeaseMode.EXCLUSIVE))],
    )
    assert [field for field, _, _ in said(draft)] == ["tasks.a.policy.lease_mode"]


def test_an_exclusive_task_must_be_gone_before_its_lease_ends() -> None:
    lease = LeaseTerms(ttl_seconds=30, heartbeat_interval_seconds=5)
    exclusive = PolicyDraft(lease_mode=LeaseMode.EXCLUSIVE, cancel_grace_seconds=18.0)
    assert said(replace(good(), tasks=[task("a", policy=exclusive)]), lease) == []
    too_long = replace(exclusive, cancel_grace_seconds=18.5)
    assert said(replace(good(), tasks=[task("a", policy=too_long)]), lease) == [
        (
            "tasks.a.policy.cancel_grace",
            "18.5 s",
            "at most 18 s with lease_mode exclusive and this server's lease of 30 s; raise lease_ttl_seconds for more",
        )
    ]


def test_a_dag_without_a_schema_has_no_params() -> None:
    draft = replace(good(), params_schema="", tasks=[task("a", inputs={"x": Param("rate")})])
    assert said(draft) == [("tasks.a.inputs.x.param", "'rate'", "a param of params_schema: this DAG takes none")]


@pytest.mark.parametrize("schema", ['{"additionalProperties": true}', '{"patternProperties": {"^x": {}}}'])
def test_a_schema_with_free_names_lets_in_any(schema: str) -> None:
    assert said(replace(good(), params_schema=schema, tasks=[task("a", inputs={"x": Param("any")})])) == []


def test_a_schema_that_closes_itself_has_no_other_params() -> None:
    schema = '{"type": "object", "properties": {"rate": {}}, "additionalProperties": false}'
    draft = replace(good(), params_schema=schema, tasks=[task("a", inputs={"x": Param("rat")})])
    assert said(draft) == [("tasks.a.inputs.x.param", "'rat'", "a param of params_schema; did you mean rate?")]


def test_of_very_many_violations_the_first_are_listed() -> None:
    draft = replace(good(), tasks=[task(f"t{n}", "nobody") for n in range(TASKS_MAX)])
    assert len(said(draft)) == VIOLATIONS_MAX


# ---- sizes: a deadline of the test run is the limit on time
def test_the_longest_chain_is_checked_without_recursion() -> None:
    tasks = [task("t0"), *(task(f"t{n}", f"t{n - 1}") for n in range(1, TASKS_MAX))]
    checked = check_dag(replace(good(), tasks=tasks[::-1]))
    assert not checked.violations
    assert checked.order == [each.task_id for each in tasks]


def test_the_longest_cycle_is_shown_in_short() -> None:
    tasks = [task(f"t{n:05}", f"t{(n - 1) % TASKS_MAX:05}") for n in range(TASKS_MAX)]
    [(field, value, expected)] = said(replace(good(), tasks=tasks))
    assert (field, expected) == ("tasks", "no cycle")
    assert value.startswith("t00000 -> t00001 -> ") and value.endswith(f" -> ... -> t00000 ({TASKS_MAX} tasks)")


@pytest.mark.parametrize("over", [0, 1])
def test_edges_are_counted(over: int) -> None:
    first = [f"a{n}" for n in range(EDGES_MAX // 400)]
    tasks = [*map(task, first), *(task(f"b{n}", *first) for n in range(400))]
    if over:
        tasks.append(task("c", "b0"))
    expected = [("tasks", f"{EDGES_MAX + 1} edges", f"at most {EDGES_MAX} edges")] if over else []
    assert said(replace(good(), tasks=tasks)) == expected


# ---- whatever is sent
TEXTS = st.one_of(st.sampled_from(["a", "b", "c", "", "shell", "python:a:b", "{{ ds }}", "{{", "\0"]), st.text())
NUMBERS = st.one_of(st.none(), st.floats(), st.integers(-2, 2**31 - 1))
WHOLES = st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1))
INPUTS = st.recursive(
    st.one_of(
        st.none(),
        TEXTS.map(Template),
        TEXTS.map(Param),
        TEXTS.map(OutputRef),
        st.builds(Literal, st.binary(), TEXTS, TEXTS),
    ),
    lambda inner: st.lists(inner, max_size=3).map(lambda items: InputList(tuple(items))),
    max_leaves=5,
)
RETRIES = st.builds(
    RetryDraft,
    WHOLES,
    NUMBERS,
    NUMBERS,
    NUMBERS,
    st.one_of(st.none(), st.lists(st.floats(), max_size=3).map(tuple)),
    WHOLES,
)
POLICIES = st.builds(
    PolicyDraft,
    owner=TEXTS,
    queue_name=TEXTS,
    retry=RETRIES,
    execution_timeout_seconds=NUMBERS,
    pool_name=TEXTS,
    pool_slots=WHOLES,
    priority=WHOLES,
    resources=st.dictionaries(TEXTS, st.floats(), max_size=2),
    worker_selector=st.dictionaries(TEXTS, TEXTS, max_size=2),
    isolation=st.one_of(st.none(), st.integers(), st.sampled_from(IsolationMode)),
    lease_mode=st.one_of(st.none(), st.integers(), st.sampled_from(LeaseMode)),
    memory_limit_mb=WHOLES,
    cancel_grace_seconds=NUMBERS,
)
TASKS = st.builds(
    task,
    TEXTS,
    handler=st.builds(Handler, TEXTS, TEXTS),
    trigger_rule=st.one_of(st.integers(), st.sampled_from(TriggerRule)),
    inputs=st.dictionaries(TEXTS, INPUTS, max_size=2),
    policy=st.one_of(st.just(PolicyDraft()), POLICIES),
)
DAGS = st.builds(
    DagDraft,
    TEXTS,
    st.lists(TASKS, max_size=4),
    TEXTS,
    TEXTS,
    st.lists(TEXTS, max_size=2),
    st.one_of(TEXTS, st.sampled_from(['{"type": "object", "properties": {"a": {}}}', "[]", "{}"])),
    st.one_of(st.just(PolicyDraft()), POLICIES),
    NUMBERS,
    WHOLES,
    WHOLES,
)


@settings(max_examples=300, deadline=None)
@given(draft=DAGS)
def test_whatever_is_sent_is_refused_with_reasons_or_can_be_resolved(draft: DagDraft) -> None:
    checked = check_dag(draft)
    found = [*checked.violations, *stored_violations(draft, pools=POOLS, sources={SOURCE})]
    assert all(each.field and each.value and each.expected for each in found)
    if not checked.violations:
        spec = resolve(draft, checked.order)
        assert [each.task_id for each in spec.tasks] == checked.order
        assert all(warnings(spec))


# ---- warnings
def warned(draft: DagDraft) -> list[str]:
    checked = check_dag(draft)
    assert not checked.violations
    return warnings(resolve(draft, checked.order))


def test_roles_that_come_to_nothing_are_doubted() -> None:
    lonely = TaskDraft("choose", Handler("test:task", "1"), role=TaskRole.BRANCH)
    bare = TaskDraft("clean", Handler("test:task", "1"), upstream_task_ids=["choose"], role=TaskRole.TEARDOWN)
    assert found_in([lonely, bare]) == ["task clean: no setup is directly before it, so it runs whatever was set up"]
    assert found_in([lonely]) == ["task choose: it is a branch, and no task comes after it"]


def found_in(tasks: list[TaskDraft]) -> list[str]:
    draft = DagDraft("dag", tasks)
    return list(warnings(resolve(draft, check_dag(draft).order)))


def test_a_plain_dag_gives_no_warnings() -> None:
    assert warned(good()) == []


def test_a_timeout_beyond_that_of_the_run_is_warned_of() -> None:
    draft = replace(
        good(), run_timeout_seconds=60.0, tasks=[task("a", policy=PolicyDraft(execution_timeout_seconds=90.0))]
    )
    assert warned(draft) == [
        "task a: execution_timeout 90 s is never reached: the run ends after its run_timeout of 60 s"
    ]


def test_an_output_that_may_be_missing_is_warned_of() -> None:
    needs_a = task("b", inputs={"x": OutputRef("a")}, trigger_rule=TriggerRule.ALL_DONE)
    draft = replace(good(), tasks=[task("a"), needs_a])
    assert warned(draft) == ["task b: its trigger rule all_done may start it without the output of a, which it needs"]


def test_upstreams_that_are_not_waited_for_are_warned_of() -> None:
    draft = replace(good(), tasks=[task("a"), task("b", "a", trigger_rule=TriggerRule.ALWAYS)])
    assert warned(draft) == [
        "task b: its trigger rule always starts it with the run, it does not wait for its upstream tasks"
    ]


def test_source_of_any_version_is_warned_of() -> None:
    draft = replace(good(), tasks=[task("a", handler=Handler("python:churn:load"))])
    assert warned(draft) == ["task a: its handler has no version, a worker runs whatever source it has"]
