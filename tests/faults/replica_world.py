"""Several replicas on one database, and workers played by hand that go from one to another.

Nothing of the replicas is in the test's process: each is a process of its own. The hands live on an event loop in a
thread, so that the test's thread may wait for the processes meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import asyncpg
import grpc
from fault_world import House, wait_until

from glidepath.client import Client
from glidepath_proto.worker.v1 import task_pb2, worker_service_pb2_grpc
from glidepath_proto.worker.v1 import worker_service_pb2 as pb
from tests.checker.tests.scenes import HANDLER
from tests.free_address import free_address

T = TypeVar("T")
CREW_SECONDS = 60.0
SOON_SECONDS = 20.0
LETTERS = "abc"
# A connection of each stream's own: a new stream must not meet what is left of the last one's.
CHANNEL_OPTIONS = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]


class Key(NamedTuple):
    """An attempt as its worker names it."""

    dag_run_id: str
    task_id: str
    attempt_number: int


class Replicas:
    """Replicas "a", "b", "c" of one house, each with an address that it keeps over its restarts."""

    def __init__(self, house: House, **settings: object) -> None:
        self.house, self.settings = house, settings
        self.addresses = dict(zip(LETTERS, [house.address, free_address(), free_address()], strict=True))
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.clients: dict[str, Client] = {}

    @property
    def everywhere(self) -> str:
        """All of them as one address: gRPC goes to the first that answers, and on to the next when it goes away."""
        return "ipv4:" + ",".join(self.addresses.values())

    def start(self, *names: str) -> None:
        """Start these (all when none is named) at once, and wait until they answer."""
        for name in names or LETTERS:
            self.processes[name] = self.house.server(address=self.addresses[name], **self.settings)
        for name in names or LETTERS:
            if name not in self.clients:
                self.clients[name] = self.house.client(self.addresses[name])
            self.house.wait_for_answers(self.clients[name])

    def logs(self) -> str:
        """What all that ever ran have written."""
        return "\n".join(map(self.house.log, self.house.processes))

    def assert_no_deadlock(self) -> None:
        """Neither counted by the database nor met by a replica."""
        assert deadlocks(self.house) == 0
        assert "deadlock" not in self.logs().lower()


def deadlocks(house: House) -> int:
    """Deadlocks that Postgres has resolved in this database. A connection counts in its own at most a second later."""
    (row,) = house.rows("select deadlocks from pg_stat_database where datname = current_database()")
    found: int = row["deadlocks"]
    return found


class LockWaits:
    """Looks all the time whether somebody in the database waits for another's lock: `seen` says how often one did."""

    def __init__(self, house: House) -> None:
        self.seen = 0
        self._url, self._over = house.database_url, threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._look()), name="lock-waits")

    def __enter__(self) -> LockWaits:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    async def _look(self) -> None:
        connection = await asyncpg.connect(self._url)
        try:
            while not self._over.wait(0.005):
                self.seen += await connection.fetchval(
                    """select count(*) from pg_stat_activity
                       where datname = current_database() and wait_event_type = 'Lock'"""
                )
        finally:
            await connection.close()


class Crew:
    """The event loop of the workers played by hand."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="crew")
        self._thread.start()
        self._hands: list[Hand] = []

    def do(self, *deeds: Coroutine[Any, Any, T], seconds: float = CREW_SECONDS) -> list[T]:
        """Do these at the same time, and wait for all of them."""

        async def together() -> list[T]:
            return await asyncio.gather(*deeds)

        return asyncio.run_coroutine_threadsafe(together(), self._loop).result(seconds)

    def start(self, deed: Coroutine[Any, Any, Any]) -> None:
        """Begin something that goes on until the crew is closed."""
        self._loop.call_soon_threadsafe(lambda: self._loop.create_task(deed))

    def call(self, deed: Callable[[], object]) -> None:
        """Do this on the crew's loop, soon."""
        self._loop.call_soon_threadsafe(deed)

    def hand(self, token: str, identity: str, **fields: Any) -> Hand:
        hand = Hand(token, identity, **fields)
        self._hands.append(hand)
        return hand

    def close(self) -> None:
        self.do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        for hand in self._hands:
            await hand.cut()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        # `do` gathers us from a task of its own, which must not be cancelled by us.
        mine = {each for each in others if "together" not in repr(each.get_coro())}
        for task in mine:
            task.cancel()
        await asyncio.gather(*mine, return_exceptions=True)


@dataclass
class Hand:
    """A worker without bodies. It holds what it is given until it is told to report; `prompt`: it reports at once, and
    opens the slot again when it has the answer."""

    token: str
    identity: str
    prompt: bool = False
    queue: str = "default"
    session_id: str = ""
    generation: int = 0
    held: dict[bytes, Key] = field(default_factory=dict)
    finished: dict[bytes, Key] = field(default_factory=dict)
    """Reported and not yet answered."""
    begun: list[Key] = field(default_factory=list)
    """Every attempt that came, in order."""
    verdicts: dict[Key, list[str]] = field(default_factory=dict)
    streams_lost: int = 0

    def __post_init__(self) -> None:
        self._changed, self._writing = asyncio.Condition(), asyncio.Lock()
        self._call: Any = None
        self._channel: Any = None
        self._reader: asyncio.Task[None] | None = None

    # ---- streams
    async def connect(self, address: str) -> None:
        """Say hello there, with all that is held and all that has no answer yet."""
        self._channel = grpc.aio.insecure_channel(address, CHANNEL_OPTIONS)
        stub: Any = worker_service_pb2_grpc.WorkerServiceStub(self._channel)
        self._call = stub.Work(metadata=(("authorization", f"Bearer {self.token}"),))
        await self._send(hello=self._hello())
        async with asyncio.timeout(SOON_SECONDS):
            welcome = (await self._call.read()).welcome
        self.session_id, self.generation = welcome.session_id, welcome.generation
        for token in welcome.fenced_task_tokens:
            self._answered(token, "FENCED")
        self._reader = asyncio.create_task(self._read(self._call))
        if self.finished:
            await self._send(results=[_success(token) for token in self.finished])

    def _hello(self) -> pb.Hello:
        return pb.Hello(
            worker_identity=self.identity,
            incarnation="1",
            protocol_version=1,
            queue_names=[self.queue],
            handlers=[pb.HandlerOffer(name=HANDLER, versions=["*"])],
            held_task_tokens=list(self.held),
            finished_task_tokens=list(self.finished),
        )

    async def leave(self) -> None:
        """End this side of the stream in order, and wait for the server's."""
        reader, self._reader = self._reader, None
        async with self._writing:
            await self._call.done_writing()
        assert reader is not None
        async with asyncio.timeout(SOON_SECONDS):
            await reader
        await self._channel.close()

    async def cut(self) -> None:
        """Drop the stream without a word."""
        if self._reader is not None:
            self._reader.cancel()
            self._call.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
            self._reader = None
            await self._channel.close()

    # ---- words
    async def open_slots(self, amount: int) -> None:
        await self._send(credits=[pb.Credit(resource="slots", amount=amount)])

    async def report(self) -> None:
        """Everything that is held has ended well."""
        tokens = list(self.held)
        for token in tokens:
            self.finished[token] = self.held.pop(token)
        await self._send(results=[_success(token) for token in tokens])

    async def be_prompt(self) -> None:
        """Report what is held, and from now on at once."""
        self.prompt = True
        if self.held:
            await self.report()

    async def until(self, true: Callable[[], bool], what: str) -> None:
        """Wait for something that frames to this hand bring about."""
        try:
            async with asyncio.timeout(SOON_SECONDS), self._changed:
                await self._changed.wait_for(true)
        except TimeoutError:
            raise AssertionError(f"not within {SOON_SECONDS:g} s: {what}, at {self.identity}") from None

    async def _send(self, **fields: Any) -> None:
        async with self._writing:
            await self._call.write(pb.WorkRequest(**fields))

    # ---- what is heard
    async def _read(self, call: Any) -> None:
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            while (frame := await call.read()) is not grpc.aio.EOF:
                await self._hear(frame)
        self.streams_lost += 1

    async def _hear(self, frame: pb.WorkResponse) -> None:
        answer = pb.WorkRequest()
        for assignment in frame.assignments:
            self._assigned(assignment, answer)
        for ack in frame.result_acks:
            if self._answered(ack.task_token, pb.Verdict.Name(ack.verdict).removeprefix("VERDICT_")) and self.prompt:
                answer.credits.add(resource="slots", amount=1)
        if frame.HasField("heartbeat"):
            answer.heartbeat.nonce = frame.heartbeat.nonce
        if answer.ByteSize() and self._reader is not None:
            async with self._writing:
                await self._call.write(answer)
        async with self._changed:
            self._changed.notify_all()

    def _assigned(self, assignment: task_pb2.Assignment, answer: pb.WorkRequest) -> None:
        token, ref = assignment.task_token, assignment.attempt
        key = Key(ref.dag_run_id, ref.task_id, ref.attempt_number)
        self.begun.append(key)
        answer.accepted_task_tokens.append(token)
        if self.prompt:
            self.finished[token] = key
            answer.results.append(_success(token))
        else:
            self.held[token] = key

    def _answered(self, token: bytes, verdict: str) -> bool:
        """Whether that was awaited."""
        key = self.finished.pop(token, None) or self.held.pop(token, None)
        if key is not None:
            self.verdicts.setdefault(key, []).append(verdict)
        return key is not None


def _success(token: bytes) -> task_pb2.AttemptResult:
    result = task_pb2.AttemptResult(task_token=token)
    result.success.SetInParent()
    return result


def wait_for_due(house: House, run_id: str, tasks: int) -> None:
    """Until so many tasks of the run wait for a worker."""
    count = "select count(*) from task_queue where dag_run_id = $1::uuid and due"
    wait_until(lambda: house.rows(count, run_id)[0][0] == tasks, f"{tasks} tasks of the run are queued")


def ended(client: Client, run_id: str) -> bool:
    return client.get_dag_run(run_id).HasField("end_time")


def seeded() -> random.Random:
    """Chance from the seed in REPLICAS_SEED, or from a new one, which is printed."""
    seed = int(os.environ.get("REPLICAS_SEED", random.randrange(10**6)))
    print(f"REPLICAS_SEED={seed}")
    return random.Random(seed)


def verdicts_of(hands: Sequence[Hand], run_id: str) -> dict[Key, list[str]]:
    """Answers by attempt of a run, whoever got them."""
    return {key: said for hand in hands for key, said in hand.verdicts.items() if key.dag_run_id == run_id}
