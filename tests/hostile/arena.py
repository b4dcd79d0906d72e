"""A server process between an honest worker with its client and a hostile peer, and what the honest ones feel of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from glidepath_proto.admin.v1 import admin_service_pb2, admin_service_pb2_grpc
from glidepath_proto.common.v1 import authorization_pb2
from glidepath_proto.registry.v1 import dag_pb2, registry_service_pb2, registry_service_pb2_grpc
from tests.benchmarks import bench_dags
from tests.benchmarks.system import System, system
from tests.hostile import peers

ROOT = Path(__file__).resolve().parents[2]
RUN_SECONDS_MAX = 60.0
LARGE_DAG_TASKS = 1_000
SAMPLE_SECONDS = 0.05
START_SECONDS = 0.7
ROUNDS = 3


@dataclass
class Honest:
    """Milliseconds that the honest ones waited: between two starts of a chain, and from a trigger to the start."""

    hops: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    def add(self, more: Honest) -> None:
        self.hops += more.hops
        self.waits += more.waits

    def p50(self) -> tuple[float, float]:
        return median(self.hops), median(self.waits)


@dataclass
class Outcome:
    """What one peer did to the server: ratios are hostile over calm p50, the calm taken before and after."""

    kind: str
    chain_hop_p50_ms: float = 0.0
    chain_hop_calm_ms: float = 0.0
    trigger_to_start_p50_ms: float = 0.0
    trigger_to_start_calm_ms: float = 0.0
    server_cores: float = 0.0
    rss_before_mib: float = 0.0
    rss_peak_mib: float = 0.0
    peer: dict[str, Any] = field(default_factory=dict)

    @property
    def hop_ratio(self) -> float:
        return self.chain_hop_p50_ms / self.chain_hop_calm_ms

    @property
    def start_ratio(self) -> float:
        return self.trigger_to_start_p50_ms / self.trigger_to_start_calm_ms

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "chain_hop_ratio": self.hop_ratio, "trigger_to_start_ratio": self.start_ratio}


class Watch(threading.Thread):
    """The server's memory and CPU time while it runs, by its process."""

    def __init__(self, process_id: int) -> None:
        super().__init__(daemon=True)
        self._process_id, self._over = process_id, threading.Event()
        self.peak_mib = self.before_mib = rss_mib(process_id)
        self._cpu, self._begun = cpu_seconds(process_id), time.monotonic()
        self.cores = 0.0

    def run(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            self.peak_mib = max(self.peak_mib, rss_mib(self._process_id))

    def end(self) -> None:
        self._over.set()
        self.join()
        self.cores = (cpu_seconds(self._process_id) - self._cpu) / (time.monotonic() - self._begun)


def rss_mib(process_id: int) -> float:
    pages = int(Path(f"/proc/{process_id}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def cpu_seconds(process_id: int) -> float:
    parts = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


class Arena:
    """A running system, and tokens that a hostile tenant of it has: a namespace of its own, an author, a worker."""

    def __init__(self, running: System) -> None:
        self.system, self.client = running, running.client
        self.server_id: int = running.children[0]._process.pid
        self.address = self.client.connection.address
        self.environ = dict(os.environ)

    def prepare(self) -> None:
        channel = self.client._channel
        metadata = (("authorization", f"Bearer {self.client.connection.token}"),)
        admin = admin_service_pb2_grpc.AdminServiceStub(channel)
        admin.CreateNamespace(admin_service_pb2.CreateNamespaceRequest(new_namespace="hostile"), metadata=metadata)
        for name, role in (("HOSTILE_TOKEN", "ROLE_AUTHOR"), ("HOSTILE_WORKER_TOKEN", "ROLE_WORKER")):
            request = admin_service_pb2.CreateTokenRequest(
                name="hostile", namespace="hostile", role=authorization_pb2.Role.Value(role)
            )
            self.environ[name] = admin.CreateToken(request, metadata=metadata).secret
        registry = registry_service_pb2_grpc.RegistryServiceStub(channel)
        handler = dag_pb2.Handler(name="none")
        tasks = [
            dag_pb2.TaskSpec(task_id=f"t{number}", description="x" * 900, handler=handler)
            for number in range(LARGE_DAG_TASKS)
        ]
        spec = dag_pb2.DagSpec(dag_id="large", tasks=tasks)
        registry.RegisterDagVersion(
            registry_service_pb2.RegisterDagVersionRequest(namespace="hostile", spec=spec), metadata=metadata
        )
        self.client.register(bench_dags.chain)
        self.client.register(bench_dags.one)

    def honest(self, seconds: float) -> Honest:
        """Run chains and single tasks by turns for this long, at least one of each."""
        found, end = Honest(), time.monotonic() + seconds
        while not found.waits or time.monotonic() < end:
            run_id = self._finished("chain")
            starts = sorted(each.start_time.ToNanoseconds() for each in self.client.list_attempts(run_id))
            found.hops += [(after - before) / 1e6 for before, after in pairwise(starts)]
            for _ in range(10):
                begun = time.time_ns()
                run_id = self._finished("one")
                output = self.client.get_task_output(run_id, "started").output.data
                found.waits.append((json.loads(output) - begun) / 1e6)
        return found

    def _finished(self, dag_id: str) -> str:
        run_id = self.client.trigger(dag_id).dag_run_id
        self.client.wait(run_id, timeout=RUN_SECONDS_MAX)
        return run_id

    @contextmanager
    def peer(self, kind: str, seconds: float) -> Iterator[subprocess.Popen[str]]:
        """A hostile peer; ended at the latest with the block."""
        command = [sys.executable, "-m", "tests.hostile.peers", kind, self.address, str(seconds)]
        process = subprocess.Popen(command, cwd=ROOT, env=self.environ, stdout=subprocess.PIPE, text=True)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def face(self, kind: str, seconds: float, rounds: int = ROUNDS) -> Outcome:
        """Honest work in calm and beside a fresh peer by turns, so that what else this machine does meets both."""
        calm, beside, cores, told = Honest(), Honest(), list[float](), dict[str, Any]()
        before = peak = rss_mib(self.server_id)
        for _ in range(rounds):
            calm.add(self.honest(seconds / rounds))
            watch = Watch(self.server_id)
            watch.start()
            with self.peer(kind, seconds / rounds) as process:
                time.sleep(START_SECONDS)  # the peer is a Python process; its own clock runs once it has started
                beside.add(self.honest(seconds / rounds))
                said = json.loads(process.communicate(timeout=RUN_SECONDS_MAX)[0])
            watch.end()
            cores.append(watch.cores)
            peak = max(peak, watch.peak_mib)
            told = {name: told.get(name, 0) + said[name] for name in ("units", "connections", "cuts", "cpu_seconds")}
        self.system.check()
        (hop, wait), (hop_calm, wait_calm) = beside.p50(), calm.p50()
        return Outcome(kind, hop, hop_calm, wait, wait_calm, median(cores), before, peak, told)


@contextmanager
def arena(database_url: str, folder: Path) -> Iterator[Arena]:
    with system(database_url, folder, workers=1) as running:
        found = Arena(running)
        found.prepare()
        yield found


KINDS = tuple(peers.KINDS)
