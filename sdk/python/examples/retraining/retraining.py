"""The DAG `retraining`: each day's events make a recommendation model, and a good one gets a share of the traffic.

Everything of a day lies in `<folder>/daily/<day>` under names that do not change, each file put in place as a whole, so
that a day can be run again. `<folder>/production.json` has the metrics of the model in production. The bodies are small
on purpose: what is worth reading here is what the scheduler does around them.
"""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Annotated, Any, TypedDict

from glidepath import Defer, Fail, current, dag, task

POKE_SECONDS, WAIT_SECONDS_MAX = 300, 3600
ROWS_MIN, HOLES_MAX = 4, 0.0

Folder = Annotated[str, "absolute, and shared by the workers", {"pattern": "^/"}]
Share = Annotated[float, "how much worse than production a model may be, as a share", {"minimum": 0, "maximum": 1}]
Percent = Annotated[int, "of the traffic that a new model gets at first", {"minimum": 1, "maximum": 100}]


class Statistics(TypedDict):
    """What a day's file is like."""

    path: str
    rows: int
    users: int
    holes: float


class Trained(TypedDict):
    """A model, and how well it does on the events that it has not seen."""

    path: str
    ndcg_at_10: float


class Verdict(TypedDict):
    """A model that may be deployed, and how much better than production's it is."""

    model: str
    ndcg_at_10: float
    improvement: float


@task(isolation="inline", wait_timeout=WAIT_SECONDS_MAX)
def wait_for_events(path: str) -> str:
    """Look every five minutes, for an hour at most. Each look is an attempt of a moment: no slot is held in between."""
    if not Path(path).is_file():
        raise Defer(after=POKE_SECONDS)
    return path


@task
def validate(path: str) -> Statistics:
    """Refuse a file that is too small or has holes, with its statistics: another attempt would read the same."""
    rows = _read(path)
    cells = [value for row in rows for value in row.values()]
    holes = sum(not value for value in cells) / max(1, len(cells))
    found = Statistics(path=path, rows=len(rows), users=len({row.get("user") for row in rows}), holes=round(holes, 4))
    if found["rows"] < ROWS_MIN or found["holes"] > HOLES_MAX:
        raise Fail(f"at least {ROWS_MIN} rows and no holes were expected; found {json.dumps(found)}")
    return found


@task
def compute_features(path: str) -> dict[str, float]:
    """Of each item, the share of those who saw it that took it."""
    seen: dict[str, list[int]] = {}
    for row in _read(path)[::2]:  # the other half of the events is held out
        seen.setdefault(row["item"], []).append(int(row["taken"]))
    return {item: sum(taken) / len(taken) for item, taken in seen.items()}


@task
def train(features: dict[str, float], path: str, to: str) -> Trained:
    """The model is an order of the items, best first; its NDCG@10 is that of the events held out."""
    order = sorted(features, key=lambda item: (-features[item], item))
    _write(to, {"order": order})
    taken = {row["item"] for row in _read(path)[1::2] if row["taken"] == "1"}
    gains = [1 / math.log2(place + 2) for place, item in enumerate(order[:10]) if item in taken]
    best = sum(1 / math.log2(place + 2) for place in range(min(10, len(taken))))
    return {"path": to, "ndcg_at_10": sum(gains) / best if best else 0.0}


@task
def evaluate(model: Trained, production: str, max_regression: float) -> Verdict:
    """Hold the model against production's metrics; a larger regression than is allowed fails: nothing is deployed."""
    new = model["ndcg_at_10"]
    before = json.loads(Path(production).read_text())["ndcg_at_10"] if Path(production).exists() else 0.0
    if new < before * (1 - max_regression):
        raise Fail(
            f"NDCG@10 is {new:.4f}, {1 - new / before:.2%} below production's {before:.4f}; "
            f"{max_regression:.2%} is allowed"
        )
    return {"model": model["path"], "ndcg_at_10": new, "improvement": new - before}


@task(trigger_rule="all_success")
def deploy(verdict: Verdict, statistics: Statistics, canary: str, canary_percent: int) -> dict[str, Any]:
    """Give the model its share of the traffic. The idempotency key is the same in a retry: a serving system that is
    told it would take the second call for the first."""
    deployed = {
        **verdict,
        "rows": statistics["rows"],
        "canary_percent": canary_percent,
        "key": current().idempotency_key,
    }
    _write(canary, deployed)
    return deployed


@dag(
    description="Daily retraining of the recommendation model",
    owner="ml-team",
    tags=["ml", "training", "recommendations"],
    runs_active_max=1,
    defaults={
        "owner": "ml-team",
        "retries": 3,
        "retry_delay": "5m",
        "retry_backoff": 2,
        "retry_delay_max": "60m",
        "timeout": "4h",
    },
)
def retraining(folder: Folder, max_regression: Share = 0.01, canary_percent: Percent = 10) -> None:
    day = f"{folder}/daily/{{{{ ds }}}}"
    path = wait_for_events(f"{day}/events.csv")
    statistics = validate(path)
    features = compute_features(statistics["path"])
    model = train(features, statistics["path"], f"{day}/model.json")
    verdict = evaluate(model, f"{folder}/production.json", max_regression)
    deploy(verdict, statistics, f"{day}/canary.json", canary_percent)


def _read(path: str) -> list[dict[str, str]]:
    with Path(path).open(newline="") as stream:
        return list(csv.DictReader(stream))


def _write(path: str, value: dict[str, Any]) -> None:
    aside = Path(f"{path}.part")
    aside.write_text(json.dumps(value, indent=2) + "\n")
    aside.replace(path)
