"""Every wrong call is answered exactly and leaves no trace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc
from google.protobuf.json_format import ParseDict
from runs_room import CHAIN, RATE_SCHEMA, Room, dag, open_room, timestamp
from serving import bearer
from wrong_calls import WRONG_CALLS, Many, WrongCall
from wrong_eta import WRONG_ETA
from wrong_instances import WRONG_INSTANCES
from wrong_notes import WRONG_NOTES

from glidepath_proto.run.v1 import run_service_pb2

# All that a call on runs could write into.
TABLES = (
    "dag_run",
    "dag_run_key",
    "dag_run_event",
    "run_inbox",
    "task_queue",
    "live_attempt",
    "task_attempt",
    "request",
    "audit_event",
    "incident",
)


async def scene(room: Room) -> dict[str, str]:
    """What wrong_calls.py says that there is; the values of the names in braces."""
    async with room.database.api.acquire() as connection:
        await connection.execute("insert into namespace (namespace) values ('other')")
    await room.register(dag("churn", CHAIN, params_schema=RATE_SCHEMA), aliases=["production"])
    await room.register(dag("plain", {"only": []}))
    first = await room.trigger(
        {
            "dag_id": "churn",
            "run_key": "first",
            "params": '{"learning_rate": 0.5}',
            "logical_date": timestamp("2026-01-01T00:00:00Z"),
        }
    )
    await room.trigger({"dag_id": "plain"}, request_id="used")
    await room.start("churn")
    run_id = first.runs[0].dag_run_id
    for each in (await room.call("ListDagRuns")).dag_runs:
        await room.watch(each.dag_run_id, **{"load" if each.dag_id == "churn" else "only": "queued"})
    page = await room.call("ListDagRuns", dag_id="churn", page_size=1)
    async with room.database.api.acquire() as connection:
        used = await connection.fetchrow("select create_time, body_hash from request where request_id = 'used'")
    return {
        "run": run_id,
        "token": page.next_page_token,
        "token_start": page.next_page_token[:64],
        "used": used["create_time"].isoformat(),
    }


async def callers(room: Room) -> dict[str, Any]:
    """Metadata by who calls."""
    return {
        "admin": room.metadata,
        "viewer": bearer(await room.api.token("viewer")),
        "operator of default": bearer(await room.api.token("operator", namespace="default", name="an-operator")),
    }


def filled(value: Any, names: Mapping[str, str]) -> Any:
    """The value with the names in braces replaced."""
    if isinstance(value, str):
        return value.format(**names) if "{" in value else value
    if isinstance(value, Many):
        return [filled(value.item, names)] * value.count
    if isinstance(value, dict):
        return {key: filled(each, names) for key, each in value.items()}
    return [filled(each, names) for each in value] if isinstance(value, list) else value


async def answer(room: Room, wrong: WrongCall, fields: dict[str, Any], metadata: Any) -> tuple[Any, str]:
    request = ParseDict(fields, getattr(run_service_pb2, f"{wrong.method}Request")())
    call = getattr(room.stub, wrong.method)(request, metadata=metadata)
    try:
        if hasattr(call, "read"):
            await call.read()
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""


async def traces(room: Room) -> dict[str, str]:
    """A digest of each table."""
    query = "select md5(string_agg(t::text, '|' order by t::text)) as digest from {} t"
    return {table: (await room.rows(query.format(table)))[0]["digest"] for table in TABLES}


async def test_every_wrong_call_is_answered_exactly_and_leaves_no_trace(database_url: str) -> None:
    async with open_room(database_url) as room:
        names, metadata = await scene(room), await callers(room)
        for wrong in (*WRONG_CALLS, *WRONG_ETA, *WRONG_NOTES, *WRONG_INSTANCES):
            before = await traces(room)
            code, message = await answer(room, wrong, filled(wrong.fields, names), metadata[wrong.caller])
            expected = filled(wrong.message, names)
            assert (code, message[: len(expected)]) == (wrong.code, expected), wrong.why
            # The one message whose end is not known beforehand names digests.
            assert message == expected or wrong.why == "the request id of another call", wrong.why
            assert await traces(room) == before, wrong.why


def test_there_are_wrong_calls_of_every_method() -> None:
    methods = {method.name for method in run_service_pb2.DESCRIPTOR.services_by_name["RunService"].methods}
    assert {wrong.method for wrong in (*WRONG_CALLS, *WRONG_ETA, *WRONG_NOTES, *WRONG_INSTANCES)} == methods
