"""Registration lets pass as a template what workers can render: held to the golden cases of every language."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from glidepath_server.core.templates import TemplateSyntaxError, output_of, template_names, unknown_name

GOLDEN = json.loads((Path(__file__).parents[1] / "conformance" / "templates.json").read_text(encoding="utf-8"))
RENDERED = [case for case in GOLDEN["cases"] if "expected" in case]
REFUSED = [case for case in GOLDEN["cases"] if "error" in case]


def is_refused(text: str) -> bool:
    try:
        return any(unknown_name(name) is not None for name in template_names(text))
    except TemplateSyntaxError:
        return True


@pytest.mark.parametrize("case", RENDERED, ids=[case["name"] for case in RENDERED])
def test_what_workers_render_is_registered(case: dict[str, Any]) -> None:
    assert not is_refused(case["template"])
    for name in template_names(case["template"]):
        if name.startswith("outputs."):
            assert output_of(name, GOLDEN["context"]["outputs"]) is not None


def test_what_no_run_could_render_is_refused_at_registration() -> None:
    """The other errors depend on values of a run."""
    words = ("unknown name", "names only, no expressions", "no '}}'", "known formats")
    in_itself = [case for case in REFUSED if case["error"].startswith(words)]
    assert len(in_itself) >= 7
    assert [case["name"] for case in in_itself if not is_refused(case["template"])] == []


def test_the_longest_task_id_that_fits_is_meant() -> None:
    assert output_of("outputs.features.scale.mean", {"features", "features.scale"}) == "features.scale"
    assert output_of("outputs.features.rows", {"features", "features.scale"}) == "features"
    assert output_of("outputs.other", {"features"}) is None and output_of("params.features", {"features"}) is None
