"""Arguments of a handler, made from the assignment's inputs."""

from datetime import UTC, datetime

import pytest

from glidepath.errors import InputError
from glidepath.inputs import resolve_inputs
from glidepath.payloads import encode
from glidepath_proto.common.v1.payload_pb2 import Payload
from glidepath_proto.registry.v1.dag_pb2 import Handler, Input, InputList, OutputRef
from glidepath_proto.worker.v1.task_pb2 import Assignment


def _assignment(**inputs: Input) -> Assignment:
    assignment = Assignment(
        handler=Handler(name="python:m:f"),
        inputs=inputs,
        params='{"rate": 0.1, "name": "a b"}',
        upstream_outputs={"extract": encode({"rows": 10}), "load": encode([1, 2]), "blob": encode(b"\0\1")},
    )
    assignment.logical_date.FromDatetime(datetime(2026, 3, 5, tzinfo=UTC))
    return assignment


def _output(task_id: str, key: str = "") -> Input:
    return Input(output=OutputRef(task_id=task_id, key=key))


def test_each_source_becomes_its_value() -> None:
    assignment = _assignment(
        literal=Input(literal=encode({"a": [1, None]})),
        text=Input(literal=Payload(content_type="text/plain; charset=utf-8", data="é".encode())),
        template=Input(template="day={{ ds }} rate={{ params.rate }} rows={{ outputs.extract.rows }}"),
        whole=_output("load"),
        key=_output("extract", "rows"),
        raw=_output("blob"),
        param=Input(param="rate"),
        many=Input(list=InputList(items=[_output("load"), Input(param="name"), Input(literal=encode(3))])),
    )
    assert resolve_inputs(assignment) == {
        "literal": {"a": [1, None]},
        "text": "é",
        "template": "day=2026-03-05 rate=0.1 rows=10",
        "whole": [1, 2],
        "key": 10,
        "raw": b"\0\1",
        "param": 0.1,
        "many": [[1, 2], "a b", 3],
    }


def test_dotted_names_are_entries_of_one_dict() -> None:
    inputs = {"env.DAY": Input(template="{{ ds }}"), "env.a.b": _output("load"), "command": Input(literal=encode("x"))}
    assert resolve_inputs(_assignment(**inputs)) == {"command": "x", "env": {"DAY": "2026-03-05", "a.b": [1, 2]}}


def test_upstream_without_an_output_gives_none() -> None:
    assert resolve_inputs(_assignment(x=_output("skipped"), y=_output("skipped", "key"))) == {"x": None, "y": None}


def test_value_that_travelled_by_reference_is_fetched() -> None:
    assignment = _assignment(x=_output("big"))
    assignment.upstream_outputs["big"].CopyFrom(Payload(uri="artifact:00ff"))
    assert resolve_inputs(assignment, lambda payload: b'"' + payload.uri.encode() + b'"') == {"x": "artifact:00ff"}
    with pytest.raises(InputError, match="artifact:00ff and cannot be fetched here"):
        resolve_inputs(assignment)


def test_only_the_command_of_a_shell_task_is_quoted() -> None:
    inputs = {"command": Input(template="echo {{ params.name }}"), "label": Input(template="{{ params.name }}")}
    assignment = _assignment(**inputs)
    assert resolve_inputs(assignment)["command"] == "echo a b"
    assignment.handler.name = "shell"
    assert resolve_inputs(assignment) == {"command": "echo 'a b'", "label": "a b"}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (_output("extract", "cols"), "input 'x': output of 'extract' has no key 'cols': it has rows"),
        (_output("load", "cols"), r"it is \[1, 2\]"),
        (Input(param="rat"), "input 'x': the run has no param 'rat'; it has: name, rate"),
        (Input(template="{{ nope }}"), "input 'x': template: unknown name 'nope'"),
        (Input(literal=Payload(data=b"{")), "expected JSON"),
        (Input(), "may be older"),
    ],
)
def test_bad_input_names_the_argument(source: Input, message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve_inputs(_assignment(x=source))
