"""Defaults of params that are computed from a run's dates."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glidepath import templates
from glidepath_server.core.param_defaults import RunDates, check_defaults, computed, render
from glidepath_server.core.params import InvalidParams, ParamsSchema

DATES = RunDates(
    datetime(2026, 3, 5, 1, 30, tzinfo=timezone(timedelta(hours=2))),
    datetime(2026, 3, 4, tzinfo=UTC),
    datetime(2026, 3, 5, tzinfo=UTC),
)
SCHEMA = {
    "type": "object",
    "properties": {"day": {"type": "string"}, "hour": {"type": "integer"}, "rate": {"type": "number", "default": 0.1}},
    "additionalProperties": False,
}
NAMES = [
    *("ds", "ds_nodash", "ts", "ts_nodash"),
    *(f"{date}{form}" for date in RunDates._fields for form in ("", ".ds", ".ts_nodash", ".year", ".unix", ".hour")),
]


@given(st.lists(st.sampled_from(NAMES) | st.text("ab {", max_size=3).filter(lambda text: "{" not in text), max_size=5))
def test_dates_are_written_as_workers_write_them(parts: list[str]) -> None:
    text = " {{{{ ".join(f"{{{{ {part} }}}}" if part in NAMES else part for part in parts)
    assert render(text, DATES) == templates.render(text, DATES._asdict())


def test_computed_defaults_fill_what_a_run_is_not_given() -> None:
    schema = ParamsSchema(json.dumps(SCHEMA), {"day": "{{ ds }}", "hour": "{{ data_interval_end.hour }}"})
    assert schema.dated
    assert json.loads(schema.complete("{}", dates=DATES)) == {"day": "2026-03-04", "hour": 0, "rate": 0.1}
    assert json.loads(schema.complete('{"day": "x"}', dates=DATES))["day"] == "x"


def test_a_computed_default_obeys_the_schema() -> None:
    schema = ParamsSchema(json.dumps(SCHEMA), {"hour": "{{ ds }}"})
    with pytest.raises(InvalidParams, match=r'params\.hour: got "2026-03-04", expected an integer'):
        schema.complete("{}", dates=DATES)


@pytest.mark.parametrize(
    ("defaults", "said"),
    [
        ({"day": "{{ params.x }}"}, "param_defaults.day: got 'params.x', expected dates of the run only"),
        ({"day": "{{ ds.year }}"}, "param_defaults.day: got 'ds.year', expected dates of the run only"),
        ({"day": "{{ logical_date.week }}"}, "got 'logical_date.week', expected dates of the run only"),
        ({"day": "{{ ds"}, "param_defaults.day: got '{{' at character 0"),
        ({"other": "{{ ds }}"}, "param_defaults.other: got 'other', expected a property of params_schema"),
        ({"rate": "{{ ds }}"}, "param_defaults.rate: got '{{ ds }}', expected no default in params_schema"),
        ({"day": "x" * 2000}, "param_defaults.day: got 2000 bytes, expected at most 1024 bytes"),
        (dict.fromkeys(map(str, range(101)), "x"), "param_defaults: got 101 defaults, expected at most 100"),
    ],
)
def test_a_default_that_is_no_date_is_refused(defaults: dict[str, str], said: str) -> None:
    found = [str(each) for each in check_defaults(defaults, json.dumps(SCHEMA))]
    assert said in found[0], found


def test_numbers_are_whole_where_the_schema_wants_them_whole() -> None:
    assert computed({"hour": "{{ logical_date.unix }}"}, SCHEMA, DATES) == {"hour": 1772667000}
