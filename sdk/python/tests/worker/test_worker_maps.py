"""Instances of mapped tasks in a worker: what they are given and know, and lists that are gathered from them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from control_plane import ControlPlane

from conftest import StartWorker
from glidepath_proto.common.v1.payload_pb2 import Payload
from glidepath_proto.worker.v1.task_pb2 import Assignment

TASKS = """
import os
from glidepath.worker import current

def tell(day, text, rate=1):
    task = current()
    return [day, text, rate, task.map_index, task.map_item, os.environ.get("GLIDEPATH_MAP_INDEX")]

def alone():
    return [current().map_index, current().map_item]

def gather(scores, again=None):
    kinds = [type(scores).__name__, len(scores), scores[-1], sum(each["loss"] for each in scores[:10])]
    return [*kinds, sum(each["loss"] for each in scores), again]

def give_back(scores):
    return scores[:3]
"""


def mapped(plane: ControlPlane, handler: str, index: int, item: dict[str, Any], **options: Any) -> Assignment:
    """An instance: its item stands in the inputs, too."""
    inputs = {**item, **options.pop("inputs", {})}
    assignment = plane.assignment(handler, inputs=inputs, map_item=json.dumps(item), **options)
    assignment.attempt.map_index = index
    return assignment


def output_of(plane: ControlPlane, assignment: Assignment) -> Any:
    plane.sessions[-1].send(assignments=[assignment])
    result = plane.result(assignment.task_token)
    assert result.HasField("success"), result
    return json.loads(result.success.output.data)


@pytest.mark.parametrize("inline", [False, True])
def test_an_instance_knows_its_index_and_item(plane: ControlPlane, start_worker: StartWorker, inline: bool) -> None:
    start_worker().write("jobs", TASKS)
    first = mapped(plane, "python:jobs:tell", 0, {"day": "a", "rate": {"x": 2}}, inline=inline)
    first.inputs["text"].template = "{{ map_item.day }}-{{ map_item.rate.x }}"
    environment = None if inline else "0"  # of a process of its own
    assert output_of(plane, first) == ["a", "a-2", {"x": 2}, 0, {"day": "a", "rate": {"x": 2}}, environment]
    assert output_of(plane, plane.assignment("python:jobs:alone", inline=inline)) == [None, None]


def test_a_command_has_the_values_of_its_item_and_no_more_arguments(
    plane: ControlPlane, start_worker: StartWorker
) -> None:
    start_worker()
    command = mapped(plane, "shell", 7, {"day": "a b", "n": 3}, inputs={"output": "json"})
    words = "set -- {{ map_item.day }} {{ map_item.n }} $GLIDEPATH_MAP_INDEX"
    command.inputs["command"].template = f"""{words}; printf '["%s", %s, %s]' "$@" """
    assert output_of(plane, command) == ["a b", 3, 7]


def reader(plane: ControlPlane, handler: str, count: int, inline: bool) -> Assignment:
    """A task that takes the outputs of `count` instances of `train`, which come by name and then as an artifact."""
    found = [{"loss": number, "name": "n" * 100} for number in range(count)]
    content = json.dumps(found, separators=(",", ":")).encode()
    sha256 = hashlib.sha256(content).hexdigest()
    plane.artifacts[sha256] = content
    plane.outputs["train"] = Payload(content_type="application/json", uri=f"artifact:{sha256}")
    assignment = plane.assignment(handler, inline=inline)
    assignment.inputs["scores"].output.task_id = "train"
    assignment.upstream_outputs["train"].uri = "output:train"
    assignment.upstream_outputs["train"].content_type = "application/json"
    return assignment


@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize(("count", "kind"), [(20_000, "LazyList"), (3_000, "list")])
def test_many_gathered_outputs_stay_in_their_file_and_few_are_a_list(
    plane: ControlPlane, start_worker: StartWorker, count: int, kind: str, inline: bool
) -> None:
    start_worker().write("jobs", TASKS)
    taker = reader(plane, "python:jobs:gather", count, inline)
    taker.inputs["again"].template = "{{ outputs.train.2.loss }}"
    last = {"loss": count - 1, "name": "n" * 100}
    assert output_of(plane, taker) == [kind, count, last, 45, sum(range(count)), "2"]


@pytest.mark.parametrize("inline", [False, True])
def test_a_part_of_many_gathered_outputs_may_be_returned(
    plane: ControlPlane, start_worker: StartWorker, inline: bool
) -> None:
    start_worker().write("jobs", TASKS)
    found = output_of(plane, reader(plane, "python:jobs:give_back", 20_000, inline))
    assert [each["loss"] for each in found] == [0, 1, 2]
