"""What a DAG's function says, as nodes and as the registered message."""

import math
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest

from glidepath import AuthoringError, Dag, InvalidDag, dag, external, group, literal, shell, task
from glidepath.authoring.convert import to_spec
from glidepath.payloads import decode
from glidepath_proto.registry.v1 import dag_pb2


@task
def extract(day: str = "", limit: int = 0) -> dict[str, int]:
    """Read the day's rows.

    More that the description leaves out.
    """
    return {"rows": len(day) + limit}


@task(retries=1, queue="gpu")
def train(rows: Any = None, parts: Any = None, **more: Any) -> int:
    return 1


def spec_of(made: Dag) -> dag_pb2.DagSpec:
    return to_spec(made, None)


def tasks_of(made: Dag) -> dict[str, dag_pb2.TaskSpec]:
    return {each.task_id: each for each in spec_of(made).tasks}


def upstream_of(made: Dag) -> dict[str, list[str]]:
    return {task_id: sorted(each.upstream_task_ids) for task_id, each in tasks_of(made).items()}


def test_outside_a_dag_a_task_is_its_function() -> None:
    assert extract("2026", limit=1) == {"rows": 5}
    assert extract.__name__ == "extract" and extract.__wrapped__ is extract.function  # type: ignore[attr-defined]


def test_arguments_become_inputs_of_their_kind() -> None:
    @dag
    def made(rate: float = 0.5) -> None:
        rows = extract("{{ ds }}", limit=3)
        train(rows["rows"], [rows, 1, rate], speed=rate, note=literal("{{ x }}"), config={"r": rate, "k": 1})

    inputs = tasks_of(made)["train"].inputs
    assert tasks_of(made)["extract"].inputs["day"].template == "{{ ds }}"
    assert decode(tasks_of(made)["extract"].inputs["limit"].literal) == 3
    assert inputs["rows"].output == dag_pb2.OutputRef(task_id="extract", key="rows")
    assert [each.WhichOneof("source") for each in inputs["parts"].list.items] == ["output", "literal", "param"]
    assert inputs["speed"].param == "rate"
    assert decode(inputs["note"].literal) == "{{ x }}"
    assert inputs["config.r"].param == "rate" and decode(inputs["config.k"].literal) == 1


def test_a_value_in_text_becomes_a_template_and_an_upstream() -> None:
    @dag
    def made(day: str = "today") -> None:
        rows = extract(f"{day}")
        shell("train", f"train --rows {rows['rows']} --day {day}", env={"DAY": day, "N": "3"})

    node = tasks_of(made)["train"]
    assert node.handler == dag_pb2.Handler(name="shell")
    assert node.inputs["command"].template == "train --rows {{ outputs.extract.rows }} --day {{ params.day }}"
    assert node.inputs["env.DAY"].template == "{{ params.day }}"
    assert list(node.upstream_task_ids) == ["extract"]


def test_arrows_join_tasks_lists_and_groups() -> None:
    @dag
    def made() -> None:
        first, last = extract(), train()
        with group("mid") as mid:
            one = extract()
            with group("deep"):
                two = extract.options(task_id="two")()
            one >> two
        first >> mid >> last
        [extract.options(task_id="x")(), extract.options(task_id="y")()] >> last
        last << extract.options(task_id="z")()

    assert upstream_of(made) == {
        "extract": [],
        "train": ["mid.deep.two", "x", "y", "z"],
        "mid.extract": ["extract"],
        "mid.deep.two": ["mid.extract"],
        "x": [],
        "y": [],
        "z": [],
    }
    assert tasks_of(made)["mid.deep.two"].group_id == "mid.deep"


def test_a_repeated_name_is_numbered() -> None:
    @dag
    def made() -> None:
        for _ in range(3):
            extract()

    assert list(tasks_of(made)) == ["extract", "extract_2", "extract_3"]


def test_options_travel_and_what_is_not_said_stays_unset() -> None:
    @dag(
        dag_id="a.b-c",
        owner="ml",
        tags=["x"],
        defaults={"retries": 2, "retry_delay": "1m30s", "retry_backoff": 2, "cancel_grace": 5},
        run_timeout=timedelta(hours=1),
        runs_active_max=1,
    )
    def made() -> None:
        """What it does."""
        train.options(
            task_id="t",
            retries=0,
            retry_delay=[1, "2m"],
            pool="gpu",
            pool_slots=2,
            trigger_rule="all_done",
            priority=-5,
            timeout="2h",
            isolation="inline",
            lease_mode="exclusive",
            resources={"gpu": 1},
            worker_selector={"zone": "a"},
        )()
        extract()

    spec = spec_of(made)
    assert (spec.dag_id, spec.description, spec.owner, list(spec.tags)) == ("a.b-c", "What it does.", "ml", ["x"])
    assert spec.run_timeout.seconds == 3600 and spec.runs_active_max == 1 and not spec.HasField("tasks_active_max")
    assert spec.defaults.retry.retries_max == 2 and spec.defaults.retry.delay.seconds == 90
    assert spec.defaults.retry.backoff == 2.0 and spec.defaults.cancel_grace.seconds == 5
    node, plain = spec.tasks
    policy = node.policy
    assert node.trigger_rule == dag_pb2.TRIGGER_RULE_ALL_DONE
    assert policy.retry.HasField("retries_max") and policy.retry.retries_max == 0
    assert [each.seconds for each in policy.retry.delays] == [1, 120] and not policy.retry.HasField("delay")
    assert (policy.queue_name, policy.pool_name, policy.pool_slots, policy.priority) == ("gpu", "gpu", 2, -5)
    assert policy.isolation == dag_pb2.ISOLATION_MODE_INLINE and policy.lease_mode == dag_pb2.LEASE_MODE_EXCLUSIVE
    assert policy.execution_timeout.seconds == 7200 and policy.resources["gpu"] == 1
    assert policy.worker_selector["zone"] == "a"
    assert not plain.HasField("policy") and plain.trigger_rule == dag_pb2.TRIGGER_RULE_UNSPECIFIED
    assert plain.description == "Read the day's rows."


def test_handlers_of_other_languages_are_named() -> None:
    @dag
    def made(n: int) -> None:
        external("resize", "go:resize", version="build-7", inputs={"n": n}, retries=1)

    node = tasks_of(made)["resize"]
    assert node.handler == dag_pb2.Handler(name="go:resize", version="build-7") and node.inputs["n"].param == "n"


def _cycle() -> None:
    a, b, c = (extract.options(task_id=name)() for name in "abc")
    a >> b >> c >> a


def _unknown_output() -> None:
    extract("{{ outputs.load.rows }}")


def _unknown_param() -> None:
    extract("{{ params.dya }}")


@pytest.mark.parametrize(
    ("function", "field", "message"),
    [
        (_cycle, "tasks", "a >> b >> c >> a"),
        (_unknown_output, "tasks.extract.inputs.day", "'outputs.load.rows' names no task"),
        (_unknown_param, "tasks.extract.inputs.day", "no param 'dya'"),
        (lambda: None, "tasks", "no task"),
    ],
)
def test_invalid_dag_lists_its_violations(function: Any, field: str, message: str) -> None:
    with pytest.raises(InvalidDag) as caught:
        _ = dag(dag_id="made")(function).nodes
    violation = next(each for each in caught.value.violations if message in each.description)
    assert violation.field == field


KEPT: list[Any] = []


def _foreign_handle() -> None:
    dag(dag_id="other")(lambda: KEPT.append(extract())).nodes  # noqa: B018


def _use_kept() -> None:
    train(KEPT[0])


loose: Any = extract  # for mistakes that a type checker would find as well


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: loose(1, 2, 3), "task 'extract': too many positional arguments"),
        (lambda: loose(day=object()), "argument 'day' is <object.*expected a JSON value"),
        (lambda: extract("{{ tomorrow }}"), "unknown name 'tomorrow'.*literal"),
        (lambda: extract(extract()["a"]["b"]), "one level of keys"),
        (lambda: extract(extract()[0]), "name of a key"),
        (lambda: [*extract()], "cannot be iterated here"),
        (lambda: 1 if extract() else 2, "cannot be tested here"),
        (lambda: extract() == 3, "cannot be compared here"),
        (lambda: extract(limit=extract() + 1), "cannot be calculated with here"),
        (lambda: train({"a": {"b": extract()}}), "not deeper"),
        (
            lambda: loose.options(retrys=3)(),
            "unknown option 'retrys'; did you mean 'retries'\\? known options: active_max",
        ),
        (lambda: loose.options(colour=3)(), "unknown option 'colour'; known options: active_max"),
        (lambda: loose.options(retries=-1, retires=2)(), "retries is -1.*\n.*did you mean 'retries'"),
        (lambda: extract.options(retries=-1)(), "retries is -1; expected a whole number of at least 0"),
        (lambda: extract.options(timeout="5 minutes")(), "timeout is '5 minutes'; expected seconds"),
        (lambda: extract.options(timeout=1e300)(), "timeout is 1e\\+300, which is too large"),
        (lambda: extract.options(timeout=math.inf)(), "timeout is inf, which is too large"),
        (lambda: extract.options(timeout=math.nan)(), "timeout is nan; expected seconds"),
        (lambda: extract.options(retry_backoff=10**400)(), "retry_backoff is 10000.*expected a factor of at least 1"),
        (lambda: extract.options(retry_backoff=math.nan)(), "retry_backoff is nan; expected a factor of at least 1"),
        (lambda: extract.options(resources={"cpu": 10**400})(), "resources is .*expected amounts by resource name"),
        (lambda: extract.options(retry_delay=[1], retry_backoff=2)(), "takes no retry_backoff"),
        (lambda: loose.options(trigger_rule="any")(), "expected one of all_success"),
        (lambda: [extract.options(task_id="a")() for _ in "ab"], "task id 'a' is given to two tasks"),
        (lambda: extract.options(task_id="a b")(), "task id 'a b'"),
        (lambda: extract() >> 3, "3 cannot be joined by >>"),
        (_foreign_handle, "DAGs do not nest"),
    ],
)
def test_a_mistake_is_named_where_it_is_made(function: Any, message: str) -> None:
    with pytest.raises(AuthoringError, match=message):
        _ = dag(dag_id="made")(function).nodes


def test_a_handle_of_another_dag_is_refused() -> None:
    KEPT.clear()
    _ = dag(dag_id="other")(lambda: KEPT.append(extract())).nodes
    with pytest.raises(AuthoringError, match="belongs to another DAG than 'made'"):
        _ = dag(dag_id="made")(_use_kept).nodes


def test_parameters_that_cannot_go_by_name_are_refused() -> None:
    with pytest.raises(AuthoringError, match=r"'\*parts' cannot be given by name"):
        task(lambda *parts: None)


def test_writing_dags_imports_no_network_library() -> None:
    network = "any(name.partition('.')[0] in ('grpc', 'google') for name in sys.modules)"
    code = f"import sys, glidepath; glidepath.Skip; sys.exit({network})"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_setting_that_a_dag_does_not_have_is_named_with_those_it_has() -> None:
    with pytest.raises(
        AuthoringError, match="unknown setting 'fail_fst'; did you mean 'fail_fast'\\? known settings: alerts, dag_id"
    ):
        dag(fail_fst=True)  # type: ignore[call-overload]
    with pytest.raises(AuthoringError, match="params_schema is 5; expected a JSON Schema of an object"):
        dag(dag_id="made", params_schema=5)(lambda: None)  # type: ignore[call-overload]


def test_a_teardown_that_the_server_would_refuse_is_refused_here() -> None:
    @dag
    def wrong() -> None:
        first = extract.options(role="teardown")()
        first >> loose.options(role="teardown", trigger_rule="all_done")()

    with pytest.raises(InvalidDag) as caught:
        _ = wrong.nodes
    assert [each.field for each in caught.value.violations] == ["tasks.extract.role", "tasks.extract_2.trigger_rule"]
