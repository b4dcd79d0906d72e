"""A worker without processes that writes down all it hears and says: hundreds of attempts a second from one process.

    python -m tests.checker.journal_worker --address HOST:PORT --token-file FILE --journals DIR --identity w1

It speaks the worker contract over the generated stubs. What a body does is said by the literal inputs of its task (see
`Body`), how the worker behaves towards the server by `Manners`: well, unless it is told otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc

from glidepath_proto.common.v1 import payload_pb2
from glidepath_proto.registry.v1 import dag_pb2
from glidepath_proto.worker.v1 import task_pb2, worker_service_pb2_grpc
from glidepath_proto.worker.v1 import worker_service_pb2 as pb
from tests.checker.facts import AttemptKey
from tests.checker.journals import Journal

RECONNECT_SECONDS = 0.1
# The answer to hello, on a connection of its own, is awaited for so long; then another one is tried.
WELCOME_SECONDS = 2.0


@dataclass(frozen=True)
class Manners:
    """How far the worker keeps to the contract. Shares are of 1, drawn from a seed."""

    late: float = 0.0
    """Share of results that are kept back for `late_seconds`."""
    late_seconds: float = 5.0
    twice: float = 0.0
    """Share of results that are sent again when they have been answered."""
    stubborn: float = 0.0
    """Share of results that are sent though the answer to hello said that their attempts are over."""
    deaf: float = 0.0
    """Share of cancels that are passed over: the body goes on to its end."""
    lost: float = 0.0
    """Share of assignments that are dropped as if they had never come."""
    silent_every_seconds: float = 0.0
    """Every so often no heartbeat is echoed for `silent_seconds`; 0: never."""
    silent_seconds: float = 6.0
    cut_every_seconds: float = 0.0
    """Every so often the stream is cut and opened again; 0: never."""
    seed: int = 0


@dataclass(frozen=True)
class Body:
    """What a task does here. Its literal inputs say so: {"seconds": 0.1, "fails": 1, "ends": "skipped"}."""

    seconds: float = 0.0
    fails: int = 0
    """So many attempts fail, by their number, before one ends as `ends` says."""
    defers: int = 0
    """So many attempts defer before that, by their number."""
    ends: str = "success"
    returns: object = None
    """Output of a success; none for None."""

    @staticmethod
    def of(assignment: task_pb2.Assignment) -> Body:
        known = {each.name for each in fields(Body)}
        said = {name: json.loads(each.literal.data) for name, each in assignment.inputs.items() if name in known}
        return Body(**said)

    def outcome(self, attempt_number: int) -> str:
        if attempt_number <= self.defers:
            return "deferred"
        return "failed" if attempt_number <= self.defers + self.fails else self.ends


def result_of(token: bytes, outcome: str, returns: object = None) -> task_pb2.AttemptResult:
    """A result as the wire has it; `outcome` in the words of docs/states.md."""
    result = task_pb2.AttemptResult(task_token=token)
    if outcome == "failed":
        result.failed.message = "the body says so"
    else:
        getattr(result, outcome).SetInParent()
        if outcome == "success" and returns is not None:
            result.success.output.MergeFrom(payload_pb2.Payload(data=json.dumps(returns).encode()))
    return result


@dataclass
class Held:
    """An attempt in the worker's hands: its body at work, then its result until that is answered."""

    key: AttemptKey
    exclusive: bool = False
    body: asyncio.Task[None] | None = None
    outcome: str = ""
    returns: object = None
    permit: asyncio.Event = field(default_factory=asyncio.Event)
    told: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the body has to end before its time."""
    cancelled: bool = False
    again: bool = False


class JournalWorker:
    """One worker. `run` lives until `stop`; `cut` ends the stream, `silent` keeps heartbeats back."""

    def __init__(
        self,
        address: str,
        token: str,
        journals: Path,
        identity: str,
        *,
        slots: int = 64,
        queues: Iterable[str] = (),
        handlers: Iterable[str] = ("test:*",),
        manners: Manners | None = None,
    ) -> None:
        self.address, self.identity, self.slots = address, identity, slots
        self.queues, self.handlers, self.manners = list(queues), list(handlers), manners or Manners()
        self.metadata = (("authorization", f"Bearer {token}"),)
        self.journal = Journal(journals, "worker", identity)
        self.incarnation = str(uuid4())
        self.chance = random.Random(f"{self.manners.seed}-{identity}")
        self.held: dict[bytes, Held] = {}
        self.session_id = ""
        self.silent = False
        self.ended = 0
        self._lease_ttl, self._sent_at, self._deadline = 0.0, dict[bytes, float](), 0.0
        self._quiet_until, self._silence_max = 0.0, 0.0
        self._stopping, self._out, self._waiting = asyncio.Event(), pb.WorkRequest(), asyncio.Event()
        self._call: Any = None
        self._streaming: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # ---- life
    async def run(self) -> None:
        """Connect, work, connect again, until told to stop."""
        habits = [self._start(each) for each in (self._watch_lease(), self._watch_silence(), *self._habits())]
        while not self._stopping.is_set():
            self._streaming = asyncio.ensure_future(self._connect())
            with suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
                await self._streaming
            self._quiet_until = 0.0
            self._note("cut")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), RECONNECT_SECONDS)
        for task in [*habits, *self._tasks]:
            task.cancel()
        await asyncio.gather(*habits, *self._tasks, return_exceptions=True)

    def stop(self) -> None:
        """Leave at once; what is held is the server's to judge."""
        self._stopping.set()
        self.cut()

    def cut(self) -> None:
        """End the stream; a new one is opened soon."""
        if self._streaming is not None:
            # Not only the call: one that is cancelled before it has a connection never tells those who write to it.
            self._streaming.cancel()

    def _habits(self) -> Iterable[Any]:
        if self.manners.silent_every_seconds:
            yield self._fall_silent()
        if self.manners.cut_every_seconds:
            yield self._cut_often()

    async def _fall_silent(self) -> None:
        while True:
            await asyncio.sleep(self.manners.silent_every_seconds)
            self.silent = True
            await asyncio.sleep(self.manners.silent_seconds)
            self.silent = False

    async def _cut_often(self) -> None:
        while True:
            await asyncio.sleep(self.manners.cut_every_seconds)
            self.cut()

    async def _watch_lease(self) -> None:
        """Note when the worker's own deadline passes: from then on others may have what it holds."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(0.1)
            if self._deadline and loop.time() > self._deadline:
                self._deadline = 0.0
                self._note("lease_ended")

    async def _watch_silence(self) -> None:
        """Leave a server that has not been heard for two of its intervals: it may be gone, or the connection dead."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(0.1)
            if self._quiet_until and loop.time() > self._quiet_until:
                self._quiet_until = 0.0
                self.cut()

    def _start(self, coroutine: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _note(self, kind: str, key: AttemptKey | None = None, **more: Any) -> None:
        self.journal.note(kind, key=key, session_id=self.session_id, **more)

    # ---- one stream
    async def _connect(self) -> None:
        """A stream on a connection of its own: one that is dead and does not know must not be met again."""
        options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(self.address, options) as channel:
            self._quiet_until = asyncio.get_running_loop().time() + WELCOME_SECONDS
            await self._stream(worker_service_pb2_grpc.WorkerServiceStub(channel))

    async def _stream(self, stub: Any) -> None:
        self._call = stub.Work(metadata=self.metadata)
        self._out, self._sent_at = pb.WorkRequest(), {}
        finished = {token: held for token, held in self.held.items() if held.outcome}
        await self._call.write(pb.WorkRequest(hello=self._hello(finished)))
        first = await self._call.read()
        if first is grpc.aio.EOF:
            return
        self._welcomed(first.welcome)
        writer = asyncio.ensure_future(self._write())
        try:
            for token in [token for token in finished if token in self.held]:
                self._report(token)
            # The permit of an exclusive attempt answers this word, which the stream before may have lost.
            self._accept(*(token for token, held in self.held.items() if held.exclusive and not held.permit.is_set()))
            self._offer(self.slots - len(self.held))
            while (frame := await self._call.read()) is not grpc.aio.EOF:
                self._quiet_until = asyncio.get_running_loop().time() + self._silence_max
                self._heard(frame)
        finally:
            writer.cancel()

    def _hello(self, finished: dict[bytes, Held]) -> pb.Hello:
        return pb.Hello(
            worker_identity=self.identity,
            incarnation=self.incarnation,
            queue_names=self.queues,
            protocol_version=1,
            handlers=[pb.HandlerOffer(name=name, versions=["*"]) for name in self.handlers],
            held_task_tokens=[token for token in self.held if token not in finished],
            finished_task_tokens=list(finished),
        )

    def _welcomed(self, welcome: pb.Welcome) -> None:
        self.session_id = welcome.session_id
        self._lease_ttl = welcome.lease_ttl.ToNanoseconds() / 1e9
        self._deadline = asyncio.get_running_loop().time() + self._lease_ttl
        self._silence_max = 2 * welcome.heartbeat_interval.ToNanoseconds() / 1e9
        self._note("hello", word=str(welcome.generation))
        for token in welcome.fenced_task_tokens:
            held = self.held.get(token)
            if held is not None and not (held.outcome and self.chance.random() < self.manners.stubborn):
                self._note("verdict", held.key, word="FENCED")
                self._drop(token)

    def _offer(self, amount: int) -> None:
        if amount > 0:
            self._out.credits.add(resource="slots", amount=amount)
            self._waiting.set()

    async def _write(self) -> None:
        """Everything that has gathered goes in one message."""
        while True:
            await self._waiting.wait()
            self._waiting.clear()
            message, self._out = self._out, pb.WorkRequest()
            await self._call.write(message)

    # ---- what is heard
    def _heard(self, frame: pb.WorkResponse) -> None:
        for assignment in frame.assignments:
            self._assigned(assignment)
        for token in frame.start_permits:
            if token in self.held:
                self.held[token].permit.set()
        for cancel in frame.cancels:
            self._cancelled(cancel.task_token)
        for ack in frame.result_acks:
            self._answered(ack)
        if frame.HasField("heartbeat"):
            self._beat(frame.heartbeat)

    def _beat(self, heartbeat: pb.ServerHeartbeat) -> None:
        now = asyncio.get_running_loop().time()
        confirmed = self._sent_at.get(heartbeat.confirmed_nonce)
        if confirmed is not None:
            self._sent_at = {nonce: at for nonce, at in self._sent_at.items() if at >= confirmed}
            self._deadline = confirmed + self._lease_ttl
        if not self.silent:
            self._sent_at[heartbeat.nonce] = now
            self._out.heartbeat.nonce = heartbeat.nonce
            self._waiting.set()

    def _assigned(self, assignment: task_pb2.Assignment) -> None:
        if self.chance.random() < self.manners.lost:
            return
        ref = assignment.attempt
        key = AttemptKey(ref.dag_run_id, ref.task_id, ref.map_index, ref.attempt_number)
        self._note(
            "assigned",
            key,
            dag_version_number=assignment.dag_version.dag_version_number,
            handler=f"{assignment.handler.name}@{assignment.handler.version}",
        )
        token = assignment.task_token
        self._accept(token)
        if token not in self.held:
            exclusive = assignment.lease_mode == dag_pb2.LEASE_MODE_EXCLUSIVE
            held = self.held[token] = Held(key, exclusive)
            held.body = self._start(self._live(token, held, assignment))

    def _accept(self, *tokens: bytes) -> None:
        if tokens:
            self._out.accepted_task_tokens.extend(tokens)
            self._waiting.set()

    async def _live(self, token: bytes, held: Held, assignment: task_pb2.Assignment) -> None:
        """The life of an attempt, from its assignment to its report."""
        body = Body.of(assignment)
        if held.exclusive:
            await held.permit.wait()
        if not held.told.is_set():
            self._note("started", held.key)
            self._out.started_task_tokens.append(token)
            self._waiting.set()
            with suppress(TimeoutError):
                await asyncio.wait_for(held.told.wait(), body.seconds)
        outcome = "cancelled" if held.told.is_set() else body.outcome(held.key.number)
        if self.chance.random() < self.manners.late:
            await asyncio.sleep(self.manners.late_seconds)
        held.again = self.chance.random() < self.manners.twice
        held.outcome, held.returns = outcome, body.returns
        self._report(token)

    def _report(self, token: bytes) -> None:
        held = self.held.get(token)
        if held is None:
            return
        self._note("reported", held.key, word=held.outcome)
        self._out.results.append(result_of(token, held.outcome, held.returns))
        self._waiting.set()

    def _cancelled(self, token: bytes) -> None:
        held = self.held.get(token)
        if held is None or held.cancelled or held.outcome:
            return
        self._note("cancel", held.key)
        held.cancelled = True
        if self.chance.random() >= self.manners.deaf:
            held.told.set()
        held.permit.set()

    def _answered(self, ack: pb.ResultAck) -> None:
        held = self.held.get(ack.task_token)
        if held is None:
            return
        self._note("verdict", held.key, word=pb.Verdict.Name(ack.verdict).removeprefix("VERDICT_"))
        if held.again:
            held.again = False
            self._report(ack.task_token)
        else:
            self._drop(ack.task_token)
            self._offer(1)

    def _drop(self, token: bytes) -> None:
        held = self.held.pop(token)
        self.ended += 1
        if held.body is not None and not held.body.done():
            held.body.cancel()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--address", required=True)
    parser.add_argument("--token-file", required=True, type=Path)
    parser.add_argument("--journals", required=True, type=Path, metavar="DIR")
    parser.add_argument("--identity", required=True)
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--queue", action="append", default=[], help="a queue to serve; may be repeated")
    parser.add_argument("--handler", action="append", default=[], help="a handler, or a prefix with *")
    for each in fields(Manners):
        kind = int if each.name == "seed" else float
        parser.add_argument(f"--{each.name.replace('_', '-')}", type=kind, default=each.default)
    return parser.parse_args()


async def _main(arguments: argparse.Namespace) -> None:
    worker = JournalWorker(
        arguments.address,
        arguments.token_file.read_text().strip(),
        arguments.journals,
        arguments.identity,
        slots=arguments.slots,
        queues=arguments.queue,
        handlers=arguments.handler or ("test:*",),
        manners=Manners(**{each.name: getattr(arguments, each.name) for each in fields(Manners)}),
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
    await worker.run()


if __name__ == "__main__":
    asyncio.run(_main(_arguments()))
