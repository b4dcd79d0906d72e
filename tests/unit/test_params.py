"""Params are completed, checked and named exactly."""

from __future__ import annotations

import json
from typing import Any

import pytest

from glidepath_server.core.params import PARAMS_BYTES_MAX, InvalidParams, ParamsSchema

SCHEMA = {
    "type": "object",
    "properties": {
        "learning_rate": {"type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": 0.1},
        "model": {"enum": ["tree", "net"], "default": "tree"},
        "region": {"type": "string", "pattern": "^[a-z]+$"},
        "limits": {"type": "object", "properties": {"rows": {"type": "integer", "default": 10}}},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
    },
    "required": ["region"],
}


def complete(text: str, schema: Any = SCHEMA) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(ParamsSchema(json.dumps(schema)).complete(text))
    return result


def violation(text: str, schema: Any = SCHEMA) -> tuple[str, str, str]:
    with pytest.raises(InvalidParams) as caught:
        ParamsSchema(json.dumps(schema)).complete(text, "runs[3].params")
    [found] = caught.value.violations
    return found.field, found.value, found.expected


def test_defaults_are_filled_in_also_inside_objects_that_are_given() -> None:
    assert complete('{"region": "eu", "limits": {}}') == {
        "region": "eu",
        "learning_rate": 0.1,
        "model": "tree",
        "limits": {"rows": 10},
    }


def test_equal_params_have_one_text_whatever_their_order() -> None:
    schema = ParamsSchema(json.dumps(SCHEMA))
    assert schema.complete('{"region": "eu", "model": "net"}') == schema.complete(' {"model":"net","region":"eu"} ')


def test_a_default_is_not_shared_between_runs() -> None:
    schema = ParamsSchema('{"properties": {"tags": {"type": "array", "default": []}}}')
    assert schema.complete("{}") == schema.complete("{}") == '{"tags":[]}'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"region": "eu", "learning_rate": "fast"}', ("runs[3].params.learning_rate", '"fast"', "a number")),
        ('{"region": "eu", "learning_rate": 2}', ("runs[3].params.learning_rate", "2", "at most 1")),
        ('{"region": "eu", "learning_rate": 0}', ("runs[3].params.learning_rate", "0", "more than 0")),
        ('{"region": "eu", "model": "forest"}', ("runs[3].params.model", '"forest"', 'one of "tree", "net"')),
        ('{"region": "EU"}', ("runs[3].params.region", '"EU"', "a string that matches ^[a-z]+$")),
        ('{"region": "eu", "tags": ["a", 1]}', ("runs[3].params.tags[1]", "1", "a string")),
        ('{"region": "eu", "limits": {"rows": 1.5}}', ("runs[3].params.limits.rows", "1.5", "an integer")),
        ("{}", ("runs[3].params.region", "nothing", "a string (required)")),
        (
            '{"region": "eu", "learning_rat": 1}',
            ("runs[3].params.learning_rat", "1", "a param of this DAG; did you mean learning_rate?"),
        ),
        ("[1]", ("runs[3].params", "[1]", "a JSON object")),
    ],
)
def test_a_wrong_param_is_named_with_its_value_and_what_was_expected(text: str, expected: tuple[str, str, str]) -> None:
    assert violation(text) == expected


@pytest.mark.parametrize("text", ["{", '{"region": NaN}', '{"region": "a", "region": "b"}', "[" * 20_000])
def test_what_is_no_json_is_refused_and_says_why(text: str) -> None:
    field, _, expected = violation(text)
    assert field == "runs[3].params"
    assert expected.startswith("a JSON object (")


def test_a_dag_without_schema_takes_no_params() -> None:
    assert ParamsSchema("").complete("") == "{}"
    with pytest.raises(InvalidParams, match="no params: this DAG takes none"):
        ParamsSchema("").complete('{"rate": 1}')


def test_free_keys_are_taken_when_the_schema_says_so() -> None:
    free = {"type": "object", "additionalProperties": {"type": "integer"}}
    assert complete('{"anything": 1}', free) == {"anything": 1}
    assert violation('{"anything": "x"}', free)[0] == "runs[3].params.anything"


def test_params_have_a_largest_size() -> None:
    field, value, expected = violation(json.dumps({"region": "a" * PARAMS_BYTES_MAX}))
    assert (field, expected) == ("runs[3].params", f"at most {PARAMS_BYTES_MAX} bytes of JSON")
    assert value.endswith(" bytes")


def test_a_reference_out_of_the_schema_is_never_fetched() -> None:
    field, _, expected = violation("{}", {"$ref": "http://127.0.0.1:1/schema.json"})
    assert field == "runs[3].params"
    assert expected.startswith("every $ref inside the schema")
