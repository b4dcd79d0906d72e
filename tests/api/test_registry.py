"""Registering, reading, naming and pausing DAGs, through a real server and database."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from runs_room import CHAIN, HANDLER, RATE_SCHEMA, Room, dag, open_room
from serving import bearer

from glidepath_proto.common.v1 import payload_pb2
from glidepath_proto.registry.v1 import dag_pb2, registry_service_pb2

pytestmark = pytest.mark.asyncio
Code = grpc.StatusCode


async def ask(room: Room, method: str, *, token: str = "", **fields: Any) -> Any:
    """Call a method of the registry by name."""
    request = getattr(registry_service_pb2, f"{method}Request")(**fields)
    return await getattr(room.registry, method)(request, metadata=bearer(token) if token else room.metadata)


async def refused(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""


async def audit_of(room: Room, action: str) -> list[dict[str, Any]]:
    rows = await room.rows("select detail from audit_event where action = $1 order by audit_event_id", action)
    return [json.loads(row["detail"]) for row in rows]


# ---- registering
async def test_a_version_is_stored_with_its_defaults_resolved(database_url: str) -> None:
    async with open_room(database_url) as room:
        spec = dag(
            "churn",
            CHAIN,
            description="Who leaves?",
            owner="ml",
            tags=["b", "a"],
            params_schema=RATE_SCHEMA,
            defaults=dag_pb2.TaskPolicy(queue_name="gpu", retry=dag_pb2.RetryPolicy(retries_max=2)),
        )
        answer = await ask(room, "RegisterDagVersion", spec=spec, aliases=["production"])
        version = answer.dag_version
        assert (answer.created, version.dag_id, version.dag_version_number, version.task_count) == (True, "churn", 1, 3)
        assert version.created_by == "a-admin"
        assert [task.task_id for task in version.spec.tasks] == ["load", "train", "report"]
        assert all(
            task.policy.queue_name == "gpu" and task.policy.owner == "ml" and task.policy.retry.retries_max == 2
            for task in version.spec.tasks
        )
        [row] = await room.rows("select spec, content_hash from dag_version")
        assert version.content_hash == row["content_hash"] == hashlib.sha256(row["spec"].encode()).hexdigest()
        found = (await ask(room, "GetDag", dag_id="churn")).dag
        assert (found.description, found.owner, list(found.tags)) == ("Who leaves?", "ml", ["a", "b"])
        assert (found.latest_version_number, found.paused, dict(found.aliases)) == (1, False, {"production": 1})


async def test_the_same_content_is_the_same_version(database_url: str) -> None:
    async with open_room(database_url) as room:
        first = await ask(room, "RegisterDagVersion", spec=dag("churn", CHAIN, tags=["a", "b"]))
        spec = dag("churn", dict(reversed(CHAIN.items())), tags=["b", "a"])
        again = await ask(room, "RegisterDagVersion", spec=spec, aliases=["production"])
        assert not again.created
        assert again.dag_version == first.dag_version
        assert dict((await ask(room, "GetDag", dag_id="churn")).dag.aliases) == {"production": 1}


async def test_what_is_read_registers_as_the_same_version(database_url: str) -> None:
    spec = dag_pb2.DagSpec(
        dag_id="churn",
        params_schema=RATE_SCHEMA,
        run_timeout=Duration(seconds=3600),
        runs_active_max=2,
        tasks_active_max=3,
        tasks=[
            dag_pb2.TaskSpec(
                task_id="load",
                handler=dag_pb2.Handler(name=HANDLER),
                policy=dag_pb2.TaskPolicy(
                    retry=dag_pb2.RetryPolicy(delays=[Duration(seconds=1), Duration(nanos=500_000_000)]),
                    priority=-5,
                    resources={"cpu": 1.5},
                    worker_selector={"zone": "a"},
                    isolation=dag_pb2.ISOLATION_MODE_INLINE,
                ),
            ),
            dag_pb2.TaskSpec(
                task_id="train",
                handler=dag_pb2.Handler(name="shell"),
                trigger_rule=dag_pb2.TRIGGER_RULE_ALL_DONE,
                upstream_task_ids=["load"],
                policy=dag_pb2.TaskPolicy(
                    pool_name="gpu",
                    pool_slots=2,
                    lease_mode=dag_pb2.LEASE_MODE_EXCLUSIVE,
                    memory_limit_mb=512,
                    cancel_grace=Duration(seconds=2),
                    execution_timeout=Duration(seconds=60),
                ),
                inputs={
                    "command": dag_pb2.Input(template="train {{ ds }}"),
                    "rate": dag_pb2.Input(param="learning_rate"),
                    "table": dag_pb2.Input(output=dag_pb2.OutputRef(task_id="load", key="table")),
                    "far": dag_pb2.Input(literal=payload_pb2.Payload(uri="s3://bucket/key", size_bytes=7)),
                    "all": dag_pb2.Input(
                        list=dag_pb2.InputList(
                            items=[
                                dag_pb2.Input(literal=payload_pb2.Payload(data=b'{"b": 1, "a": [2]}')),
                                dag_pb2.Input(literal=payload_pb2.Payload(content_type="text/plain", data=b"\xff")),
                            ]
                        )
                    ),
                },
            ),
        ],
    )
    async with open_room(database_url) as room:
        await room.rows(
            "insert into concurrency_limit (namespace, kind, name, capacity) values ('default', 'pool', 'gpu', 4)"
        )
        await room.register(spec)
        read = (await ask(room, "GetDagVersion", dag_id="churn")).dag_version.spec
        again = await ask(room, "RegisterDagVersion", spec=read)
        assert (again.created, again.dag_version.spec) == (False, read)
        train = read.tasks[1]
        assert (train.policy.pool_slots, train.inputs["rate"].param, train.inputs["command"].template) == (
            2,
            "learning_rate",
            "train {{ ds }}",
        )
        [row] = await room.rows(
            "select pool_slots, pool_limit_id is not null as pooled from task_class where handler_name = 'shell'"
        )
        assert (row["pool_slots"], row["pooled"]) == (2, True)


async def test_tasks_of_equal_needs_share_a_class_and_versions_share_them_too(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", CHAIN))
        await room.register(dag("churn", {**CHAIN, "publish": ["report"]}))
        [row] = await room.rows("select count(*) as classes from task_class")
        versions = await room.rows("select class_ids from dag_version order by dag_version_number")
        assert row["classes"] == 1
        assert [len(each["class_ids"]) for each in versions] == [3, 4]
        assert len({class_id for each in versions for class_id in each["class_ids"]}) == 1


async def test_everything_wrong_is_said_at_once(database_url: str) -> None:
    spec = dag("churn", {"load": ["nowhere"], "train": []}, tasks_active_max=-1)
    spec.tasks[1].MergeFromString(b"\x30\x4d")  # trigger_rule 77, of a client that is newer than the server
    spec.tasks[1].policy.pool_name = "gpu"
    async with open_room(database_url) as room:
        call = ask(
            room,
            "RegisterDagVersion",
            spec=spec,
            aliases=["no alias"],
            sources=[registry_service_pb2.SourceBundle(content_hash="0" * 64, archive=b"zip")],
        )
        code, message = await refused(call)
        assert code is Code.INVALID_ARGUMENT
        assert message.startswith("tasks_active_max: got -1, expected 1 to 1000000 (and 5 more)")
        assert await room.rows("select dag_id from dag") == []


async def test_a_pool_that_does_not_exist_is_named_and_nothing_is_stored(database_url: str) -> None:
    spec = dag("churn", CHAIN, defaults=dag_pb2.TaskPolicy(pool_name="gpu"))
    async with open_room(database_url) as room:
        code, message = await refused(ask(room, "RegisterDagVersion", spec=spec))
        assert (code, message) == (
            Code.INVALID_ARGUMENT,
            "defaults.pool_name: got 'gpu', expected a pool of this namespace; make it first: SetPool",
        )
        assert await room.rows("select limit_id from concurrency_limit") == []


async def test_source_is_stored_with_the_version_that_needs_it(database_url: str) -> None:
    archive = b"PK..."
    content_hash = hashlib.sha256(archive).hexdigest()
    spec = dag("churn", {"load": []})
    spec.tasks[0].handler.CopyFrom(dag_pb2.Handler(name="python:flows:load", version=content_hash))
    bundle = registry_service_pb2.SourceBundle(content_hash=content_hash, archive=archive)
    async with open_room(database_url) as room:
        code, message = await refused(ask(room, "RegisterDagVersion", spec=spec))
        assert code is Code.INVALID_ARGUMENT
        assert message.startswith(f"tasks.load.handler.version: got '{content_hash}'")
        assert await room.register(spec, sources=[bundle]) == 1
        [row] = await room.rows("select content_hash, archive from source_bundle")
        assert (row["content_hash"], row["archive"]) == (content_hash, archive)
        spec.description = "its source is there already"
        assert await room.register(spec) == 2
        large = registry_service_pb2.SourceBundle(content_hash=content_hash, archive=bytes(2 * 1024 * 1024 + 1))
        assert await refused(ask(room, "RegisterDagVersion", spec=spec, sources=[large])) == (
            Code.INVALID_ARGUMENT,
            "sources: got 2097153 bytes, expected at most 2097152 bytes in all",
        )


async def test_validate_only_says_what_would_be_and_stores_nothing(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", CHAIN))
        answer = await ask(
            room, "RegisterDagVersion", spec=dag("churn", {"only": []}), validate_only=True, aliases=["production"]
        )
        assert (answer.created, answer.dag_version.dag_version_number) == (True, 2)
        known = await ask(room, "RegisterDagVersion", spec=dag("churn", CHAIN), validate_only=True)
        assert (known.created, known.dag_version.dag_version_number) == (False, 1)
        found = (await ask(room, "GetDag", dag_id="churn")).dag
        assert (found.latest_version_number, dict(found.aliases)) == (1, {})


async def test_a_request_id_has_one_effect_and_one_answer(database_url: str) -> None:
    async with open_room(database_url) as room:
        first = await ask(room, "RegisterDagVersion", spec=dag("churn", CHAIN), request_id="one")
        again = await ask(room, "RegisterDagVersion", spec=dag("churn", CHAIN), request_id="one")
        assert again == first
        assert again.created
        code, message = await refused(
            ask(room, "RegisterDagVersion", spec=dag("churn", {"only": []}), request_id="one")
        )
        assert code is Code.ALREADY_EXISTS
        assert message.startswith("request id 'one' was used at")
        assert len(await audit_of(room, "dag_version.register")) == 1


async def test_concurrent_registrations_are_numbered_one_after_the_other(database_url: str) -> None:
    async with open_room(database_url) as room:
        specs = [dag("churn", {f"task{number}": []}) for number in range(8)] * 2
        answers = await asyncio.gather(*(ask(room, "RegisterDagVersion", spec=spec) for spec in specs))
        numbers = [answer.dag_version.dag_version_number for answer in answers]
        assert sorted(numbers[:8]) == list(range(1, 9))
        assert numbers[8:] == numbers[:8]
        assert sum(answer.created for answer in answers) == 8
        assert (await ask(room, "GetDag", dag_id="churn")).dag.latest_version_number == 8


async def test_a_new_version_changes_the_caps_of_its_dag(database_url: str) -> None:
    async def caps() -> dict[str, int | None]:
        rows = await room.rows("select kind, capacity from concurrency_limit where name = 'churn'")
        return {row["kind"]: row["capacity"] for row in rows}

    async with open_room(database_url) as room:
        await room.register(dag("churn", CHAIN, runs_active_max=1))
        assert await caps() == {"dag_tasks": None, "dag_runs": 1}
        runs = [await room.start("churn"), await room.start("churn")]
        await room.watch(runs[0], load="queued")
        assert not (await room.rows("select admitted from dag_run where dag_run_id::text = $1", runs[1]))[0]["admitted"]
        await room.register(dag("churn", CHAIN, runs_active_max=2, tasks_active_max=5))
        assert await caps() == {"dag_tasks": 5, "dag_runs": 2}
        await room.watch(runs[1], load="queued")


# ---- reading
async def test_versions_are_found_by_number_by_alias_and_as_the_latest(database_url: str) -> None:
    async def number(**selector: Any) -> int:
        answer = await ask(room, "GetDagVersion", dag_id="churn", **selector)
        found: int = answer.dag_version.dag_version_number
        return found

    async with open_room(database_url) as room:
        await room.register(dag("churn", CHAIN), aliases=["production"])
        await room.register(dag("churn", {"only": []}))
        assert [await number(), await number(alias="production"), await number(dag_version_number=2)] == [2, 1, 2]
        assert await refused(number(alias="prodution")) == (
            Code.NOT_FOUND,
            "DAG churn has no alias 'prodution' (did you mean production?)",
        )
        assert await refused(number(dag_version_number=3)) == (
            Code.NOT_FOUND,
            "DAG churn has no version 3 (its versions go from 1 to 2)",
        )
        assert await refused(ask(room, "GetDagVersion", dag_id="chrun")) == (
            Code.NOT_FOUND,
            "there is no DAG 'chrun' in namespace 'default' (did you mean churn?)",
        )
        assert (await refused(ask(room, "GetDag", dag_id="a\0b")))[0] is Code.NOT_FOUND


async def test_lists_page_by_key(database_url: str) -> None:
    async with open_room(database_url) as room:
        for number in range(5):
            await room.register(dag(f"dag{number}", {"only": []}, tags=["even"] if number % 2 == 0 else []))
            await room.register(dag("dag0", {"only": []}, description=str(number)))
        first = await ask(room, "ListDags", page_size=2)
        second = await ask(room, "ListDags", page_size=2, page_token=first.next_page_token)
        third = await ask(room, "ListDags", page_size=2, page_token=second.next_page_token)
        assert [each.dag_id for page in (first, second, third) for each in page.dags] == [
            "dag0",
            "dag1",
            "dag2",
            "dag3",
            "dag4",
        ]
        assert third.next_page_token == ""
        # The latest version counts: dag0 has lost its tag.
        assert [each.dag_id for each in (await ask(room, "ListDags", tag="even")).dags] == ["dag2", "dag4"]
        newest = await ask(room, "ListDagVersions", dag_id="dag0", page_size=4)
        oldest = await ask(room, "ListDagVersions", dag_id="dag0", page_size=4, page_token=newest.next_page_token)
        listed = [*newest.dag_versions, *oldest.dag_versions]
        assert [each.dag_version_number for each in listed] == [6, 5, 4, 3, 2, 1]
        assert not any(each.HasField("spec") for each in listed)
        assert (await refused(ask(room, "ListDags", tag="even", page_token=first.next_page_token)))[0] is (
            Code.INVALID_ARGUMENT
        )
        assert (await refused(ask(room, "ListDagVersions", dag_id="nowhere")))[0] is Code.NOT_FOUND


async def test_text_of_an_author_cannot_pass_for_the_content_of_a_dag(database_url: str) -> None:
    trick = ',"tasks":[","tags":["x"]'
    async with open_room(database_url) as room:
        await room.register(dag("churn", CHAIN, description=trick, tags=["tasks", "odd,"]))
        found = (await ask(room, "GetDag", dag_id="churn")).dag
        assert (found.description, list(found.tags)) == (trick, ["odd,", "tasks"])


async def test_a_diff_names_each_field_that_changed(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", {"load": [], "old": []}, tags=["a"]))
        await room.register(dag("churn", {"load": [], "new": []}, tags=["a"], runs_active_max=2))
        answer = await ask(room, "DiffDagVersions", dag_id="churn", from_version_number=1, to_version_number=2)
        change = registry_service_pb2.DagDifference.Change
        assert [
            (each.path, change.Name(each.change), bool(each.before), bool(each.after)) for each in answer.differences
        ] == [
            ("runs_active_max", "CHANGE_ADDED", False, True),
            ("tasks.new", "CHANGE_ADDED", False, True),
            ("tasks.old", "CHANGE_REMOVED", True, False),
        ]
        assert answer.differences[0].after == "2"


# ---- steering
async def test_an_alias_moves_and_only_moves_are_audited(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", CHAIN))
        await room.register(dag("churn", {"only": []}))
        for number in (1, 2, 2):
            answer = await ask(room, "SetDagAlias", dag_id="churn", alias="production", dag_version_number=number)
            assert dict(answer.dag.aliases) == {"production": number}
        assert [each["dag_version_number"] for each in await audit_of(room, "dag.set_alias")] == [1, 2]
        assert await refused(ask(room, "SetDagAlias", dag_id="churn", alias="p", dag_version_number=9)) == (
            Code.NOT_FOUND,
            "DAG churn has no version 9 (its versions go from 1 to 2)",
        )
        code, message = await refused(ask(room, "SetDagAlias", dag_id="churn", alias="a b", dag_version_number=1))
        assert code is Code.INVALID_ARGUMENT
        assert message.startswith("alias: got 'a b'")


async def test_pausing_is_idempotent_and_audited_once(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", CHAIN))
        for method, paused in (("PauseDag", True), ("PauseDag", True), ("UnpauseDag", False), ("UnpauseDag", False)):
            assert (await ask(room, method, dag_id="churn")).dag.paused is paused
            [row] = await room.rows("select paused from concurrency_limit where kind = 'dag_tasks'")
            assert row["paused"] is paused
        assert (len(await audit_of(room, "dag.pause")), len(await audit_of(room, "dag.unpause"))) == (1, 1)
        assert (await refused(ask(room, "PauseDag", dag_id="nowhere")))[0] is Code.NOT_FOUND


async def test_namespaces_do_not_see_each_other(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.rows("insert into namespace (namespace) values ('other')")
        await room.register(dag("churn", CHAIN))
        token = await room.api.token("author", namespace="other")
        assert list((await ask(room, "ListDags", token=token)).dags) == []
        answer = await ask(room, "RegisterDagVersion", token=token, spec=dag("churn", CHAIN))
        assert (answer.created, answer.dag_version.dag_version_number) == (True, 1)
        assert (await refused(ask(room, "GetDag", token=token, dag_id="churn", namespace="default")))[0] is (
            Code.PERMISSION_DENIED
        )
        viewer = await room.api.token("viewer")
        assert (await refused(ask(room, "RegisterDagVersion", token=viewer, spec=dag("x", CHAIN))))[0] is (
            Code.PERMISSION_DENIED
        )
