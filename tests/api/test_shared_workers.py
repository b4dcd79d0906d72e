"""A worker that serves several namespaces: who may, what it gets, what it may speak of; and weights."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from runs_room import Room, dag, open_room
from serving import bearer, until
from worker_room import LIVE, hello, line, open_workers, success, until_rows

from glidepath_proto.admin.v1 import admin_service_pb2, admin_service_pb2_grpc, capacity_service_pb2_grpc
from glidepath_proto.admin.v1 import capacity_service_pb2 as pb
from glidepath_proto.registry.v1 import registry_service_pb2
from glidepath_proto.run.v1 import run_service_pb2

pytestmark = pytest.mark.asyncio
Code = grpc.StatusCode


@pytest_asyncio.fixture
async def room(database_url: str) -> AsyncIterator[Room]:
    """Namespaces default, blue and red, each with DAG churn of one task."""
    async with open_room(database_url) as found:
        admin: Any = admin_service_pb2_grpc.AdminServiceStub(await found.api.channel())
        for name in ("blue", "red"):
            await admin.CreateNamespace(
                admin_service_pb2.CreateNamespaceRequest(new_namespace=name), metadata=found.metadata
            )
        for name in ("default", "blue", "red"):
            request = registry_service_pb2.RegisterDagVersionRequest(namespace=name, spec=dag("churn", {"only": []}))
            await found.registry.RegisterDagVersion(request, metadata=found.metadata)
        yield found


async def start(room: Room, namespace: str) -> str:
    runs = [run_service_pb2.DagRunRequest(dag_id="churn")]
    answer = await room.call("TriggerDagRuns", namespace=namespace, runs=runs)
    return str(answer.runs[0].dag_run_id)


async def refused(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""


async def test_a_shared_worker_gets_what_its_namespaces_have_and_nothing_of_others(room: Room) -> None:
    for namespace in ("default", "blue", "red"):
        await start(room, namespace)
    async with open_workers(room) as workers, workers.stream(credits=5, other_namespaces=["blue"]) as stream:
        given = await stream.take("assignments", 2)
        assert {each.namespace for each in given} == {"default", "blue"}
        blue = next(each for each in given if each.namespace == "blue")
        await stream.send(log_chunks=[line(blue.task_token, 0)], results=[success(each.task_token) for each in given])
        assert [each.verdict for each in await stream.take("result_acks", 2)] == [1, 1]
        await stream.take("log_acks")
        await until_rows(room, LIVE, 0)
        await until_rows(room, "select count(*) from task_log_chunk", 1)
        await until_rows(room, "select count(*) from task_queue", 1)  # red's task waits


async def test_a_shared_worker_needs_a_token_of_all_namespaces_that_exist(room: Room) -> None:
    async with open_workers(room, namespace="blue") as workers:
        call = workers.call("Claim", hello=hello(namespace="blue", other_namespaces=["red"]))
        code, message = await refused(call)
        assert code is Code.PERMISSION_DENIED and "holds namespace 'blue' only" in message
    async with open_workers(room) as workers:
        code, message = await refused(workers.call("Claim", hello=hello(other_namespaces=["rde"])))
        assert code is Code.NOT_FOUND and "namespace 'rde' does not exist" in message
    assert not await room.rows("select from worker_session")


async def test_what_a_shared_worker_serves_is_known_on_every_replica_by_its_row(room: Room) -> None:
    async with open_workers(room) as workers:
        answer = await workers.call("Claim", hello=hello(other_namespaces=["red"]))
        room.server.services[0].servicer._unary._sessions.clear()  # another replica has never heard of it
        await start(room, "red")
        session = {"session_id": answer.welcome.session_id, "generation": answer.welcome.generation}
        claimed = await workers.call("Claim", session=session, wait={"seconds": 5})
        assert [each.namespace for each in claimed.assignments] == ["red"]


async def test_workers_of_a_namespace_are_those_that_serve_it_and_explain_knows_them(room: Room) -> None:
    admin: Any = admin_service_pb2_grpc.AdminServiceStub(await room.api.channel())
    async with open_workers(room) as workers, workers.stream(other_namespaces=["blue"]):
        for namespace, count in (("default", 1), ("blue", 1), ("red", 0)):
            request = admin_service_pb2.ListWorkersRequest(namespace=namespace)
            found = (await admin.ListWorkers(request, metadata=room.metadata)).workers
            assert [list(each.other_namespaces) for each in found] == [["blue"]] * count
        run_id = await start(room, "blue")

        async def told() -> bool:
            answer = await room.call("ExplainDagRun", namespace="blue", dag_run_id=run_id)
            return "1 worker can run it" in answer.explanations[0].message

        await until(told)


async def test_weights_are_set_listed_audited_and_bounded(room: Room) -> None:
    capacity: Any = capacity_service_pb2_grpc.CapacityServiceStub(await room.api.channel())

    async def weigh(namespace: str, weight: float, metadata: Any = room.metadata) -> Any:
        request = pb.SetNamespaceWeightRequest(namespace=namespace, weight=weight)
        return await capacity.SetNamespaceWeight(request, metadata=metadata)

    assert (await weigh("red", 4)).namespace_weight.weight == 4
    await weigh("red", 4)
    assert room.server.engine.replica.pullers.weights == {"red": 4.0}
    answer = await capacity.ListNamespaceWeights(pb.ListNamespaceWeightsRequest(), metadata=room.metadata)
    assert {each.namespace: each.weight for each in answer.namespace_weights} == {"default": 1, "blue": 1, "red": 4}
    assert len(await room.rows("select from audit_event where action = 'namespace.weight'")) == 1
    for weight in (0.0, 1001.0, float("nan")):
        assert (await refused(weigh("red", weight)))[0] is Code.INVALID_ARGUMENT
    own = bearer(await room.api.token("admin", namespace="red"))
    assert (await refused(weigh("red", 2, own)))[0] is Code.PERMISSION_DENIED
    answer = await capacity.ListNamespaceWeights(pb.ListNamespaceWeightsRequest(), metadata=own)
    assert [(each.namespace, each.weight) for each in answer.namespace_weights] == [("red", 4)]
