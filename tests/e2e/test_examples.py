"""The examples of the Python SDK on a real server with real workers: what one process cannot show."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from real_house import House

from glidepath import load_dags
from glidepath_proto.run.v1.run_pb2 import (
    RUN_STATE_FAILED,
    RUN_STATE_SUCCESS,
    TASK_STATE_DEFERRED,
    Explanation,
    TaskInstance,
)

EXAMPLES = Path(__file__).parents[2] / "sdk" / "python" / "examples"
DAY = "2026-03-05"


@pytest.fixture(scope="module")
def served(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with ExitStack() as parts:
        house = House(parts, module_database_url, tmp_path_factory.mktemp("house"))
        house.client.set_limit("gpu-training", 1)
        for name in ("retraining", "mapped_training", "typed_artifacts", "large_graph"):
            loaded = load_dags(EXAMPLES / name)
            assert not loaded.errors
            for each in loaded.dags:
                house.client.register(each)
        yield house


@pytest.fixture
def house(served: House) -> Iterator[House]:
    """The server without a worker; those that a test starts end with it."""
    with ExitStack() as served.parts:
        yield served


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A folder with what `mapped_training` reads of the day, and a pipe for each of two trackers.

    Who writes to a pipe waits until somebody reads: so a training lasts until the test says so.
    """
    for source in ("clickstream", "transactions"):
        (tmp_path / source).mkdir()
        (tmp_path / source / f"{DAY}.csv").write_text("amount,visits,stays\n9,1,1\n0,2,0\n")
    for name in ("one", "two"):
        os.mkfifo(tmp_path / name)
    return tmp_path


def one_in(house: House, state: str, run_id: str, task_id: str = "") -> TaskInstance:
    """A task instance of the run, or an instance of this mapped task, once there is one in this state."""
    return house.server.wait_until(
        f"had one {state}",
        lambda: next(iter(house.client.list_task_instances(run_id, task_id=task_id, states=[state])), None),
    )


def explained(house: House, run_id: str, task_id: str) -> Explanation:
    return next(each for each in house.client.explain_dag_run(run_id, task_id).explanations if each.map_index < 0)


def test_two_runs_at_once_train_one_after_the_other(house: House, sources: Path) -> None:
    house.python_worker("gpu", "--queue", "ml-gpu", slots=4)
    runs = {}
    for name in ("one", "two"):
        params = {"folder": str(sources), "date": DAY, "tracker": str(sources / name)}
        runs[house.client.trigger("mapped_training", params=params).dag_run_id] = sources / name

    def one_trains_and_one_waits() -> list[str] | None:
        found = [explained(house, run_id, "train").wait for run_id in runs]
        assert found.count(Explanation.WAIT_RUNNING) < 2, "two runs hold the limit"
        by_wait = dict(zip(found, runs, strict=True))
        wanted = (Explanation.WAIT_RUNNING, Explanation.WAIT_LIMIT)
        return [by_wait[wait] for wait in wanted] if set(wanted) == set(by_wait) else None

    first, second = house.server.wait_until("let one train and one wait", one_trains_and_one_waits)
    assert "gpu-training" in explained(house, second, "train").message
    (limit,) = house.client.list_limits()
    assert (limit.slots_used, limit.waiting) == (1, 1)
    for run_id in (first, second):
        assert json.loads(runs[run_id].read_text())["rows"] == 4.0
        assert house.wait(run_id).state == RUN_STATE_SUCCESS
    (one,), (two,) = (list(house.client.list_attempts(run_id, "train")) for run_id in (first, second))
    assert one.end_time.ToDatetime() <= two.start_time.ToDatetime()


def test_a_named_queue_is_served_by_its_workers_alone_and_what_a_task_prints_is_its_log(
    house: House, sources: Path
) -> None:
    house.python_worker("default")
    params = {"folder": str(sources), "date": DAY}
    run_id = house.client.trigger("mapped_training", params=params).dag_run_id
    queued = one_in(house, "queued", run_id, "extract")
    assert queued.map_index == 0
    assert not list(house.client.list_attempts(run_id))
    house.python_worker("late", "--queue", "ml-gpu")
    assert house.wait(run_id).state == RUN_STATE_SUCCESS
    lines = [line.text for line in house.client.logs(run_id, "extract", map_index=0)]
    assert lines[0] == f"extracting clickstream of {DAY}" and "clickstream has 2 rows" in lines[1]
    again = house.client.trigger("mapped_training", params=params).dag_run_id
    assert house.wait(again).state == RUN_STATE_SUCCESS
    assert not list(house.client.list_attempts(again, "extract")) and list(house.client.list_attempts(again, "train"))


def test_a_step_waits_for_a_worker_that_has_what_it_needs_and_metrics_are_comparable_over_runs(
    house: House, tmp_path: Path
) -> None:
    rows = tmp_path / "latest.csv"
    rows.write_text("x,target\n" + "".join(f"{x},{int(x > 6)}\n" for x in range(10)) + "3,\n")
    needs = ("--resource", "cpu=8", "--resource", "memory_mb=32768")
    house.python_worker("plain", *needs)
    fine = house.client.trigger("typed_artifacts", params={"input_path": str(rows)}).dag_run_id

    def waits_for_a_worker() -> str | None:
        train = explained(house, fine, "train")
        return train.message if train.wait == Explanation.WAIT_WORKER else None

    assert "gpu" in house.server.wait_until("said what training waits for", waits_for_a_worker)
    assert [each.task_id for each in house.client.list_attempts(fine)] == ["preprocess"]
    house.python_worker("large", *needs, "--resource", "gpu=1")
    assert house.wait(fine).state == RUN_STATE_SUCCESS
    assert house.output(fine, "describe")["train_accuracy"] == 1.0
    coarse = house.client.trigger("typed_artifacts", params={"input_path": str(rows), "n_estimators": 1}).dag_run_id
    assert house.wait(coarse).state == RUN_STATE_SUCCESS
    metrics = {
        (each.attempt.dag_run_id, each.name): each.numbers for each in house.client.list_metrics("typed_artifacts")
    }
    assert metrics[fine, "training"] == {"train_accuracy": 1.0, "n_estimators": 200.0}
    assert metrics[coarse, "training"] == {"train_accuracy": 0.4, "n_estimators": 1.0}
    assert metrics[fine, "cleaning"] == metrics[coarse, "cleaning"] == {"rows_after_cleaning": 10.0, "null_ratio": 0.0}


def test_a_wait_for_a_file_holds_no_slot_and_a_graph_of_54_tasks_runs_beside_it(house: House, tmp_path: Path) -> None:
    house.python_worker("only", slots=1)
    waiting = house.client.trigger("retraining", params={"folder": str(tmp_path)}).dag_run_id
    waits = one_in(house, "deferred", waiting)
    assert waits.task_id == "wait_for_events"
    assert [worker.attempts_live for worker in house.client.list_workers()] == [0]
    run_id = house.client.trigger("large_graph").dag_run_id
    assert house.wait(run_id).state == RUN_STATE_SUCCESS
    tasks = list(house.client.list_task_instances(run_id))
    assert len(tasks) == 54 and len(list(house.client.list_task_instances(run_id, task_id="tuning.try_rate"))) == 8
    assert house.output(run_id, "report") == "2026-03-05: 3 of 3 regions"
    assert explained(house, waiting, "wait_for_events").state == TASK_STATE_DEFERRED
    house.client.cancel_dag_run(waiting)


def test_a_graph_cleared_in_the_middle_runs_again_from_there(house: House) -> None:
    house.python_worker()
    run_id = house.client.trigger("large_graph").dag_run_id
    assert house.wait(run_id).state == RUN_STATE_SUCCESS
    house.client.clear_task_instances(run_id, ["training.choose"], downstream=True)
    assert house.wait(run_id).state == RUN_STATE_SUCCESS
    attempts: dict[str, list[int]] = {}
    for each in house.client.list_attempts(run_id):
        attempts.setdefault(each.task_id, []).append(each.attempt_number)
    again = {task_id for task_id, numbers in attempts.items() if max(numbers) == 2}
    before = {task_id for task_id in attempts if task_id.startswith(("ingestion.", "features."))}
    trained = {f"training.{variant}" for variant in ("linear", "forest", "boosting", "factorization")}
    assert {"training.choose", "tuning.propose", "tuning.try_rate", "deployment.probe_east", "report"} <= again
    assert len(again) == 54 - len(before) - 6 and not again & (before | trained)


def test_a_graph_that_fails_by_its_code_is_mended_and_goes_on_with_the_next_version(
    house: House, tmp_path: Path
) -> None:
    """Its check asks for more rows than some of the sources have, until a version asks for fewer."""
    text = (EXAMPLES / "large_graph" / "large_graph.py").read_text().replace("def large_graph(", "def mended_graph(")
    house.python_worker()

    def register(folder: str, source: str) -> None:
        file = tmp_path / folder / "mended_graph.py"
        file.parent.mkdir()
        file.write_text(source)
        house.client.register(load_dags(file).dags[0])

    register("broken", text.replace("if rows < 100:", "if rows < 750:"))
    run_id = house.client.trigger("mended_graph").dag_run_id
    assert house.wait(run_id).state == RUN_STATE_FAILED
    register("mended", text)
    house.client.rerun_dag_run(run_id, version="latest")
    run = house.wait(run_id)
    assert (run.state, run.dag_version_number) == (RUN_STATE_SUCCESS, 2)
    twice = {each.task_id for each in house.client.list_attempts(run_id) if each.attempt_number == 2}
    assert twice == {f"ingestion.validate_{each}" for each in ("clicks", "orders", "catalog", "reviews")} | {"report"}
