"""Approvals as authors write them, in Python and in YAML, and as `run_dag` answers them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from glidepath import AuthoringError, InvalidDag, approval, dag, load_dags, task
from glidepath.authoring.convert import to_spec
from glidepath.testing import run_dag

FORM = {"properties": {"stage": {"enum": ["canary", "all"], "default": "canary"}, "ticket": {"type": "string"}}}


@task
def deploy(answer: dict[str, Any]) -> Any:
    return answer["values"]


@dag
def release(model: str = "tree") -> None:
    deploy(
        approval(
            "ask",
            f"Deploy {model} of {{{{ ds }}}}?",
            form=FORM,
            timeout="2d",
            default="reject",
            approvers=["alice"],
            description="last look",
        )
    )


YAML = """
release:
  params: {model: {type: string, default: tree}}
  tasks:
    ask:
      approval:
        message: "Deploy {{ params.model }} of {{ ds }}?"
        form: {properties: {stage: {enum: [canary, all], default: canary}, ticket: {type: string}}}
        timeout: 2d
        default: reject
        approvers: [alice]
      description: last look
"""


def test_an_approval_becomes_a_task_without_a_handler() -> None:
    ask = to_spec(release, None).tasks[0]
    assert not ask.HasField("handler") and ask.description == "last look"
    assert ask.approval.message == "Deploy {{ params.model }} of {{ ds }}?"
    assert ask.approval.timeout.ToTimedelta() == timedelta(days=2)
    assert (ask.approval.default, list(ask.approval.approvers), ask.approval.on_reject) == (2, ["alice"], 1)


def test_yaml_says_the_same(tmp_path: Path) -> None:
    file = tmp_path / "release.yaml"
    file.write_text(YAML.replace("release:\n", "dag_id: release\n").replace("\n  ", "\n"))
    loaded = load_dags(file)
    assert not loaded.errors, loaded.errors
    (found,) = loaded.dags
    assert to_spec(found, None).tasks[0].approval == to_spec(release, None).tasks[0].approval


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("approval: {message: Go on?, tiemout: 2d}", "unknown key 'tiemout'.*did you mean 'timeout'"),
        ("approval: ''", "message is ''; expected what is asked"),
        ("approval: Go on?\n    with: {a: 1}", "with stands beside approval; it belongs to python or handler"),
        ("approval: Go on?\n    retries: 2", "an approval has no option 'retries'"),
    ],
)
def test_a_wrong_approval_in_yaml_is_a_mistake_at_its_line(tmp_path: Path, body: str, message: str) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(f"dag_id: wrong\ntasks:\n  ask:\n    {body}\n")
    (error, *_) = load_dags(file).errors
    assert __import__("re").search(message, str(error)), str(error)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"message": " "}, "expected what is asked"),
        ({"message": "{{ outputs.train }}"}, "names 'outputs.train', which is not known"),
        ({"message": "{{ nonsense }}"}, "unknown name 'nonsense'"),
        ({"default": "maybe"}, "default is 'maybe'; expected one of approve, reject"),
        ({"default": "approve"}, "there is no timeout after which it would answer"),
        ({"form": ["stage"]}, "expected a JSON Schema of an object"),
        ({"approvers": "alice"}, "expected a list of names"),
        ({"retries": 3}, "an approval has no option 'retries'"),
    ],
)
def test_a_wrong_argument_is_named(arguments: dict[str, Any], message: str) -> None:
    @dag
    def wrong() -> None:
        approval("ask", **{"message": "Go on?", **arguments})

    with pytest.raises(AuthoringError, match=message):
        _ = wrong.nodes


def test_a_param_that_the_dag_does_not_have_is_found() -> None:
    @dag
    def wrong(model: str) -> None:
        approval("ask", "Deploy {{ params.modle }}?")

    with pytest.raises(InvalidDag, match="the DAG has no param 'modle'"):
        _ = wrong.nodes


def test_run_dag_answers_as_its_test_says() -> None:
    assert run_dag(release, answers={"ask": True}).outputs["deploy"] == {"stage": "canary"}
    assert run_dag(release, answers={"ask": {"ticket": "T-1"}}).outputs["deploy"] == {
        "stage": "canary",
        "ticket": "T-1",
    }
    rejected = run_dag(release, answers={"ask": False})
    assert rejected.states == {"ask": "failed", "deploy": "upstream_failed"}
    with pytest.raises(AuthoringError, match=r"takes no \['stge'\]; its form: stage, ticket"):
        run_dag(release, answers={"ask": {"stge": "all"}})


def test_run_dag_lets_the_timeout_answer_what_nobody_does() -> None:
    result = run_dag(release)
    assert result["ask"].reason == "rejected by default, as nobody answered in time"
    assert result.end_time - result.start_time == timedelta(days=2)

    @dag
    def open_ended() -> None:
        approval("ask", "Go on?")

    with pytest.raises(AuthoringError, match="nothing answers it; give run_dag"):
        run_dag(open_ended)


def test_a_rejection_ends_the_retries_of_a_run_and_a_skip_goes_on() -> None:
    @dag(run_retries=3)
    def stubborn() -> None:
        approval("ask", "Go on?")

    assert len(run_dag(stubborn, answers={"ask": False})["ask"].attempts) == 1

    @dag
    def mild() -> None:
        approval("ask", "Go on?", on_reject="skip")

    assert run_dag(mild, answers={"ask": False}).states == {"ask": "skipped"}
