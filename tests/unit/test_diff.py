"""What differs between two versions, field by field."""

from __future__ import annotations

import json
from dataclasses import replace

from glidepath_server.core.canonical import canonical_json
from glidepath_server.core.definition import DagSpec, Handler, Literal, ResolvedPolicy, TaskSpec
from glidepath_server.core.diff import Change, Difference, diff_specs
from glidepath_server.core.retry import RetryPolicy

TRAIN = TaskSpec("train", Handler("h"), inputs={"rows": Literal(b"1")})
SPEC = DagSpec("d", (TRAIN,), tags=("a",), params_schema='{"properties":{"rate":{"default":1}}}')


def diff(after: DagSpec, before: DagSpec = SPEC) -> list[Difference]:
    return diff_specs(canonical_json(before), canonical_json(after))


def test_the_same_content_has_no_differences() -> None:
    assert diff(SPEC) == []


def test_a_field_deep_inside_is_named_by_its_path() -> None:
    policy = ResolvedPolicy(retry=RetryPolicy(retries_max=3))
    assert diff(replace(SPEC, tasks=(replace(TRAIN, policy=policy),))) == [
        Difference(Change.CHANGED, "tasks.train.policy.retry.retries_max", "0", "3")
    ]


def test_fields_come_and_go_and_paths_are_sorted() -> None:
    changed = replace(SPEC, description="x", tags=(), params_schema='{"properties":{"rate":{"default":2}}}')
    assert diff(changed) == [
        Difference(Change.ADDED, "description", "", '"x"'),
        Difference(Change.CHANGED, "params_schema.properties.rate.default", "1", "2"),
        Difference(Change.REMOVED, "tags", '["a"]', ""),
    ]


def test_a_new_task_is_one_difference_and_other_tasks_do_not_move() -> None:
    [added] = diff(replace(SPEC, tasks=(TaskSpec("first", Handler("h")), TRAIN)))
    assert (added.change, added.path, added.before) == (Change.ADDED, "tasks.first", "")
    assert json.loads(added.after)["handler"] == {"name": "h"}


def test_there_and_back_is_the_same_with_the_sides_swapped() -> None:
    other = replace(SPEC, owner="team", tasks=(replace(TRAIN, inputs={"rows": Literal(b"true")}),))
    swap = {Change.ADDED: Change.REMOVED, Change.REMOVED: Change.ADDED, Change.CHANGED: Change.CHANGED}
    assert diff(SPEC, other) == [
        Difference(swap[each.change], each.path, each.after, each.before) for each in diff(other)
    ]
    assert Difference(Change.CHANGED, "tasks.train.inputs.rows.literal.json", '"1"', '"true"') in diff(other)


def test_true_is_not_one() -> None:
    one, true = (replace(SPEC, params_schema=f'{{"default":{value}}}') for value in ("1", "true"))
    assert [each.path for each in diff(true, one)] == ["params_schema.default"]
