"""Whether a value of one type can be one of another: held against what a validator of JSON Schema says of values."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import glidepath.authoring.value_types as sdk
from glidepath_server.core import value_types as server
from glidepath_server.core.value_types import ANY, Comparer, at_key, list_of, words

INTEGER, NUMBER, TEXT, NULL = {"type": "integer"}, {"type": "number"}, {"type": "string"}, {"type": "null"}
SIMPLE = [INTEGER, NUMBER, TEXT, NULL, {"type": "boolean"}]
ROW = {"type": "object", "properties": {"a": INTEGER}, "required": ["a"]}

# Values that tell the types below apart: some of each, lists of each, objects with and without each key they name.
ATOMS: list[Any] = [None, True, 1, 1.5, "x"]
ABSENT = object()
OBJECTS = [
    {name: each for name, each in zip("abz", values, strict=True) if each is not ABSENT}
    for values in product([*ATOMS, ABSENT], repeat=3)
]
FLAT: list[Any] = [*ATOMS, [], *([each] for each in ATOMS), *OBJECTS]
VALUES: list[Any] = [*FLAT, *([each] for each in FLAT)]


def misfit(source: Any, target: Any) -> bool:
    return Comparer().misfit(source, target)


def fitting(schema: Any) -> list[Any]:
    validator = Draft202012Validator(schema)
    return [each for each in VALUES if validator.is_valid(each)]


def lists(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(lambda items: {"type": "array", "items": items}, inner)


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def made(properties: dict[str, Any], required: list[str], others: Any) -> Any:
        named = [each for each in required if each in properties]
        return {"type": "object", "properties": properties, "required": named, "additionalProperties": others}

    return st.builds(
        made,
        st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
        st.lists(st.sampled_from("ab"), unique=True),
        st.booleans() | inner,
    )


simple = st.sampled_from(SIMPLE) | st.lists(st.sampled_from(ATOMS), min_size=1, max_size=3).map(
    lambda values: {"enum": values}
)
alternatives = st.lists(simple, min_size=1, max_size=3).map(lambda each: {"anyOf": each})
flat = simple | alternatives | lists(simple) | objects(simple)
schemas = flat | lists(flat) | st.lists(flat, min_size=1, max_size=2).map(lambda each: {"anyOf": each})


@settings(max_examples=200, deadline=None)
@given(schemas, schemas)
def test_what_no_value_can_be_is_refused_and_what_every_value_is_passes(source: Any, target: Any) -> None:
    values = fitting(source)
    into = Draft202012Validator(target)
    taken = [each for each in values if into.is_valid(each)]
    if values and not taken:
        assert misfit(source, target), f"none of {values[:5]} fits"
    if len(taken) == len(values):
        assert not misfit(source, target), "every value fits"
    if None in values and None not in taken:
        assert misfit(source, target), "null is let in nowhere"


@settings(max_examples=100, deadline=None)
@given(schemas)
def test_every_type_fits_itself_and_anything(schema: Any) -> None:
    if fitting(schema):
        assert not misfit(schema, schema)
    assert not misfit(schema, ANY) and not misfit(ANY, schema)
    assert words(schema)


@pytest.mark.parametrize(
    ("source", "target", "refused"),
    [
        (INTEGER, NUMBER, False),
        (NUMBER, INTEGER, True),
        ({"type": "boolean"}, INTEGER, True),
        ({"anyOf": [INTEGER, NULL]}, INTEGER, True),
        ({"anyOf": [INTEGER, NULL]}, {"type": ["integer", "null"]}, False),
        ({"anyOf": [INTEGER, TEXT]}, INTEGER, False),
        ({"enum": ["a", "b"]}, {"enum": ["b", "c"]}, False),
        ({"enum": ["a", "b"]}, {"enum": ["c"]}, True),
        ({"const": 1.0}, INTEGER, False),
        ({"const": True}, {"const": 1}, True),
        ({"const": {"a": "x"}}, ROW, True),
        ({"const": {"a": 1, "b": None}}, ROW, False),
        (list_of([INTEGER, TEXT]), {"type": "array", "items": INTEGER}, True),
        (list_of([INTEGER, {"const": 2}]), {"type": "array", "items": NUMBER}, False),
        ({"type": "object", "additionalProperties": TEXT}, ROW, True),
        ({"allOf": [TEXT]}, INTEGER, False),
        ({"$ref": "#/x"}, INTEGER, False),
        ({"type": "string", "format": "date"}, TEXT, False),
    ],
    ids=str,
)
def test_the_rules_of_edges(source: Any, target: Any, refused: bool) -> None:
    assert misfit(source, target) is refused


def test_a_key_has_the_type_that_the_output_names_for_it() -> None:
    assert at_key(ROW, "a") == INTEGER
    assert at_key(ROW, "b") == ANY
    assert at_key({**ROW, "additionalProperties": False}, "b") is None
    assert at_key(TEXT, "a") is None
    assert at_key({"anyOf": [ROW, NULL]}, "a") == {"anyOf": [INTEGER, NULL]}
    assert at_key(ANY, "a") == ANY


def test_a_check_that_would_take_too_long_lets_pass_what_is_left() -> None:
    assert Comparer(left=1).misfit(INTEGER, TEXT)
    assert not Comparer(left=0).misfit(INTEGER, TEXT)


def test_types_are_said_in_words() -> None:
    assert words({"anyOf": [{"type": "array", "items": INTEGER}, NULL]}) == "a list of integers or null"
    assert words({"type": "object", "additionalProperties": NUMBER}) == "an object of numbers"
    assert words(ROW) == "an object with a"
    assert words({"enum": ["a", 1]}) == '"a" or 1'


def test_the_sdk_says_what_the_server_decides() -> None:
    assert Path(sdk.__file__).read_bytes() == Path(server.__file__).read_bytes()
