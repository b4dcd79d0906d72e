"""Every field of every request with values that no honest client sends: each is answered, none is an incident."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass

from tests.hostile.rpc_table import RPCS
from tests.hostile.scene import call_raw, open_scene
from tests.hostile.test_matrix import filled

Code = grpc.StatusCode
DEPTH_MAX = 3
DEEP = 20_000
BROKEN = "#broken#"
"""Becomes bytes that are no UTF-8, once the request is on its way."""

TEXTS = {
    "NUL": "a\0b",
    "no UTF-8": BROKEN,
    "long": "x" * 100_000,
    "lists in lists": "[" * DEEP,
    "objects in objects": '{"a":' * DEEP + "1" + "}" * DEEP,
    "a number of many digits": '{"learning_rate": ' + "9" * 10_000 + "}",
    "a number out of range": '{"learning_rate": 1e999999}',
    "half a surrogate pair": '{"learning_rate": "\\ud800"}',
    "page token with lists in lists": "W1tb" * 10_000,
    "SQL": "'; drop table dag_run; --",
    "control characters": "\x1b[2J\r\n\t\x07",
    "wildcards": "%_*",
}
NUMBERS: dict[int, tuple[Any, ...]] = {
    FieldDescriptor.CPPTYPE_INT32: (-1, 2**31 - 1, -(2**31)),
    FieldDescriptor.CPPTYPE_INT64: (-1, 2**63 - 1, -(2**63)),
    FieldDescriptor.CPPTYPE_UINT32: (2**32 - 1,),
    FieldDescriptor.CPPTYPE_UINT64: (2**64 - 1,),
    FieldDescriptor.CPPTYPE_DOUBLE: (float("nan"), float("inf"), -1e308),
    FieldDescriptor.CPPTYPE_ENUM: (-1, 99, 2**31 - 1),
}


def odd_values(field: FieldDescriptor) -> Iterator[tuple[str, Any]]:
    if field.type == FieldDescriptor.TYPE_BYTES:
        yield from (("empty bytes", b""), ("zero bytes", bytes(44)), ("long bytes", bytes(100_000)))
    elif field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        yield from TEXTS.items()
    else:
        yield from ((repr(value), value) for value in NUMBERS.get(field.cpp_type, ()))


def places(message: Descriptor, depth: int = 0) -> Iterator[tuple[FieldDescriptor, ...]]:
    """Paths to the fields that hold values, down to a depth; of maps only that they are left alone."""
    for field in message.fields:
        if field.message_type is None:
            yield (field,)
        elif depth < DEPTH_MAX and not field.message_type.GetOptions().map_entry:
            yield from ((field, *rest) for rest in places(field.message_type, depth + 1))


def put(message: Any, place: tuple[FieldDescriptor, ...], value: Any) -> None:
    """Set the value at its place; lists get one item more."""
    *way, last = place
    for field in way:
        found = getattr(message, field.name)
        message = (found[0] if len(found) else found.add()) if field.is_repeated else found
    if last.is_repeated:
        getattr(message, last.name).append(value)
    else:
        setattr(message, last.name, value)


def odd_requests(message: Descriptor, fields: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """(what is odd, the request's bytes), one odd value in each."""
    for place in places(message):
        for why, value in odd_values(place[-1]):
            request = ParseDict(fields, GetMessageClass(message)())
            put(request, place, value)
            body = request.SerializeToString().replace(BROKEN.encode(), b"\xff\xfe\xc0\x80\xed\xa0\x80a")
            yield f"{'.'.join(field.name for field in place)}: {why}", body


@pytest.mark.timeout(300)
@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.prove)])
@pytest.mark.parametrize("service", sorted({path.partition("/")[0] for path in RPCS}))
async def test_odd_values_are_answered(
    database_url: str, service: str, every: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """In `make test` one in four of them, in `make prove` each."""
    async with open_scene(database_url) as scene:
        faults: list[str] = []
        count = 0
        for method in [each for each in scene.methods() if each.containing_service.full_name == service]:
            rpc = RPCS[f"{service}/{method.name}"]
            caller = scene.caller("red", "worker" if "worker" in rpc.may else "admin")
            requests = odd_requests(method.input_type, filled(rpc.fields, scene.ids["red"]))
            for why, body in islice(requests, 0, None, every):
                answer = await call_raw(scene.channel, method, caller, body)
                count += 1
                if answer.code in (Code.INTERNAL, Code.UNKNOWN, Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED):
                    faults.append(f"{method.name} {why}: {answer.code.name} {answer.text[:200]}")
        logged = "".join(capfd.readouterr())
    assert count > 100 / every
    assert not faults, "\n".join(faults)
    assert "call_failed" not in logged
