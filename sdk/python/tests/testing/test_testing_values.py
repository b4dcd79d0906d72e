"""XComs, artifacts and what was read and written, in runs without a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from glidepath import AuthoringError, Dataset, File, InvalidDag, Metrics, Model, current, dag, load_dags, task
from glidepath.artifacts import ArtifactBroken
from glidepath.testing import run_dag


@task(retries=1)
def extract(day: str = "") -> Dataset:
    context = current()
    context.push("rows", 5)
    context.push("rows", context.attempt_number)
    if context.attempt_number == 1 and day == "bad":
        context.push("early", True)
        raise OSError("once")
    folder = Path(context.said.room("work"))
    (folder / "rows.csv").write_text("a,b\n1,2\n")
    return context.save(folder / "rows.csv", Dataset, metadata={"columns": ["a", "b"]})


@task
def train(rows: Dataset, count: int) -> dict[str, Any]:
    assert isinstance(rows, Dataset) and rows.metadata == {"columns": ["a", "b"]} and rows.path().suffix == ".csv"
    context = current()
    folder = context.said.room("model")
    (folder / "inner").mkdir()
    (folder / "inner" / "weights").write_text(rows.path().read_text() * count)
    return {
        "model": context.save(folder, Model, name="net"),
        "metrics": context.save_metrics({"loss": 0.5, "rows": count}, name="eval/test"),
    }


@task
def judge(model: Model, metrics: Metrics, given: dict[str, Any]) -> float:
    assert (model.path() / "inner" / "weights").read_text() == "a,b\n1,2\n" * 2
    assert model.type == "model" and given["model"] == model and given["metrics"].numbers == metrics.numbers
    assert json.loads(metrics.path().read_text()) == metrics.numbers
    return metrics.numbers["loss"]


@dag
def training(day: str = "") -> None:
    rows = extract(day)
    trained = train(rows, rows.xcom("rows"))
    judge(trained["model"], trained["metrics"], trained)


def test_values_and_artifacts_go_from_task_to_task() -> None:
    result = run_dag(training, {"day": "bad"}).check()
    assert result["extract"].xcoms == {"rows": 2}, "what the attempt that failed pushed is gone"
    assert result.outputs["judge"] == 0.5
    (rows,) = result["extract"].writes
    assert result["train"].reads == [rows] and len(result["train"].writes) == 2
    assert sorted(result["judge"].reads) == sorted(result["train"].writes)
    assert result.outputs["extract"] == {
        "glidepath.artifact": "dataset",
        "uri": rows,
        "sha256": rows.removeprefix("artifact:"),
        "size_bytes": 8,
        "name": "rows.csv",
        "metadata": {"columns": ["a", "b"]},
        "content_type": "application/octet-stream",
    }


def test_equal_folders_are_equal_artifacts(tmp_path: Path) -> None:
    @task
    def save(name: str) -> File:
        folder = tmp_path / name
        (folder / "b").mkdir(parents=True)
        (folder / "b" / "x").write_bytes(b"x")
        (folder / "a").write_bytes(b"y")
        return current().save(folder)

    @dag
    def saving() -> None:
        save("one")
        save("two")

    outputs = run_dag(saving).check().outputs
    assert outputs["save"]["sha256"] == outputs["save_2"]["sha256"]  # type: ignore[index]


def test_pull_gives_what_an_upstream_task_has_pushed() -> None:
    @task
    def push() -> None:
        current().push("list", [1, {"deep": None}])

    @task
    def pull(key: str) -> Any:
        return current().pull("push", key)

    @dag
    def pulling() -> None:
        push() >> [pull("list"), pull.options(task_id="missing")("other")]
        pull.options(task_id="far")("list")

    result = run_dag(pulling)
    assert result["pull"].output == [1, {"deep": None}]
    assert "task 'push' pushed no 'other'" in result["missing"].reason
    assert "it is no task upstream that has succeeded" in result["far"].reason


def test_an_input_that_was_not_pushed_is_a_bad_input() -> None:
    @task
    def take(value: int) -> int:
        return value

    @dag
    def taking() -> None:
        take(extract().xcom("misspelt"))

    result = run_dag(taking)
    assert "input 'value': 'extract' pushed no 'misspelt'" in result["take"].reason


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("", 1, "expected 1-200 letters"),
        ("a b", 1, "expected 1-200 letters"),
        ("big", "x" * 70_000, "an attempt may push 100 with 65536 bytes"),
        ("odd", object(), "object is not a JSON value"),
        ("raw", b"x", "bytes are no JSON value"),
    ],
)
def test_a_push_that_cannot_be_is_refused_at_once(key: str, value: Any, said: str) -> None:
    @task
    def push() -> None:
        current().push(key, value)

    @dag
    def pushing() -> None:
        push()

    assert said in run_dag(pushing)["push"].reason


def test_a_type_of_artifacts_is_a_type() -> None:
    @task
    def take(model: Model) -> None: ...

    @dag
    def wrong() -> None:
        take(extract())

    with pytest.raises(InvalidDag, match=r"takes an artifact \(model\), extract gives an artifact \(dataset\)"):
        _ = wrong.nodes


def test_an_xcom_stands_in_no_text_and_is_not_looked_at() -> None:
    @dag
    def wrong() -> None:
        extract(f"of {extract().xcom('rows')}")

    with pytest.raises(AuthoringError, match="<xcom rows of extract> cannot stand in text"):
        _ = wrong.nodes


def test_xcoms_are_inputs_in_yaml_too(tmp_path: Path) -> None:
    (tmp_path / "steps.py").write_text(
        "from glidepath import current\n"
        "def push(): current().push('rows', 3)\n"
        "def double(value: int) -> int: return 2 * value\n"
    )
    text = """\
dag_id: pushing
tasks:
  push: {python: "steps:push"}
  double: {python: "steps:double", with: {value: {output: push, xcom: rows}}}
"""
    (tmp_path / "d.yaml").write_text(text)
    (found,) = load_dags(tmp_path / "d.yaml").dags
    assert run_dag(found).check().outputs["double"] == 6
    (tmp_path / "d.yaml").write_text(text.replace("xcom: rows", "xcom: rows, key: x"))
    assert "key and xcom are both given" in load_dags(tmp_path / "d.yaml").errors[0].message


def test_files_of_a_folder_are_checked_by_their_digests(tmp_path: Path) -> None:
    shared = (tmp_path / "shared").as_uri()

    @task
    def save() -> File:
        (tmp_path / "x y.txt").write_text("content")
        return current().save(tmp_path / "x y.txt", to=shared)

    @task
    def read(file: File) -> str:
        return file.path().read_text()

    @task
    def spoil(file: File) -> None:
        file.path().write_text("CONTENT")

    @dag
    def saving() -> None:
        saved = save()
        first = read(saved)
        second = spoil(saved)
        third = read.options(task_id="late", retries=0)(saved)
        first >> second >> third

    result = run_dag(saving)
    assert result["read"].output == "content" and result["save"].writes[0].endswith("/x%20y.txt")
    assert result["late"].failure is not None and result["late"].failure.type.endswith(ArtifactBroken.__name__)
    assert "has sha256" in result["late"].reason
