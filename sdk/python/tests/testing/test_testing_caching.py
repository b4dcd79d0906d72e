"""run_dag(cache=...): equal calls take what an earlier call of the test kept, on its virtual clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from glidepath import dag, task
from glidepath.testing import Cache, run_dag

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
calls: list[Any] = []


@task(cache="12h", cache_ignore=["debug"])
def features(day: str, debug: bool = False) -> dict[str, int]:
    calls.append(day)
    return {"rows": len(day)}


@task
def train(rows: int) -> int:
    return rows * 2


@dag
def churn(day: str, debug: bool = False) -> None:
    train(features(day, debug=debug)["rows"])


@task(cache="forever", cache_key="{{ ds }}")
def daily() -> int:
    return len(calls)


@dag
def dated() -> None:
    daily()


def ran(cache: Cache | None, at: datetime = NOON, **params: Any) -> list[str]:
    """The tasks of which an attempt was made, in a run that succeeded."""
    result = run_dag(churn, {"day": "Tuesday", **params}, start_time=at, cache=cache).check()
    assert result.outputs["train"] == 2 * len(params.get("day", "Tuesday"))
    return [task_id for task_id, each in result.tasks.items() if each.attempts]


def test_a_second_run_with_equal_input_takes_the_result_and_after_its_time_runs() -> None:
    cache: Cache = {}
    assert ran(cache) == ["features", "train"]
    assert ran(cache, NOON + timedelta(hours=11)) == ["train"]
    assert ran(cache, NOON + timedelta(hours=12)) == ["features", "train"]
    assert ran(cache, NOON + timedelta(hours=13)) == ["train"], "the newer result is kept"


def test_without_a_cache_every_run_runs() -> None:
    assert ran(None) == ran(None) == ["features", "train"]


def test_another_value_runs_and_one_that_does_not_count_does_not() -> None:
    cache: Cache = {}
    ran(cache)
    assert ran(cache, debug=True) == ["train"]
    assert ran(cache, day="Wednesday") == ["features", "train"]


def test_a_result_that_was_taken_is_told() -> None:
    cache: Cache = {}
    run_dag(churn, {"day": "Tuesday"}, start_time=NOON, cache=cache, run_key="first")
    result = run_dag(churn, {"day": "Tuesday"}, start_time=NOON, cache=cache)
    assert result["features"].reason == f"cached: result of run first of {NOON.isoformat()}"
    assert result["features"].output == {"rows": 7}
    assert result.started == ["train"]


def test_an_own_key_counts_instead_of_the_arguments() -> None:
    cache: Cache = {}
    first = run_dag(dated, logical_date=NOON, cache=cache)
    assert first["daily"].attempts
    assert not run_dag(dated, logical_date=NOON + timedelta(hours=1), cache=cache)["daily"].attempts
    assert run_dag(dated, logical_date=NOON + timedelta(days=1), cache=cache)["daily"].attempts


def test_a_failure_is_not_kept() -> None:
    cache: Cache = {}
    assert run_dag(churn, {"day": "Tuesday"}, start_time=NOON, cache=cache, fail={"features": True}).state == "failed"
    assert ran(cache) == ["features", "train"]


@task(cache="forever")
def square(number: int) -> int:
    calls.append(number)
    return number * number


@dag
def squares(numbers: list[int]) -> None:
    square.map(number=numbers)


def test_each_instance_of_a_mapped_task_takes_its_own() -> None:
    cache: Cache = {}
    assert run_dag(squares, {"numbers": [1, 2, 3]}, cache=cache).check().outputs["square"] == [1, 4, 9]
    calls.clear()
    assert run_dag(squares, {"numbers": [3, 4, 1]}, cache=cache).check().outputs["square"] == [9, 16, 1]
    assert calls == [4]
