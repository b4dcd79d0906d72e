"""Every wrong call of the registry is answered exactly, and leaves no trace."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from runs_room import CHAIN, RATE_SCHEMA, Room, dag, open_room
from serving import bearer
from wrong_registrations import ARCHIVE, ARCHIVE_HASH, WRONG_CALLS, WrongCall, good

from glidepath_proto.admin.v1 import admin_service_pb2, admin_service_pb2_grpc
from glidepath_proto.registry.v1 import registry_service_pb2

# All that the registry writes into.
TABLES = (
    "dag",
    "dag_version",
    "dag_alias",
    "source_bundle",
    "queue",
    "task_class",
    "concurrency_limit",
    "request",
    "audit_event",
    "incident",
)


async def scene(room: Room) -> dict[str, str]:
    """What wrong_registrations.py says that there is; the values of the names in braces."""
    async with room.database.api.acquire() as connection:
        await connection.execute("insert into namespace (namespace) values ('other')")
    admin: Any = admin_service_pb2_grpc.AdminServiceStub(await room.api.channel())
    await admin.SetPool(admin_service_pb2.SetPoolRequest(pool_name="gpus", slots=4), metadata=room.metadata)
    await room.register(dag("churn", CHAIN, params_schema=RATE_SCHEMA), aliases=["production"], request_id="used")
    [used] = await room.rows("select create_time from request where request_id = 'used'")
    return {"used": used["create_time"].isoformat()}


async def callers(room: Room) -> dict[str, Any]:
    """Metadata by who calls."""
    return {
        "admin": room.metadata,
        "viewer": bearer(await room.api.token("viewer")),
        "operator": bearer(await room.api.token("operator", name="an-operator")),
        "author of default": bearer(await room.api.token("author", namespace="default", name="an-author")),
    }


async def answer(room: Room, wrong: WrongCall, metadata: Any) -> grpc.aio.AioRpcError:
    request = ParseDict(wrong.fields, getattr(registry_service_pb2, f"{wrong.method}Request")())
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await getattr(room.registry, wrong.method)(request, metadata=metadata)
    return caught.value


def listed(error: grpc.aio.AioRpcError) -> list[str]:
    """The violations in the details of an answer, as a message has them."""
    [data] = [value for key, value in error.trailing_metadata() or () if key == rpc_status.GRPC_DETAILS_METADATA_KEY]
    bad_request = error_details_pb2.BadRequest()
    for detail in status_pb2.Status.FromString(data).details:
        detail.Unpack(bad_request)
    return [f"{each.field}: {each.description}" for each in bad_request.field_violations]


async def traces(room: Room) -> dict[str, str]:
    """A digest of each table."""
    query = "select md5(string_agg(t::text, '|' order by t::text)) as digest from {} t"
    return {table: (await room.rows(query.format(table)))[0]["digest"] for table in TABLES}


async def test_every_wrong_call_is_answered_exactly_and_leaves_no_trace(database_url: str) -> None:
    async with open_room(database_url) as room:
        names, metadata = await scene(room), await callers(room)
        before = await traces(room)
        for wrong in WRONG_CALLS:
            error = await answer(room, wrong, metadata[wrong.caller])
            expected = wrong.message.replace("{used}", names["used"])
            # The one message whose end is not known beforehand names digests.
            message = error.details() or ""
            shown = message[: len(expected)] if "{used}" in wrong.message else message
            assert (error.code(), shown) == (wrong.code, expected), wrong.why
            if wrong.code is grpc.StatusCode.INVALID_ARGUMENT:
                assert listed(error) == [expected.partition(" (and ")[0], *wrong.more], wrong.why
            assert await traces(room) == before, wrong.why


async def test_what_the_wrong_calls_are_changes_of_is_right(database_url: str) -> None:
    fields = {"spec": good(), "sources": [{"content_hash": ARCHIVE_HASH, "archive": ARCHIVE}], "aliases": ["a"]}
    request = ParseDict(fields, registry_service_pb2.RegisterDagVersionRequest())
    async with open_room(database_url) as room:
        before = await traces(room)
        request.validate_only = True
        assert (await room.registry.RegisterDagVersion(request, metadata=room.metadata)).created
        assert await traces(room) == before
        request.validate_only = False
        assert (await room.registry.RegisterDagVersion(request, metadata=room.metadata)).created
        after = await traces(room)
        assert [table for table in TABLES if before[table] == after[table]] == ["request", "incident"]


def test_there_are_wrong_calls_of_every_method() -> None:
    methods = {method.name for method in registry_service_pb2.DESCRIPTOR.services_by_name["RegistryService"].methods}
    assert {wrong.method for wrong in WRONG_CALLS} == methods
