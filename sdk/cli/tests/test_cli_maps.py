"""A mapped DAG from end to end, as a person sees it: a real server, a real worker, the real command."""

from __future__ import annotations

import json

import pytest
from cli_world import Answer, Folder

DAG_FILE = """
from pathlib import Path

from glidepath import dag, task
from glidepath.worker import current


@task
def days(count: int) -> list[str]:
    return [f"day-{number:05}" for number in range(count)]


@task(map_success_ratio_min=0.8, map_name="{{ map_item.day }}")
def train(day: str, rate: float, bad: list[str], mended: str) -> dict:
    print("training", day, "as", current().map_index, "of item", current().map_item["day"])
    if day in bad and not Path(mended).exists():
        raise ValueError(f"no rows on {day}")
    return {"day": day, "rate": rate, "index": current().map_index}


@task
def best(trained: list) -> list:
    return [type(trained).__name__, [each and each["day"] for each in trained]]


@dag
def tuning(count: int = 5, bad: list[str] = [], mended: str = "nowhere"):
    best(train.partial(rate=0.5, bad=bad, mended=mended).map(day=days(count)))


@task(isolation="inline")
def spell(number: int) -> str:
    return f"{number:>900}"


@task
def summed(spelled: list) -> list:
    some = [spelled[-1].strip(), int(spelled[1000:1002][1])]
    return [type(spelled).__name__, len(spelled), sum(map(int, spelled)), *some]


@dag
def many():
    summed(spell.map(number=list(range(1500))))
"""


@pytest.fixture(scope="module")
def home(running: Folder) -> Folder:
    (running.path / "mapped.py").write_text(DAG_FILE)
    answer = running.call("dag", "register", "mapped.py")
    assert answer.code == 0, answer.err
    return running


def trigger(folder: Folder, dag_id: str, **params: object) -> tuple[str, Answer]:
    """A run that has ended, and what was said of it."""
    words = [word for name, value in params.items() for word in ("-p", f"{name}={json.dumps(value)}")]
    answer = folder.call("dag", "trigger", dag_id, *words, "--wait", "-o", "json")
    return answer.json["dagRunId"], answer


def output(folder: Folder, run_id: str, task: str) -> object:
    answer = folder.call("run", "output", run_id, task)
    assert answer.code == 0, answer.err
    return json.loads(answer.out)


def test_one_instance_that_fails_within_the_ratio_is_left_out_of_the_gathered_list(home: Folder) -> None:
    run_id, answer = trigger(home, "tuning", count=5, bad=["day-00003"])
    assert answer.code == 0, answer.err
    assert output(home, run_id, "best") == ["list", ["day-00000", "day-00001", "day-00002", None, "day-00004"]]
    assert output(home, run_id, "train[4]") == {"day": "day-00004", "rate": 0.5, "index": 4}
    assert output(home, run_id, "train") == [
        None if index == 3 else {"day": f"day-0000{index}", "rate": 0.5, "index": index} for index in range(5)
    ]
    shown = home.call("run", "show", run_id).out
    assert "train  success" in shown and "5/5 done, 1 failed" in shown
    listed = home.call("run", "show", run_id, "--task", "train").out.splitlines()
    assert [line.split()[:3] for line in listed[1:]] == [
        [str(index), f"day-0000{index}", "failed" if index == 3 else "success"] for index in range(5)
    ]
    only = home.call("run", "show", run_id, "--task", "train", "--state", "failed").out
    assert only.splitlines()[1].startswith("3 ") and "ValueError: no rows on day-00003" in only
    assert len(only.splitlines()) == 2
    assert home.call("run", "logs", run_id, "--task", "train[1]").out == (
        "#1 | training day-00001 as 1 of item day-00001\n"
    )
    attempts = home.call("run", "attempts", run_id, "--task", "train[3]", "-o", "json").json
    assert [(each["mapIndex"], each["state"]) for each in attempts] == [(3, "ATTEMPT_STATE_FAILED")]


def test_too_many_fail_the_task_and_single_ones_run_again_when_they_are_cleared(home: Folder) -> None:
    mended = home.path / "mended"
    run_id, answer = trigger(home, "tuning", count=5, bad=["day-00001", "day-00003"], mended=str(mended))
    assert answer.code == 1
    assert "train failed" in answer.err and "2 of 5 instances failed" in answer.err
    assert f"glidepath run show {run_id} --task train --state failed" in answer.err
    missing = home.call("run", "clear", run_id, "train[9]")
    assert missing.code == 3 and "glidepath run show RUN_ID --task train" in missing.err, missing.err
    assert "task train has no instance 9, it has 5: 0 to 4" in missing.err
    assert f"run show {run_id} --task train" in home.call("run", "attempts", run_id, "--task", "train[9]").err
    assert f"run show {run_id} --task train" in home.call("run", "logs", run_id, "--task", "train[9]").err
    explained = home.call("run", "explain", run_id, "--task", "train[1]")
    assert explained.code == 2 and "expected a whole task, such as --task train" in explained.err
    ended = home.call("run", "explain", run_id)
    assert ended.code == 0 and f"the run has ended: failed; why: glidepath run show {run_id}" in ended.err
    mended.touch()
    cleared = home.call("run", "clear", run_id, "train[1]", "--downstream", "--wait")
    assert cleared.code == 0, cleared.err
    assert output(home, run_id, "best") == ["list", ["day-00000", "day-00001", "day-00002", None, "day-00004"]]
    again = home.call("run", "clear", run_id, "train[0]")
    assert "cleared  train[0]\n" in again.out
    assert home.call("run", "watch", run_id).code == 0
    attempts = home.call("run", "attempts", run_id, "--task", "train", "-o", "json").json
    assert sorted((each["mapIndex"], each["attemptNumber"]) for each in attempts) == [
        (0, 1),
        (0, 2),
        (1, 1),
        (1, 2),
        (2, 1),
        (3, 1),
        (4, 1),
    ]


def test_many_outputs_are_gathered_without_a_list_in_memory(home: Folder) -> None:
    run_id, answer = trigger(home, "many")
    assert answer.code == 0, answer.err
    assert output(home, run_id, "summed") == ["LazyList", 1500, 1500 * 1499 // 2, "1499", 1001]
