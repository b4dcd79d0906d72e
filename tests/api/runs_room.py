"""What the tests of runs share: a server with clients, small DAGs, and a worker that is played by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from serving import bearer, open_channel, running

from glidepath_proto.registry.v1 import dag_pb2, registry_service_pb2, registry_service_pb2_grpc
from glidepath_proto.run.v1 import run_pb2, run_service_pb2, run_service_pb2_grpc
from glidepath_server import clock
from glidepath_server.core.events import AttemptKey
from glidepath_server.core.failure import Failure, FailureKind
from glidepath_server.core.matching import Offer
from glidepath_server.core.states import AttemptState
from glidepath_server.operations import sessions
from glidepath_server.operations.step_types import Assigned, CancelOrder, Output, Report, Verdict
from glidepath_server.store.sessions import WorkerFacts
from glidepath_server.wiring import Server

HANDLER = "test:task"
SOON_SECONDS = 10.0
"""Longer than anything that is waited for takes; shorter than anybody waits for a test that hangs."""

RATE_SCHEMA = (
    '{"type": "object", "properties": {"learning_rate": {"type": "number", "maximum": 1, "default": 0.1},'
    ' "model": {"enum": ["tree", "net"], "default": "tree"}}}'
)


def dag(dag_id: str, tasks: Mapping[str, Sequence[str]], **fields: Any) -> dag_pb2.DagSpec:
    """A DAG of tasks that all have the test's handler: name -> upstream names."""
    return dag_pb2.DagSpec(
        dag_id=dag_id,
        tasks=[
            dag_pb2.TaskSpec(task_id=name, upstream_task_ids=upstream, handler=dag_pb2.Handler(name=HANDLER))
            for name, upstream in tasks.items()
        ],
        **fields,
    )


CHAIN = {"load": [], "train": ["load"], "report": ["train"]}


class Room:
    """A running server and typed clients of it."""

    def __init__(self, api: Any, channel: grpc.aio.Channel, token: str) -> None:
        self.api, self.server, self.database = api, api.server, api.database
        self.metadata, self.api_channel = bearer(token), channel
        self.stub: Any = run_service_pb2_grpc.RunServiceStub(channel)
        self.registry: Any = registry_service_pb2_grpc.RegistryServiceStub(channel)

    async def register(self, spec: dag_pb2.DagSpec, **fields: Any) -> int:
        """The number of the version."""
        request = registry_service_pb2.RegisterDagVersionRequest(spec=spec, **fields)
        answer = await self.registry.RegisterDagVersion(request, metadata=self.metadata)
        number: int = answer.dag_version.dag_version_number
        return number

    async def call(self, method: str, **fields: Any) -> Any:
        """Call a method of the run service by name."""
        request = getattr(run_service_pb2, f"{method}Request")(**fields)
        return await getattr(self.stub, method)(request, metadata=self.metadata)

    def stream(self, method: str, **fields: Any) -> Any:
        request = getattr(run_service_pb2, f"{method}Request")(**fields)
        return getattr(self.stub, method)(request, metadata=self.metadata)

    async def trigger(self, *runs: Mapping[str, Any], **fields: Any) -> Any:
        return await self.call("TriggerDagRuns", runs=[run_service_pb2.DagRunRequest(**run) for run in runs], **fields)

    async def start(self, dag_id: str, **fields: Any) -> str:
        """Trigger one run; its id."""
        answer = await self.trigger({"dag_id": dag_id, **fields})
        run_id: str = answer.runs[0].dag_run_id
        return run_id

    async def run(self, dag_run_id: str) -> run_pb2.DagRun:
        answer = await self.call("GetDagRun", dag_run_id=dag_run_id)
        return answer.dag_run

    async def states(self, dag_run_id: str) -> dict[str, str]:
        """State of each task by name."""
        answer = await self.call("ListTaskInstances", dag_run_id=dag_run_id)
        return {each.task_id: state_name(each.state) for each in answer.task_instances}

    async def watch(self, dag_run_id: str, **until: str) -> run_pb2.DagRun:
        """Follow the run until its tasks have these states, or (none given) until it is final; the run then."""
        seen: dict[str, str] = {}
        async with asyncio.timeout(SOON_SECONDS):
            call = self.stream("WatchDagRun", dag_run_id=dag_run_id)
            async for message in call:
                seen.update((each.task_id, state_name(each.state)) for each in message.task_instances)
                run = message.dag_run
                if until and all(seen.get(task) == state for task, state in until.items()):
                    call.cancel()
                    break
            if until and not all(seen.get(task) == state for task, state in until.items()):
                raise AssertionError(f"the run ended with {seen}")
        return run

    async def rows(self, query: str, *arguments: Any) -> list[Any]:
        """Look into the database."""
        async with self.database.api.acquire() as connection:
            found: list[Any] = await connection.fetch(query, *arguments)
            return found


async def rest(call: Any) -> list[Any]:
    """All messages of a stream that are still to come, to its end."""
    found = []
    async with asyncio.timeout(SOON_SECONDS):
        while (message := await call.read()) is not grpc.aio.EOF:
            found.append(message)
    return found


def state_name(number: int) -> str:
    return run_pb2.TaskState.Name(number).removeprefix("TASK_STATE_").lower()


def run_state(run: run_pb2.DagRun) -> str:
    return run_pb2.RunState.Name(run.state).removeprefix("RUN_STATE_").lower()


def timestamp(text: str) -> Timestamp:
    value = Timestamp()
    value.FromJsonString(text)
    return value


@asynccontextmanager
async def open_room(database_url: str, **overrides: Any) -> AsyncIterator[Room]:
    """A server with a client that may do everything a person may."""
    async with running(database_url, **overrides) as api, open_channel(api.address) as channel:
        yield Room(api, channel, await api.token("admin"))


class Hand:
    """A worker played by hand: it takes what the engine gives it, and ends attempts when the test says so."""

    def __init__(self, server: Server, slots: int, **offer: Any) -> None:
        self._server, self.free = server, slots
        self.resources_free: dict[str, float] = dict(offer.get("resources", {}))
        self.offer = Offer(
            "default",
            frozenset(offer.get("queue_names", {"default"})),
            offer.get("labels", {}),
            offer.get("resources", {}),
            ((HANDLER, frozenset({"*"})),),
        )
        self.identity = offer.get("identity", "hand")
        self.taken: dict[str, Assigned] = {}
        self.cancelled: set[AttemptKey] = set()
        self._verdicts: dict[AttemptKey, Verdict] = {}
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    # ---- what the engine calls
    def assign(self, assigned: list[Assigned]) -> None:
        for each in assigned:
            assert each.plan is not None
            self.taken[each.plan.graph.task_ids[each.key.task]] = each
        self._tell()

    def acknowledge(self, acks: list[tuple[Report, Verdict]]) -> None:
        self._verdicts.update((report.key, verdict) for report, verdict in acks)
        self._tell()

    def unaccepted_since(self, instant: float) -> list[AttemptKey]:
        """A hand takes what it is given at once."""
        return []

    def cancel(self, orders: list[CancelOrder]) -> None:
        self.cancelled.update(order.key for order in orders)
        self._tell()

    def _tell(self) -> None:
        task = asyncio.ensure_future(self._notify())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _until(self, condition: Any) -> None:
        async with asyncio.timeout(SOON_SECONDS), self._changed:
            await self._changed.wait_for(condition)

    # ---- what the test calls
    async def connect(self) -> None:
        async with self._server.database.worker.acquire() as connection:
            now = await connection.fetchval("select glidepath_now()")
        facts = WorkerFacts(self.identity, "1", self.offer, "hand", "0", "host", 1)
        greeting = await sessions.hello(self._server.database.worker, facts, [], clock.uuid7(now), 3600)
        self.session_id, self.generation = greeting.session_id, greeting.generation
        self._server.engine.attach(self)

    async def take(self, task_id: str) -> Assigned:
        """Wait until this task is in the hand."""
        await self._until(lambda: task_id in self.taken)
        return self.taken[task_id]

    async def told_to_end(self, task_id: str) -> None:
        await self._until(lambda: self.taken[task_id].key in self.cancelled)

    async def end(
        self,
        task_id: str,
        outcome: AttemptState = AttemptState.SUCCESS,
        *,
        output: str = "",
        message: str = "broken",
    ) -> None:
        """End the attempt in the hand; back once that is committed."""
        assigned = await self.take(task_id)
        failure = Failure(FailureKind.APPLICATION, "ValueError", message) if outcome is AttemptState.FAILED else None
        body = Output("application/json", output.encode(), None, len(output), "") if output else None
        del self.taken[task_id]
        self.free += 1
        self._server.engine.submit([Report(assigned.key, outcome, failure, body, origin=self)])
        await self._until(lambda: assigned.key in self._verdicts)
        assert self._verdicts[assigned.key] is Verdict.ACCEPTED
