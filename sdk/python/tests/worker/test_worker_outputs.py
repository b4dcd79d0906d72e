"""Upstream outputs that had no room in their assignment: fetched one by one when the task's arguments are made."""

from __future__ import annotations

import json

import pytest
from control_plane import ControlPlane
from test_worker_bodies import failure_of

from conftest import StartWorker
from glidepath_proto.common.v1.payload_pb2 import Payload
from glidepath_proto.worker.v1.task_pb2 import Assignment

TASKS = "def lengths(values):\n    return [len(value) for value in values]\n"


def reader_of(plane: ControlPlane, *task_ids: str, inline: bool) -> Assignment:
    """An attempt that takes these outputs, all of them by reference."""
    reader = plane.assignment("python:jobs:lengths", inline=inline)
    for task_id in task_ids:
        reader.inputs["values"].list.items.add().output.task_id = task_id
        reader.upstream_outputs[task_id].uri = f"output:{task_id}"
    return reader


@pytest.mark.parametrize("inline", [False, True])
def test_an_output_by_reference_is_fetched(plane: ControlPlane, start_worker: StartWorker, inline: bool) -> None:
    start_worker().write("jobs", TASKS)
    plane.outputs["text"] = Payload(data=json.dumps("x" * 50_000).encode())
    plane.outputs["raw"] = Payload(data=b"abc", content_type="application/octet-stream")
    reader = reader_of(plane, "text", "raw", inline=inline)
    reader.upstream_outputs["raw"].content_type = "application/octet-stream"
    plane.sessions[-1].send(assignments=[reader])
    assert json.loads(plane.result(reader.task_token).success.output.data) == [50_000, 3]


@pytest.mark.parametrize("inline", [False, True])
def test_an_output_that_is_refused_names_its_task(plane: ControlPlane, start_worker: StartWorker, inline: bool) -> None:
    start_worker().write("jobs", TASKS)
    reader = reader_of(plane, "elsewhere", inline=inline)
    plane.sessions[-1].send(assignments=[reader])
    failure = failure_of(plane.result(reader.task_token))
    assert "fetching the output of elsewhere: task 'elsewhere' is not upstream" in failure.message
    assert failure.type == "glidepath.worker.context.WorkerRefused"
