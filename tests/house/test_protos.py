"""Rules of the wire that buf cannot know: every RPC says who may call it, names keep to the glossary."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor, MethodDescriptor
from repository import ROOT, list_files

from glidepath_proto.common.v1 import authorization_pb2

# Instants whose names the glossary fixes, or that read as a sentence with their message.
INSTANTS = {
    "time",
    "until",
    "logical_date",
    "data_interval_start",
    "data_interval_end",
    "logical_dates",
    "range_start",
    "range_end",
}


@cache
def proto_files() -> list[FileDescriptor]:
    """The descriptors of every file in proto/, through the generated modules."""
    names = [path.relative_to(ROOT / "proto" / "glidepath") for path in list_files(".proto")]
    modules = [".".join(name.with_suffix("").parts) for name in names]
    assert modules, "proto/ has moved; these tests look at nothing"
    return [importlib.import_module(f"glidepath_proto.{module}_pb2").DESCRIPTOR for module in modules]


def methods() -> list[MethodDescriptor]:
    return [
        method for file in proto_files() for service in file.services_by_name.values() for method in service.methods
    ]


def messages() -> Iterator[Descriptor]:
    pending = [message for file in proto_files() for message in file.message_types_by_name.values()]
    while pending:
        message = pending.pop()
        pending += message.nested_types
        yield message


def fields() -> list[FieldDescriptor]:
    return [field for message in messages() if not message.GetOptions().map_entry for field in message.fields]


def test_the_generated_code_has_every_service_and_rpc_of_the_text() -> None:
    text = "\n".join(path.read_text() for path in list_files(".proto"))
    written = re.findall(r"^\s+rpc (\w+)", text, re.MULTILINE)
    assert len(written) > 10
    assert sorted(written) == sorted(method.name for method in methods())


def test_every_rpc_says_who_may_call_it() -> None:
    extension: Any = authorization_pb2.authorization
    unsaid = []
    for method in methods():
        rule = method.GetOptions().Extensions[extension]
        if not (rule.public or rule.role):
            unsaid.append(method.full_name)
    assert not unsaid, f"add the authorization option to {unsaid}"


def test_timestamps_end_in_time_and_only_they_do() -> None:
    wrong = []
    for field in fields():
        timestamp = field.message_type is not None and field.message_type.full_name == "google.protobuf.Timestamp"
        if timestamp != (field.name.endswith("_time") or field.name in INSTANTS):
            wrong.append(field.full_name)
    assert not wrong, f"a Timestamp is named ..._time, and nothing else is: {wrong}"


def test_durations_are_durations() -> None:
    wrong = [field.full_name for field in fields() if re.search(r"_(seconds|minutes|hours|ms|millis)$", field.name)]
    assert not wrong, f"use google.protobuf.Duration: {wrong}"


# What the glossary says not to say, as far as one word in a name is proof of it.
BANNED = {
    "flow": "dag",
    "workflow": "dag",
    "job": "dag or task",
    "dataset": "asset",
    "semaphore": "pool",
    "snapshot": "board",
    "replay": "backfill",
    "execution_date": "logical_date",
    "task_run": "task instance",
    "work_pool": "queue",
    "visibility_timeout": "lease",
    "sla_miss": "deadline",
    "retry_count": "attempt_number",
    "try_number": "attempt_number",
}


def banned_in(name: str) -> list[str]:
    """The banned words in an identifier, whether it is snake_case or CamelCase."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return [word for word in BANNED if f"_{word}_" in f"_{snake}_" or f"_{word}s_" in f"_{snake}_"]


def names_in_protos() -> Iterator[str]:
    yield from (method.name for method in methods())
    yield from (message.name for message in messages())
    yield from (field.name for field in fields())


def names_in_sql() -> Iterator[str]:
    """Tables and columns of the schema: the first word of a column line, the name after `create ...`."""
    schema = (ROOT / "server/glidepath_server/store/schema.sql").read_text()
    without_comments = re.sub(r"--.*", "", schema)
    yield from re.findall(r"create (?:table|index|type|view) (?:if not exists )?(\w+)", without_comments)
    yield from re.findall(
        r"^\s+(\w+)\s+(?:uuid|text|bytea|jsonb|int|bigint|smallint|bool|timestamptz|double)", without_comments, re.M
    )


@pytest.mark.parametrize("source", [names_in_protos, names_in_sql])
def test_names_keep_to_the_glossary(source: Any) -> None:
    names = sorted(set(source()))
    assert len(names) > 30, "this test looks at nothing"
    said = [f"{name}: say {BANNED[word]}, not {word}" for name in names for word in banned_in(name)]
    assert not said, "\n".join(said)


def test_the_word_finder_reads_both_spellings() -> None:
    assert banned_in("job_id") == ["job"]
    assert banned_in("ListDatasets") == ["dataset"]
    assert banned_in("TaskRunState") == ["task_run"]
    assert banned_in("jobless_flower") == []
