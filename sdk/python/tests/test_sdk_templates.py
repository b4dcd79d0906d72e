"""The golden cases of templates that hold for every language, and what only Python's face has."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from glidepath import templates
from glidepath.errors import TemplateError

GOLDEN = json.loads((Path(__file__).parents[3] / "tests/conformance/templates.json").read_text())


def _context(values: dict[str, Any]) -> dict[str, Any]:
    dates = {
        key: datetime.fromisoformat(value) for key, value in values.items() if key.endswith(("date", "start", "end"))
    }
    return {**values, **dates}


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
def test_golden_case(case: dict[str, Any]) -> None:
    context = _context(case.get("context", GOLDEN["context"]))
    render = templates.render_command if case.get("shell") else templates.render
    if "error" in case:
        with pytest.raises(TemplateError) as caught:
            render(case["template"], context)
        assert case["error"] in str(caught.value)
    else:
        assert render(case["template"], context) == case["expected"]


def test_names_are_listed_in_order_without_the_escaped_ones() -> None:
    assert templates.names("{{ ds }} {{{{ no }} {{ outputs.a.b }}") == ["ds", "outputs.a.b"]


@pytest.mark.parametrize(
    "text", ["{{ ds }}", "{{ params.x.y }}", "{{ outputs.a }}", "{{ map_item }}", "{{ logical_date.ds }}"]
)
def test_check_admits_what_may_have_a_value(text: str) -> None:
    templates.check(text)


@pytest.mark.parametrize(
    "text", ["{{ dss }}", "{{ params }}", "{{ outputs }}", "{{ run_id.x }}", "{{ logical_date.week }}", "{{ ds"]
)
def test_check_refuses_what_never_has_a_value(text: str) -> None:
    with pytest.raises(TemplateError):
        templates.check(text)
