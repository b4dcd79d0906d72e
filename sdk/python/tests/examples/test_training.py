"""The example `training`, run in this process on real rows and real models."""

from __future__ import annotations

import json
import runpy
from datetime import timedelta
from pathlib import Path
from typing import Any

import joblib
import pytest

from glidepath import Dag, Defer, load_dags
from glidepath.testing import RunResult, run_dag

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "training"
FIRST, SECOND = "2026-11-02", "2026-11-03"


class Room:
    """Folders of one test, and runs of the DAG in them."""

    def __init__(self, folder: Path) -> None:
        loaded = load_dags(FOLDER / "training.py")
        assert not loaded.errors
        self.dag: Dag = loaded.dags[0]
        self.tasks = {node.task_id: node for node in self.dag.nodes}
        self.models = [task_id for task_id in self.tasks if task_id.startswith("models.")]
        self.data, self.out = folder / "data", folder / "out"

    def write(self, day: str) -> Path:
        write_day = runpy.run_path(str(FOLDER / "prepare_data.py"))["write_day"]
        return write_day(day, self.data)  # type: ignore[no-any-return]

    def run(self, day: str = FIRST, **options: Any) -> RunResult:
        params = {"day": day, "data_dir": str(self.data), "output_dir": str(self.out)}
        return run_dag(self.dag, params, **options)

    def run_with_models(self, day: str, **metrics: float) -> RunResult:
        """A run in which every model is the same and has these metrics."""
        model = {"model": "logistic_regression", "path": "unused", **metrics}
        return self.run(day, replace={**dict.fromkeys(self.models, model), "register_model": {}})

    def files(self) -> dict[str, bytes]:
        return {str(path.relative_to(self.out)): path.read_bytes() for path in self.out.rglob("*") if path.is_file()}


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def test_four_models_are_trained_and_the_best_goes_to_production(room: Room) -> None:
    room.write(FIRST)
    result = room.run().check()
    assert set(result.states.values()) == {"success"}
    metrics: list[Any] = [result[model].output for model in room.models]
    assert len(metrics) == 4 and all(each["accuracy"] > 0.85 for each in metrics)
    production = json.loads((room.out / "production.json").read_text())
    assert production["roc_auc"] == max(each["roc_auc"] for each in metrics)
    assert hasattr(joblib.load(production["path"]), "predict_proba")
    assert json.loads((room.out / "days" / FIRST / "metrics.json").read_text()) == production


def test_the_four_trainings_run_in_parallel_and_share_the_pool(room: Room) -> None:
    pooled = [task_id for task_id, node in room.tasks.items() if node.options.get("pool") == "training"]
    assert pooled == room.models and len(pooled) == 4
    assert {tuple(room.tasks[model].upstream) for model in room.models} == {("features",)}


def _never_there(day: str, data_dir: str) -> Any:
    raise Defer(after=600)


def test_it_looks_again_until_the_file_is_there(room: Room) -> None:
    looks: list[str] = []

    def look(day: str, data_dir: str) -> Any:
        looks.append(day)
        if len(looks) == 3:
            room.write(day)
        wait_for_file = room.tasks["wait_for_file"].function
        assert wait_for_file is not None
        return wait_for_file(day, data_dir)

    attempts = room.run(replace={"wait_for_file": look}).check()["wait_for_file"].attempts
    assert [each.state for each in attempts] == ["deferred", "deferred", "success"]
    assert attempts[2].start_time - attempts[0].start_time == timedelta(seconds=2)
    assert room.run(replace={"wait_for_file": _never_there})["wait_for_file"].state == "failed"


def test_a_bad_file_fails_with_its_statistics_and_is_not_tried_again(room: Room) -> None:
    file = room.write(FIRST)
    lines = file.read_text().splitlines()
    lines[3] = "," + lines[3].partition(",")[2]
    file.write_text("\n".join(lines[:61]) + "\n")
    result = room.run()
    assert result["validate"].state == "failed" and len(result["validate"].attempts) == 1
    reason = result["validate"].reason
    assert "fewer than 100 rows" in reason and "cells that are no number" in reason
    assert '"rows": 60' in reason and '"holes": 1' in reason
    assert result["register_model"].state == "upstream_failed" and not (room.out / "production.json").exists()


def test_a_model_that_is_worse_than_allowed_is_skipped_and_production_stays(room: Room) -> None:
    room.write(FIRST)
    room.write(SECOND)
    room.run(FIRST).check()
    before = (room.out / "production.json").read_text()
    result = room.run_with_models(SECOND, accuracy=0.6, roc_auc=0.6).check()
    assert result["deploy_or_not"].state == "skipped" and result["register_model"].state == "skipped"
    assert "ROC AUC 0.6000, less than the" in result["deploy_or_not"].reason
    assert (room.out / "production.json").read_text() == before


def test_one_percent_of_regression_is_allowed_and_no_more(room: Room) -> None:
    room.write(FIRST)
    room.run(FIRST).check()
    score = json.loads((room.out / "production.json").read_text())["roc_auc"]
    for regression, deploys in ((0.009, "success"), (0.011, "skipped")):
        result = room.run_with_models(FIRST, accuracy=0.9, roc_auc=score * (1 - regression)).check()
        assert result["evaluate"].output["production"]["roc_auc"] == score  # type: ignore[index]
        assert result["deploy_or_not"].state == deploys


def test_a_day_run_twice_leaves_the_same_files(room: Room) -> None:
    room.write(FIRST)
    room.run().check()
    first = room.files()
    assert room.run().check()["deploy_or_not"].state == "success"
    assert room.files() == first
