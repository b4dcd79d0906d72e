"""The example `retraining`, on the clock of the test kit: hours of waiting and of retries pass at once."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from glidepath import Dag, load_dags
from glidepath.authoring.convert import to_spec
from glidepath.testing import RunResult, run_dag
from glidepath.testing.results import AttemptResult

FILE = Path(__file__).resolve().parents[2] / "examples" / "retraining" / "retraining.py"
DAY = datetime(2026, 3, 5, 2, tzinfo=UTC)
EVENTS = "user,item,taken\n" + "".join(f"u{n},i{n // 2 % 3},{int(n // 2 % 3 > 0)}\n" for n in range(12))


@pytest.fixture
def retraining() -> Dag:
    loaded = load_dags(FILE)
    assert not loaded.errors
    return loaded.dags[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "daily" / "2026-03-05").mkdir(parents=True)
    (tmp_path / "daily" / "2026-03-05" / "events.csv").write_text(EVENTS)
    return tmp_path


def run(retraining: Dag, folder: Path, **options: Any) -> RunResult:
    return run_dag(retraining, {"folder": str(folder)}, logical_date=DAY, start_time=DAY, **options)


def minutes_between(attempts: list[AttemptResult]) -> list[float]:
    return [(after.start_time - before.end_time) / timedelta(minutes=1) for before, after in pairwise(attempts)]


def test_a_day_goes_to_a_tenth_of_the_traffic(retraining: Dag, folder: Path) -> None:
    result = run(retraining, folder).check()
    assert set(result.states.values()) == {"success"}
    deployed: Any = result["deploy"].output
    assert (deployed["canary_percent"], deployed["rows"]) == (10, 12)
    assert deployed["ndcg_at_10"] == deployed["improvement"] == pytest.approx(1.0)
    assert json.loads((folder / "daily" / "2026-03-05" / "canary.json").read_text()) == deployed


def test_tasks_inherit_the_defaults_of_the_dag(retraining: Dag) -> None:
    spec = to_spec(retraining, None)
    assert (spec.owner, list(spec.tags)) == ("ml-team", ["ml", "training", "recommendations"])
    assert spec.description == "Daily retraining of the recommendation model" and spec.runs_active_max == 1
    assert spec.defaults.owner == "ml-team" and spec.defaults.execution_timeout.ToTimedelta() == timedelta(hours=4)
    assert not any(each.policy.HasField("retry") or each.policy.HasField("execution_timeout") for each in spec.tasks)


def test_retries_wait_5_10_and_20_minutes_and_then_it_fails(retraining: Dag, folder: Path) -> None:
    result = run(retraining, folder, fail={"train": True})
    assert minutes_between(result["train"].attempts) == [5, 10, 20]
    assert result["train"].state == "failed" and result["deploy"].state == "upstream_failed"


def test_delays_double_up_to_an_hour(retraining: Dag, folder: Path) -> None:
    patient = Dag(retraining.function, dag_id="patient", defaults={**retraining.defaults, "retries": 6})
    result = run(patient, folder, fail={"train": True})
    assert minutes_between(result["train"].attempts) == [5, 10, 20, 40, 60, 60]


def test_an_attempt_of_more_than_four_hours_ends(retraining: Dag, folder: Path) -> None:
    first = run(retraining, folder, takes={"train": "5h"})["train"].attempts[0]
    assert first.state == "timed_out" and first.end_time - first.start_time == timedelta(hours=4)


def test_it_looks_every_five_minutes_until_the_file_of_its_day_is_there(retraining: Dag, folder: Path) -> None:
    wait = next(node.function for node in retraining.nodes if node.task_id == "wait_for_events")
    assert wait is not None
    (folder / "daily" / "2026-03-05" / "events.csv").rename(folder / "late.csv")
    looks: list[str] = []

    def look(path: str) -> Any:
        looks.append(path)
        if len(looks) == 4:
            (folder / "late.csv").rename(path)
        return wait(path)

    attempts = run(retraining, folder, replace={"wait_for_events": look}).check()["wait_for_events"].attempts
    assert looks == [f"{folder}/daily/2026-03-05/events.csv"] * 4
    assert [each.state for each in attempts] == ["deferred"] * 3 + ["success"]
    assert minutes_between(attempts) == [5, 5, 5]
    assert all(each.start_time == each.end_time for each in attempts)


def test_after_an_hour_it_gives_up(retraining: Dag, folder: Path) -> None:
    (folder / "daily" / "2026-03-05" / "events.csv").unlink()
    result = run(retraining, folder)
    waited = result["wait_for_events"]
    assert minutes_between(waited.attempts) == [5] * 12
    assert waited.attempts[-1].end_time - waited.attempts[0].start_time == timedelta(hours=1)
    assert waited.state == "failed" and "wait_timeout" in waited.reason
    assert result["deploy"].state == "upstream_failed"


def test_a_bad_file_fails_with_its_statistics_and_is_read_once(retraining: Dag, folder: Path) -> None:
    path = folder / "daily" / "2026-03-05" / "events.csv"
    path.write_text("user,item,taken\nu1,i1,\nu2,i1,1\n")
    validated = run(retraining, folder)["validate"]
    assert validated.state == "failed" and len(validated.attempts) == 1
    assert '"rows": 2, "users": 2, "holes": 0.1667' in validated.reason


@pytest.mark.parametrize(("regression", "deployed"), [(0.009, "success"), (0.011, "upstream_failed")])
def test_one_percent_of_regression_is_allowed_and_no_more(
    retraining: Dag, folder: Path, regression: float, deployed: str
) -> None:
    (folder / "production.json").write_text('{"ndcg_at_10": 0.8}')
    model = {"path": "model.json", "ndcg_at_10": 0.8 * (1 - regression)}
    result = run(retraining, folder, replace={"train": model})
    assert result["deploy"].state == deployed
    assert (folder / "daily" / "2026-03-05" / "canary.json").exists() == (deployed == "success")
    if deployed != "success":
        assert len(result["evaluate"].attempts) == 1
        assert "1.10% below production's 0.8000; 1.00% is allowed" in result["evaluate"].reason


def test_it_is_not_deployed_unless_everything_succeeded(retraining: Dag, folder: Path) -> None:
    for broken in ("validate", "compute_features", "train", "evaluate"):
        result = run(retraining, folder, fail={broken: True})
        assert result["deploy"].state == "upstream_failed" and not result["deploy"].attempts


def test_a_day_run_twice_leaves_the_same_files(retraining: Dag, folder: Path) -> None:
    def files() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    run(retraining, folder).check()
    first = files()
    run(retraining, folder).check()
    assert files() == first and len(first) == 3
