"""A control plane that speaks the worker contract and nothing else: real gRPC, no rules, everything it hears kept."""

from __future__ import annotations

import hashlib
import io
import json
import queue
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration

from glidepath_proto.common.v1.payload_pb2 import Payload
from glidepath_proto.registry.v1.dag_pb2 import IsolationMode, LeaseMode
from glidepath_proto.worker.v1.task_pb2 import Assignment, AttemptResult, LogEntry, Progress
from glidepath_proto.worker.v1.worker_service_pb2 import (
    Cancel,
    GetArtifactResponse,
    GetOutputResponse,
    GetSourceResponse,
    Hello,
    Limits,
    LogAck,
    PutArtifactResponse,
    ResultAck,
    ServerHeartbeat,
    Verdict,
    Welcome,
    WorkRequest,
    WorkResponse,
)
from glidepath_proto.worker.v1.worker_service_pb2_grpc import WorkerServiceServicer, add_WorkerServiceServicer_to_server

WAIT_SECONDS = 30.0


class Session:
    """One stream of a worker."""

    def __init__(self, hello: Hello, authorization: str) -> None:
        self.hello = hello
        self.authorization = authorization
        self.outgoing: queue.SimpleQueue[WorkResponse | None] = queue.SimpleQueue()
        self.echoes: list[bytes] = []
        self.host_times: list[float] = []
        self.ended = False

    def send(self, **fields: Any) -> None:
        self.outgoing.put(WorkResponse(**fields))

    def end(self) -> None:
        """Send the worker away, as a replica that goes down does."""
        self.outgoing.put(None)


class ControlPlane(WorkerServiceServicer):
    """Answers hello with welcome, acknowledges what it is told to acknowledge, and remembers.

    Beats are rare unless a test is about them: a worker leaves a server that it has not heard for two of them, and what
    it was assigned meanwhile is assigned by nobody again.
    """

    def __init__(self, lease_ttl: float = 15.0, heartbeat_interval: float = 5.0) -> None:
        self.changed = threading.Condition()
        self.sessions: list[Session] = []
        self.results: dict[bytes, list[AttemptResult]] = {}
        self.logs: dict[bytes, list[LogEntry]] = {}
        self.log_numbers: dict[bytes, list[int]] = {}
        self.progress: dict[bytes, Progress] = {}
        self.accepted: set[bytes] = set()
        self.started: set[bytes] = set()
        self.frames: list[WorkRequest] = []
        self.credits = 0
        self.draining = False
        self.verdict: Callable[[AttemptResult], Verdict.ValueType | None] = lambda _: Verdict.VERDICT_ACCEPTED
        self.fenced_at_welcome: set[bytes] = set()
        self.limits = Limits(output_inline_bytes_max=64 * 1024, artifact_bytes_max=1024 * 1024)
        self.permits = True
        self.confirms = True
        self.beats = True
        self.artifacts: dict[str, bytes] = {}
        self.artifacts_available = True
        self.outputs: dict[str, Payload] = {}
        self.sources: dict[str, bytes] = {}
        self.asked_sources: list[tuple[str, str]] = []
        self.refuse_with: tuple[grpc.StatusCode, str] | None = None
        self._lease_ttl = lease_ttl
        self._interval = heartbeat_interval
        self._count = 0
        self._server: grpc.Server | None = None
        self.port = 0

    # ---- life
    def start(self) -> None:
        pool = ThreadPoolExecutor(max_workers=32)
        self._server = grpc.server(pool, options=[("grpc.so_reuseport", 0)])
        add_WorkerServiceServicer_to_server(self, self._server)  # type: ignore[no-untyped-call]
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()

    def stop(self) -> None:
        if self._server is not None:
            for session in self.sessions:
                session.end()
            self._server.stop(0).wait()
            self._server = None

    # ---- what tests ask
    def wait(self, condition: Callable[[], Any], what: str, seconds: float = WAIT_SECONDS) -> Any:
        with self.changed:
            self.changed.wait_for(condition, seconds)
            value = condition()
            heard = "" if value else self._heard()
        assert value, f"waited {seconds} s for {what}; {heard}"
        return value

    def _heard(self) -> str:
        """What the worker has said so far: why a wait was in vain."""
        ended = [session.ended for session in self.sessions]
        return (
            f"sessions ended: {ended}, accepted: {self.accepted}, started: {self.started}, results: {self.results}, "
            f"logs: { {token: [entry.text for entry in entries] for token, entries in self.logs.items()} }"
        )

    def session(self, number: int = 1) -> Session:
        self.wait(lambda: len(self.sessions) >= number, f"session {number}")
        return self.sessions[number - 1]

    def result(self, token: bytes, seconds: float = WAIT_SECONDS) -> AttemptResult:
        return self.wait(lambda: self.results.get(token), f"the result of {token!r}", seconds)[0]  # type: ignore[no-any-return]

    def line(self, token: bytes, text: str) -> str:
        """Wait until the attempt has printed a line that begins with `text`."""

        def find() -> str | None:
            return next((e.text for e in self.logs.get(token, []) if e.text.startswith(text)), None)

        return self.wait(find, f"a line {text!r} of {token!r}")  # type: ignore[no-any-return]

    def assign(self, handler: str, session: Session | None = None, **options: Any) -> bytes:
        assignment = self.assignment(handler, **options)
        (session or self.sessions[-1]).send(assignments=[assignment])
        return assignment.task_token

    def assignment(self, handler: str, **options: Any) -> Assignment:
        self._count += 1
        assignment = Assignment(task_token=f"token-{self._count}".encode(), namespace="default", params="{}")
        assignment.attempt.dag_run_id = "run-1"
        assignment.attempt.task_id = f"task-{self._count}"
        assignment.attempt.map_index = -1
        assignment.attempt.attempt_number = options.pop("attempt_number", 1)
        assignment.dag_version.dag_id = "dag"
        assignment.handler.name = handler
        assignment.handler.version = options.pop("version", "")
        assignment.cancel_grace.CopyFrom(_duration(options.pop("grace", 5.0)))
        inline = options.pop("inline", False)
        assignment.isolation = IsolationMode.ISOLATION_MODE_INLINE if inline else IsolationMode.ISOLATION_MODE_PROCESS
        if options.pop("exclusive", False):
            assignment.lease_mode = LeaseMode.LEASE_MODE_EXCLUSIVE
        if "timeout" in options:
            assignment.execution_timeout.CopyFrom(_duration(options.pop("timeout")))
        for name, value in options.pop("inputs", {}).items():
            assignment.inputs[name].literal.data = json.dumps(value).encode()
        for name, value in options.items():
            setattr(assignment, name, value)
        return assignment

    def cancel(self, token: bytes, grace: float, reason: str = "asked to") -> None:
        cancel = Cancel(task_token=token, reason=reason, grace=_duration(grace))
        self.sessions[-1].send(cancels=[cancel])

    def add_source(self, files: dict[str, str]) -> str:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, text in files.items():
                archive.writestr(name, text)
        content_hash = hashlib.sha256(buffer.getvalue()).hexdigest()
        self.sources[content_hash] = buffer.getvalue()
        return content_hash

    # ---- the contract
    def Work(self, requests: Iterator[WorkRequest], context: grpc.ServicerContext) -> Iterator[WorkResponse]:
        if self.refuse_with:
            context.abort(*self.refuse_with)
        metadata = dict(context.invocation_metadata())
        session = Session(next(requests).hello, str(metadata.get("authorization", "")))
        with self.changed:
            self.sessions.append(session)
            generation = len(self.sessions)
            self.changed.notify_all()
        threading.Thread(target=self._listen, args=(session, requests), daemon=True).start()
        yield WorkResponse(welcome=self._welcome(session, generation))
        beat, due = 0, time.monotonic() + self._interval
        while True:
            try:
                response = session.outgoing.get(timeout=max(0.0, due - time.monotonic()))
            except queue.Empty:
                if session.ended or not context.is_active():
                    return
                beat, due = beat + 1, due + self._interval
                response = self._beat(session, f"{generation}-{beat}".encode())
            if response is None:
                if session.ended:
                    return
                context.abort(grpc.StatusCode.UNAVAILABLE, "going down")
            yield response

    def _beat(self, session: Session, nonce: bytes) -> WorkResponse:
        if not self.beats:
            return WorkResponse()
        confirmed = session.echoes[-1] if session.echoes and self.confirms else b""
        return WorkResponse(heartbeat=ServerHeartbeat(nonce=nonce, confirmed_nonce=confirmed))

    def _welcome(self, session: Session, generation: int) -> Welcome:
        listed = {*session.hello.held_task_tokens, *session.hello.finished_task_tokens}
        return Welcome(
            session_id="session",
            generation=generation,
            lease_ttl=_duration(self._lease_ttl),
            heartbeat_interval=_duration(self._interval),
            limits=self.limits,
            fenced_task_tokens=sorted(listed & self.fenced_at_welcome),
        )

    def _listen(self, session: Session, requests: Iterator[WorkRequest]) -> None:
        try:
            for request in requests:
                with self.changed:
                    self._hear(session, request)
                    self.changed.notify_all()
        except grpc.RpcError:
            pass
        except Exception as error:  # the stream was aborted from this side
            if type(error) is not Exception:
                raise
        session.ended = True
        session.end()

    def _hear(self, session: Session, request: WorkRequest) -> None:
        self.frames.append(request)
        self.accepted.update(request.accepted_task_tokens)
        self.started.update(request.started_task_tokens)
        self.credits += sum(credit.amount for credit in request.credits)
        self.draining = self.draining or request.draining
        if request.HasField("heartbeat"):
            session.echoes.append(request.heartbeat.nonce)
            session.host_times.append(request.heartbeat.host_time.ToMicroseconds() / 1e6)
        for progress in request.progress:
            self.progress[progress.task_token] = progress
        for chunk in request.log_chunks:
            numbers = self.log_numbers.setdefault(chunk.task_token, [])
            if chunk.sequence_number not in numbers:
                numbers.append(chunk.sequence_number)
                self.logs.setdefault(chunk.task_token, []).extend(chunk.entries)
        for result in request.results:
            self.results.setdefault(result.task_token, []).append(result)
        self._answer(session, request)

    def _answer(self, session: Session, request: WorkRequest) -> None:
        verdicts = [(result.task_token, self.verdict(result)) for result in request.results]
        acks = [ResultAck(task_token=token, verdict=verdict) for token, verdict in verdicts if verdict is not None]
        logs = [LogAck(task_token=c.task_token, sequence_number=c.sequence_number) for c in request.log_chunks]
        permits = request.accepted_task_tokens if self.permits else []
        if acks or logs or permits:
            session.send(result_acks=acks, log_acks=logs, start_permits=permits)

    def PutArtifact(self, requests: Iterator[Any], context: grpc.ServicerContext) -> PutArtifactResponse:
        if not self.artifacts_available:
            context.abort(grpc.StatusCode.UNAVAILABLE, "the store is away")
        first = next(requests)
        content = first.chunk + b"".join(request.chunk for request in requests)
        if len(content) > self.limits.artifact_bytes_max:
            context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED, f"over the limit of {self.limits.artifact_bytes_max} bytes"
            )
        sha256 = hashlib.sha256(content).hexdigest()
        self.artifacts[sha256] = content
        reference = Payload(
            content_type=first.content_type, uri=f"artifact:{sha256}", size_bytes=len(content), sha256=sha256
        )
        return PutArtifactResponse(artifact=reference)

    def GetArtifact(self, request: Any, context: grpc.ServicerContext) -> Iterator[GetArtifactResponse]:
        content = self.artifacts.get(request.uri.removeprefix("artifact:"))
        if content is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no {request.uri}")
        for start in range(0, len(content), 100_000):
            yield GetArtifactResponse(chunk=content[start : start + 100_000])

    def GetOutput(self, request: Any, context: grpc.ServicerContext) -> GetOutputResponse:
        if request.task_id not in self.outputs:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, f"task {request.task_id!r} is not upstream")
        return GetOutputResponse(output=self.outputs[request.task_id])

    def GetSource(self, request: Any, context: grpc.ServicerContext) -> Iterator[GetSourceResponse]:
        self.asked_sources.append((request.namespace, request.content_hash))
        content = self.sources.get(request.content_hash)
        if content is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no source {request.content_hash}")
        yield GetSourceResponse(chunk=content)


def _duration(seconds: float) -> Duration:
    return Duration(seconds=int(seconds), nanos=round(seconds % 1 * 1e9))
