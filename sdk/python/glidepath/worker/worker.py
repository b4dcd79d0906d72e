"""`Worker`: settings, the processes of a worker, and their start and stop.

The forkserver is started first, before a network library is even imported, so that everything forked from it is small
and free of threads. It holds the lock `bodies` of the state folder for as long as a body of its may live, and a worker
that follows a killed one waits for it: its hello gives up the attempts of the one before, so their trees must be gone.

Signals: the first SIGTERM or SIGINT drains, a second one ends at once; the forkserver then ends every tree by itself,
and results that were finished are in the journal for the next start. SIGUSR1 is the notice that the machine is taken
away: what runs is ended in time and reported as preempted. With a `preemption_notice_seconds`, SIGTERM says that, too.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glidepath.client.connection import Connection, Tls, find_connection
from glidepath.worker import forks, machine
from glidepath.worker.state_dir import WorkerSettingsError, claim
from glidepath.worker.subprocesses import Started, import_paths

if TYPE_CHECKING:
    from glidepath.worker.agent import Agent
    from glidepath.worker.stream import Stream
    from glidepath_proto.worker.v1.worker_service_pb2 import Hello

logger = logging.getLogger(__name__)

PROTOCOL_VERSION = 1
DRAIN_GRACE_SECONDS = 30.0
PREEMPTION_NOTICE_SECONDS = 25.0
SECOND_SIGNAL_STATUS = 130


class Worker:
    """A worker of this machine. Nothing starts before `run`.

    address      "host:port", or several separated by commas, tried in turn; found like a client's when empty
    other_namespaces  that it serves beside its own; needs a token that holds all namespaces
    identity     stable name of this worker over restarts; by default one that is drawn once and kept in state_dir
    slots        attempts it runs at the same time
    resources    totals it offers ("gpu", ...); "cpu" and "memory_mb" are the machine's unless given
    state_dir    journal, source and artifacts, for one worker at a time; by default one of this user's on this host
    tasks        plain functions that it offers as handlers besides registered source ("python:module:function")
    dags_folder  folder from which handlers without registered source are imported
    preemption_notice_seconds  from the notice that the machine is taken away to its end; if given, SIGTERM is such a
                 notice, as SIGUSR1 always is (25 s then)
    """

    def __init__(
        self,
        address: str = "",
        *,
        token: str = "",
        namespace: str = "",
        other_namespaces: Sequence[str] = (),
        identity: str = "",
        queues: Sequence[str] = ("default",),
        slots: int = 0,
        labels: Mapping[str, str] | None = None,
        resources: Mapping[str, float] | None = None,
        state_dir: str | Path = "",
        tasks: Iterable[Callable[..., Any]] = (),
        dags_folder: str | Path | None = None,
        tls: Tls | bool | None = None,
        drain_grace_seconds: float = DRAIN_GRACE_SECONDS,
        preemption_notice_seconds: float | None = None,
    ) -> None:
        if sys.platform != "linux":
            raise WorkerSettingsError(f"this worker owns its tasks' processes as Linux lets it; here is {sys.platform}")
        first, *others = [each.strip() for each in address.split(",")]
        connection = find_connection(first, token, namespace, tls, worker=True)
        self._connections = [connection, *(_elsewhere(connection, each) for each in others if each)]
        self._namespace, self._others = connection.namespace, list(other_namespaces)
        self._queues = list(queues)
        self._slots = slots or os.cpu_count() or 1
        self._labels = dict(labels or {})
        self._resources = machine.resources() | dict(resources or {})
        self._tasks = [_handler_name(task) for task in tasks]
        if self._slots < 1 or not self._queues:
            raise WorkerSettingsError(f"slots is {slots}, queues is {self._queues}; expected at least one of each")
        folders = [str(dags_folder)] if dags_folder else []
        self._paths = import_paths([*folders, *{folder for _, folder in self._tasks if folder}])
        self._drain_grace = drain_grace_seconds
        if preemption_notice_seconds is not None and not 0 <= preemption_notice_seconds <= 86_400:
            found = f"preemption_notice_seconds is {preemption_notice_seconds:g}"
            raise WorkerSettingsError(f"{found}; expected 0 to 86400")
        self._notice, self._preempted = preemption_notice_seconds, False
        self._state = claim(identity, Path(state_dir) if state_dir else None)

    @property
    def identity(self) -> str:
        """The name under which the server knows this worker."""
        return self._state.identity

    def run(self) -> None:
        """Work until SIGTERM or SIGINT. WorkerNotAdmitted when the server refuses this worker."""
        bodies = self._state.lock_bodies()
        started = Started(forks.MODULE, [], self._paths, [bodies])
        try:
            asyncio.run(self._run(started))
        finally:
            started.socket.close()
            os.close(bodies)
            self._state.close()

    async def _run(self, started: Started) -> None:
        from glidepath.client.channel import call_metadata
        from glidepath.worker.agent import Agent
        from glidepath.worker.artifacts import Artifacts
        from glidepath.worker.inlines import Inlines
        from glidepath.worker.journal import Journal
        from glidepath.worker.sources import SourceStore
        from glidepath.worker.stream import Stream

        folder = self._state.path
        self._state.forget_fetched()
        spool = folder / "spool"
        spool.mkdir(exist_ok=True)
        journal = Journal(folder / "journal")  # syncs the name of the spool, too
        agent = Agent(self._hello(), self._slots, str(spool), journal)
        stream = Stream(self._connections, agent.outbox, agent)
        sources = SourceStore(folder / "sources")
        metadata = call_metadata(self._connections[0])
        agent.artifacts = Artifacts(stream.connected, metadata, folder / "artifacts", sources, self._namespace)
        agent.forks = forks.Forks(started, self._paths, agent)
        agent.inlines = Inlines(self._paths, str(folder / "sources"), agent)
        try:
            await self._serve(agent, stream)
        finally:
            await agent.stop()
            agent.inlines.close()
            agent.forks.close()
            journal.close()

    async def _serve(self, agent: Agent, stream: Stream) -> None:
        draining = asyncio.Event()
        self._listen(draining, agent)
        serving = asyncio.ensure_future(stream.run())
        ticking = asyncio.ensure_future(agent.tick())
        asked = asyncio.ensure_future(draining.wait())
        try:
            await asyncio.wait([serving, ticking, asked], return_when=asyncio.FIRST_COMPLETED)
            if draining.is_set() and not serving.done():
                await self._leave(agent)
                stream.leave()
            elif ticking.done():
                ticking.result()
            await serving
        finally:
            for task in (serving, ticking, asked):
                task.cancel()
            await asyncio.gather(serving, ticking, asked, return_exceptions=True)

    async def _leave(self, agent: Agent) -> None:
        if not self._preempted:
            logger.info("leaving: finishing what runs within %g s", self._drain_grace)
            return await agent.drain(self._drain_grace)
        notice = PREEMPTION_NOTICE_SECONDS if self._notice is None else self._notice
        logger.info("leaving: the machine is taken away in %g s", notice)
        await agent.preempt(notice)

    def _listen(self, draining: asyncio.Event, agent: Agent) -> None:
        told = False

        def on_signal(number: int) -> None:
            nonlocal told
            if told and number != signal.SIGUSR1:
                agent.inlines.close()
                os._exit(SECOND_SIGNAL_STATUS)
            # A machine that goes down tells its processes to end after its notice: that is not yet the second word.
            told = told or number != signal.SIGUSR1
            if not draining.is_set():
                self._preempted = number == signal.SIGUSR1 or (number == signal.SIGTERM and self._notice is not None)
            draining.set()

        try:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
                asyncio.get_running_loop().add_signal_handler(number, on_signal, number)
        except (RuntimeError, ValueError):
            logger.info("not in the main thread: signals are left to the program")

    def _hello(self) -> Hello:
        from glidepath_proto.worker.v1.worker_service_pb2 import HandlerOffer, Hello

        offered = ["python:*", "shell", "call", *(name for name, _ in self._tasks)]
        return Hello(
            namespace=self._namespace,
            worker_identity=self._state.identity,
            incarnation=secrets.token_hex(8),
            queue_names=self._queues,
            labels=self._labels,
            resources=self._resources,
            handlers=[HandlerOffer(name=name, versions=["*"]) for name in offered],
            sdk_name="glidepath-python",
            sdk_version=_sdk_version(),
            protocol_version=PROTOCOL_VERSION,
            capabilities=["process", "inline", "exclusive", "shell"],
            host_name=socket.gethostname(),
            process_id=os.getpid(),
            other_namespaces=self._others,
        )


def _elsewhere(connection: Connection, address: str) -> Connection:
    return Connection(address, connection.token, connection.namespace, connection.tls)


def _handler_name(function: Callable[..., Any]) -> tuple[str, str]:
    """The handler of a plain function, and the folder from which its module is imported ("" for the import path)."""
    function = getattr(function, "function", function)  # a @task stands for the function it wraps
    name = getattr(function, "__qualname__", repr(function))
    module = getattr(function, "__module__", "")
    if not name.isidentifier():
        raise WorkerSettingsError(f"task {name!r} is not at the top level of a module, so no process could import it")
    if module != "__main__":
        return f"python:{module}:{name}", ""
    file = getattr(sys.modules["__main__"], "__file__", None)
    if not file:
        raise WorkerSettingsError(f"task {name!r} was defined interactively; put it into a file")
    path = Path(file).resolve()
    return f"python:{path.stem}:{name}", str(path.parent)


def _sdk_version() -> str:
    from importlib import metadata

    try:
        return metadata.version("glidepath")
    except metadata.PackageNotFoundError:
        return "0"
