"""The DAG `training`: wait for a day's file, check it, train four models, and let the best one into production.

A day's run owns `<output_dir>/days/<day>`; everything there is written aside and moved into place, under the same names
each time, so running a day again replaces its files and adds none. `<output_dir>/production.json` names the model in
production and is the only file that days share. Values travel between the tasks as JSON, data and models as paths.

scikit-learn is imported by the tasks that need it: the others start without waiting for it.
"""

from __future__ import annotations

import csv
import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from glidepath import Defer, Fail, Skip, dag, dated, group, task

if TYPE_CHECKING:
    import numpy as np
    from sklearn.base import ClassifierMixin

TARGET = "benign"
ROWS_MIN = 100
SHARE_MIN = 0.1  # of the rarer class: below it, accuracy on the held-out rows says little
POKE_SECONDS = 1.0
WAIT_HOURS_MAX = 2
MODELS = ("logistic_regression", "nearest_neighbours", "random_forest", "gradient_boosting")

Day = Annotated[str, "the day to train for", {"pattern": r"^\d{4}-\d{2}-\d{2}$"}]
THE_RUNS_DAY: Day = dated("{{ ds }}")
"""The day of the run's logical date: a schedule needs no other."""
Folder = Annotated[str, "absolute, because workers have working folders of their own", {"pattern": "^/"}]
Share = Annotated[float, "how much worse than production a model may be, as a share", {"minimum": 0, "maximum": 1}]


@task(isolation="inline", wait_timeout=WAIT_HOURS_MAX * 3600)
def wait_for_file(day: str, data_dir: str) -> str:
    """Give the path of the day's file once it is there; each look is an attempt, and no slot is held in between."""
    file = Path(data_dir, f"{day}.csv")
    if not file.is_file():
        raise Defer(after=POKE_SECONDS)
    return str(file)


@task
def validate(file: str) -> dict[str, Any]:
    """Refuse a file that is too small, has holes or hardly any of one class. Another attempt would read the same."""
    with Path(file).open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    labels = [row.get(TARGET) for row in rows]
    share = labels.count("1") / len(rows) if rows else 0.0
    holes = sum(not _is_number(value) for row in rows for value in row.values())
    statistics = {"rows": len(rows), "columns": len(rows[0]) if rows else 0, "holes": holes, "share": round(share, 4)}
    wrong = [
        *([f"column '{TARGET}' holds other values than 0 and 1"] if set(labels) - {"0", "1"} else []),
        *([f"fewer than {ROWS_MIN} rows"] if len(rows) < ROWS_MIN else []),
        *(["cells that are no number"] if holes else []),
        *([f"one class has less than {SHARE_MIN:.0%} of the rows"] if min(share, 1 - share) < SHARE_MIN else []),
    ]
    if wrong:
        raise Fail(f"{file}: {'; '.join(wrong)}; found {json.dumps(statistics)}")
    return {"path": file, **statistics}


@task
def features(file: str, day: str, output_dir: str) -> dict[str, Any]:
    """Add how far the worst value of each measure lies from its mean, and hold a quarter of the rows out."""
    import numpy as np
    from sklearn.model_selection import train_test_split

    with Path(file).open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    labels = np.array([int(row.pop(TARGET)) for row in rows])
    values = np.array([[float(value) for value in row.values()] for row in rows])
    names = list(rows[0])
    ratios = [
        values[:, names.index(f"worst {name[5:]}")] / np.maximum(values[:, names.index(name)], 1e-9)
        for name in names
        if name.startswith("mean ")
    ]
    table = np.column_stack([values, *ratios])
    parts = train_test_split(table, labels, test_size=0.25, random_state=0, stratify=labels)
    path = _day_folder(output_dir, day) / "features.npz"
    with _Replacing(path) as aside, aside.open("wb") as archive:
        np.savez(archive, **dict(zip(("x_train", "x_test", "y_train", "y_test"), parts, strict=True)))
    return {"path": str(path), "columns": table.shape[1], "train": len(parts[0]), "test": len(parts[1])}


@task(pool="training", timeout="10m")
def train(table: str, model: str) -> dict[str, Any]:
    """Fit one kind of model and say how it does on the rows held out."""
    import joblib

    data = _load(table)
    estimator = _make(model).fit(data["x_train"], data["y_train"])
    path = Path(table).with_name(f"{model}.joblib")
    with _Replacing(path) as aside:
        joblib.dump(estimator, aside)
    metrics = _score(estimator, data)
    print(f"{model}: accuracy {metrics['accuracy']:.4f}, ROC AUC {metrics['roc_auc']:.4f}")
    return {"model": model, "path": str(path), **metrics}


@task
def evaluate(models: list[dict[str, Any]], table: str, output_dir: str, max_regression: float) -> dict[str, Any]:
    """Hold the best of the models against the one in production, on the same rows of this day."""
    import joblib

    best = max(models, key=lambda each: (each["roc_auc"], each["accuracy"]))
    verdict: dict[str, Any] = {"best": best, "production": None, "deploy": True, "reason": "nothing is in production"}
    current = _read_production(output_dir)
    if current is not None:
        score = _score(joblib.load(current["path"]), _load(table))
        least = score["roc_auc"] * (1 - max_regression)
        better = best["roc_auc"] >= least
        verdict |= {
            "production": {"day": current["day"], "model": current["model"], **score},
            "deploy": better,
            "reason": f"{best['model']} has ROC AUC {best['roc_auc']:.4f}, {'at least' if better else 'less than'} "
            f"the {least:.4f} that production ({current['model']} of {current['day']}) allows",
        }
    return verdict


@task
def deploy_or_not(verdict: dict[str, Any]) -> dict[str, Any]:
    """Let the model pass, or end as skipped with the reason: a model that is not good enough is no failed run."""
    if not verdict["deploy"]:
        raise Skip(verdict["reason"])
    return cast("dict[str, Any]", verdict["best"])


@task
def register_model(chosen: dict[str, Any], day: str, output_dir: str) -> dict[str, Any]:
    """Write the day's model and metrics, then make it production's: last, so what production names is complete."""
    folder = _day_folder(output_dir, day)
    model = folder / "model.joblib"
    with _Replacing(model) as aside:
        aside.write_bytes(Path(chosen["path"]).read_bytes())
    registered = {**chosen, "day": day, "path": str(model)}
    _write_json(folder / "metrics.json", registered)
    _write_json(_production_file(output_dir), registered)
    return registered


@dag(tags=["example"], defaults={"retries": 1, "retry_delay": "2s", "timeout": "5m"})
def training(data_dir: Folder, output_dir: Folder, day: Day = THE_RUNS_DAY, max_regression: Share = 0.01) -> None:
    """Train on one day's file and put the best model into production, unless it is worse than what is there."""
    checked = validate(wait_for_file(day, data_dir))
    table = features(checked["path"], day, output_dir)
    with group("models"):
        models = [train.options(task_id=model)(table["path"], model) for model in MODELS]
    verdict = evaluate(models, table["path"], output_dir, max_regression)
    register_model(deploy_or_not(verdict), day, output_dir)


def _is_number(text: object) -> bool:
    try:
        return math.isfinite(float(cast("str", text)))
    except (TypeError, ValueError):
        return False


def _make(model: str) -> ClassifierMixin:
    """A fixed seed: the same day gives the same model. Scaling is part of it, so production scores any day's rows."""
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    estimators = {
        "logistic_regression": lambda: LogisticRegression(max_iter=1000),
        "nearest_neighbours": lambda: KNeighborsClassifier(n_neighbors=7),
        "random_forest": lambda: RandomForestClassifier(n_estimators=200, random_state=0),
        "gradient_boosting": lambda: GradientBoostingClassifier(random_state=0),
    }
    return make_pipeline(StandardScaler(), estimators[model]())


def _score(estimator: Any, data: dict[str, np.ndarray]) -> dict[str, float]:
    from sklearn.metrics import accuracy_score, roc_auc_score

    chances = estimator.predict_proba(data["x_test"])[:, 1]
    return {
        "accuracy": float(accuracy_score(data["y_test"], chances >= 0.5)),
        "roc_auc": float(roc_auc_score(data["y_test"], chances)),
    }


def _load(table: str) -> dict[str, np.ndarray]:
    import numpy as np

    with np.load(table) as arrays:
        return dict(arrays)


def _day_folder(output_dir: str, day: str) -> Path:
    folder = Path(output_dir, "days", day)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _production_file(output_dir: str) -> Path:
    return Path(output_dir, "production.json")


def _read_production(output_dir: str) -> dict[str, Any] | None:
    try:
        return cast("dict[str, Any]", json.loads(_production_file(output_dir).read_text()))
    except FileNotFoundError:
        return None


def _write_json(path: Path, value: dict[str, Any]) -> None:
    with _Replacing(path) as aside:
        aside.write_text(json.dumps(value, indent=2) + "\n")


class _Replacing:
    """`with _Replacing(path) as aside`: what is written aside takes the place of `path` as a whole, or not at all.

    The name is the process's own: an attempt that was given up may still be writing while its successor does.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._aside = path, path.with_name(f".{path.name}.{os.getpid()}")

    def __enter__(self) -> Path:
        return self._aside

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._aside.replace(self._path)
        else:
            self._aside.unlink(missing_ok=True)
