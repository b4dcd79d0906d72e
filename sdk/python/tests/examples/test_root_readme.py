"""The README's ten-minute start, as far as it is the SDK's: its DAG loads, works and breaks as told."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from glidepath import Dag, load_dags
from glidepath.testing import run_dag

README = Path(__file__).resolve().parents[4] / "README.md"


@pytest.fixture
def sales(tmp_path: Path) -> Dag:
    (block,) = re.findall(r"```python\n(# dags/sales\.py\n.*?)```", README.read_text(), re.DOTALL)
    file = tmp_path / "sales.py"
    file.write_text(block)
    loaded = load_dags(file)
    assert not loaded.errors
    return loaded.dags[0]


def test_the_first_run_works_and_the_broken_one_fails_where_the_guide_says(sales: Dag, tmp_path: Path) -> None:
    amounts = tmp_path / "amounts.txt"
    broken = run_dag(sales, {"file": str(amounts)})
    assert list(broken.states.values()) == ["failed", "upstream_failed", "upstream_failed"]
    amounts.write_text("12.50\n7.25\n")
    result = run_dag(sales, {"file": str(amounts)}, logical_date=datetime(2026, 3, 5, tzinfo=UTC)).check()
    assert result.outputs["report"] == "2026-03-05: 19.75"
