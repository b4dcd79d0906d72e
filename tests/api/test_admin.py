"""Operating the control plane: namespaces, pools, tokens, workers, audit, incidents, quarantined runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import grpc
import pytest
import pytest_asyncio
from serving import Api, bearer, running

from glidepath_proto.admin.v1 import admin_service_pb2 as pb
from glidepath_proto.admin.v1 import admin_service_pb2_grpc
from glidepath_proto.common.v1 import authorization_pb2
from glidepath_server import clock, crash_points
from glidepath_server.core.canonical import canonical_json
from glidepath_server.core.definition import DagSpec, Handler, TaskSpec
from glidepath_server.core.states import TaskState
from glidepath_server.store import identity, migrate
from glidepath_server.store.database import database_now

pytestmark = pytest.mark.asyncio
Code = grpc.StatusCode


class Admin:
    """The stub with a token: `await admin.SetPool(pool_name="gpu", slots=2)`."""

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        self._stub, self._metadata = admin_service_pb2_grpc.AdminServiceStub(channel), bearer(token)

    def __getattr__(self, name: str) -> Any:
        request = getattr(pb, f"{name}Request")
        return lambda **fields: getattr(self._stub, name)(request(**fields), metadata=self._metadata)

    async def refused(self, name: str, /, **fields: Any) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await getattr(self, name)(**fields)
        return caught.value.code(), caught.value.details() or ""

    async def pages(self, name: str, field: str, /, **fields: Any) -> list[list[Any]]:
        """All pages of a list RPC."""
        found, token = [], ""
        while True:
            answer = await getattr(self, name)(page_token=token, **fields)
            found.append(list(getattr(answer, field)))
            token = answer.next_page_token
            if not token:
                return found


@pytest_asyncio.fixture
async def admin(api: Api) -> AsyncIterator[Admin]:
    yield Admin(await api.channel(), await api.token("admin", name="root"))


async def actions(admin: Admin, namespace: str = "default") -> list[tuple[str, str, str]]:
    """What the audit trail says, oldest first."""
    answer = await admin.ListAuditEvents(namespace=namespace)
    return [(each.actor, each.action, each.target) for each in reversed(answer.audit_events)]


# ---- server
async def test_server_info_tells_versions_and_the_clock_that_counts(api: Api, admin: Admin) -> None:
    async with api.database.api.acquire() as connection:
        await connection.execute("update clock set shift = interval '3 days'")
    info = await admin.GetServerInfo()
    assert info.schema_revision == migrate.head()
    assert info.authentication_required
    assert (info.protocol_version_min, info.protocol_version_max) == (1, 1)
    assert timedelta(days=2) < info.database_time.ToDatetime() - info.server_time.ToDatetime() < timedelta(days=4)


async def test_server_info_says_when_no_token_is_needed(database_url: str) -> None:
    async with running(database_url, auth="off") as api:
        assert not (await Admin(await api.channel(), "none").GetServerInfo()).authentication_required


# ---- namespaces
async def test_a_namespace_is_usable_at_once(admin: Admin) -> None:
    await admin.CreateNamespace(new_namespace="team-a")
    await admin.SetPool(namespace="team-a", pool_name="gpu", slots=1)
    assert (await admin.ListNamespaces()).namespaces == ["default", "team-a"]
    assert ("root", "namespace.create", "namespace/team-a") in await actions(admin, "team-a")


async def test_a_namespace_cannot_be_made_twice_or_badly_named(admin: Admin) -> None:
    assert (await admin.refused("CreateNamespace", new_namespace="default"))[0] is Code.ALREADY_EXISTS
    for bad in ("", "Team", "-a", "a" * 64, "*"):
        code, message = await admin.refused("CreateNamespace", new_namespace=bad)
        assert code is Code.INVALID_ARGUMENT and repr(bad) in message


async def test_a_namespace_whose_commit_was_not_answered_is_known_to_the_next_call(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crash_points, "armed", crash_points.parse("create_namespace.after_commit=fail"))
    assert (await admin.refused("CreateNamespace", new_namespace="late"))[0] is Code.UNAVAILABLE
    assert (await admin.refused("CreateNamespace", new_namespace="late"))[0] is Code.ALREADY_EXISTS
    await admin.ListPools(namespace="late")


async def test_only_a_holder_of_all_namespaces_makes_one_and_others_see_their_own(api: Api, admin: Admin) -> None:
    await admin.CreateNamespace(new_namespace="red")
    red = Admin(await api.channel(), await api.token("admin", namespace="red"))
    assert (await red.refused("CreateNamespace", new_namespace="blue"))[0] is Code.PERMISSION_DENIED
    assert (await red.ListNamespaces()).namespaces == ["red"]


# ---- pools
async def test_a_pool_is_made_changed_and_deleted_and_each_change_is_audited(admin: Admin) -> None:
    made = (await admin.SetPool(pool_name="gpu", slots=2)).pool
    assert (made.namespace, made.pool_name, made.slots, made.slots_used, made.waiting) == ("default", "gpu", 2, 0, 0)
    assert (await admin.SetPool(pool_name="gpu", slots=5)).pool.slots == 5
    await admin.SetPool(pool_name="gpu", slots=5)
    assert [each.slots for each in (await admin.ListPools()).pools] == [5]
    await admin.DeletePool(pool_name="gpu")
    await admin.DeletePool(pool_name="gpu")
    assert not (await admin.ListPools()).pools
    assert await actions(admin) == [
        ("root", "pool.set", "pool/gpu"),
        ("root", "pool.set", "pool/gpu"),
        ("root", "pool.delete", "pool/gpu"),
    ]
    details = [json.loads(each.detail) for each in (await admin.ListAuditEvents()).audit_events]
    assert details[1] == {"slots": 5, "slots_before": 2}


async def test_calls_that_make_the_same_pool_at_once_make_one(api: Api, admin: Admin) -> None:
    await asyncio.gather(*(admin.SetPool(pool_name="gpu", slots=slots) for slots in range(1, 6)))
    (pool,) = (await admin.ListPools()).pools
    last = json.loads((await admin.ListAuditEvents()).audit_events[0].detail)
    assert pool.slots == last["slots"]


@pytest.mark.parametrize(
    ("name", "slots", "field"),
    [
        ("", 1, "pool_name"),
        ("a b", 1, "pool_name"),
        ("x" * 129, 1, "pool_name"),
        ("gpu", -1, "slots"),
        ("gpu", 1_000_001, "slots"),
    ],
)
async def test_a_bad_pool_is_refused_by_field_and_nothing_is_stored(
    admin: Admin,
    name: str,
    slots: int,
    field: str,
) -> None:
    code, message = await admin.refused("SetPool", pool_name=name, slots=slots)
    assert code is Code.INVALID_ARGUMENT and message.startswith(f"{field}: got ")
    assert not (await admin.ListPools()).pools and not await actions(admin)


async def test_pools_show_what_is_held_and_what_waits(api: Api, admin: Admin) -> None:
    await admin.SetPool(pool_name="gpu", slots=4)
    async with api.database.api.acquire() as connection:
        limit_id = await connection.fetchval("select limit_id from concurrency_limit where name = 'gpu'")
        run_id, now = clock.uuid7(clock.utc_now()), clock.utc_now()
        await connection.executemany(
            "insert into limit_holder values ($1, $2, $3, -1, $4)", [(limit_id, run_id, 0, 1), (limit_id, run_id, 1, 2)]
        )
        await connection.execute(
            """insert into task_queue (dag_run_id, task_index, map_index, attempt_number, class_id, queue_id, order_key,
                   tries, losses, redeliveries, queue_time, available_time, due, parked_on)
               values ($1, 2, -1, 1, 1, 1, 0, 0, 0, 0, $2, $2, true, $3)""",
            run_id,
            now,
            limit_id,
        )
    (pool,) = (await admin.ListPools()).pools
    assert (pool.slots_used, pool.waiting) == (3, 1)
    code, message = await admin.refused("DeletePool", pool_name="gpu")
    assert code is Code.FAILED_PRECONDITION and "held by 2 attempts" in message


async def test_a_pool_that_a_version_names_stays(api: Api, admin: Admin) -> None:
    await admin.SetPool(pool_name="gpu", slots=4)
    async with api.database.api.acquire() as connection:
        await connection.execute(
            """with k as (
                   insert into task_class (namespace, dag_id, queue_id, handler_name, handler_version, worker_selector,
                       resources, tasks_limit_id, pool_limit_id, pool_slots, class_hash)
                   select 'default', 'train', 1, 'h', '', '{}', '{}', 0, limit_id, 1, 'x'
                   from concurrency_limit where name = 'gpu' returning class_id)
               insert into dag_version (namespace, dag_id, dag_version_number, content_hash, spec, class_ids,
                   create_time, created_by)
               select 'default', 'train', 3, 'hash', '{}', array[class_id], now(), 'test' from k"""
        )
    code, message = await admin.refused("DeletePool", pool_name="gpu")
    assert code is Code.FAILED_PRECONDITION and "train version 3" in message and "slots to 0" in message


async def test_lists_are_paged_without_gaps_and_tokens_stay_with_their_question(admin: Admin) -> None:
    for number in range(5):
        await admin.SetPool(pool_name=f"p{number}", slots=number)
    pages = await admin.pages("ListPools", "pools", page_size=2)
    assert [[each.pool_name for each in page] for page in pages] == [["p0", "p1"], ["p2", "p3"], ["p4"]]
    token = (await admin.ListPools(page_size=2)).next_page_token
    await admin.CreateNamespace(new_namespace="red")
    for name, fields in (("ListPools", {"namespace": "red"}), ("ListWorkers", {})):
        code, message = await admin.refused(name, page_token=token, **fields)
        assert code is Code.INVALID_ARGUMENT and message.startswith("page_token: ")
    for bad in ("x", "%%%", "W10", token[:-3]):
        assert (await admin.refused("ListPools", page_token=bad))[0] is Code.INVALID_ARGUMENT
    for size in (-1, 501):
        code, message = await admin.refused("ListPools", page_size=size)
        assert code is Code.INVALID_ARGUMENT and f"page_size: got {size}, expected 1 to 500" in message


# ---- tokens
async def test_a_new_token_works_and_its_secret_is_shown_once(api: Api, admin: Admin) -> None:
    made = await admin.CreateToken(name="ci", role=authorization_pb2.ROLE_AUTHOR)
    assert (made.token.name, made.token.namespace, made.token.created_by) == ("ci", "default", "root")
    assert (await Admin(await api.channel(), made.secret).ListPools()).pools == []
    listed = next(each for each in (await admin.ListTokens()).tokens if each.name == "ci")
    assert listed == made.token and made.secret not in str(listed)
    async with api.database.api.acquire() as connection:
        stored = await connection.fetch("select t::text from api_token t union all select a::text from audit_event a")
    assert not any(made.secret.split("_")[3][:52] in row[0] for row in stored)
    assert ("root", "token.create", f"token/{made.token.token_id}") in await actions(admin)


async def test_a_revoked_token_is_refused_at_once_by_the_replica_that_revoked_it(api: Api, admin: Admin) -> None:
    made = await admin.CreateToken(name="ci", role=authorization_pb2.ROLE_VIEWER)
    ci = Admin(await api.channel(), made.secret)
    await ci.ListPools()
    first = (await admin.RevokeToken(token_id=made.token.token_id)).token
    assert first.HasField("revoke_time")
    assert (await ci.refused("ListPools"))[0] is Code.UNAUTHENTICATED
    assert (await admin.RevokeToken(token_id=made.token.token_id)).token == first
    assert [each[1] for each in await actions(admin)].count("token.revoke") == 1


async def test_bad_tokens_are_refused_by_field(admin: Admin) -> None:
    code, message = await admin.refused("CreateToken", name="", role=authorization_pb2.ROLE_VIEWER)
    assert code is Code.INVALID_ARGUMENT and "name: got ''" in message
    code, message = await admin.refused("CreateToken", name="x")
    assert code is Code.INVALID_ARGUMENT and "role: got 0, expected one of viewer" in message
    past = {"seconds": 1_000_000}
    code, message = await admin.refused("CreateToken", name="x", role=1, expire_time=past)
    assert code is Code.INVALID_ARGUMENT and "expire_time: got 1970-01-12" in message
    assert (await admin.refused("CreateToken", name="x", role=1, namespace="typo"))[0] is Code.NOT_FOUND
    assert (await admin.refused("RevokeToken", token_id="nobody"))[0] is Code.NOT_FOUND


async def test_an_administrator_of_one_namespace_stays_inside_it(api: Api, admin: Admin) -> None:
    await admin.CreateNamespace(new_namespace="red")
    red = Admin(await api.channel(), await api.token("admin", namespace="red", name="red-root"))
    other = (await admin.CreateToken(name="ci", role=1)).token
    assert (await red.CreateToken(name="mine", role=1)).token.namespace == "red"
    assert (await red.refused("CreateToken", name="x", role=1, namespace="*"))[0] is Code.PERMISSION_DENIED
    assert (await red.refused("CreateToken", name="x", role=1, namespace="default"))[0] is Code.PERMISSION_DENIED
    assert (await red.refused("RevokeToken", token_id=other.token_id))[0] is Code.NOT_FOUND
    assert {each.namespace for each in (await red.ListTokens()).tokens} == {"red"}
    assert (await red.refused("ListAuditEvents", namespace="*"))[0] is Code.PERMISSION_DENIED
    everywhere = await actions(admin, "*")
    assert {"red-root", "root"} <= {each[0] for each in everywhere}


async def test_tokens_made_in_the_same_instant_are_paged_without_gaps(api: Api, admin: Admin) -> None:
    made = {(await admin.CreateToken(name=f"t{number}", role=1)).token.token_id for number in range(5)}
    async with api.database.api.acquire() as connection:
        await connection.execute("update api_token set create_time = '2030-01-01' where name like 't_'")
    pages = await admin.pages("ListTokens", "tokens", page_size=2)
    shown = [each.token_id for page in pages for each in page]
    assert len(shown) == len(set(shown)) and made <= set(shown)


# ---- workers, incidents, quarantine
async def test_workers_are_listed_with_what_they_run(api: Api, admin: Admin) -> None:
    open_id, lost_id, old_id = [
        await _session(api, state, ended)
        for state, ended in (("open", None), ("lost", timedelta(hours=1)), ("closed", timedelta(days=2)))
    ]
    async with api.database.api.acquire() as connection:
        await connection.execute(
            """insert into live_attempt (dag_run_id, task_index, map_index, attempt_number, class_id, session_id, tries,
                   losses, redeliveries, queue_time, start_time)
               values (gen_random_uuid(), 0, -1, 1, 1, $1, 0, 0, 0, now(), now())""",
            open_id,
        )
        await connection.execute("update worker_session set draining = true where session_id = $1", open_id)
    (worker,) = (await admin.ListWorkers()).workers
    assert (worker.session_id, worker.state, worker.attempts_live) == (str(open_id), "draining", 1)
    assert (dict(worker.labels), list(worker.queue_names)) == ({"zone": "a"}, ["default"])
    gone = {each.session_id: each.state for each in (await admin.ListWorkers(include_gone=True)).workers}
    assert gone == {str(open_id): "draining", str(lost_id): "lost"} and str(old_id) not in gone


async def _session(api: Api, state: str, ended_ago: timedelta | None) -> UUID:
    async with api.database.api.acquire() as connection:
        now = await database_now(connection)
        session_id = clock.uuid7(now)
        await connection.execute(
            """insert into worker_session (session_id, namespace, worker_identity, incarnation, state, heard_until,
                   lease_expire_time, connect_time, end_time, queue_names, labels, resources, handlers, sdk_name,
                   sdk_version, host_name, process_id)
               values ($1, 'default', 'w', $2, $3, $4, $4, $4, $5, '{default}', '{"zone": "a"}', '{}', '[]', 'python',
                       '1', 'host', 1)""",
            session_id,
            str(session_id),
            state,
            now + timedelta(days=1),
            now - ended_ago if ended_ago else None,
        )
    return session_id


async def test_incidents_are_newest_first_and_stay_in_their_namespace(api: Api, admin: Admin) -> None:
    await admin.CreateNamespace(new_namespace="red")
    async with api.database.api.acquire() as connection:
        now = await database_now(connection)
        for namespace, message in (("default", "first"), ("red", "theirs"), ("default", "second")):
            await identity.append_incident(
                connection, namespace=namespace, dag_run_id=None, kind="run_quarantined", message=message, now=now
            )
    pages = await admin.pages("ListIncidents", "incidents", page_size=1)
    assert [[each.message for each in page] for page in pages] == [["second"], ["first"]]


async def test_a_quarantined_run_is_released_once(api: Api, admin: Admin) -> None:
    async with api.database.api.acquire() as connection:
        run_id = clock.uuid7(await database_now(connection))
        # The engine looks at a run that is released: there is a version, and a board that fits it.
        version_id = await connection.fetchval(
            """insert into dag_version (namespace, dag_id, dag_version_number, content_hash, spec, class_ids,
                                        create_time, created_by)
               values ('default', 'd', 1, 'hash', $1, '{1}', now(), 'me') returning dag_version_id""",
            canonical_json(DagSpec("d", (TaskSpec("only", Handler("h")),))),
        )
        await connection.execute(
            """insert into dag_run (dag_run_id, dag_version_id, state, quarantined, run_type, board, namespace, dag_id,
                   run_key, params, logical_date, data_interval_start, data_interval_end, create_time, created_by,
                   end_time)
               values ($1, $2, 'failed', true, 'manual', $3, 'default', 'd', 'k', '{}', now(), now(), now(), now(),
                       'me', now())""",
            run_id,
            version_id,
            bytes([TaskState.FAILED]),
        )
    await admin.ReleaseDagRun(dag_run_id=str(run_id))
    await admin.ReleaseDagRun(dag_run_id=str(run_id))
    async with api.database.api.acquire() as connection:
        assert await connection.fetchval("select quarantined from dag_run") is False
    assert await actions(admin) == [("root", "dag_run.release", f"dag_run/{run_id}")]
    assert (await admin.refused("ReleaseDagRun", dag_run_id=str(clock.uuid7(clock.utc_now()))))[0] is Code.NOT_FOUND
    code, message = await admin.refused("ReleaseDagRun", dag_run_id="seven")
    assert code is Code.INVALID_ARGUMENT and message.startswith("dag_run_id: got 'seven', expected a UUID")
