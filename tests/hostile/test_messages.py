"""The limit of a message is that of what it unpacks to, and holds before the message is parsed."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from glidepath_proto.run.v1 import run_service_pb2 as pb
from tests.api.serving import bearer, open_channel, running

Code = grpc.StatusCode
MIB = 1024 * 1024
LIST = "/glidepath.run.v1.RunService/ListDagRuns"


@pytest.mark.parametrize(
    ("size", "packing", "code"),
    [
        (3 * MIB, grpc.Compression.Gzip, Code.OK),
        (64 * MIB, grpc.Compression.Gzip, Code.RESOURCE_EXHAUSTED),
        (64 * MIB, grpc.Compression.Deflate, Code.RESOURCE_EXHAUSTED),
        (5 * MIB, grpc.Compression.NoCompression, Code.RESOURCE_EXHAUSTED),
    ],
)
async def test_a_message_over_the_limit_is_refused(
    database_url: str, size: int, packing: grpc.Compression, code: grpc.StatusCode
) -> None:
    async with running(database_url) as api, open_channel(api.address) as channel:
        # Bytes of a field that the message does not have: what is unknown is skipped.
        body = (
            b"\xfa\x07"
            + bytes((size % 128 + 128, size >> 7 & 127 | 128, size >> 14 & 127 | 128, size >> 21))
            + bytes(size)
        )
        call: Any = channel.unary_unary(LIST, response_deserializer=pb.ListDagRunsResponse.FromString)(
            body, metadata=bearer(await api.token("viewer")), compression=packing, timeout=60
        )
        assert await call.code() is code, await call.details()


async def test_a_request_that_cannot_be_read_is_the_clients_fault(database_url: str) -> None:
    async with running(database_url) as api, open_channel(api.address) as channel:
        token = await api.token("viewer")
        call: Any = channel.unary_unary(LIST)(b"\xff", metadata=bearer(token))
        assert await call.code() is Code.INVALID_ARGUMENT
        assert await call.details() == "request: got 1 bytes, expected a message that can be read (" + (
            "Error parsing message with type 'glidepath.run.v1.ListDagRunsRequest': Wire format was corrupt)"
        )
        # A stranger learns nothing of how it was read, because it was not.
        assert await channel.unary_unary(LIST)(b"\xff").code() is Code.UNAUTHENTICATED
