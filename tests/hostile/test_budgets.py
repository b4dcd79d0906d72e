"""A token that has too much open or running keeps itself waiting, and nobody else."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc

from glidepath_proto.run.v1 import run_service_pb2 as pb
from tests.api.serving import bearer, open_channel, running

Code = grpc.StatusCode
SOON_SECONDS = 10.0
LIST = "/glidepath.run.v1.RunService/ListDagRuns"


def list_runs(channel: grpc.aio.Channel, token: str) -> Any:
    make: Any = channel.unary_unary(LIST, response_deserializer=pb.ListDagRunsResponse.FromString)
    return make(b"", metadata=bearer(token), timeout=SOON_SECONDS)


async def begin(channel: grpc.aio.Channel, token: str) -> Any:
    """A unary call whose request never comes, so that it runs for ever; back when the server has its headers."""
    call: Any = channel.stream_unary(LIST)(metadata=bearer(token))
    return call


async def test_calls_over_the_number_that_may_run_wait_for_one_to_end(database_url: str) -> None:
    async with running(database_url, calls_running_per_token_max=2) as api, open_channel(api.address) as channel:
        token, other = await api.token("viewer"), await api.token("viewer")
        held = [await begin(channel, token) for _ in range(2)]
        budgets = api.server._opened()._interceptors[1]._budgets["user"]._budgets
        async with asyncio.timeout(SOON_SECONDS):
            while not (budgets and next(iter(budgets.values())).running.locked()):
                await asyncio.sleep(0.005)
        late = list_runs(channel, token)
        assert await list_runs(channel, other) is not None
        assert not late.done()
        held[0].cancel()
        assert await late is not None
        held[1].cancel()


async def test_calls_over_the_number_that_may_be_open_are_refused(database_url: str) -> None:
    async with running(database_url, calls_per_token_max=3) as api, open_channel(api.address) as channel:
        token, other = await api.token("viewer"), await api.token("viewer")
        held = [await begin(channel, token) for _ in range(3)]
        budgets = api.server._opened()._interceptors[1]._budgets["user"]._budgets
        async with asyncio.timeout(SOON_SECONDS):
            while sum(each.open for each in budgets.values()) < 3:
                await asyncio.sleep(0.005)
        call = list_runs(channel, token)
        assert await call.code() is Code.RESOURCE_EXHAUSTED
        assert "3 calls of this token are open, at most 3 may be" in await call.details()
        assert await list_runs(channel, other) is not None
        for each in held:
            each.cancel()
        async with asyncio.timeout(SOON_SECONDS):
            while budgets:
                await asyncio.sleep(0.005)
        assert await list_runs(channel, token) is not None
