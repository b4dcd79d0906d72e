"""The example `typed_artifacts` in this process: types of edges, retries by kind, what was read and written."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from glidepath import Dag, InvalidDag, dag, load_dags, task
from glidepath.authoring.convert import to_spec
from glidepath.testing import RunResult, run_dag

FILE = Path(__file__).resolve().parents[2] / "examples" / "typed_artifacts" / "typed_artifacts.py"


@pytest.fixture
def typed_artifacts() -> Dag:
    loaded = load_dags(FILE)
    assert not loaded.errors
    return loaded.dags[0]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Ten rows with a target that is 1 where x is above 6, one of them with a hole, and one row without a target."""
    file = tmp_path / "latest.csv"
    lines = [f"{x},{int(x > 6)},{'' if x == 3 else 'seen'}" for x in range(10)]
    file.write_text("\n".join(["x,target,note", *lines, "3,,seen"]) + "\n")
    return file


def run(made: Dag, rows: Path, params: Mapping[str, Any] | None = None, **options: Any) -> RunResult:
    return run_dag(made, {"input_path": str(rows), **(params or {})}, **options)


def waits(result: RunResult, task_id: str) -> list[float]:
    pairs = pairwise(result[task_id].attempts)
    return [(after.start_time - before.end_time).total_seconds() for before, after in pairs]


def test_artifacts_go_from_task_to_task_by_name(typed_artifacts: Dag, rows: Path) -> None:
    result = run(typed_artifacts, rows).check()
    described: Any = result["describe"].output
    assert described.pop("threshold") == pytest.approx(6.03)
    assert described == {
        "rows_after_cleaning": 10,
        "null_ratio": pytest.approx(1 / 30),
        "train_accuracy": 1.0,
        "n_estimators": 200,
    }
    dataset, cleaning = result["preprocess"].writes
    model, training = result["train"].writes
    assert result["train"].reads == [dataset]
    assert set(result["describe"].reads) == {model, cleaning, training}


def test_outputs_have_the_types_of_artifacts(typed_artifacts: Dag, rows: Path) -> None:
    result = run(typed_artifacts, rows).check()
    kinds = {
        (task_id, name): value["glidepath.artifact"]
        for task_id in ("preprocess", "train")
        for name, value in result[task_id].output.items()  # type: ignore[attr-defined]
    }
    assert kinds == {
        ("preprocess", "dataset"): "dataset",
        ("preprocess", "metrics"): "metrics",
        ("train", "model"): "model",
        ("train", "metrics"): "metrics",
    }


def test_metrics_where_a_dataset_is_expected_are_refused_before_anything_runs(typed_artifacts: Dag) -> None:
    preprocess, train, _ = (task(node.function) for node in typed_artifacts.nodes)

    @dag
    def crossed(input_path: str) -> None:
        train(preprocess(input_path)["metrics"], 3)

    with pytest.raises(InvalidDag, match=r"takes an artifact \(dataset\), preprocess\['metrics'\] gives .*\(metrics\)"):
        _ = crossed.nodes


def test_params_have_defaults_and_change_what_is_measured(typed_artifacts: Dag, rows: Path) -> None:
    coarse = run(typed_artifacts, rows, {"n_estimators": 1}).check()
    assert coarse["describe"].output["train_accuracy"] == 0.4  # type: ignore[index]
    assert typed_artifacts.params_schema["properties"]["n_estimators"]["default"] == 200


def test_cleaning_is_tried_again_after_any_failure_and_its_delay_doubles(typed_artifacts: Dag, rows: Path) -> None:
    result = run(typed_artifacts, rows, fail={"preprocess": True})
    assert waits(result, "preprocess") == [60, 120, 240] and result.state == "failed"
    assert len(run(typed_artifacts, rows.with_name("nowhere.csv"))["preprocess"].attempts) == 4


def test_training_is_tried_again_after_errors_of_its_place_alone(typed_artifacts: Dag, rows: Path) -> None:
    lost_disk = run(typed_artifacts, rows, fail={"train": OSError("no space left")})
    assert waits(lost_disk, "train") == [120, 240]
    too_long = run(typed_artifacts, rows, takes={"train": "3h"})
    assert [each.state for each in too_long["train"].attempts] == ["timed_out"] * 3
    bad_data = run(typed_artifacts, rows, fail={"train": ValueError("no such column")})
    assert len(bad_data["train"].attempts) == 1


def test_each_step_says_what_it_needs(typed_artifacts: Dag) -> None:
    spec = to_spec(typed_artifacts, None)
    needs = {each.task_id: dict(each.policy.resources) for each in spec.tasks}
    assert needs == {
        "preprocess": {"cpu": 4, "memory_mb": 16384},
        "train": {"cpu": 8, "memory_mb": 32768, "gpu": 1},
        "describe": {"cpu": 1},
    }
    assert spec.runs_active_max == 1 and spec.tasks[0].policy.retry.losses_max == 3


def test_the_same_rows_give_the_same_artifacts(typed_artifacts: Dag, rows: Path) -> None:
    first, second = (run(typed_artifacts, rows).check() for _ in range(2))
    assert first["train"].writes == second["train"].writes and first["preprocess"].writes == second["preprocess"].writes
