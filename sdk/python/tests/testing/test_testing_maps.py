"""Mapped tasks in `run_dag` and `verify_task`: as the server runs them, on a clock that jumps."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from glidepath import Dag, Skip, dag, external, shell, task
from glidepath.testing import CannotVerify, RunFailed, run_dag, verify_task
from glidepath.worker import current

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@task
def days(count: int = 3) -> list[str]:
    return [f"d{number}" for number in range(count)]


@task
def train(day: str, rate: float = 1.0, model: str = "m") -> dict[str, Any]:
    return {"day": day, "rate": rate, "model": model}


@task
def note(**given: Any) -> dict[str, Any]:
    task = current()
    return {**given, "index": task.map_index, "item": task.map_item, "key": task.idempotency_key}


@task
def gathered(items: Any) -> Any:
    return items


def made(build: Any, **settings: Any) -> Dag:
    def made_dag() -> None:
        build()

    return dag(**settings)(made_dag)


def test_each_instance_gets_its_item_and_the_list_comes_in_their_order() -> None:
    result = run_dag(made(lambda: gathered(train.partial(rate=0.5).map(day=days()))), start_time=NOON).check()
    found = [{"day": f"d{number}", "rate": 0.5, "model": "m"} for number in range(3)]
    assert result.outputs["gathered"] == result.outputs["train"] == found
    assert [each.output for each in result["train"].instances] == found
    assert result.started == ["days", "train[0]", "train[1]", "train[2]", "gathered"]


def test_the_last_list_of_a_product_varies_fastest() -> None:
    result = run_dag(made(lambda: train.product(model=["x", "y"], day=["a", "b"]))).check()
    assert [(each["model"], each["day"]) for each in result.outputs["train"]] == [  # type: ignore[attr-defined]
        ("x", "a"),
        ("x", "b"),
        ("y", "a"),
        ("y", "b"),
    ]


def test_a_body_knows_its_index_and_item_and_templates_name_them() -> None:
    def build() -> None:
        note.options(map_name="of {{ map_item.day }}").partial(text="{{ map_item.day }}!").map(day=["a", {"k": 1}])
        shell("echo", 'echo "[\\"$D\\", {{ map_item.n }}]"', env={"D": "{{ map_item.day }}"}, output="json",
              map={"day": ["x", "y"], "n": [1, 2]})  # fmt: skip

    result = run_dag(made(build)).check()
    first, second = result["note"].instances
    assert first.output == {"day": "a", "text": "a!", "index": 0, "item": {"day": "a"}, "key": "test-run/note/0"}
    assert second.output["text"] == '{"k":1}!' and second.output["index"] == 1  # type: ignore[index]
    assert [first.map_name, second.map_name] == ["of a", 'of {"k":1}'] and first.name == "note[0]"
    assert result.outputs["echo"] == [["x", 1], ["y", 2]]


def test_a_map_over_a_map_goes_on_item_by_item() -> None:
    result = run_dag(made(lambda: gathered.map(items=train.map(day=days())))).check()
    assert result.outputs["gathered"] == result.outputs["train"]


def test_an_instance_that_fails_is_retried_alone_and_fails_the_task_when_it_is_given_up() -> None:
    build = made(lambda: gathered(train.options(retries=1, retry_delay="5m").map(day=days())))
    result = run_dag(build, fail={"train[1]": 1}, start_time=NOON)
    assert result.state == "success" and [len(each.attempts) for each in result["train"].instances] == [1, 2, 1]
    assert (result.end_time - NOON).total_seconds() == 300
    failed = run_dag(build, fail={"train[1]": True, "train": [None]})
    assert failed.states == {"days": "success", "train": "failed", "gathered": "upstream_failed"}
    assert failed["train"].reason == "1 of 3 instances failed"
    assert [each.state for each in failed["train"].instances] == ["success", "failed", "success"]
    with pytest.raises(RunFailed, match=r"train: 1 of 3 instances failed\ntrain\[1\]: .*attempt 2 was to fail"):
        failed.check()


def test_a_plan_for_the_task_holds_for_each_of_its_instances_but_those_it_names() -> None:
    result = run_dag(
        made(lambda: train.map(day=days())),
        replace={"train": lambda day, **more: day, "train[2]": "mine"},
        takes={"train": "1m", "train[0]": "3m"},
        start_time=NOON,
    ).check()
    assert result.outputs["train"] == ["d0", "d1", "mine"]
    ends = [(each.attempts[0].end_time - NOON).total_seconds() for each in result["train"].instances]
    assert ends == [180, 60, 60]


@pytest.mark.parametrize(("ratio", "state"), [(0.5, "success"), (2 / 3, "success"), (0.7, "failed"), (1.0, "failed")])
def test_enough_instances_that_succeed_make_the_task_succeed(ratio: float, state: str) -> None:
    build = made(lambda: gathered(train.options(map_success_ratio_min=ratio).map(day=days())))
    result = run_dag(build, fail={"train[1]": True})
    assert result["train"].state == state
    if state == "success":
        assert [each and each["day"] for each in result.outputs["gathered"]] == ["d0", None, "d2"]  # type: ignore


def skips(day: str) -> str:
    raise Skip("not today")


def test_skipped_instances_do_not_count_unless_all_are() -> None:
    def build() -> None:
        gathered.options(trigger_rule="all_done")(train.map(day=days()))

    some = run_dag(made(build), replace={"train[0]": skips, "train[1]": skips})
    assert some["train"].state == "success" and some.outputs["gathered"][:2] == [None, None]  # type: ignore[index]
    every = run_dag(made(build), replace={"train": skips})
    assert every["train"].state == "skipped" and every["gathered"].state == "success"


@pytest.mark.parametrize(("empty", "states"), [("skip", ["skipped", "skipped"]), ("succeed", ["success", "success"])])
def test_a_map_over_nothing_is_skipped_or_succeeds(empty: Any, states: list[str]) -> None:
    result = run_dag(made(lambda: gathered(train.options(map_empty=empty).map(day=[]))))
    assert [result["train"].state, result["gathered"].state] == states
    assert result["gathered"].output == ([] if empty == "succeed" else None)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"replace": {"days": "text"}}, "day is mapped over str text, expected a list"),
        ({"replace": {"days": None}}, "task days has no output"),
        ({"replace": {"days": ["a"]}}, "the lists have different lengths: day has 1, model has 3; expected one length"),
    ],
)
def test_what_is_no_list_fails_the_task(given: Any, reason: str) -> None:
    result = run_dag(made(lambda: train.map(day=days(), model=["x", "y", "z"])), **given)
    assert result["train"].state == "failed" and reason in result["train"].reason
    assert not result["train"].instances


def test_no_more_instances_are_out_than_the_map_allows() -> None:
    build = made(lambda: train.options(map_active_max=2).map(day=days(5)))
    result = run_dag(build, takes={"train": "1m"}, start_time=NOON).check()
    starts = [(each.attempts[0].start_time - NOON).total_seconds() for each in result["train"].instances]
    assert starts == [0, 0, 60, 60, 120]


@pytest.mark.parametrize(
    ("rule", "state"),
    [
        ("one_failed", "success"),
        ("one_success", "success"),
        ("all_done", "success"),
        ("all_failed", "skipped"),
        ("none_failed", "upstream_failed"),
        ("none_skipped", "skipped"),
    ],
)
def test_rules_see_a_map_that_failed_as_its_instances(rule: Any, state: str) -> None:
    def build() -> None:
        train.map(day=days()) >> gathered.options(trigger_rule=rule)(1)

    result = run_dag(made(build), fail={"train[1]": True}, replace={"train[2]": skips})
    assert result["train"].state == "failed" and result["gathered"].state == state


def test_the_first_hopeless_instance_ends_a_run_that_fails_fast() -> None:
    def build() -> None:
        train.options(map_success_ratio_min=0.6).map(day=days(5))
        external("other", "h")

    takes = {"train[1]": "1m", "train[2]": "2m", "train[3]": "3m", "train": "1h", "other": "1h"}
    plans: Any = {"fail": {f"train[{n}]": True for n in (1, 2, 3)}, "takes": takes, "replace": {"other": 1}}
    result = run_dag(made(build, fail_fast=True), start_time=NOON, **plans)
    assert result.states == {"days": "success", "train": "failed", "other": "cancelled"}
    states = [each.state for each in result["train"].instances]
    assert states == ["cancelled", "failed", "failed", "failed", "cancelled"]
    assert (result.end_time - NOON).total_seconds() == 180


def test_a_retry_of_the_run_takes_only_the_instances_that_failed() -> None:
    build = made(lambda: gathered(train.map(day=days())), run_retries=1)
    result = run_dag(build, fail={"train[1]": 1}).check()
    assert [len(each.attempts) for each in result["train"].instances] == [1, 2, 1]
    assert len(result["days"].attempts) == 1 and result["gathered"].state == "success"


@pytest.mark.parametrize("name", ["train[0]x", "tain[0]", "days[0]", "train[x]"])
def test_a_plan_that_names_no_instance_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="fail names"):
        run_dag(made(lambda: train.map(day=days())), fail={name: 1})


def test_a_plan_that_names_an_instance_too_many_is_refused_once_that_is_known() -> None:
    with pytest.raises(ValueError, match=r"takes names 'train\[3\]', but 'train' was mapped over 3 items"):
        run_dag(made(lambda: train.map(day=days())), takes={"train[3]": 1})


# ---- verify_task
@task
def leaves(day: str) -> str:
    Path(f"{day}.txt").write_text(day)
    return f"{day} {current().map_index}"


def test_one_instance_of_a_mapped_task_is_verified() -> None:
    found = verify_task(made(lambda: leaves.map(day=days())), "leaves[2]", apart=0).check()
    assert found.task_id == "leaves[2]" and found.attempts[0].output == "d2 2" and found.upstreams == ("days",)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("leaves", r"is mapped; name one of its instances, such as 'leaves\[0\]'"),
        ("days[1]", "'days' is not mapped, so it has no instance 1"),
        ("leaves[3]", "'leaves' has no instance 3: its map has 3"),
        ("gathered", "'leaves' is mapped, and runs whole nowhere here; give its output, a list"),
    ],
)
def test_what_cannot_be_verified_of_a_map_is_told(name: str, message: str) -> None:
    with pytest.raises(CannotVerify, match=message):
        verify_task(made(lambda: gathered(leaves.map(day=days()))), name, apart=0)


@pytest.mark.parametrize("how", ["argument", "in a list", "template"])
def test_all_instances_may_take_the_output_of_an_upstream(how: str) -> None:
    def build() -> None:
        found = days()
        shared: Any = {"argument": found, "in a list": [found], "template": f"{found}"}[how]
        note.partial(shared=shared).map(day=["a", "b"])

    shared = {"argument": ["d0", "d1", "d2"], "in a list": [["d0", "d1", "d2"]], "template": '["d0","d1","d2"]'}[how]
    result = run_dag(made(build)).check()
    assert [each["shared"] for each in result.outputs["note"]] == [shared, shared]  # type: ignore[attr-defined]
