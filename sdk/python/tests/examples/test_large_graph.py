"""The example `large_graph` in this process; on a real server it is run by the tests of the whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from glidepath import Dag, load_dags
from glidepath.testing import run_dag

FILE = Path(__file__).resolve().parents[2] / "examples" / "large_graph" / "large_graph.py"


@pytest.fixture(scope="module")
def large_graph() -> Dag:
    loaded = load_dags(FILE)
    assert not loaded.errors
    return loaded.dags[0]


def test_it_has_more_than_fifty_tasks_and_each_of_them_does_its_part(large_graph: Dag) -> None:
    result = run_dag(large_graph).check()
    assert len(result) == 54 and set(result.states.values()) == {"success"}
    groups = {task_id.partition(".")[0] for task_id in result}
    assert groups == {"ingestion", "features", "training", "tuning", "evaluation", "deployment", "report"}
    assert result.outputs["training.choose"]["name"] == "factorization"  # type: ignore[index]
    assert result.outputs["report"] == "2026-03-05: 3 of 3 regions"


@pytest.mark.parametrize("trials", [1, 20])
def test_the_run_says_how_many_trials_there_are(large_graph: Dag, trials: int) -> None:
    result = run_dag(large_graph, {"trials": trials}).check()
    assert len(result["tuning.try_rate"].instances) == trials


def test_of_eight_trials_two_may_fail_and_three_may_not(large_graph: Dag) -> None:
    two = run_dag(large_graph, fail={f"tuning.try_rate[{number}]": True for number in (3, 7)}).check()
    assert two["tuning.try_rate"].instances[3].state == "failed"
    assert two.outputs["tuning.retrain"]["rate"] == 0.075  # type: ignore[index]
    three = run_dag(large_graph, fail={f"tuning.try_rate[{number}]": True for number in (0, 3, 7)})
    assert three.state == "failed" and three["deployment.register"].state == "upstream_failed"


def test_without_a_gain_nothing_is_deployed_and_it_is_reported_all_the_same(large_graph: Dag) -> None:
    result = run_dag(large_graph, replace={"evaluation.ab_dormant": -0.1}).check()
    assert result["deployment.worth_it"].reason == "of the gains [0.03, 0.09, -0.1] not all are above 0"
    assert {result[f"deployment.deploy_{region}"].state for region in ("north", "south", "east")} == {"skipped"}
    assert result.outputs["report"] == "2026-03-05: 0 of 3 regions"


def test_one_source_that_fails_stops_what_needs_it_and_no_more(large_graph: Dag) -> None:
    result = run_dag(large_graph, fail={"ingestion.validate_orders": True})
    assert result["ingestion.validate_clicks"].state == "success"
    assert result["features.join"].state == result["deployment.register"].state == "upstream_failed"
