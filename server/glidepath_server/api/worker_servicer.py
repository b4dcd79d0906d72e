"""glidepath.worker.v1.WorkerService: the worker contract.

The stream is read in the handler's own task and written by a second one. A frame of the worker becomes reports for the
engine at once; logs and progress are written by a feed per stream, whose bound holds back a worker that floods. Results
are acknowledged by the engine after the commit, never here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Set
from contextlib import suppress
from typing import Any
from uuid import UUID

from glidepath_proto.worker.v1 import task_pb2, worker_service_pb2_grpc
from glidepath_proto.worker.v1 import worker_service_pb2 as pb

from .. import __version__
from ..clock import utc_now, uuid7
from ..core.errors import (
    AlreadyExists,
    Fenced,
    GlidepathError,
    NotFound,
    PermissionDenied,
    StateConflict,
    Unavailable,
)
from ..core.events import AttemptKey
from ..core.states import AttemptState
from ..core.task_token import seal, unseal
from ..operations import sessions as operations
from ..operations.register_dag_version import RegisterDagVersion
from ..operations.step_types import Report
from ..operations.worker_engine import WorkerEngine, WorkerHeartbeats
from ..settings import Settings
from ..store import sessions, worker_feed
from ..store.database import Database
from ..store.identity import ALL
from .assignments import Assignments, payload_of, seconds_to_wire
from .auth import current_identity, namespace_for, namespaces_beside
from .convert_common import invalid
from .convert_worker import (
    PROTOCOL_VERSION_MAX,
    PROTOCOL_VERSION_MIN,
    ResultLimits,
    clean,
    host_reading_in,
    report_in,
    session_id_in,
    worker_in,
)
from .handlers import Context
from .message_bounds import check_size
from .worker_artifacts import Artifacts
from .worker_calls import register_called
from .worker_feed import Feed
from .worker_stream import GRACE_SECONDS_DEFAULT, Session
from .worker_unary import Collector, UnarySession, UnarySessions

CLAIM_WAIT_SECONDS_MAX = 50.0
CLAIM_MAX = 1000
# Even a caller that does not wait gives the engine one turn.
ENGINE_TURN_SECONDS = 0.25
REPORT_SECONDS_MAX = 30.0
UNKNOWN_TOKEN = "no attempt of this namespace has the token"


class WorkerServicer(worker_service_pb2_grpc.WorkerServiceServicer):
    """Thin over the engine: sessions, reports, and what workers fetch."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        engine: WorkerEngine,
        heartbeats: WorkerHeartbeats,
        secret: bytes,
        register: RegisterDagVersion,
    ) -> None:
        self._register = register
        self._database, self._settings, self._engine, self._heartbeats = database, settings, engine, heartbeats
        self._assignments = Assignments(secret, settings.message_bytes_max, traced=bool(settings.otlp_endpoint))
        self.artifacts = Artifacts(database, settings.artifact_bytes_max)
        self._result_limits = ResultLimits(settings.output_inline_bytes_max, settings.checkpoint_bytes_max)
        self._secret = secret
        self._unary = UnarySessions(settings.lease_ttl_seconds)
        self._streams: set[Session] = set()

    # ---- the stream
    async def Work(self, request_iterator: AsyncIterator[pb.WorkRequest], context: Context) -> None:
        first = await anext(aiter(request_iterator), None)
        if first is None or not first.HasField("hello"):
            raise invalid("hello", "not set", "in the first message of the stream")
        check_size(first)
        session, welcome, reports = await self._hello(first.hello, Session)
        await context.write(pb.WorkResponse(welcome=welcome))
        feed = self._feed(_realm(session), session.outgoing.acknowledge_log)
        writer = asyncio.create_task(self._write(session, context))
        beating = asyncio.create_task(self._beat(session))
        self._streams.add(session)
        try:
            self._engine.submit(reports)
            await self._hear(session, feed, first)
            self._engine.attach(session)
            await self._read(session, feed, request_iterator, writer)
        finally:
            self._streams.discard(session)
            self._engine.detach(session)
            beating.cancel()
            writer.cancel()
            await asyncio.gather(beating, writer, feed.close(), return_exceptions=True)

    async def _read(
        self, session: Session, feed: Feed, requests: AsyncIterator[pb.WorkRequest], writer: asyncio.Task[None]
    ) -> None:
        """Until the worker ends the stream, its connection breaks, or the session is over."""
        reader = asyncio.create_task(self._read_all(session, feed, requests))
        over = asyncio.create_task(session.over.wait())
        try:
            await asyncio.wait({reader, writer, over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            reader.cancel()
            over.cancel()
        if reader.done() and not reader.cancelled() and reader.exception() is not None:
            raise reader.exception()  # type: ignore[misc]
        if session.closed:
            raise session.error or await self._why_ended(session)

    async def _why_ended(self, session: Session) -> GlidepathError:
        """Another incarnation of the worker closed it; a lease that ran out, or a newer stream, did not."""
        async with self._database.worker.acquire() as connection:
            row = await sessions.find(connection, session.session_id)
        if row is None or row["state"] != "closed":
            return StateConflict("the session has ended", hint="say hello again")
        return AlreadyExists(
            f"worker identity {row['worker_identity']!r} is taken by another live worker",
            hint="give each worker an identity of its own",
        )

    async def _read_all(self, session: Session, feed: Feed, requests: AsyncIterator[pb.WorkRequest]) -> None:
        draining = False
        async for request in requests:
            draining = draining or request.draining
            check_size(request)
            await self._hear(session, feed, request)
            await session.calm()
        if draining and not session.held:
            self._engine.submit(await operations.leave(self._database.worker, session.session_id, session.generation))

    async def _write(self, session: Session, context: Context) -> None:
        while not session.closed:
            await session.outgoing.ready.wait()
            frame = session.outgoing.take()
            if frame.ByteSize():
                await context.write(frame)

    async def _beat(self, session: Session) -> None:
        while True:
            session.beat()
            await asyncio.sleep(self._settings.heartbeat_interval_seconds)

    async def _hear(self, session: Session, feed: Feed, request: pb.WorkRequest) -> None:
        echoed = request.HasField("heartbeat") and request.heartbeat.nonce in session.nonces
        if echoed or request.accepted_task_tokens or request.results or request.credits:
            session.spoke()
        for token in request.accepted_task_tokens:
            session.accepted(token)
        if request.progress or request.log_chunks:
            await feed.put(request.progress, request.log_chunks, self._secret)
        if request.results:
            self._engine.submit(await self._reports(request.results, session, feed))
        if request.credits:
            session.grant(each.amount for each in request.credits if each.resource == "slots")
        if echoed:
            asked_at = session.nonces[request.heartbeat.nonce]
            self._heartbeats.heard(session, request.heartbeat.nonce, host_reading_in(request.heartbeat, asked_at))
        if request.draining:
            session.drain()
            await self._drain(session)
        self._engine.credits_changed()

    def _feed(self, namespace: str, acknowledge: Callable[[bytes, int], Any]) -> Feed:
        return Feed(self._database, namespace, self._settings.checkpoint_bytes_max, acknowledge)

    async def _drain(self, session: Session) -> None:
        async with self._database.worker.acquire() as connection:
            await sessions.set_draining(connection, session.session_id, session.generation)

    def drain(self) -> None:
        """The replica stops: workers finish what they have and say hello elsewhere."""
        for session in self._streams:
            session.drain()
            session.outgoing.drain()

    # ---- hello
    async def _hello(self, hello: pb.Hello, kind: type[Session]) -> tuple[Session, pb.Welcome, list[Report]]:
        caller = current_identity()
        worker = worker_in(hello, namespace_for(hello, caller), namespaces_beside(hello, caller))
        listed = self._listed(hello)
        greeting = await operations.hello(
            self._database.worker, worker, list(listed), uuid7(utc_now()), self._settings.lease_ttl_seconds
        )
        session = kind(greeting.session_id, greeting.generation, worker.offer, self._assignments, self._engine.submit)
        session.bind(listed[key] for key in greeting.bound)
        welcome = self._welcome(greeting.session_id, greeting.generation)
        held = set(hello.held_task_tokens)
        welcome.fenced_task_tokens.extend(listed[key] for key in greeting.fenced if listed[key] in held)
        return session, welcome, greeting.verdicts

    def _listed(self, hello: pb.Hello) -> dict[AttemptKey, bytes]:
        """Attempts that the worker says it holds or has finished; tokens that nobody sealed are left out."""
        tokens = [*hello.held_task_tokens, *hello.finished_task_tokens]
        return {key: token for token in tokens if (key := unseal(token, self._secret)) is not None}

    def _welcome(self, session_id: UUID, generation: int) -> pb.Welcome:
        settings = self._settings
        return pb.Welcome(
            session_id=str(session_id),
            generation=generation,
            server_version=__version__,
            lease_ttl=seconds_to_wire(settings.lease_ttl_seconds),
            heartbeat_interval=seconds_to_wire(settings.heartbeat_interval_seconds),
            protocol_version_min=PROTOCOL_VERSION_MIN,
            protocol_version_max=PROTOCOL_VERSION_MAX,
            limits=pb.Limits(
                output_inline_bytes_max=settings.output_inline_bytes_max,
                artifact_bytes_max=settings.artifact_bytes_max,
                message_bytes_max=settings.message_bytes_max,
                checkpoint_bytes_max=settings.checkpoint_bytes_max,
            ),
        )

    async def _reports(self, results: Iterable[task_pb2.AttemptResult], session: Session, feed: Feed) -> list[Report]:
        own: list[tuple[task_pb2.AttemptResult, AttemptKey]] = []
        strange: list[tuple[task_pb2.AttemptResult, AttemptKey]] = []
        for message in results:
            token = message.task_token
            key = unseal(token, self._secret)
            if key is None:
                session.fence(token, UNKNOWN_TOKEN)
            else:
                (own if token in session.held else strange).append((message, key))
        # What this session was given is of its namespace; what it was not, is looked up.
        foreign = await self._outside({key.dag_run_id for _, key in strange}, _realm(session))
        for message, key in strange:
            if key.dag_run_id in foreign:
                session.fence(message.task_token, UNKNOWN_TOKEN)
            else:
                own.append((message, key))
        reports = []
        for message, key in own:
            report, refused = await self._report(message, key, session)
            if report.outcome is not AttemptState.SUCCESS:
                report.checkpoint = report.checkpoint or feed.checkpoint_on_its_way(key)
            session.unaccepted.pop(report.token, None)
            if refused:
                session.refused[report.token] = refused
            reports.append(report)
        session.unanswered += len(reports)
        return reports

    async def _report(self, message: task_pb2.AttemptResult, key: AttemptKey, origin: Any) -> tuple[Report, str]:
        """The report of a result, the DAG registered that it calls if the task has made one; and why it is refused."""
        report, why = report_in(message, key, self._result_limits, origin)
        if report.outcome is AttemptState.CALLED and message.called.HasField("dag"):
            await register_called(self._database, self._register, report, message.called.dag)
        return report, why

    async def _outside(self, run_ids: Set[UUID], namespace: str) -> Set[UUID]:
        """Of these runs those that are not in the namespace, or not there at all."""
        if namespace == ALL or not run_ids:
            return frozenset()
        async with self._database.worker.acquire() as connection:
            return run_ids - await sessions.runs_within(connection, run_ids, namespace)

    # ---- clients that cannot hold a stream
    async def Claim(self, request: pb.ClaimRequest, context: Context) -> pb.ClaimResponse:
        count = request.assignments_max or 1
        if not 1 <= count <= CLAIM_MAX:
            raise invalid("assignments_max", str(count), f"1 to {CLAIM_MAX}")
        wait = request.wait.seconds + request.wait.nanos / 1e9
        if not 0 <= wait <= CLAIM_WAIT_SECONDS_MAX:
            raise invalid("wait", f"{wait:g} s", f"0 to {CLAIM_WAIT_SECONDS_MAX:g} s")
        response = pb.ClaimResponse()
        if request.WhichOneof("who") == "hello":
            found, welcome, reports = await self._hello(request.hello, UnarySession)
            assert isinstance(found, UnarySession)
            session = found
            self._unary.put(session)
            response.welcome.CopyFrom(welcome)
            self._engine.submit(reports)
        else:
            session = await self._find(request.session)
        await self._renew(session)
        response.assignments.extend(await self._claim(session, count, wait))
        return response

    async def _claim(self, session: UnarySession, count: int, wait: float) -> list[task_pb2.Assignment]:
        """What waits for the session at once, or what comes within `wait` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(wait, ENGINE_TURN_SECONDS)), session.claiming:
                if not session.waiting and not session.closed:
                    await self._wait_for_work(session, count)
        if session.closed:
            raise Fenced(f"session {session.session_id} has ended", hint="claim again with hello")
        return session.take_assignments(count)

    async def _wait_for_work(self, session: UnarySession, count: int) -> None:
        session.free = count
        session.awake.clear()
        self._engine.attach(session)
        self._engine.look_for_work()
        try:
            await session.awake.wait()
        finally:
            session.free = 0
            self._engine.detach(session)

    async def Report(self, request: pb.ReportRequest, context: Context) -> pb.ReportResponse:
        check_size(request)
        response = pb.ReportResponse()
        collector = Collector(self._unary.get(session_id_in(request.session.session_id)))
        namespace = current_identity().namespace
        reports = []
        keys = [(message, unseal(message.task_token, self._secret)) for message in request.results]
        foreign = await self._outside({key.dag_run_id for _, key in keys if key is not None}, namespace)
        for message, key in keys:
            if key is None or key.dag_run_id in foreign:
                response.result_acks.add(task_token=message.task_token, verdict=pb.VERDICT_FENCED, reason=UNKNOWN_TOKEN)
                continue
            report, refused = await self._report(message, key, collector)
            collector.refused[message.task_token] = refused
            reports.append(report)
        collector.expect(len(reports))
        try:
            async with asyncio.timeout(_report_seconds(context)):
                await self._store(request, namespace, response)  # first: a checkpoint is one of a live attempt
                self._engine.submit(reports)
                response.result_acks.extend(await collector.acks())
        except TimeoutError:
            raise Unavailable(
                "the results were not committed in time", hint="send them again: what was stored is answered DUPLICATE"
            ) from None
        return response

    async def _store(self, request: pb.ReportRequest, namespace: str, response: pb.ReportResponse) -> None:
        if request.progress or request.log_chunks:
            feed = self._feed(
                namespace, lambda token, number: response.log_acks.add(task_token=token, sequence_number=number)
            )
            await feed.put(request.progress, request.log_chunks, self._secret)
            await feed.close()

    async def Heartbeat(self, request: pb.HeartbeatRequest, context: Context) -> pb.HeartbeatResponse:
        check_size(request)
        session = await self._find(request.session)
        await self._renew(session)
        held = {token: unseal(token, self._secret) for token in request.held_task_tokens}
        await self._take_back(session, set(held.values()))
        known = list(session.held)  # all of it was committed before the rows are read
        async with self._database.worker.acquire() as connection:
            rows = await sessions.wanted_cancels(connection, [session.session_id])
            live = {sessions.key_of(row) for row in await sessions.live_of_sessions(connection, [session.session_id])}
        session.forget_ended(known, live)
        response = pb.HeartbeatResponse(lease_ttl=seconds_to_wire(self._settings.lease_ttl_seconds))
        size = 0
        for row in rows:
            token, reason = seal(sessions.key_of(row), self._secret), row["cancel_reason"]
            size += len(token) + len(reason.encode())
            if size > self._assignments.frame_bytes:
                break  # the others come when these have ended
            grace = seconds_to_wire(session.held.get(token, GRACE_SECONDS_DEFAULT))
            response.cancels.add(task_token=token, reason=reason, grace=grace)
        response.fenced_task_tokens.extend(token for token, key in held.items() if key not in live)
        return response

    async def _take_back(self, session: UnarySession, held: set[AttemptKey | None]) -> None:
        """Attempts that are old enough to have arrived and are not listed: their answer was lost. Judged by the rows:
        whichever replica answered the claim, its memory may be gone."""
        async with self._database.worker.acquire() as connection:
            rows = await sessions.settled_of_sessions(
                connection, [session.session_id], [session.generation], self._settings.accept_timeout_seconds
            )
        lost = [key for key in map(sessions.key_of, rows) if key not in held]
        for key in lost:
            session.forget(seal(key, self._secret))
        self._engine.submit(
            Report(
                key,
                AttemptState.RETURNED,
                judged=session.session_id,
                judged_generation=session.generation,
                reason="the answer to the claim was lost",
            )
            for key in lost
        )

    async def _find(self, ref: pb.SessionRef) -> UnarySession:
        """The session that a unary client names: from memory, or from its row when another replica opened it."""
        session_id = session_id_in(ref.session_id)
        async with self._database.worker.acquire() as connection:
            found = await worker_feed.session(connection, session_id)
        identity = current_identity()
        if found is None or identity.namespace not in (ALL, found[0]["namespace"]):
            raise NotFound(f"there is no session {session_id}", hint="claim with hello")
        row, offer = found
        if row["state"] != "open" or row["generation"] != ref.generation:
            if row["state"] != "open":
                self._unary.end(session_id)
            raise Fenced(f"session {session_id} generation {ref.generation} has ended", hint="claim again with hello")
        session = self._unary.get(session_id)
        if session is None or session.generation != ref.generation:
            session = UnarySession(session_id, ref.generation, offer, self._assignments, self._engine.submit)
            self._unary.put(session)
        return session

    async def _renew(self, session: UnarySession) -> None:
        async with self._database.worker.acquire() as connection:
            renewed = await sessions.renew(
                connection, [session.session_id], [session.generation], self._settings.lease_ttl_seconds
            )
        if session.session_id not in renewed:
            session.ended()
            raise Fenced(f"session {session.session_id} has ended", hint="claim again with hello")

    # ---- what workers fetch and store
    async def GetOutput(self, request: pb.GetOutputRequest, context: Context) -> pb.GetOutputResponse:
        key = await self._live(request.task_token)
        output = await self._engine.upstream_output(key, request.task_id)
        return pb.GetOutputResponse(output=payload_of(output))

    async def GetXCom(self, request: pb.GetXComRequest, context: Context) -> pb.GetXComResponse:
        key = await self._live(request.task_token)
        map_index = max(-1, request.map_index) if request.HasField("map_index") else -1
        task_id, xcom_key = clean(request.task_id), clean(request.key)
        return pb.GetXComResponse(value=await self._engine.upstream_xcom(key, task_id, map_index, xcom_key))

    async def PutArtifact(
        self, request_iterator: AsyncIterator[pb.PutArtifactRequest], context: Context
    ) -> pb.PutArtifactResponse:
        first = await anext(aiter(request_iterator), None)
        key = await self._live(first.task_token if first is not None else b"")
        assert first is not None
        with self.artifacts.upload(current_identity().token_id) as upload:
            await upload.add(first.chunk)
            async for part in request_iterator:
                await upload.add(part.chunk)
            content_type = first.content_type or "application/octet-stream"
            sha256 = await self.artifacts.store(upload, await self._engine.namespace_of(key), content_type)
        response = pb.PutArtifactResponse()
        response.artifact.content_type, response.artifact.size_bytes = content_type, upload.size
        response.artifact.uri, response.artifact.sha256 = f"artifact:{sha256}", sha256
        return response

    async def GetArtifact(
        self, request: pb.GetArtifactRequest, context: Context
    ) -> AsyncIterator[pb.GetArtifactResponse]:
        key = await self._live(request.task_token)
        async for chunk in self.artifacts.read(await self._engine.namespace_of(key), request.uri):
            yield pb.GetArtifactResponse(chunk=chunk)

    async def GetSource(self, request: pb.GetSourceRequest, context: Context) -> AsyncIterator[pb.GetSourceResponse]:
        namespace = namespace_for(request, current_identity())
        async for chunk in self.artifacts.read_source(namespace, request.content_hash):
            yield pb.GetSourceResponse(chunk=chunk)

    async def _live(self, token: bytes) -> AttemptKey:
        """The attempt that a token names, while it is live, in the caller's namespace."""
        key = unseal(token, self._secret)
        if key is None:
            raise PermissionDenied("the task token is not known", hint="use the token of the assignment")
        async with self._database.worker.acquire() as connection:
            live = await worker_feed.is_live(connection, key)
        identity = current_identity()
        if not live or identity.namespace not in (ALL, await self._engine.namespace_of(key)):
            raise Fenced("the attempt is not live any more", hint="end its processes")
        return key


def _realm(session: Session) -> str:
    """What the session may speak of: its namespace; all of them if it serves several, as its caller holds all."""
    return ALL if session.offer.others else session.offer.namespace


def _report_seconds(context: Context) -> float:
    """How long a report may wait for its commit: a part of the caller's deadline, so that the caller gets an answer."""
    remaining = context.time_remaining()
    return REPORT_SECONDS_MAX if remaining is None else min(REPORT_SECONDS_MAX, 0.8 * remaining)
