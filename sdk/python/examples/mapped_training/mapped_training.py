"""The DAG `mapped_training`: extract from each source, merge, compute features, train on a GPU that runs share.

Tasks are plain functions: a test calls them. Of a source `<folder>/<source>/<date>.csv` is read, a row per customer.
"""

from __future__ import annotations

import csv
import json
import logging
import math
import statistics
from pathlib import Path
from typing import Annotated

from glidepath import dag, dated, task

Row = dict[str, float]
Folder = Annotated[str, "absolute, and shared by the workers", {"pattern": "^/"}]
log = logging.getLogger(__name__)

SOURCES, WEIGHTS = ["clickstream", "transactions"], [1.0, 2.0]
HYPERPARAMS = {"rounds": 200.0, "learning_rate": 0.1}
FEATURES = {"amount": "log", "visits": "zscore"}


@task(retries=3, retry_delay=[60, 300, 900], cache="12h", map_name="{{ map_item.source }}")
def extract(date: str, folder: str, source: str, weight: float) -> list[Row]:
    """The rows of one source. An equal call of the last twelve hours is taken instead of another reading."""
    print(f"extracting {source} of {date}")
    with Path(folder, source, f"{date}.csv").open(newline="") as stream:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)]
    log.info("%s has %d rows", source, len(rows))
    return [{**row, "weight": weight} for row in rows]


@task
def merge(tables: list[list[Row]]) -> list[Row]:
    """The rows of all sources, in the order of the sources."""
    return [row for table in tables for row in table]


@task(retries=2, retry_delay=120)
def compute_features(rows: list[Row], features: dict[str, str]) -> list[Row]:
    """A column more for each feature: the logarithm of a column, or how far its values lie from their mean."""
    made = [dict(row) for row in rows]
    for name, kind in features.items():
        values = [row[name] for row in rows]
        mean, spread = statistics.fmean(values), statistics.pstdev(values) or 1.0
        for row, value in zip(made, values, strict=True):
            row[f"{name}_{kind}"] = math.log1p(max(0.0, value)) if kind == "log" else (value - mean) / spread
    return made


@task(retries=1, timeout=7200, limits={"gpu-training": 1})
def train(rows: list[Row], hyperparams: dict[str, float], tracker: str) -> dict[str, float]:
    """Fit a line from the logarithm of the amount to what stays, and tell the tracker."""
    slope, step = 0.0, hyperparams["learning_rate"]
    for _ in range(int(hyperparams["rounds"])):
        errors = [(row["amount_log"] * slope - row["stays"], row) for row in rows]
        slope -= step * sum(error * row["amount_log"] * row["weight"] for error, row in errors) / len(rows)
    loss = statistics.fmean((row["amount_log"] * slope - row["stays"]) ** 2 for row in rows)
    metrics = {"slope": round(slope, 6), "loss": round(loss, 6), "rows": float(len(rows))}
    if tracker:
        with Path(tracker).open("a") as stream:
            stream.write(json.dumps({**hyperparams, **metrics}) + "\n")
    return metrics


@dag(defaults={"queue": "ml-gpu"}, run_retries=1)
def mapped_training(
    folder: Folder,
    date: str = dated("{{ ds }}"),
    sources: list[str] = SOURCES,
    weights: list[float] = WEIGHTS,
    hyperparams: dict[str, float] = HYPERPARAMS,
    tracker: str = "",
) -> None:
    """Train on what several sources say of a day."""
    tables = extract.partial(date=date, folder=folder).map(source=sources, weight=weights)
    rows = compute_features(merge(tables), FEATURES)
    train(rows, hyperparams, tracker)
