"""The composition root: builds everything, owns the order of start and stop, and is the one place that knows every room.

Start: database, schema, keys, engine, loops, listeners. Stop is the reverse: no new calls, open ones end within the
grace, the loops stop, the engine finishes its step, the pools close. Whatever was started is stopped, also when a later
part fails to start.
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self
from uuid import UUID

from glidepath_proto.admin.v1 import admin_service_pb2, admin_service_pb2_grpc

from . import __version__
from .api.admin_servicer import AdminServicer
from .api.auth import Authenticator
from .api.exposure import check_exposure
from .api.grpc_server import Listeners, Service
from .core.errors import InvalidInput, Violation
from .loops.periodic import Periodic
from .loops.pruner import pruner
from .loops.readiness import CHECK_INTERVAL_SECONDS, Readiness
from .settings import Settings
from .store import migrate
from .store.database import Database
from .telemetry import get_logger

_log = get_logger("server")


class _Engine:
    def wake_run(self, dag_run_id: UUID) -> None: ...
    def wake_queues(self, queue_ids: set[int]) -> None: ...
    @property
    def alive(self) -> bool:
        return True


class Server:
    """A control plane in this process and event loop, from `start` to `stop`, or as `async with Server(settings)`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._parts = AsyncExitStack()
        self._listeners: Listeners | None = None

    @property
    def address(self) -> str:
        """Where users and SDK clients connect: host:port as it was bound."""
        return self._opened().address

    @property
    def worker_address(self) -> str:
        """Where workers connect; equal to `address` unless they have a listener of their own."""
        return self._opened().worker_address

    def _opened(self) -> Listeners:
        if self._listeners is None:
            raise RuntimeError("the server has not started")
        return self._listeners

    async def start(self) -> None:
        """Open everything, in order. Raises InvalidInput, StateConflict or Unavailable; then nothing stays open."""
        try:
            await self._start()
        except BaseException:
            await self._parts.aclose()
            raise

    async def _start(self) -> None:
        settings, parts = self.settings, self._parts
        check_exposure(settings)
        await _ready_schema(settings)
        self.database = database = await Database.open(
            settings.database_url, engine_size=settings.engine_lanes, worker_size=settings.worker_pool_size,
            api_size=settings.api_pool_size)
        parts.push_async_callback(database.close)
        self.engine = engine = _Engine()
        authenticator = Authenticator(
            database, required=settings.auth == "required", cache_seconds=settings.token_cache_seconds)
        self._start_loop(pruner(database, settings))
        listeners = Listeners(settings, authenticator, self._services(authenticator))
        parts.push_async_callback(listeners.stop, settings.shutdown_grace_seconds)
        await listeners.start()
        self._listeners = listeners
        self._start_loop(Periodic("revocations", max(settings.token_cache_seconds, 0.1), authenticator.end_revoked_streams))
        readiness = Readiness(database, lambda: engine.alive, listeners.set_ready)
        await readiness.check()
        self._start_loop(Periodic("readiness", CHECK_INTERVAL_SECONDS, readiness.check))
        _log.info("server_started", address=listeners.address, worker_address=listeners.worker_address, version=__version__)

    def _start_loop(self, loop: Periodic) -> None:
        loop.start()
        self._parts.push_async_callback(loop.stop)

    def _services(self, authenticator: Authenticator) -> list[Service]:
        return [
            Service(admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"],
                    admin_service_pb2_grpc.add_AdminServiceServicer_to_server,
                    AdminServicer(self.database, authenticator, self.engine)),
        ]

    async def stop(self) -> None:
        """Close everything, in reverse order."""
        _log.info("server_stopping")
        await self._parts.aclose()
        _log.info("server_stopped")

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None,
    ) -> None:
        await self.stop()


async def _ready_schema(settings: Settings) -> None:
    if not settings.database_url:
        violation = Violation("database_url", "''", "postgresql://user@host:port/database")
        raise InvalidInput(str(violation), hint="set GLIDEPATH_DATABASE_URL", violations=[violation])
    if settings.auto_upgrade:
        for revision in await migrate.upgrade(settings.database_url):
            _log.info("schema_upgraded", revision=revision)
    await migrate.check(settings.database_url)


async def serve(settings: Settings) -> None:
    """Run a server until SIGTERM or SIGINT. A second signal ends the process at once."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def ask_to_stop(number: signal.Signals) -> None:
        _log.info("signal_received", signal=number.name)
        stopping.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask_to_stop, number)
    async with Server(settings):
        await stopping.wait()
