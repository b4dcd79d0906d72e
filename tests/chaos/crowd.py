"""The clients of an episode: they ask for the work of its plan, each again under one id until it is answered."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from glidepath import Every, load_dags
from glidepath.client import Client
from glidepath.errors import RpcError, StateConflict
from tests.chaos.plan import Work
from tests.chaos.shapes import LIMIT, LIMIT_RATE, LIMIT_SLOTS, POOL, POOL_SLOTS, SHAPES
from tests.chaos.system import System
from tests.checker.journal_client import UNKNOWN

T = TypeVar("T")
CLIENTS_MAX = 8
# A call that nobody has answered by then, long after all faults, is a failure.
PERSIST_SECONDS = 60.0
AGAIN_SECONDS = 0.1
# What ticks beside the work of a plan, and is filled for a while before its ticks.
BEAT_DAG, BEAT_NAME, BEAT_SECONDS = "chain", "beat", 2
FILLED_SECONDS = 24.0
BODIES = Path(__file__).with_name("bodies_dag.py")


class Crowd:
    """Clients that do the work of a plan, each thread with a client of its own. `wait` until all is asked for."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.runs: dict[str, str] = {}
        """Shape by run id, of what was acknowledged."""
        self._local = threading.local()
        self._pool = ThreadPoolExecutor(CLIENTS_MAX, thread_name_prefix="client")
        self._registering = threading.Lock()
        self._folders = itertools.count(1)

    def prepare(self) -> None:
        """The pool, the limit, and the first version of each DAG that is not there yet."""
        self._persist(lambda client: client.set_pool(POOL, POOL_SLOTS))
        self._persist(lambda client: client.set_limit(LIMIT, LIMIT_SLOTS, rate=LIMIT_RATE))
        for name in SHAPES:
            if name not in self.system.versions:
                self._register(name)
        beat = Every(BEAT_SECONDS, zone="UTC", name=BEAT_NAME)
        self._persist(lambda client: client.set_schedule(BEAT_DAG, beat))
        self._persist(lambda client: client.resume_schedule(BEAT_DAG, BEAT_NAME))

    def go(self, work: tuple[Work, ...], start: float) -> None:
        """Begin; `start` is the monotonic time of the episode's second 0."""
        self._futures = [self._pool.submit(self._do, each, start) for each in work]
        self._futures.append(self._pool.submit(self._fill))

    def wait(self) -> None:
        """Until everything was asked for and answered. Raises what went wrong."""
        for each in self._futures:
            each.result()

    def rest(self) -> None:
        """Nothing ticks any more."""
        self._persist(lambda client: client.pause_schedule(BEAT_DAG, BEAT_NAME))

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def ask(self, shape: str) -> str:
        """One run of a shape; its id once it is acknowledged."""
        return self._pool.submit(self._trigger, shape, 1).result()

    # ---- one thing
    def _do(self, work: Work, start: float) -> None:
        _wait_for(start + work.at)
        run_id = self._trigger(work.shape, work.times)
        follow = SHAPES[work.shape].follow
        if not follow:
            return
        _wait_for(time.monotonic() + work.after)
        if follow == "register":
            self._register(work.shape)
            return
        request_id = str(uuid4())
        for _ in range(work.times):
            # The run may have ended, or have nothing to be done again: to refuse is an answer.
            with suppress(StateConflict):
                self._persist(lambda client: _FOLLOWS[follow](client, run_id, request_id))

    def _fill(self) -> None:
        """A backfill of ticks that have just been, some of which have runs, and some, of a pause, have none."""
        end, request_id = datetime.now(UTC) - timedelta(seconds=BEAT_SECONDS), str(uuid4())
        start = end - timedelta(seconds=FILLED_SECONDS)
        self._persist(
            lambda client: client.create_backfill(
                BEAT_DAG, start=start, end=end, schedule=BEAT_NAME, request_id=request_id
            )
        )

    def _trigger(self, shape: str, times: int) -> str:
        options: dict[str, Any] = {"request_id": str(uuid4())}
        if SHAPES[shape].make is None:
            options["params"] = {"folder": str(self.system.journals)}
        if SHAPES[shape].poison:
            self.system.note("poison workers")
        for _ in range(times):
            run_id: str = self._persist(lambda client: client.trigger(shape, **options)).dag_run_id
        self.runs[run_id] = shape
        return run_id

    def _register(self, name: str) -> None:
        """A newer version; one after the other, since the code of a ledger's tasks says the number that it will get."""
        with self._registering:
            number, request_id = self.system.versions.get(name, 0) + 1, str(uuid4())
            spec = self._spec(name, number)
            version = self._persist(lambda client: client.register(spec, request_id=request_id)).dag_version
            got = version.dag_version_number
            assert got == number, f"{name} was registered as version {got}; expected {number}"
            self.system.versions[name] = number

    def _spec(self, name: str, number: int) -> Any:
        if SHAPES[name].make is not None:
            return SHAPES[name].spec(name, str(number))
        file = self.system.folder / "code" / f"{next(self._folders)}-{name}-{number}" / BODIES.name
        file.parent.mkdir(parents=True)
        file.write_text(BODIES.read_text().replace("CODE = 1\n", f"CODE = {number}\n"))
        return next(each for each in load_dags(file).dags if each.dag_id == name)

    def _persist(self, call: Callable[[Client], T]) -> T:
        """The answer of a call that may be repeated, each time by a new client: the old connection may be dead."""
        deadline = time.monotonic() + PERSIST_SECONDS
        while True:
            client = self._client()
            try:
                return call(client)
            except RpcError as error:
                if error.code not in UNKNOWN or time.monotonic() > deadline:
                    raise
                client.close()
                del self._local.client
                _wait_for(time.monotonic() + AGAIN_SECONDS)

    def _client(self) -> Client:
        if not hasattr(self._local, "client"):
            self._local.client = self.system.client()
        client: Client = self._local.client
        return client


_FOLLOWS: dict[str, Callable[[Client, str, str], Any]] = {
    "cancel run": lambda client, run_id, request_id: client.cancel_dag_run(run_id, request_id=request_id),
    "cancel task": lambda client, run_id, request_id: _cancel_task(client, run_id, request_id),
    "mark task": lambda client, run_id, request_id: _mark_task(client, run_id, request_id),
    "clear": lambda client, run_id, request_id: client.clear_task_instances(
        run_id, ["bad"], downstream=True, cancel_running=True, request_id=request_id
    ),
    "rerun": lambda client, run_id, request_id: client.rerun_dag_run(run_id, request_id=request_id),
}


def _cancel_task(client: Client, run_id: str, request_id: str) -> None:
    """A run that has not started yet has no task to cancel; it is to be cancelled as a whole, says the server."""
    try:
        client.cancel_task_instances(run_id, ["hold"], request_id=request_id)
    except StateConflict:
        client.cancel_dag_run(run_id, request_id=f"{request_id}-run")


def _mark_task(client: Client, run_id: str, request_id: str) -> None:
    """As _cancel_task."""
    try:
        client.mark_task_instances(run_id, ["hold"], "success", request_id=request_id)
    except StateConflict:
        client.cancel_dag_run(run_id, request_id=f"{request_id}-run")


def _wait_for(moment: float) -> None:
    """Until that monotonic time: a plan says when."""
    threading.Event().wait(max(0.0, moment - time.monotonic()))
