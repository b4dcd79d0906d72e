"""The example `mapped_training`: its functions by themselves, and its runs on the clock of the test kit."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from glidepath import Dag, load_dags
from glidepath.authoring.convert import to_spec
from glidepath.testing import Cache, RunResult, run_dag

FILE = Path(__file__).resolve().parents[2] / "examples" / "mapped_training" / "mapped_training.py"
NIGHT = datetime(2026, 3, 5, 20, 30, tzinfo=UTC)
CLICKS = [{"amount": 0.0, "visits": 1.0, "stays": 0.0}, {"amount": 9.0, "visits": 3.0, "stays": 1.0}]
PAYMENTS = [{"amount": 19.0, "visits": 2.0, "stays": 1.0}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for source, rows in (("clickstream", CLICKS), ("transactions", PAYMENTS)):
        (tmp_path / source).mkdir()
        lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
        (tmp_path / source / "2026-03-05.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.fixture
def mapped_training() -> Dag:
    loaded = load_dags(FILE)
    assert not loaded.errors
    return loaded.dags[0]


@pytest.fixture(scope="module")
def functions() -> dict[str, Callable[..., Any]]:
    return runpy.run_path(str(FILE))


class Runs:
    """Runs of the DAG, with equal calls kept from one to the next."""

    def __init__(self, made: Dag, folder: Path) -> None:
        self.dag, self.folder = made, folder
        self.cache: Cache = {}

    def run(self, at: datetime = NIGHT, *, params: dict[str, Any] | None = None, **options: Any) -> RunResult:
        given = {"folder": str(self.folder), **(params or {})}
        return run_dag(self.dag, given, logical_date=NIGHT, start_time=at, cache=self.cache, **options)


@pytest.fixture
def runs(mapped_training: Dag, folder: Path) -> Runs:
    return Runs(mapped_training, folder)


def test_its_tasks_are_plain_functions(functions: dict[str, Callable[..., Any]], folder: Path) -> None:
    clicks = functions["extract"]("2026-03-05", str(folder), "clickstream", 1.0)
    assert clicks == [{**row, "weight": 1.0} for row in CLICKS]
    assert functions["merge"]([clicks, []]) == clicks
    features = functions["compute_features"](clicks, {"amount": "log", "visits": "zscore"})
    assert [round(row["amount_log"], 3) for row in features] == [0.0, 2.303]
    assert [row["visits_zscore"] for row in features] == [-1.0, 1.0]
    metrics = functions["train"](features, {"rounds": 200, "learning_rate": 0.1}, str(folder / "tracker.jsonl"))
    assert metrics["loss"] < 0.01
    assert json.loads((folder / "tracker.jsonl").read_text()) == {"rounds": 200, "learning_rate": 0.1, **metrics}


def test_sources_and_weights_go_side_by_side_and_are_merged_in_order(runs: Runs) -> None:
    result = runs.run().check()
    assert [each.map_name for each in result["extract"].instances] == ["clickstream", "transactions"]
    assert [each.map_item for each in result["extract"].instances] == [
        {"source": "clickstream", "weight": 1.0},
        {"source": "transactions", "weight": 2.0},
    ]
    assert [row["weight"] for row in result["merge"].output] == [1.0, 1.0, 2.0]  # type: ignore[attr-defined]
    assert result["train"].output["rows"] == 3.0  # type: ignore[index]


def test_lists_of_two_lengths_are_refused(runs: Runs) -> None:
    result = runs.run(params={"weights": [1.0]})
    assert result["extract"].state == "failed" and not result["extract"].attempts
    assert "different lengths: source has 2, weight has 1" in result["extract"].reason


def test_the_date_is_computed_from_the_dates_of_the_run(runs: Runs, folder: Path) -> None:
    (folder / "clickstream" / "2026-03-06.csv").write_text("amount,visits,stays\n1,1,1\n")
    today = runs.run().check()
    given = runs.run(params={"date": "2026-03-06", "sources": ["clickstream"], "weights": [1.0]}).check()
    assert (today["train"].output["rows"], given["train"].output["rows"]) == (3.0, 1.0)  # type: ignore[index]


def test_retries_wait_1_5_and_15_minutes_and_then_the_run_begins_again_once(runs: Runs) -> None:
    result = runs.run(fail={"extract[1]": True})
    one = result["extract"].instances[1]
    waits = [(after.start_time - before.end_time).total_seconds() for before, after in pairwise(one.attempts)]
    assert waits == [60, 300, 900, 0, 60, 300, 900]
    assert len(result["extract"].instances[0].attempts) == 1
    assert one.state == "failed" and result["extract"].instances[0].state == "success"


def test_equal_calls_are_taken_for_twelve_hours_and_not_longer(runs: Runs) -> None:
    first = runs.run().check()
    hours = timedelta(hours=1)
    second = runs.run(NIGHT + 12 * hours - timedelta(seconds=1)).check()
    assert [len(each.attempts) for each in second["extract"].instances] == [0, 0]
    assert all(each.reason.startswith("cached: result of") for each in second["extract"].instances)
    assert second["extract"].output == first["extract"].output
    assert len(second["train"].attempts) == 1
    third = runs.run(NIGHT + 12 * hours).check()
    assert [len(each.attempts) for each in third["extract"].instances] == [1, 1]


def test_another_weight_is_another_call(runs: Runs) -> None:
    runs.run().check()
    second = runs.run(params={"weights": [1.0, 3.0]}).check()
    assert [len(each.attempts) for each in second["extract"].instances] == [0, 1]


def test_training_may_take_two_hours_and_is_tried_twice_by_each_of_the_run_s_two_tries(runs: Runs) -> None:
    attempts = runs.run(takes={"train": "3h"})["train"].attempts
    assert [each.state for each in attempts] == ["timed_out"] * 4
    assert {each.end_time - each.start_time for each in attempts} == {timedelta(seconds=7200)}


def test_each_task_has_retries_of_its_own_and_the_run_one(mapped_training: Dag) -> None:
    spec = to_spec(mapped_training, None)
    tasks = {each.task_id: each.policy for each in spec.tasks}
    assert {name: policy.retry.retries_max for name, policy in tasks.items()} == {
        "extract": 3,
        "merge": 0,
        "compute_features": 2,
        "train": 1,
    }
    assert spec.run_retries_max == 1
    assert spec.defaults.queue_name == "ml-gpu"
    assert dict(tasks["train"].limits) == {"gpu-training": 1}
