"""The DAG `large_graph`: from ingestion to deployment in 54 tasks, one of them mapped over a run's trials.

The bodies are arithmetic: they stand for jobs of hours, and show how a graph of this size is written, run and mended.
They are done inside the worker (`isolation="inline"`); real ones would run in processes of their own, the default.
"""

from __future__ import annotations

from typing import TypedDict

from glidepath import Skip, dag, group, task

SOURCES = ("clicks", "orders", "payments", "sessions", "catalog", "reviews")
FEATURES = ("recency", "frequency", "amount", "affinity", "season", "trend", "embedding", "session_length")
VARIANTS = ("linear", "forest", "boosting", "factorization", "two_tower", "transformer")
COHORTS = ("new", "returning", "dormant")
REGIONS = ("north", "south", "east")


class Model(TypedDict):
    """A model that was trained, and its score: higher is better."""

    name: str
    rate: float
    score: float


class Judged(TypedDict):
    """A model as a cohort of users sees it, beside production's score there."""

    cohort: str
    score: float
    production: float


@task
def ingest(source: str, day: str) -> int:
    """The number of rows that came in."""
    return 100 * len(source) + int(day[-2:])


@task(retries=2, retry_delay="30s")
def clean(rows: int) -> int:
    return rows - rows % 10


@task
def validate(source: str, rows: int) -> int:
    if rows < 100:
        raise ValueError(f"{source} has {rows} rows; at least 100 were expected")
    return rows


@task
def join(rows: list[int]) -> int:
    return sum(rows)


@task
def compute(feature: str, rows: int) -> float:
    return round(len(feature) / rows, 6)


@task
def check_drift(features: list[float]) -> bool:
    return max(features) > 10 * min(features)


@task
def split(features: list[float], drifted: bool) -> dict[str, float]:
    """What goes into training, and what is held out."""
    return {"train": sum(features), "test": max(features) / (2 if drifted else 1)}


@task
def train(variant: str, data: float) -> Model:
    return {"name": variant, "rate": 0.1, "score": round(len(variant) / (10 + data), 6)}


@task
def choose(models: list[Model]) -> Model:
    return max(models, key=lambda model: (model["score"], model["name"]))


@task
def propose(model: Model, trials: int) -> list[float]:
    """The learning rates that are worth a trial; how many that is, the run says."""
    return [round(model["rate"] * (number + 1) / 4, 4) for number in range(trials)]


@task(map_name="rate {{ map_item.rate }}", map_success_ratio_min=0.75)
def try_rate(rate: float, model: Model) -> Model:
    return {"name": model["name"], "rate": rate, "score": round(model["score"] - (rate - 0.1) ** 2, 6)}


@task
def retrain(trials: list[Model | None]) -> Model:
    """The best of the trials that came to an end."""
    return max((each for each in trials if each), key=lambda model: model["score"])


@task
def evaluate(cohort: str, model: Model) -> Judged:
    return {"cohort": cohort, "score": model["score"], "production": model["score"] - 0.01 * len(cohort)}


@task
def analyse(cohort: Judged) -> float:
    """How much better the model did than production in an A/B test of this cohort."""
    return round(cohort["score"] - cohort["production"], 6)


@task
def worth_it(gains: list[float]) -> float:
    """Without a gain in each cohort nothing is registered and deployed."""
    if min(gains) <= 0:
        raise Skip(f"of the gains {gains} not all are above 0")
    return min(gains)


@task
def register(model: Model, run_id: str) -> str:
    return f"{model['name']}@{run_id}"


@task
def deploy(region: str, version: str) -> str:
    return f"{version} in {region}"


@task
def probe(deployed: str) -> bool:
    return "@" in deployed


@task(trigger_rule="all_done")
def report(healthy: list[bool | None], day: str) -> str:
    """Told however it ended; None stands for a region that was not deployed to."""
    return f"{day}: {sum(map(bool, healthy))} of {len(healthy)} regions"


@dag(tags=["example"], defaults={"isolation": "inline", "timeout": "1m"})
def large_graph(day: str = "2026-03-05", trials: int = 8) -> None:
    """From ingestion to deployment, in the manner of a recommender that is trained anew each day."""
    with group("ingestion"):
        raw = {source: ingest.options(task_id=f"ingest_{source}")(source, day) for source in SOURCES}
        cleaned = {source: clean.options(task_id=f"clean_{source}")(rows) for source, rows in raw.items()}
        valid = [validate.options(task_id=f"validate_{source}")(source, rows) for source, rows in cleaned.items()]
    with group("features"):
        rows = join(valid)
        features = [compute.options(task_id=feature)(feature, rows) for feature in FEATURES]
        data = split(features, check_drift(features))
    with group("training"):
        chosen = choose([train.options(task_id=variant)(variant, data["train"]) for variant in VARIANTS])
    with group("tuning"):
        model = retrain(try_rate.partial(model=chosen).map(rate=propose(chosen, trials)))
    with group("evaluation"):
        judged = [evaluate.options(task_id=f"evaluate_{cohort}")(cohort, model) for cohort in COHORTS]
        gains = [analyse.options(task_id=f"ab_{cohort}")(each) for cohort, each in zip(COHORTS, judged, strict=True)]
    with group("deployment"):
        version = register(model, "{{ run_id }}")
        worth_it(gains) >> version
        deployed = [deploy.options(task_id=f"deploy_{region}")(region, version) for region in REGIONS]
        healthy = [
            probe.options(task_id=f"probe_{region}")(each) for region, each in zip(REGIONS, deployed, strict=True)
        ]
    report(healthy, day)
