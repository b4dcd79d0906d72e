"""The composition root: builds everything, owns the order of start and stop, and may know every room.

Start: schema, database, engine, loops, listeners. Stop is the reverse: no new calls, open ones end within the grace,
the loops stop, the engine finishes its step, the pools close. Whatever was started is stopped, also when a later part
fails to start.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from glidepath_proto.admin.v1 import (
    admin_service_pb2,
    admin_service_pb2_grpc,
    alert_service_pb2,
    alert_service_pb2_grpc,
    capacity_service_pb2,
    capacity_service_pb2_grpc,
)
from glidepath_proto.registry.v1 import registry_service_pb2, registry_service_pb2_grpc
from glidepath_proto.run.v1 import (
    approval_service_pb2,
    approval_service_pb2_grpc,
    backfill_service_pb2,
    backfill_service_pb2_grpc,
    run_service_pb2,
    run_service_pb2_grpc,
    value_service_pb2,
    value_service_pb2_grpc,
)
from glidepath_proto.schedule.v1 import (
    deadline_service_pb2,
    deadline_service_pb2_grpc,
    schedule_service_pb2,
    schedule_service_pb2_grpc,
)
from glidepath_proto.worker.v1 import worker_service_pb2, worker_service_pb2_grpc

from . import __version__, clock
from .api.admin_servicer import AdminServicer
from .api.alert_servicer import AlertServicer
from .api.approval_servicer import ApprovalServicer
from .api.auth import Authenticator
from .api.backfill_servicer import BackfillServicer
from .api.capacity_servicer import CapacityServicer
from .api.deadline_servicer import DeadlineServicer
from .api.exposure import check_exposure
from .api.grpc_server import Listeners, Service
from .api.metrics_endpoint import MetricsEndpoint
from .api.otlp import OtlpSender, check_otlp
from .api.registry_servicer import RegistryServicer
from .api.run_servicer import RunServicer
from .api.schedule_servicer import ScheduleServicer
from .api.value_servicer import ValueServicer
from .api.worker_servicer import WorkerServicer
from .core.errors import InvalidInput, Violation
from .core.validation import LeaseTerms
from .loops import metrics as metrics_loops
from .loops import timers
from .loops.alert_sender import AlertSender
from .loops.approval_timeouts import approval_timeouts
from .loops.backfill_pacer import backfill_pacer
from .loops.deadlines import deadlines, promises
from .loops.durations import durations
from .loops.engine import Engine
from .loops.heartbeats import Heartbeats
from .loops.history import history
from .loops.lease_reaper import LeaseReaper
from .loops.level import LevelLoop
from .loops.past import past_checks, past_sweeper
from .loops.pruner import pruner
from .loops.readiness import Readiness
from .loops.risks import risks
from .loops.scheduler import Scheduler
from .loops.trace_exporter import trace_exporter
from .loops.wakeups import WakeUps
from .operations.command_runs import RunCommander
from .operations.create_backfill import CreateBackfill
from .operations.first_token import ensure_token_file
from .operations.move_run import RunMover
from .operations.pace_backfills import PaceBackfills
from .operations.read_runs import RunReader
from .operations.register_dag_version import RegisterDagVersion
from .operations.steer_backfills import Backfills
from .plugin_host.host import PluginHost
from .settings import Settings
from .store import identity, migrate
from .store.database import Database, loss_is_unavailable, transaction
from .telemetry import get_logger
from .telemetry.metrics import Metrics

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# A busy machine may keep a healthy replica from its next statement for as long.
IDLE_SECONDS_MIN = 1.0
_log = get_logger("server")


class Server:
    """A control plane in this process and event loop, from `start` to `stop`, or as `async with Server(settings)`."""

    def __init__(self, settings: Settings, *, token_files: Mapping[str, Path] | None = None) -> None:
        """`token_files` names a file by role ("admin", "worker") into which a token is written if there is none."""
        self.settings, self._token_files = settings, dict(token_files or {})
        self._parts = AsyncExitStack()
        self._loops: list[LevelLoop] = []
        self._listeners: Listeners | None = None
        # Always there, so that nobody who counts has to ask; served when metrics_address is set.
        self.metrics = Metrics()
        self.metrics_address = ""

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
        settings = self.settings
        check_exposure(settings)
        if settings.otlp_endpoint:
            check_otlp(settings)
        with loss_is_unavailable():
            await _prepare_schema(settings)
        self.database = await Database.open(
            settings.database_url,
            engine_size=settings.engine_lanes + 1,
            worker_size=settings.worker_pool_size,
            api_size=settings.api_pool_size,
            # So that the workers of a replica that froze, who leave it within two intervals, get their sessions back.
            idle_seconds=max(IDLE_SECONDS_MIN, settings.heartbeat_interval_seconds),
            traced=bool(settings.otlp_endpoint),
        )
        self._parts.push_async_callback(self.database.close)
        with loss_is_unavailable():
            await self._write_tokens()
            await self._start_engine()
            self._start_traces()
            await self._start_listeners()

    async def _write_tokens(self) -> None:
        for role, path in self._token_files.items():
            if await ensure_token_file(self.database.api, path, name=f"first-{role}", role=role):
                _log.info("token_written", role=role, path=str(path))

    async def _start_engine(self) -> None:
        self.engine = engine = Engine(self.database, self.settings)
        await engine.start()
        self._parts.push_async_callback(engine.stop)
        self.plugins = PluginHost(self.settings)
        self._parts.push_async_callback(self.plugins.stop)
        self.alerts = AlertSender(self.database, self.settings, self.plugins, self.metrics.delivery)
        self._parts.push_async_callback(self.alerts.stop)
        engine.on_facts = self.alerts.loop.wake
        self.wake_ups, self.heartbeats = WakeUps(engine), Heartbeats(engine)
        self.wake_ups.start()
        self._parts.push_async_callback(self.wake_ups.stop)
        due, late, overdue = timers.due_rows(engine), timers.run_timeouts(engine), timers.execution_timeouts(engine)
        admission, polls, rates = timers.admission(engine), timers.lost_wake_ups(engine), timers.rates(engine)
        calls = timers.call_timeouts(engine)
        self.scheduler = scheduler = Scheduler(engine, self.metrics.tick)
        unanswered, equal_calls = approval_timeouts(engine), timers.equal_call_sweeper(engine)
        engine.on_timers = lambda: _wake(due, late, overdue, rates, unanswered)
        self.backfill_pacer = self._backfill_pacer()
        engine.on_equal_calls = equal_calls.wake
        engine.on_past = (past := past_checks(engine)).wake
        engine.on_backfills = self.backfill_pacer.wake
        engine.on_admission = admission.wake
        engine.on_runs_ended = scheduler.run_ended
        engine.on_queues = self.wake_ups.queues
        engine.on_cancels = lambda: self.wake_ups.say("c")
        self.wake_ups.on_cancels = self.heartbeats.watch_loop.wake
        self.wake_ups.on_limits = polls.wake
        self.wake_ups.on_admission = admission.wake
        self._start_loops(
            due,
            late,
            overdue,
            calls,
            unanswered,
            self.backfill_pacer,
            admission,
            polls,
            rates,
            timers.limit_sweeper(engine),
            equal_calls,
            past,
            past_sweeper(engine),
            self.heartbeats.flush_loop,
            self.heartbeats.watch_loop,
            LeaseReaper(engine).loop,
            deadlines(self.database, self.settings, lambda: engine.on_facts()),
            self.alerts.loop,
            scheduler.due_loop,
            scheduler.waiting_loop,
            promises(self.database, engine.replica.plans, self.settings),
            pruner(self.database, self.settings),
            durations(self.database, engine.replica.plans, self.settings),
            history(self.database, self.settings),
            risks(self.database, engine.replica, self.settings, lambda: engine.on_facts()),
        )

    def _backfill_pacer(self) -> LevelLoop:
        plans = self.engine.replica.plans
        mover = RunMover(self.database, plans, self._definitions_changed)
        commander = RunCommander(RunReader(self.database, plans), self.engine, mover)
        pace = PaceBackfills(self.database, plans, commander, self.engine.add_inbox)
        return backfill_pacer(pace, self.settings.poll_interval_seconds)

    async def _start_listeners(self) -> None:
        settings = self.settings
        authenticator = Authenticator(
            self.database, required=settings.auth == "required", cache_seconds=settings.token_cache_seconds
        )
        async with transaction(self.database.api, "server_key") as connection:
            secret = await identity.server_key(connection, "task_tokens", clock.key_bytes())
        self.services = self._services(authenticator, secret)
        listeners = Listeners(settings, authenticator, self.services)
        await listeners.start()
        self._parts.push_async_callback(listeners.stop, settings.shutdown_grace_seconds)
        readiness = Readiness(self.database, list(self._loops), listeners.set_ready)
        await readiness.once()
        revocations = partial(authenticator.end_revoked_streams, listeners.streams)
        self._start_loops(readiness.loop, LevelLoop("revocations", revocations, settings.token_cache_seconds))
        await self._start_metrics(readiness)
        self._listeners = listeners
        _log.info("server_started", address=self.address, worker_address=self.worker_address, version=__version__)

    def _start_traces(self) -> None:
        if self.settings.otlp_endpoint:
            sender = OtlpSender(self.settings)
            self._parts.push_async_callback(sender.close)
            plans = self.engine.replica.plans
            self._start_loops(trace_exporter(self.database, plans, self.settings, self.metrics, sender.send))

    async def _start_metrics(self, readiness: Readiness) -> None:
        if not self.settings.metrics_address:
            return
        metrics, loops = self.metrics, metrics_loops
        self.engine.on_step = loops.count_steps(metrics)
        loops.watch_loops(metrics, self._loops, lambda: readiness.ready)
        self._start_loops(loops.watch_database(metrics, self.database), loops.watch_event_loop(metrics))
        endpoint = MetricsEndpoint(self.settings.metrics_address, metrics, lambda: readiness.ready)
        await endpoint.start()
        self._parts.push_async_callback(endpoint.stop)
        self.metrics_address = endpoint.address

    def _services(self, authenticator: Authenticator, secret: bytes) -> list[Service]:
        lease = LeaseTerms(self.settings.lease_ttl_seconds, self.settings.heartbeat_interval_seconds)
        plans = self.engine.replica.plans
        register = RegisterDagVersion(self.database, lease, self._definitions_changed, plans, self.scheduler.changed)
        worker = WorkerServicer(self.database, self.settings, self.engine, self.heartbeats, secret, register)
        return [
            Service(
                worker_service_pb2.DESCRIPTOR.services_by_name["WorkerService"],
                worker_service_pb2_grpc.add_WorkerServiceServicer_to_server,
                worker,
                for_workers=True,
                drain=worker.drain,
            ),
            Service(
                admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"],
                admin_service_pb2_grpc.add_AdminServiceServicer_to_server,
                AdminServicer(self.database, authenticator, self.engine),
            ),
            Service(
                alert_service_pb2.DESCRIPTOR.services_by_name["AlertService"],
                alert_service_pb2_grpc.add_AlertServiceServicer_to_server,
                AlertServicer(self.database, self.plugins, self.alerts.loop.wake),
            ),
            Service(
                capacity_service_pb2.DESCRIPTOR.services_by_name["CapacityService"],
                capacity_service_pb2_grpc.add_CapacityServiceServicer_to_server,
                CapacityServicer(self.database, self.engine),
            ),
            Service(
                registry_service_pb2.DESCRIPTOR.services_by_name["RegistryService"],
                registry_service_pb2_grpc.add_RegistryServiceServicer_to_server,
                RegistryServicer(self.database, register, self._definitions_changed),
            ),
            Service(
                run_service_pb2.DESCRIPTOR.services_by_name["RunService"],
                run_service_pb2_grpc.add_RunServiceServicer_to_server,
                RunServicer(self.database, plans, self.engine, self._definitions_changed),
            ),
            Service(
                schedule_service_pb2.DESCRIPTOR.services_by_name["ScheduleService"],
                schedule_service_pb2_grpc.add_ScheduleServiceServicer_to_server,
                ScheduleServicer(self.database, plans, self.scheduler.changed),
            ),
            Service(
                approval_service_pb2.DESCRIPTOR.services_by_name["ApprovalService"],
                approval_service_pb2_grpc.add_ApprovalServiceServicer_to_server,
                ApprovalServicer(self.database, plans, self.engine),
            ),
            Service(
                deadline_service_pb2.DESCRIPTOR.services_by_name["DeadlineService"],
                deadline_service_pb2_grpc.add_DeadlineServiceServicer_to_server,
                DeadlineServicer(self.database, self.engine.replica.plans),
            ),
            Service(
                backfill_service_pb2.DESCRIPTOR.services_by_name["BackfillService"],
                backfill_service_pb2_grpc.add_BackfillServiceServicer_to_server,
                self._backfills(),
            ),
            Service(
                value_service_pb2.DESCRIPTOR.services_by_name["ValueService"],
                value_service_pb2_grpc.add_ValueServiceServicer_to_server,
                ValueServicer(self.database, plans),
            ),
        ]

    def _backfills(self) -> BackfillServicer:
        plans, wake = self.engine.replica.plans, self.backfill_pacer.wake
        create = CreateBackfill(self.database, plans, wake, self._definitions_changed)
        return BackfillServicer(create, Backfills(self.database, wake))

    async def _definitions_changed(self, queues: set[int]) -> None:
        """Task classes or limits changed: learn them here, tell other replicas, go on where rows may go on."""
        self.wake_ups.say("l")
        self.wake_ups.say("r")
        self.engine.on_admission()
        self.scheduler.wake()
        if queues:
            self.engine.on_queues(queues)
        await self.engine.classes_changed()
        self.engine.look_for_work(queues)

    def _start_loops(self, *loops: LevelLoop) -> None:
        for loop in loops:
            loop.start()
            self._loops.append(loop)
            self._parts.push_async_callback(loop.stop)

    async def stop(self) -> None:
        """Close everything, in reverse order."""
        _log.info("server_stopping")
        await self._parts.aclose()
        _log.info("server_stopped")

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()


def _wake(*loops: LevelLoop) -> None:
    for loop in loops:
        loop.wake()


async def _prepare_schema(settings: Settings) -> None:
    if not settings.database_url:
        violation = Violation("database_url", "''", "postgresql://user@host:port/database")
        raise InvalidInput(str(violation), hint="set GLIDEPATH_DATABASE_URL", violations=[violation])
    if settings.auto_upgrade:
        for revision in await migrate.upgrade(settings.database_url):
            _log.info("schema_upgraded", revision=revision)
    await migrate.check(settings.database_url)


async def serve(
    settings: Settings,
    *,
    token_files: Mapping[str, Path] | None = None,
    on_started: Callable[[Server], None] | None = None,
) -> None:
    """Run a server until SIGTERM or SIGINT. A second signal ends the process at once.

    `token_files` names a file by role ("admin", "worker") into which a token is written if there is none. `on_started`
    is called once, when calls are taken.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def ask_to_stop(number: signal.Signals) -> None:
        # First of all: who reads of the signal may send the second at once, and that one must not come to this handler.
        for each in _SIGNALS:
            loop.remove_signal_handler(each)
            # The default action, also for SIGINT: a KeyboardInterrupt would unwind through the whole orderly stop.
            signal.signal(each, signal.SIG_DFL)
        _log.info("signal_received", signal=number.name)
        stopping.set()

    for number in _SIGNALS:
        loop.add_signal_handler(number, ask_to_stop, number)
    async with Server(settings, token_files=token_files) as server:
        if on_started is not None:
            on_started(server)
        await stopping.wait()
