"""Types of tasks from their hints, and edges that are refused before anything is sent."""

import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypedDict

import pytest

from glidepath import AuthoringError, Dag, InvalidDag, dag, dated, load_dags, task
from glidepath.authoring.convert import to_spec
from glidepath.authoring.hints import types_of
from glidepath.authoring.value_types import words
from glidepath.testing import run_dag

if TYPE_CHECKING:
    from somewhere import Frame  # type: ignore[import-not-found]


class Counts(TypedDict):
    rows: int
    bad: NotRequired[int]


@dataclass
class Score:
    value: float
    name: str = ""
    parts: list[float] = field(default_factory=list)


class Tree(TypedDict):
    children: "list[Tree]"


@task
def load(day: str) -> Counts:
    return {"rows": len(day)}


@task
def name_of(day: date) -> str:
    return f"{day}"


@task
def train(rows: int, rate: float = 0.1, weights: list[float] | None = None) -> Score:
    return Score(rows * rate)


def violations(made: Dag) -> dict[str, str]:
    with pytest.raises(InvalidDag) as caught:
        _ = made.nodes
    return {each.field: each.description for each in caught.value.violations}


def test_hints_become_types() -> None:
    async def mixed(
        a: int, b: list[dict[str, float]], c: Literal["x", 1], d: "Counts", e: Any, *, f: Score, **rest: int
    ) -> str | None: ...

    takes, gives = types_of(mixed)
    assert gives == {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert {name: words(each) for name, each in takes.items()} == {
        "a": "an integer",
        "b": "a list",
        "c": '"x" or 1',
        "d": "an object with bad, rows",
        "f": "an object with name, parts, value",
    }
    assert takes["d"]["required"] == ["rows"] and takes["f"]["required"] == ["value"]
    assert types_of(train.function)[1]["required"] == ["name", "parts", "value"], "an output has all of its fields"
    assert types_of(load.function)[1]["additionalProperties"] is False


def test_a_hint_that_cannot_be_read_or_said_is_no_type() -> None:
    def odd(frame: "Frame", kept: int, many: list["Frame"], tree: Tree, pair: complex) -> "Frame": ...

    takes, gives = types_of(odd)
    assert gives == {} and takes["kept"] == {"type": "integer"} and not takes.keys() & {"frame", "many", "pair"}
    assert takes["tree"]["properties"]["children"] == {"type": "array", "items": {}}
    assert types_of(lambda rows: rows) == ({}, {})


def test_a_generator_has_no_type() -> None:
    def numbers() -> Any:
        yield 1

    assert types_of(numbers)[1] == {}


def test_wrong_edges_are_all_named_with_both_ends() -> None:
    @dag
    def wrong(day: str = "x", count: int = 3) -> None:
        counted = load(day)
        train(name_of(day))
        train(counted["row"], rate=counted["rows"])
        train(day, rate=day, weights=[counted["rows"], count, "{{ ds }}"])
        train(count, weights=[counted["rows"], count, 1.5])

    assert violations(wrong) == {
        "tasks.train.inputs.rows": "takes an integer, name_of gives a string",
        "tasks.train_2.inputs.rows": "takes key 'row' of load, which has none of that name; its keys are bad, rows",
        "tasks.train_3.inputs.rows": "takes an integer, param day gives a string",
        "tasks.train_3.inputs.rate": "takes a number, param day gives a string",
        "tasks.train_3.inputs.weights": "takes a list of numbers or null, a list of load['rows'], param count, a "
        "template gives a list of integers and strings",
    }


def test_the_server_is_told_the_types() -> None:
    @dag
    def told() -> None:
        load("2026-01-01")

    (spec,) = to_spec(told, None).tasks
    assert json.loads(spec.input_schemas["day"]) == {"type": "string"}
    assert json.loads(spec.output_schema)["properties"]["rows"] == {"type": "integer"}


CODE = """\
def load(day: str) -> str: return day
def train(rows: int) -> int: return rows
"""
YAML = """\
dag_id: sales
params:
  day: {type: string, dated: "{{ ds }}"}
tasks:
  load: {python: "steps:load", with: {day: {param: day}}}
  train:
    python: steps:train
    with:
      rows: {output: load}
"""


def test_a_wrong_edge_in_yaml_is_named_at_its_line(tmp_path: Path) -> None:
    (tmp_path / "steps.py").write_text(CODE)
    (tmp_path / "sales.yaml").write_text(YAML)
    (error,) = load_dags(tmp_path / "sales.yaml").errors
    assert error.line == 9 and "takes an integer, load gives a string" in error.message


# ---- params computed from the run's dates
AT = datetime(2026, 3, 5, 7, tzinfo=UTC)


@dag
def daily(
    day: str = dated("{{ ds }}"), hour: int = dated("{{ logical_date.hour }}"), until: str = dated("{{ ts }}")
) -> None:
    load(day)
    train(hour)
    name_of.options(task_id="end")(until)


def test_dated_params_are_computed_for_each_run() -> None:
    assert "required" not in daily.params_schema and "default" not in daily.params_schema["properties"]["day"]
    assert dict(to_spec(daily, None).param_defaults)["day"] == "{{ ds }}"
    result = run_dag(daily, logical_date=AT).check()
    assert result.outputs["load"] == {"rows": 10} and result.outputs["train"]["value"] == pytest.approx(0.7)
    assert result.outputs["end"] == "2026-03-05T07:00:00+00:00"
    assert run_dag(daily, {"day": "x"}, logical_date=AT).outputs["load"] == {"rows": 1}


def test_dated_params_stand_in_yaml_too(tmp_path: Path) -> None:
    (tmp_path / "steps.py").write_text(CODE)
    (tmp_path / "sales.yaml").write_text(YAML.replace("{output: load}", "3"))
    (found,) = load_dags(tmp_path / "sales.yaml").dags
    assert found.params_schema["properties"] == {"day": {"type": "string"}} and "required" not in found.params_schema
    assert run_dag(found, logical_date=AT).outputs["load"] == "2026-03-05"
    (tmp_path / "sales.yaml").write_text(YAML.replace("{{ ds }}", "{{ run_id }}"))
    (error, _) = load_dags(tmp_path / "sales.yaml").errors
    assert error.line == 3 and "'run_id' is no date of the run" in error.message


@pytest.mark.parametrize("text", ["{{ params.day }}", "{{ ds", "{{ logical_date.week }}", 3])
def test_only_dates_are_computed(text: Any) -> None:
    with pytest.raises(AuthoringError, match=r"^dated\("):
        dated(text)


def test_a_mapped_task_takes_lists_and_gives_the_list_of_its_outputs() -> None:
    @task
    def total(scores: list[str]) -> float: ...

    @dag
    def mapped(count: int = 3) -> None:
        total(train.map(rows=count))

    assert violations(mapped) == {
        "tasks.train.map.rows": "takes a list of integers, param count gives an integer",
        "tasks.total.inputs.scores": "takes a list of strings, train gives a list",
    }
