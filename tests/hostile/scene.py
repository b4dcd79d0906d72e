"""Two namespaces that hold the same things, whose ids give their namespace away, and callers of both."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass

from glidepath_server.core.task_token import seal, unseal
from glidepath_server.store import identity
from glidepath_server.store.database import transaction
from tests.api.serving import Api, bearer, open_channel, running
from tests.hostile.rpc_table import ONE_DAY, ROLES

CALL_SECONDS_MAX = 20.0
HANDLER = "test:task"
# Far apart, so that no "did you mean" of one name leads to another.
MARKS = {"red": "rrrrrrrr", "blue": "bbbbbbbb"}
NOTHING = "mmmmmmmm"
# Nothing moves by itself while the tests look at the tables.
STILL = {"lease_ttl_seconds": 3600.0, "heartbeat_interval_seconds": 600.0, "accept_timeout_seconds": 3600.0}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the token's text, what it holds ("" for a token that holds nothing), and as what."""

    name: str
    token: str
    namespace: str = ""
    role: str = ""


@dataclass(slots=True)
class Scene:
    """`ids` by namespace and name, those of "nothing" included; `live` and `ended` are task tokens by namespace."""

    api: Api
    channel: grpc.aio.Channel
    ids: dict[str, dict[str, str]] = field(default_factory=dict)
    live: dict[str, bytes] = field(default_factory=dict)
    ended: dict[str, bytes] = field(default_factory=dict)
    callers: list[Caller] = field(default_factory=list)

    def methods(self) -> list[MethodDescriptor]:
        """Every method that the server serves."""
        return [method for service in self.api.server.services for method in service.descriptor.methods]

    def method(self, name: str) -> MethodDescriptor:
        return next(each for each in self.methods() if each.name == name)

    def caller(self, namespace: str, role: str) -> Caller:
        return next(each for each in self.callers if (each.namespace, each.role) == (namespace, role))

    async def ask(self, caller: Caller, name: str, /, **fields: Any) -> Any:
        """The answer to a call that must succeed; its first message if it streams."""
        answer = await call(self.channel, self.method(name), caller, fields)
        assert answer.code is grpc.StatusCode.OK, (name, answer)
        return answer.message

    async def rows(self, query: str, *arguments: Any) -> list[Any]:
        async with self.api.database.api.acquire() as connection:
            found: list[Any] = await connection.fetch(query, *arguments)
            return found

    async def fingerprint(self) -> dict[str, str]:
        """A digest of the rows of every table."""
        tables = [
            row["tablename"] for row in await self.rows("select tablename from pg_tables where schemaname = 'public'")
        ]
        digest = "(select coalesce(md5(string_agg(t::text, '|' order by t::text)), '') from {0} t) as {0}"
        (row,) = await self.rows("select " + ", ".join(digest.format(table) for table in sorted(tables)))
        return dict(row)

    def secrets(self) -> list[str]:
        """What no message and no log line may hold: of each token the part that proves it."""
        texts = [each.token.rpartition("_")[2] for each in self.callers if each.role]
        sealed = [token[-16:] for token in (*self.live.values(), *self.ended.values())]
        return [*texts, *(each.hex() for each in sealed), *(repr(each)[2:-1] for each in sealed)]


@dataclass(frozen=True, slots=True)
class Answer:
    """How a call ended: the first message (None when there was none), or code, text and trailing metadata."""

    code: grpc.StatusCode
    text: str = ""
    message: Any = None
    trailing: str = ""


async def call(
    channel: grpc.aio.Channel, method: MethodDescriptor, caller: Caller, fields: Mapping[str, Any]
) -> Answer:
    """Call a method by its descriptor with a request in JSON form; a stream is left after its first message."""
    request = ParseDict(dict(fields), GetMessageClass(method.input_type)())
    return await call_raw(channel, method, caller, request.SerializeToString())


async def call_raw(channel: grpc.aio.Channel, method: MethodDescriptor, caller: Caller, body: bytes) -> Answer:
    path = f"/{method.containing_service.full_name}/{method.name}"
    kinds = ("stream" if method.client_streaming else "unary", "stream" if method.server_streaming else "unary")
    make = getattr(channel, "_".join(kinds))(path, response_deserializer=GetMessageClass(method.output_type).FromString)
    metadata = bearer(caller.token) if caller.token else ()
    pending = make(iter([body]) if method.client_streaming else body, metadata=metadata, timeout=CALL_SECONDS_MAX)
    try:
        message = await (pending.read() if method.server_streaming else pending)
    except grpc.aio.AioRpcError as error:
        return Answer(error.code(), error.details() or "", None, repr(error.trailing_metadata()))
    if message is grpc.aio.EOF:
        return Answer(await pending.code(), await pending.details() or "")
    pending.cancel()
    return Answer(grpc.StatusCode.OK, "", message)


@asynccontextmanager
async def open_scene(database_url: str, **overrides: Any) -> AsyncIterator[Scene]:
    """The scene on a server that demands tokens."""
    async with running(database_url, **{**STILL, **overrides}) as api, open_channel(api.address) as channel:
        scene = Scene(api, channel)
        # It would make runs in the midst of the calls.
        await api.server.backfill_pacer.stop()
        scene.callers.append(Caller("admin of everything", await api.token("admin"), "*", "admin"))
        for role in ROLES[:3] + ROLES[4:]:
            scene.callers.append(Caller(f"{role} of everything", await api.token(role), "*", role))
        for namespace in MARKS:
            await _furnish(scene, namespace)
        await _nothing(scene)
        await _hold_nothing(scene)
        yield scene


async def _furnish(scene: Scene, namespace: str) -> None:
    """One of each thing, made over the wire; the run's first task has ended, its second is in a worker's hands."""
    mark = MARKS[namespace]
    await scene.ask(scene.caller("*", "admin"), "CreateNamespace", new_namespace=namespace)
    for role in ROLES:
        token = await scene.api.token(role, namespace=namespace, name=f"{role}-{mark}")
        scene.callers.append(Caller(f"{role} of {namespace}", token, namespace, role))
    admin, worker = scene.caller(namespace, "admin"), scene.caller(namespace, "worker")
    spare = await scene.ask(admin, "CreateToken", name=f"spare-{mark}", role="ROLE_VIEWER")
    await scene.ask(admin, "SetPool", pool_name=mark, slots=3)
    await scene.ask(admin, "SetLimit", limit_name=mark, slots=3)
    archive = f"source of {mark}".encode()
    source = hashlib.sha256(archive).hexdigest()
    await scene.ask(admin, "RegisterDagVersion", **_registration(mark, source, archive), aliases=["production"])
    await scene.ask(admin, "SetSchedule", dag_id=mark, declaration={**ONE_DAY, "schedule_name": mark})
    run = (await scene.ask(admin, "TriggerDagRuns", runs=[{"dag_id": mark}], request_id="the-same")).runs[0]
    session, first = await _claim(scene, worker, namespace)
    report = {"session": session, "results": [_result(first, mark)], "log_chunks": [_line(first, mark)]}
    answer = await scene.ask(worker, "Report", **report)
    assert [ack.verdict for ack in answer.result_acks] == [1] and answer.log_acks, answer
    second = await _assignment(scene, worker, {"session": session})
    stored = await scene.ask(
        worker, "PutArtifact", task_token=encoded(second), chunk=encoded(f"bytes of {mark}".encode())
    )
    filled = await scene.ask(admin, "CreateBackfill", spec={"dag_id": mark, "logical_dates": ["2025-01-01T00:00:00Z"]})
    scene.live[namespace], scene.ended[namespace] = second, first
    scene.ids[namespace] = {
        "dag": mark,
        "run": run.dag_run_id,
        "session": session["session_id"],
        "token": spare.token.token_id,
        "pool": mark,
        "task_token": encoded(second),
        "artifact": stored.artifact.sha256,
        "source": source,
        "backfill": filled.backfill.backfill_id,
    }


def _registration(mark: str, source: str, archive: bytes) -> dict[str, Any]:
    handler = {"name": HANDLER, "version": source}
    tasks = [
        {"task_id": "load", "handler": handler},
        {"task_id": "train", "handler": handler, "upstream_task_ids": ["load"]},
    ]
    bundle = {"content_hash": source, "archive": encoded(archive)}
    return {"spec": {"dag_id": mark, "description": mark, "tasks": tasks}, "sources": [bundle]}


async def _claim(scene: Scene, worker: Caller, namespace: str) -> tuple[dict[str, Any], bytes]:
    hello = {
        "worker_identity": f"worker-{MARKS[namespace]}",
        "incarnation": "1",
        "protocol_version": 1,
        "handlers": [{"name": HANDLER, "versions": ["*"]}],
    }
    answer = await scene.ask(worker, "Claim", hello=hello, assignments_max=1, wait="10s")
    session = {"session_id": answer.welcome.session_id, "generation": answer.welcome.generation}
    if answer.assignments:
        return session, answer.assignments[0].task_token
    return session, await _assignment(scene, worker, {"session": session})


async def _assignment(scene: Scene, worker: Caller, who: dict[str, Any]) -> bytes:
    answer = await scene.ask(worker, "Claim", **who, assignments_max=1, wait="10s")
    token: bytes = answer.assignments[0].task_token
    return token


def _result(token: bytes, mark: str) -> dict[str, Any]:
    output = {"content_type": "application/json", "data": encoded(f'"output of {mark}"'.encode())}
    return {"task_token": encoded(token), "success": {"output": output}}


def _line(token: bytes, mark: str) -> dict[str, Any]:
    return {"task_token": encoded(token), "entries": [{"stream": "stdout", "text": f"log of {mark}"}]}


async def _nothing(scene: Scene) -> None:
    """Ids that are well-formed and of nothing; the task token is one of an attempt that has long ended."""
    key = unseal(scene.ended["red"], await task_token_secret(scene))
    assert key is not None
    scene.ids["nothing"] = {
        "dag": NOTHING,
        "run": "01890a5d-ac96-774b-bcce-b302099a8057",
        "session": "01890a5d-ac96-774b-bcce-b302099a8058",
        "token": "a" * 16,
        "pool": NOTHING,
        "task_token": encoded(seal(key, await task_token_secret(scene))),
        "artifact": "0" * 64,
        "source": "0" * 64,
        "backfill": "01890a5d-ac96-774b-bcce-b302099a8059",
    }


async def task_token_secret(scene: Scene) -> bytes:
    (row,) = await scene.rows("select secret from server_key where name = 'task_tokens'")
    secret: bytes = row["secret"]
    return secret


async def _hold_nothing(scene: Scene) -> None:
    """Callers that must be taken for nobody."""
    revoked, expired = await scene.api.token("admin", name="revoked"), await scene.api.token("admin", name="expired")
    await scene.ask(scene.caller("*", "admin"), "RevokeToken", token_id=revoked.split("_")[2])
    async with transaction(scene.api.database.api, "test") as connection:
        await connection.execute(
            "update api_token set expire_time = create_time - interval '1 hour' where token_id = $1",
            expired.split("_")[2],
        )
        assert not (await identity.token_by_id(connection, expired.split("_")[2])).valid  # type: ignore[union-attr]
    admin = scene.caller("*", "admin").token
    for name, token in {
        "no token": "",
        "garbage": "gp_admin_garbage",
        "an admin's token with another end": admin[:-8] + "a" * 8,
        "a worker's token that says admin": scene.caller("red", "worker").token.replace("gp_worker", "gp_admin"),
        "revoked": revoked,
        "expired": expired,
    }.items():
        scene.callers.append(Caller(name, token))


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()
