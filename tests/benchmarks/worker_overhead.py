"""What a worker costs per task: no-op tasks against a local server that does nothing but hand out and acknowledge.

    python tests/benchmarks/worker_overhead.py [--seconds 5]

Prints JSON: tasks per second and CPU microseconds per task of all the worker's processes (the server's are not
counted), for inline tasks and for tasks in processes of their own, beside the machine's bare rate of fork and wait.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.protobuf.duration_pb2 import Duration

from glidepath_proto.registry.v1.dag_pb2 import IsolationMode
from glidepath_proto.worker.v1.task_pb2 import Assignment
from glidepath_proto.worker.v1.worker_service_pb2 import GetSourceResponse, ResultAck, Verdict, Welcome, WorkResponse
from glidepath_proto.worker.v1.worker_service_pb2_grpc import WorkerServiceServicer, add_WorkerServiceServicer_to_server

SDK = Path(__file__).parents[2] / "sdk" / "python"
TASK = "from glidepath import task\n\n\n@task\ndef nothing():\n    pass\n"
_archive = io.BytesIO()
with zipfile.ZipFile(_archive, "w") as _bundle:
    _bundle.writestr("noop.py", TASK)
SOURCE = _archive.getvalue()
VERSION = hashlib.sha256(SOURCE).hexdigest()
SLOTS = 2000
BATCH = 1000
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Feed(WorkerServiceServicer):
    """Keeps every credit in use for a while and counts what comes back."""

    def __init__(self, isolation: IsolationMode.ValueType, seconds: float) -> None:
        self.isolation = isolation
        self.seconds = seconds
        self.done: asyncio.Future[dict[str, float]] = asyncio.get_running_loop().create_future()
        self.worker_pid = 0
        self._number = 0
        self.warm_up = SLOTS if isolation == IsolationMode.ISOLATION_MODE_INLINE else 200

    async def Work(self, _: Any, context: Any) -> None:
        await context.read()
        await context.write(WorkResponse(welcome=Welcome(
            lease_ttl=Duration(seconds=60), heartbeat_interval=Duration(seconds=30))))  # fmt: skip
        finished, began, cpu = 0, 0.0, 0.0
        while (request := await context.read()) is not grpc.aio.EOF:
            finished += len(request.results)
            assert all(result.HasField("success") for result in request.results[:1]), request.results[0]
            if not began and finished >= self.warm_up:
                finished, began, cpu = 0, time.perf_counter(), cpu_seconds(self.worker_pid)
            passed = time.perf_counter() - began if began else 0.0
            acks = [ResultAck(task_token=r.task_token, verdict=Verdict.VERDICT_ACCEPTED) for r in request.results]
            credits = sum(credit.amount for credit in request.credits)
            if passed > self.seconds:
                used = cpu_seconds(self.worker_pid) - cpu
                return self.done.set_result({"tasks_per_second": round(finished / passed, 1),
                                             "cpu_microseconds_per_task": round(used / finished * 1e6, 1)})  # fmt: skip
            for start in range(0, max(credits, 1), BATCH):
                count = min(BATCH, credits - start)
                await context.write(WorkResponse(assignments=self._assignments(count), result_acks=acks))
                acks = []

    async def GetSource(self, _: Any, context: Any) -> None:
        await context.write(GetSourceResponse(chunk=SOURCE))

    def _assignments(self, count: int) -> list[Assignment]:
        made = []
        for _ in range(count):
            self._number += 1
            assignment = Assignment(
                task_token=self._number.to_bytes(40, "big"), namespace="default", params="{}", isolation=self.isolation
            )
            assignment.handler.name = "python:noop:nothing"
            assignment.handler.version = VERSION
            assignment.attempt.dag_run_id = "0193b5a0-0000-7000-8000-000000000000"
            assignment.attempt.task_id = "nothing"
            assignment.attempt.attempt_number = 1
            assignment.idempotency_key = "0193b5a0/nothing"
            made.append(assignment)
        return made


def cpu_seconds(leader: int) -> float:
    """CPU of a process and everything below it, with the children it has waited for."""
    total, wanted = 0.0, {leader}
    for name in sorted((n for n in os.listdir("/proc") if n.isdecimal()), key=int):
        try:
            with open(f"/proc/{name}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(name) in wanted or int(fields[1]) in wanted:
            wanted.add(int(name))
            total += sum(map(int, fields[11:15])) / TICKS_PER_SECOND
    return total


def bare_forks_per_second(count: int = 3000) -> float:
    """fork, exit, wait: in a small interpreter, one after the other."""
    code = (
        "import os, time\nbegan = time.perf_counter()\n"
        f"for _ in range({count}):\n    pid = os.fork()\n    pid or os._exit(0)\n    os.waitpid(pid, 0)\n"
        f"print({count} / (time.perf_counter() - began))"
    )
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


async def measure(isolation: IsolationMode.ValueType, slots: int, seconds: float) -> dict[str, float]:
    """One run of one kind of task."""
    server = grpc.aio.server()
    feed = Feed(isolation, seconds)
    add_WorkerServiceServicer_to_server(feed, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "glidepath.worker", "--address", f"127.0.0.1:{port}", "--slots", str(slots)]
        command += ["--identity", "bench", "--state-dir", f"{folder}/state"]
        environment = {**os.environ, "PYTHONPATH": str(SDK)}
        worker = await asyncio.create_subprocess_exec(*command, "--log-level", "ERROR", env=environment)
        feed.worker_pid = worker.pid
        try:
            return await asyncio.wait_for(feed.done, 60 + seconds)
        finally:
            worker.kill()
            await worker.wait()
            await server.stop(0)


async def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    seconds = parser.parse_args().seconds
    bare = bare_forks_per_second()
    inline = await measure(IsolationMode.ISOLATION_MODE_INLINE, SLOTS, seconds)
    process = await measure(IsolationMode.ISOLATION_MODE_PROCESS, 64, seconds)
    share = round(process["tasks_per_second"] / bare, 3)
    print(json.dumps({
        "cpus": os.cpu_count(),
        "inline": inline,
        "process": {**process, "bare_forks_per_second": round(bare, 1), "share_of_bare_forks": share},
    }, indent=2))  # fmt: skip


if __name__ == "__main__":
    asyncio.run(main())
