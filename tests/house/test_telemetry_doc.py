"""docs/telemetry.md says what the registry of names says, and the registry says what is counted."""

from __future__ import annotations

from glidepath_server.telemetry.metric_names import METRICS
from tools import telemetry_doc

CODE = telemetry_doc.PAGE.parent.parent / "server" / "glidepath_server"
# What tells one run, task, attempt or token from another has no end of values.
ENDLESS = {"run", "dag_run_id", "run_id", "task", "task_id", "attempt", "token", "dag_id", "dag"}


def test_the_page_is_current() -> None:
    assert telemetry_doc.PAGE.read_text() == telemetry_doc.render(), "run python -m tools.telemetry_doc"


def test_every_metric_is_counted() -> None:
    text = (CODE / "telemetry" / "metrics.py").read_text()
    assert [name for name in METRICS if f'"{name}"' not in text] == []


def test_no_label_of_a_metric_grows_with_the_work() -> None:
    assert [(name, label) for name, each in METRICS.items() for label in each.labels if label in ENDLESS] == []


def test_names_say_their_unit_and_kind() -> None:
    """By Prometheus' rules: counters end in _total, what is a time says seconds."""
    assert [name for name, each in METRICS.items() if (each.kind == "counter") != name.endswith("_total")] == []
    assert [name for name, each in METRICS.items() if each.buckets and not name.endswith("_seconds")] == []
