"""Patterns of a params schema: in linear time, and refused when that cannot be."""

from __future__ import annotations

import json

import pytest

from glidepath_server.core.params import InvalidParams, ParamsSchema
from glidepath_server.core.params_schema import check_params_schema

# Python's own expressions would need hours for it.
EVIL, LONG = "(a+)+$", "a" * 60 + "!"


def schema(**rules: object) -> str:
    return json.dumps({"type": "object", **rules})


@pytest.mark.parametrize(
    ("rules", "params"),
    [
        ({"properties": {"name": {"type": "string", "pattern": EVIL}}}, {"name": LONG}),
        ({"patternProperties": {EVIL: {}}, "additionalProperties": False}, {LONG: 1}),
    ],
    ids=["value", "name"],
)
def test_an_expression_that_goes_back_for_hours_is_answered_at_once(
    rules: dict[str, object], params: dict[str, object]
) -> None:
    text = schema(**rules)
    assert check_params_schema(text) == []
    with pytest.raises(InvalidParams):
        ParamsSchema(text).complete(json.dumps(params))


def test_patterns_mean_what_they_did() -> None:
    text = schema(
        properties={"day": {"type": "string", "pattern": r"^\d{4}-\d{2}$"}},
        patternProperties={"^x_": {"type": "integer"}},
        additionalProperties={"type": "boolean"},
    )
    checked = ParamsSchema(text)
    assert json.loads(checked.complete('{"day": "2026-11", "x_1": 3, "other": true}'))["x_1"] == 3
    for wrong in ('{"day": "soon"}', '{"x_1": "three"}', '{"other": 4}'):
        with pytest.raises(InvalidParams):
            checked.complete(wrong)


@pytest.mark.parametrize("pattern", ["(?=a)b", r"(a)\1", "(?<!x)y"])
def test_what_re2_does_not_take_is_refused_with_its_place(pattern: str) -> None:
    (found,) = check_params_schema(schema(properties={"name": {"type": "string", "pattern": pattern}}))
    assert found.field == "params_schema.properties.name.pattern"
    assert "RE2, without look-around" in str(found)


def test_a_pattern_that_is_data_is_no_rule() -> None:
    assert check_params_schema(schema(properties={"rule": {"default": {"pattern": "(?=a)"}}})) == []


def test_rules_that_would_ask_every_pattern_of_every_name_again_are_refused() -> None:
    (found,) = check_params_schema(schema(patternProperties={"^x": {}}, unevaluatedProperties=False))
    assert "additionalProperties instead" in str(found)
