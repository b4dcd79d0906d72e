"""A task that is mapped: what `.map` and `.product` say on the wire and to the server, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from glidepath import AuthoringError, Dag, InvalidDag, dag, external, literal, shell, task
from glidepath.authoring.convert import to_spec
from glidepath.payloads import decode
from glidepath_proto.registry.v1 import dag_pb2
from glidepath_server.api.convert_registry import draft_in
from glidepath_server.core.validation import check_dag


@task
def days(start: str = "") -> list[str]:
    return [start]


@task
def by_name() -> dict[str, list[str]]:
    return {"days": ["a"]}


@task
def train(day: str | float, model: str = "m", rate: float = 0.1, **more: Any) -> float:
    return rate


@task
def merge(scores: list[float], more: Any = None) -> float:
    return sum(scores)


def tasks_of(made: Dag) -> dict[str, dag_pb2.TaskSpec]:
    """The tasks by id, of a DAG that the server takes."""
    spec = to_spec(made, None)
    assert not check_dag(draft_in(spec)).violations
    return {each.task_id: each for each in spec.tasks}


def mapped(spec: dag_pb2.TaskSpec) -> dict[str, Any]:
    """Each list by its argument: a literal's value, else the source."""
    return {
        each.name: decode(each.source.literal) if each.source.HasField("literal") else each.source
        for each in spec.map.inputs
    }


def test_arguments_of_a_map_are_lists_and_those_of_partial_the_same_for_all() -> None:
    @dag
    def made(models: list[str], rate: float = 0.5) -> None:
        found = days("2026-01-01")
        train.partial(rate=rate, note=literal("{{ x }}")).map(day=found, model=models)

    spec = tasks_of(made)["train"]
    lists = mapped(spec)
    assert lists["day"].output == dag_pb2.OutputRef(task_id="days") and lists["model"].param == "models"
    assert spec.map.mode == dag_pb2.MAP_MODE_ZIP
    assert spec.inputs["rate"].param == "rate" and decode(spec.inputs["note"].literal) == "{{ x }}"
    assert set(spec.inputs) == {"rate", "note"}
    assert list(spec.upstream_task_ids) == ["days"]


def test_lists_may_be_written_down_given_by_position_or_be_a_key_of_an_output() -> None:
    @dag
    def made() -> None:
        found = by_name()
        train.map(["a", "b"], model=("x", "y"), depth=range(2), note=[literal("{{ kept }}"), {"deep": [1]}])
        train.map(found["days"])

    first, second = (mapped(tasks_of(made)[each]) for each in ("train", "train_2"))
    assert first == {"day": ["a", "b"], "model": ["x", "y"], "depth": [0, 1], "note": ["{{ kept }}", {"deep": [1]}]}
    assert second["day"].output == dag_pb2.OutputRef(task_id="by_name", key="days")


def test_a_product_takes_the_order_in_which_it_is_written() -> None:
    @dag
    def made() -> None:
        train.product(model=["x", "y", "z"], day=["a", "b"])

    spec = tasks_of(made)["train"]
    assert spec.map.mode == dag_pb2.MAP_MODE_PRODUCT
    assert [each.name for each in spec.map.inputs] == ["model", "day"]


def test_the_handle_of_a_map_is_its_list() -> None:
    @dag
    def made() -> None:
        scores = train.map(day=days())
        again = train.options(task_id="again").map(day=scores)
        merge(again, more=f"{scores}") >> days.options(task_id="last")()

    tasks = tasks_of(made)
    assert mapped(tasks["again"])["day"].output.task_id == "train"
    assert tasks["merge"].inputs["scores"].output.task_id == "again"
    assert tasks["merge"].inputs["more"].template == "{{ outputs.train }}"
    assert sorted(tasks["merge"].upstream_task_ids) == ["again", "train"] and not tasks["merge"].HasField("map")


def test_options_say_how_a_map_is_treated() -> None:
    @dag
    def made() -> None:
        found = days()
        options: Any = {"map_active_max": 8, "map_success_ratio_min": 0.9, "map_empty": "succeed", "retries": 2}
        train.options(**options, map_name="{{ map_item.day }}").map(day=found)
        train.options(task_id="plain").map(day=found)

    tasks = tasks_of(made)
    told, plain = tasks["train"].map, tasks["plain"].map
    assert (told.active_max, told.success_ratio_min, told.empty) == (8, 0.9, dag_pb2.MAP_EMPTY_SUCCEED)
    assert told.name == "{{ map_item.day }}" and tasks["train"].policy.retry.retries_max == 2
    assert not plain.HasField("active_max") and not plain.HasField("success_ratio_min") and not plain.name


def test_commands_and_handlers_of_other_languages_are_mapped_too() -> None:
    @dag
    def made() -> None:
        shell(
            "run", "run.sh {{ map_item.day }}", env={"M": "{{ map_item.model }}"}, map={"day": days(), "model": ["x"]}
        )
        external("resize", "go:resize", inputs={"width": 3}, product={"name": ["a", "b"], "height": [1, 2]})

    tasks = tasks_of(made)
    assert [each.name for each in tasks["run"].map.inputs] == ["day", "model"]
    assert tasks["run"].map.mode == dag_pb2.MAP_MODE_ZIP and tasks["run"].inputs["env.M"].template
    assert mapped(tasks["resize"]) == {"name": ["a", "b"], "height": [1, 2]}
    assert tasks["resize"].map.mode == dag_pb2.MAP_MODE_PRODUCT


def test_a_task_with_arguments_given_may_be_called_too() -> None:
    cheap = train.partial(rate=0.2)
    assert cheap("2026") == 0.2 and cheap("2026", rate=0.3) == 0.3

    @dag
    def made() -> None:
        cheap("2026")
        cheap.options(retries=1).partial(model="x")(day="2027")

    first, second = (tasks_of(made)[each].inputs for each in ("train", "train_2"))
    assert decode(first["rate"].literal) == 0.2
    assert {name: decode(each.literal) for name, each in second.items()} == {"rate": 0.2, "model": "x", "day": "2027"}


@pytest.mark.parametrize(
    ("add", "message"),
    [
        (lambda: train.map(), "task 'train': missing a required argument: 'day'"),
        (lambda: train.partial(day="x").map(), "a map needs a list; give at least one, by the name of its argument"),
        (lambda: train.map(day="2026"), "argument 'day' is '2026'; expected a list, a param, or the output of a task"),
        (
            lambda: train.map(day=["a"], rate=0.1),
            r"argument 'rate' is 0.1; .* same for all instances goes into .partial",
        ),
        (lambda: train.map(day={"a": 1}), "argument 'day' is {'a': 1}; expected a list"),
        (lambda: train.map(day=f"{days()}"), "argument 'day' is '{{ outputs.days }}'; expected a list"),
        (lambda: train.map(day={1, 2}), "expected a list"),
        (lambda: train.map(day=["a", days()]), "a list with values that only the run knows; .* map over its output"),
        (lambda: train.map(day=[object()]), "expected a JSON value"),
        (lambda: train.map(day=["a"], model=["x", "y"]), "day has 1, model has 2; expected one length, .* by product"),
        (
            lambda: train.product(day=list(range(400)), model=list(range(400))),
            "160000 instances, over the limit of 100000",
        ),
        (lambda: train.map(dya=["a"]), "task 'train': missing a required argument: 'day'"),
        (lambda: merge.map(scors=["a"]), "task 'merge'"),
        (lambda: merge.partial(scors=1), "task 'merge': got an unexpected keyword argument 'scors'"),
        (lambda: train.partial(day="x").map(day=["a"]), "argument 'day' is mapped, and given by partial, too"),
        (lambda: train.options(role="branch").map(day=["a"]), "role is 'branch'; expected none"),
        (lambda: train.options(map_name="x")("a"), "map_name is an option of a mapped task"),
        (lambda: train.options(map_active_max=2001), "map_active_max is 2001; expected a whole number from 1 to 2000"),
        (
            lambda: train.options(map_success_ratio_min=0),
            "map_success_ratio_min is 0; expected a share above 0, up to 1",
        ),
        (lambda: train.options(map_empty="fail"), "map_empty is 'fail'; expected one of skip, succeed"),
        (lambda: train.options(map_name="{{ map_item.x"), "map_name: template: .* has no '}}'"),
        (lambda: train.map(day=["a"])["score"], "the task is mapped, so its output is a list"),
        (lambda: shell("s", "x", map={"a": [1]}, product={"b": [1]}), "map and product are both given"),
        (lambda: shell("s", "x", map={"env": [1]}), "'env' is mapped; expected another name"),
        (
            lambda: external("e", "h", inputs={"a": 1}, map={"a": [1]}),
            "argument 'a' is mapped, and stands in inputs, too",
        ),
        (lambda: external("e", "h", map={"a.b": [1]}), "argument 'a.b' has a dot"),
        (lambda: external("e", "h", map={}), "a map needs a list"),
    ],
)
def test_a_map_that_means_nothing_is_refused_where_it_is_written(add: Any, message: str) -> None:
    @dag
    def made() -> None:
        add()

    with pytest.raises(AuthoringError, match=message):
        made.nodes  # noqa: B018


def test_a_map_outside_a_dag_is_refused() -> None:
    with pytest.raises(AuthoringError, match="mapped outside a @dag function, where it is a plain function"):
        train.map(day=["a"])


def test_everything_wrong_with_names_is_told_at_once() -> None:
    @dag
    def made(models: list[str]) -> None:
        shell("one", "x {{ map_item.day }}")
        shell("two", "x {{ map_item.dya }} {{ map_item }}", map={"day": ["a"]})
        train.options(map_name="{{ ds }}").map(day=models)
        train.options(map_name="{{ map_item.model }}").map(day=models)

    with pytest.raises(InvalidDag) as error:
        made.nodes  # noqa: B018
    assert [(each.field, each.description) for each in error.value.violations] == [
        ("tasks.one.inputs.command", "template 'map_item.day' is for a mapped task, and this one is not"),
        (
            "tasks.two.inputs.command",
            "template 'map_item.dya' names no mapped argument; did you mean 'day'? known mapped arguments: day",
        ),
        (
            "tasks.train.map_name",
            "template 'ds' stands in map_name; expected map_item, or what is in it: map_item.NAME",
        ),
        ("tasks.train_2.map_name", "template 'map_item.model' names no mapped argument; known mapped arguments: day"),
    ]


def test_a_param_that_the_dag_has_not_is_told_of() -> None:
    @dag(params_schema={"type": "object", "properties": {}, "additionalProperties": False})
    def made(models: Any) -> None:
        train.map(day=models)

    with pytest.raises(InvalidDag, match="has no param 'models'"):
        made.nodes  # noqa: B018
