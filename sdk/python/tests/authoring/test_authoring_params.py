"""Run params from the parameters of a DAG's function."""

import enum
from datetime import date
from typing import Annotated, Any, Literal

import pytest

from glidepath import AuthoringError, Dag
from glidepath.authoring.params import default_params, params_schema


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


def _all(
    day: date,
    name: str = "x",
    count: int = 1,
    rate: Annotated[float, "Step width.", {"minimum": 0}] = 0.1,
    flag: bool = False,
    kinds: list[str] | None = None,
    table: dict[str, int] = {},  # noqa: B006
    mode: Literal["fast", "slow"] = "fast",
    size: Size = Size.SMALL,
    anything: Any = None,
) -> None: ...


def test_hints_and_defaults_become_a_schema() -> None:
    schema = params_schema(_all, "DAG")
    assert schema["required"] == ["day"] and schema["additionalProperties"] is False
    assert schema["properties"] == {
        "day": {"type": "string", "format": "date"},
        "name": {"type": "string", "default": "x"},
        "count": {"type": "integer", "default": 1},
        "rate": {"type": "number", "description": "Step width.", "minimum": 0, "default": 0.1},
        "flag": {"type": "boolean", "default": False},
        "kinds": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}], "default": None},
        "table": {"type": "object", "additionalProperties": {"type": "integer"}, "default": {}},
        "mode": {"enum": ["fast", "slow"], "default": "fast"},
        "size": {"enum": ["s", "l"], "default": "s"},
        "anything": {"default": None},
    }
    assert default_params(schema)["size"] == "s" and "day" not in default_params(schema)


def test_no_parameters_mean_no_schema() -> None:
    assert params_schema(lambda: None, "DAG") == {}


def test_an_override_replaces_the_schema() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    assert Dag(lambda a: None, dag_id="d", params_schema=schema).params_schema == schema
    with pytest.raises(AuthoringError, match='must have "type": "object"'):
        Dag(lambda a: None, dag_id="d", params_schema={"type": "string"})


def _with_hint(hint: Any, default: Any = None) -> Any:
    def function(x=default):  # type: ignore[no-untyped-def]
        ...

    function.__annotations__ = {"x": hint}
    return function


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (_with_hint(complex), "param 'x': no JSON Schema for the hint <class 'complex'>"),
        (_with_hint(str, object()), "param 'x': the default <object"),
        (lambda *x: None, "params are given by name"),
        (_with_hint("Missing"), "type hint of its function cannot be read"),
    ],
)
def test_what_has_no_schema_is_named(function: Any, message: str) -> None:
    with pytest.raises(AuthoringError, match=message):
        params_schema(function, "DAG 'd'")
