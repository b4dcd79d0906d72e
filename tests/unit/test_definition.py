"""Who wins where a field is left open, and whose outputs a task needs."""

from __future__ import annotations

from glidepath_server.core.definition import (
    Handler,
    InputList,
    Literal,
    OutputRef,
    ResolvedPolicy,
    TaskSpec,
    Template,
    output_sources,
)
from glidepath_server.core.draft import DagDraft, PolicyDraft, RetryDraft, TaskDraft, resolve
from glidepath_server.core.retry import RetryPolicy


def policy_of(own: PolicyDraft, defaults: PolicyDraft | None = None, owner: str = "") -> ResolvedPolicy:
    draft = DagDraft("d", [TaskDraft("a", Handler("h"), policy=own)], owner=owner, defaults=defaults or PolicyDraft())
    return resolve(draft, ["a"]).tasks[0].policy


def retry_of(own: RetryDraft, defaults: RetryDraft) -> RetryPolicy:
    return policy_of(PolicyDraft(retry=own), PolicyDraft(retry=defaults)).retry


def test_what_nobody_says_the_server_says() -> None:
    assert policy_of(PolicyDraft()) == ResolvedPolicy()


def test_the_task_goes_before_the_dag_and_the_dag_before_the_server() -> None:
    found = policy_of(PolicyDraft(priority=0, queue_name="own"), PolicyDraft(priority=5, queue_name="x", pool_name="p"))
    assert (found.priority, found.queue_name, found.pool_name, found.cancel_grace_seconds) == (0, "own", "p", 10.0)


def test_the_owner_of_the_dag_owns_what_nobody_else_does() -> None:
    assert policy_of(PolicyDraft(), owner="team").owner == "team"
    assert policy_of(PolicyDraft(), PolicyDraft(owner="ops"), owner="team").owner == "ops"


def test_a_map_replaces_the_map_of_the_defaults() -> None:
    assert policy_of(PolicyDraft(resources={"gpu": 1}), PolicyDraft(resources={"cpu": 2})).resources == {"gpu": 1}


def test_an_empty_pool_takes_none_and_no_slots_of_it() -> None:
    found = policy_of(PolicyDraft(pool_name=""), PolicyDraft(pool_name="p", pool_slots=3))
    assert (found.pool_name, found.pool_slots) == (None, 1)


def test_retry_fields_are_inherited_one_by_one() -> None:
    assert retry_of(RetryDraft(retries_max=2), RetryDraft(delay_seconds=5.0, retries_max=1)) == RetryPolicy(2, 5.0)


def test_delays_of_one_kind_push_out_those_of_the_other() -> None:
    listed, computed = RetryDraft(delays_seconds=(1.0, 2.0)), RetryDraft(delay_seconds=5.0, backoff=2.0)
    assert retry_of(listed, computed) == RetryPolicy(delays_seconds=(1.0, 2.0))
    assert retry_of(computed, listed) == RetryPolicy(delay_seconds=5.0, backoff=2.0)


def test_outputs_in_lists_and_templates_are_needed_and_named_once() -> None:
    task = TaskSpec(
        "a",
        Handler("h"),
        upstream_task_ids=("features", "features.scale", "load", "unused"),
        inputs={
            "x": InputList((OutputRef("load"), InputList((OutputRef("load", "rows"), Literal(b"1"))))),
            "y": Template("{{ outputs.features.scale.mean }} {{ ds }} {{{{ outputs.unused }}"),
        },
    )
    assert output_sources(task) == ("features.scale", "load")


def test_outputs_as_inputs_make_upstreams() -> None:
    draft = DagDraft(
        "d", [TaskDraft("a", Handler("h")), TaskDraft("b", Handler("h"), inputs={"x": InputList((OutputRef("a"),))})]
    )
    assert resolve(draft, ["a", "b"]).tasks[1].upstream_task_ids == ("a",)
