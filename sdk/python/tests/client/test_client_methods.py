"""Each RPC of the contract has its method, on both clients, and sends what it was told."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from glidepath import AsyncClient, Client, Cron, Deadline, dag, task
from glidepath.payloads import encode
from glidepath_proto.admin.v1 import admin_service_pb2
from glidepath_proto.common.v1 import authorization_pb2
from glidepath_proto.registry.v1 import dag_pb2, registry_service_pb2
from glidepath_proto.run.v1 import run_pb2, run_service_pb2


@task
def hello(name: str) -> str:
    return f"hello {name}"


@dag
def greet(name: str = "world") -> None:
    hello(name)


# Every method with arguments that are enough to call it.
CALLS: dict[str, tuple[Any, ...]] = {
    "register": (dag_pb2.DagSpec(dag_id="d"),),
    "get_dag": ("d",),
    "list_dags": (),
    "get_dag_version": ("d",),
    "list_dag_versions": ("d",),
    "diff_dag_versions": ("d", 1, 2),
    "set_dag_alias": ("d", "production", 1),
    "pause_dag": ("d",),
    "unpause_dag": ("d",),
    "clear_dag_cache": ("d", "t"),
    "trigger": ("d",),
    "trigger_many": ([],),
    "get_dag_run": ("r",),
    "list_dag_runs": (),
    "list_task_instances": ("r",),
    "list_attempts": ("r",),
    "watch": ("r",),
    "wait": ("r",),
    "logs": ("r",),
    "cancel_dag_run": ("r",),
    "cancel_task_instances": ("r", ["t"]),
    "mark_task_instances": ("r", ["t"], "skipped"),
    "clear_task_instances": ("r", ["t"]),
    "rerun_dag_run": ("r",),
    "set_dag_run_priority": ("r", 5),
    "get_task_output": ("r", "t"),
    "output": ("r", "t"),
    "explain_dag_run": ("r",),
    "get_run_eta": ("r",),
    "list_dead_letters": (),
    "add_note": ("r", "late"),
    "list_notes": ("r",),
    "pause_dag_run": ("r",),
    "resume_dag_run": ("r", ["t"]),
    "set_deadline": ("d", Deadline.after_start("6h")),
    "delete_deadline": ("d", "name"),
    "list_deadlines": ("d",),
    "list_run_deadlines": (),
    "set_schedule": ("d", Cron("0 2 * * *", zone="Asia/Kolkata")),
    "get_schedule": ("d", "main"),
    "list_schedules": (),
    "pause_schedule": ("d", "main"),
    "resume_schedule": ("d", "main"),
    "delete_schedule": ("d", "main"),
    "list_ticks": ("d", "main"),
    "list_approvals": (),
    "answer_approval": ("r", "release", True),
    "preview_backfill": ("d",),
    "create_backfill": ("d",),
    "get_backfill": ("b",),
    "list_backfills": (),
    "list_backfill_dates": ("b",),
    "pause_backfill": ("b",),
    "resume_backfill": ("b",),
    "cancel_backfill": ("b",),
    "retry_backfill": ("b",),
    "list_xcoms": ("r",),
    "list_artifact_uses": ("r",),
    "get_artifact_lineage": ("s3://b/k",),
    "list_metrics": ("d",),
    "get_server_info": (),
    "create_namespace": ("ml",),
    "list_namespaces": (),
    "set_pool": ("gpu", 2),
    "list_pools": (),
    "delete_pool": ("gpu",),
    "set_alert_channel": ("ops", "webhook", {"url": "u"}),
    "list_alert_channels": (),
    "delete_alert_channel": ("ops",),
    "test_alert_channel": ("ops",),
    "set_alert_route": ("all", ["run_failed"], "ops"),
    "list_alert_routes": (),
    "delete_alert_route": ("all",),
    "list_alerts": (),
    "resend_alerts": (),
    "list_plugins": (),
    "set_limit": ("gpu", 2),
    "list_limits": (),
    "delete_limit": ("gpu",),
    "set_namespace_weight": ("ml", 2.0),
    "list_namespace_weights": (),
    "create_token": ("ci", "author"),
    "list_tokens": (),
    "revoke_token": ("t",),
    "list_workers": (),
    "list_audit_events": (),
    "list_incidents": (),
    "release_dag_run": ("r",),
}


def _final_run(request: Any, context: Any) -> Iterator[run_service_pb2.WatchDagRunResponse]:
    yield run_service_pb2.WatchDagRunResponse(dag_run=run_pb2.DagRun(state=run_pb2.RUN_STATE_SUCCESS))


def _one_run(request: Any, context: Any) -> run_service_pb2.TriggerDagRunsResponse:
    return run_service_pb2.TriggerDagRunsResponse(runs=[run_service_pb2.TriggeredDagRun(dag_run_id="r")])


@pytest.fixture
def answering(server: Any) -> Any:
    server.on("WatchDagRun", _final_run)
    server.on("TriggerDagRuns", _one_run)
    return server


def _methods(client: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(client) if not name.startswith("_")} - {"close", "connection"}


def test_each_rpc_has_its_method(answering: Any, rpc_names: set[str]) -> None:
    assert _methods(Client) == _methods(AsyncClient) == set(CALLS)
    with Client(answering.address) as client:
        for name, arguments in CALLS.items():
            result = getattr(client, name)(*arguments)
            if isinstance(result, Iterator):
                list(result)
    assert {method for method, _ in answering.calls} == rpc_names


def test_a_limit_says_its_slots_its_rate_or_both(server: Any) -> None:
    with Client(server.address) as client:
        client.set_limit("gpu", 2)
        client.set_limit("api", rate=(100, 60))
        client.set_limit("both", 0, rate=(5, timedelta(minutes=2)))
    gpu, api, both = server.requests("SetLimit")
    assert (gpu.slots, gpu.HasField("rate")) == (2, False)
    assert (api.HasField("slots"), api.rate.starts, api.rate.per.seconds) == (False, 100, 60)
    assert (both.HasField("slots"), both.slots, both.rate.per.seconds) == (True, 0, 120)


async def test_the_async_client_sends_the_same(answering: Any, rpc_names: set[str]) -> None:
    async with AsyncClient(answering.address) as client:
        for name, arguments in CALLS.items():
            result = getattr(client, name)(*arguments)
            if isinstance(result, AsyncIterator):
                [item async for item in result]
            else:
                await result
    assert {method for method, _ in answering.calls} == rpc_names


def test_requests_carry_namespace_token_and_a_request_id(server: Any) -> None:
    with Client(server.address, token="secret", namespace="ml") as client:
        client.cancel_dag_run("r", reason="why")
        client.cancel_dag_run("r", request_id="mine")
    first, second = server.requests("CancelDagRun")
    assert (first.namespace, first.dag_run_id, first.reason) == ("ml", "r", "why")
    assert len(first.request_id) == 36 and second.request_id == "mine"
    assert server.metadata[0]["authorization"] == "Bearer secret"


def test_registering_a_dag_sends_its_source(server: Any) -> None:
    answer = registry_service_pb2.RegisterDagVersionResponse(created=True)
    server.on("RegisterDagVersion", lambda request, context: answer)
    with Client(server.address) as client:
        assert client.register(greet, aliases=["production"]).created
    (request,) = server.requests("RegisterDagVersion")
    assert request.spec.dag_id == "greet" and list(request.aliases) == ["production"]
    assert request.spec.tasks[0].handler.version == request.sources[0].content_hash


def test_triggering_sends_what_a_run_is_made_of(answering: Any) -> None:
    with Client(answering.address) as client:
        run = client.trigger(
            "d", params={"n": 1}, run_key="k", logical_date="2026-01-31", alias="production", traceparent="00-a-b-01"
        )
        client.trigger_many([{"dag_id": "d", "version": 3, "logical_date": datetime(2026, 1, 1, 6, tzinfo=UTC)}])
    assert run.dag_run_id == "r"
    one, two = (request.runs[0] for request in answering.requests("TriggerDagRuns"))
    assert (one.params, one.run_key, one.alias, one.traceparent) == ('{"n": 1}', "k", "production", "00-a-b-01")
    assert one.logical_date.ToJsonString() == "2026-01-31T00:00:00Z"
    assert two.dag_version_number == 3 and two.logical_date.ToJsonString() == "2026-01-01T06:00:00Z"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"logical_date": datetime(2026, 1, 1)}, "logical_date is .*no time zone"),  # noqa: DTZ001
        ({"logical_date": "yesterday"}, "expected ISO 8601"),
        ({"version": 1, "alias": "a"}, "version and alias are both given"),
    ],
)
def test_a_run_that_means_two_things_is_refused_before_it_is_sent(options: Any, message: str) -> None:
    with Client() as client, pytest.raises(ValueError, match=message):
        client.trigger("d", **options)


def test_enums_go_by_their_short_names(server: Any) -> None:
    with Client(server.address, namespace="ml") as client:
        list(client.list_dag_runs(states=["failed", "cancelled"]))
        client.create_token("ci", "author", namespace="*")
        with pytest.raises(ValueError, match="role is 'root'; expected one of viewer, operator, author, admin, worker"):
            client.create_token("ci", "root")
    assert list(server.requests("ListDagRuns")[0].states) == [run_pb2.RUN_STATE_FAILED, run_pb2.RUN_STATE_CANCELLED]
    (request,) = server.requests("CreateToken")
    assert request.role == authorization_pb2.ROLE_AUTHOR and request.namespace == "*"


def test_an_instance_of_a_mapped_task_is_named_by_its_index(server: Any) -> None:
    with Client(server.address) as client:
        list(client.list_task_instances("r", task_id="t", states=["up_for_retry"]))
        list(client.list_attempts("r", "t", map_index=0))
        list(client.logs("r", "t", map_index=0))
        list(client.logs("r", "t"))
        client.clear_task_instances("r", ["t"], map_indexes=[3, 7])
        client.mark_task_instances("r", ["t"], "skipped", map_indexes=[0])
        client.cancel_task_instances("r", ["t"], map_indexes=[2])
        client.get_task_output("r", "t", 0)
    (listed,) = server.requests("ListTaskInstances")
    assert listed.task_id == "t" and list(listed.states) == [run_pb2.TASK_STATE_UP_FOR_RETRY]
    (attempts,), (one, every) = server.requests("ListAttempts"), server.requests("StreamLogs")
    assert attempts.HasField("map_index") and one.HasField("map_index") and not every.HasField("map_index")
    (cleared,) = server.requests("ClearTaskInstances")
    assert list(cleared.task_ids) == ["t"] and list(cleared.map_indexes) == [3, 7]
    (marked,), (cancelled,) = server.requests("MarkTaskInstances"), server.requests("CancelTaskInstances")
    assert list(marked.map_indexes) == [0] and list(cancelled.map_indexes) == [2]
    (output,) = server.requests("GetTaskOutput")
    assert output.HasField("map_index") and output.map_index == 0


def _pages(request: Any, context: Any) -> Any:
    names, token = {"": ("ab", "1"), "1": ("", "2"), "2": ("c", "")}[request.page_token]
    pools = [admin_service_pb2.Pool(pool_name=name) for name in names]
    return admin_service_pb2.ListPoolsResponse(pools=pools, next_page_token=token)


async def test_lists_go_over_all_pages(server: Any) -> None:
    server.on("ListPools", _pages)
    with Client(server.address) as client:
        assert [pool.pool_name for pool in client.list_pools(page_size=2)] == ["a", "b", "c"]
    async with AsyncClient(server.address) as asynchronous:
        assert [pool.pool_name async for pool in asynchronous.list_pools()] == ["a", "b", "c"]
    assert server.requests("ListPools")[2].page_size == 2


def test_a_list_that_is_left_early_asks_for_no_further_page(server: Any) -> None:
    server.on("ListPools", _pages)
    with Client(server.address) as client:
        next(client.list_pools())
    assert len(server.requests("ListPools")) == 1


def test_output_is_decoded(server: Any) -> None:
    output = run_pb2.TaskOutput(output=encode({"rows": [1, 2]}))
    server.on("GetTaskOutput", lambda request, context: run_service_pb2.GetTaskOutputResponse(task_output=output))
    with Client(server.address) as client:
        assert client.output("r", "t") == {"rows": [1, 2]}
    assert server.requests("GetTaskOutput")[0].map_index == -1


def test_the_async_client_may_be_made_before_the_loop(server: Any) -> None:
    client = AsyncClient(server.address)

    async def use() -> None:
        await client.get_server_info()
        await client.close()

    asyncio.run(use())
    assert len(server.calls) == 1
