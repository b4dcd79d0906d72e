"""The DAG `typed_artifacts`: a data set is cleaned and a model trained on it, handed on as artifacts with types.

What a task gives is a dataset, a model, metrics, and each edge is checked: a model where a dataset is expected is
refused before anything runs. Artifacts lie under their digests, so a task that is tried again stores nothing twice.
"""

from __future__ import annotations

import csv
import json
import tempfile
from pathlib import Path
from typing import Annotated, Any, TypedDict

from glidepath import Dataset, Metrics, Model, current, dag, task

TARGET = "target"
File = Annotated[str, "absolute, and read by the worker that has preprocess", {"pattern": "^/"}]
Count = Annotated[int, "thresholds that are tried", {"minimum": 1, "maximum": 1000}]


class Preprocessed(TypedDict):
    """The outputs of `preprocess`, by name."""

    dataset: Dataset
    metrics: Metrics


class Trained(TypedDict):
    """The outputs of `train`, by name."""

    model: Model
    metrics: Metrics


@task(
    retries=3,
    retry_delay="60s",
    retry_backoff=2,
    losses_max=3,
    resources={"cpu": 4, "memory_mb": 16 * 1024},
)
def preprocess(input_path: str) -> Preprocessed:
    """Leave rows without a target out. Tried again whatever happened: a failure, a timeout, a lost worker."""
    with Path(input_path).open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    kept = [row for row in rows if row[TARGET]]
    cells = [value for row in kept for value in row.values()]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "cleaned.csv")
        with file.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(kept)
        dataset = current().save(file, Dataset, metadata={"rows": len(kept)})
    numbers = {"rows_after_cleaning": len(kept), "null_ratio": sum(not each for each in cells) / max(1, len(cells))}
    return {"dataset": dataset, "metrics": current().save_metrics(numbers, name="cleaning")}


@task(
    retries=2,
    retry_delay="120s",
    retry_backoff=2,
    retry_only_on=["timeout", "out_of_memory", OSError],
    resources={"cpu": 8, "memory_mb": 32 * 1024, "gpu": 1},
)
def train(dataset: Dataset, n_estimators: int) -> Trained:
    """The best of some thresholds of the column x. Tried again after errors of its place, not of the data."""
    with dataset.path().open(newline="") as stream:
        rows = [(float(row["x"]), int(row[TARGET])) for row in csv.DictReader(stream)]
    low, high = min(x for x, _ in rows), max(x for x, _ in rows)
    candidates = [low + (high - low) * number / n_estimators for number in range(n_estimators)]
    hits = {each: sum((x > each) == bool(target) for x, target in rows) for each in candidates}
    threshold = max(candidates, key=lambda each: hits[each])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.json")
        file.write_text(json.dumps({"threshold": threshold}))
        model = current().save(file, Model, name="threshold", metadata={"n_estimators": n_estimators})
    numbers = {"train_accuracy": hits[threshold] / len(rows), "n_estimators": n_estimators}
    return {"model": model, "metrics": current().save_metrics(numbers, name="training")}


@task(resources={"cpu": 1})
def describe(model: Model, cleaning: Metrics, training: Metrics) -> dict[str, Any]:
    """What the run came to, for a person."""
    return {**json.loads(model.path().read_text()), **cleaning.numbers, **training.numbers}


@dag(description="Daily ML model training pipeline", tags=["example"], runs_active_max=1, defaults={"timeout": "2h"})
def typed_artifacts(input_path: File, n_estimators: Count = 200) -> None:
    preprocessed = preprocess(input_path)
    trained = train(preprocessed["dataset"], n_estimators)
    describe(trained["model"], preprocessed["metrics"], trained["metrics"])
