"""What is measured of Glidepath itself, one function per line of the table. Each gives {figure: value}."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import bench_dags
import wide_dags
from google.protobuf.timestamp_pb2 import Timestamp
from system import ISOLATED_SLOTS, System

from glidepath.authoring import Dag
from glidepath_proto.run.v1.run_pb2 import RUN_STATE_SUCCESS, DagRun

RUN_SECONDS_MAX = 120.0
RUNS_PER_CALL = 1_000
Figures = dict[str, float]


class BenchFailed(Exception):
    """What was to be measured did not succeed."""


@dataclass(frozen=True)
class Measure:
    """`run(system, share)` does it once; a quick bench asks for a smaller share of the amount."""

    run: Callable[[System, float], Figures]
    workers: int = 1
    isolated: bool = False


def chain_hop(system: System, share: float) -> Figures:
    """From the start of one task to the start of the next in a chain of 50."""
    register(system, bench_dags.chain)
    hops: list[float] = []
    for _ in range(max(1, round(5 * share))):
        run = finished(system, trigger(system, "chain"))
        starts = sorted(seconds(each.start_time) for each in system.client.list_attempts(run.dag_run_id))
        hops += [(after - before) * 1e3 for before, after in pairwise(starts)]
    return {"chain_hop_p50_ms": quantile(hops, 0.5), "chain_hop_p99_ms": quantile(hops, 0.99)}


def fanout_1000(system: System, share: float) -> Figures:
    """One run of a task and 999 that follow it."""
    return {"fanout_1000_tasks_per_second": 1_000 / wall(one_run(system, bench_dags.fanout_1000))}


def fanout_10000(system: System, share: float) -> Figures:
    """One run of a task and 9,999 that follow it."""
    return {"fanout_10000_tasks_per_second": 10_000 / wall(one_run(system, bench_dags.fanout_10000))}


def map_10000(system: System, share: float) -> Figures:
    """One run of a task that is mapped over 10,000 items."""
    register(system, wide_dags.mapped)
    amount = round(10_000 * share)
    return {"map_10000_tasks_per_second": amount / wall(finished(system, trigger_map(system, amount)))}


def many_runs(system: System, share: float) -> Figures:
    """2,000 runs of a diamond of 10 tasks, from the first run's start to the last one's end."""
    register(system, bench_dags.diamond)
    amount = round(2_000 * share)
    wanted = create(system, "diamond", amount)
    runs = drained(system, "diamond", wanted)
    first, last = min(seconds(run.start_time) for run in runs), max(seconds(run.end_time) for run in runs)
    return {"runs_2000x10_tasks_per_second": amount * 10 / (last - first)}


def create_runs(system: System, share: float) -> Figures:
    """The calls that create 10,000 runs of a DAG that is paused, so that nothing else happens meanwhile."""
    register(system, bench_dags.one)
    system.client.pause_dag("one")
    begun = time.monotonic()
    create(system, "one", amount := round(10_000 * share))
    return {"create_10000_runs_seconds": (time.monotonic() - begun) * 10_000 / amount}


def trigger_to_start(system: System, share: float) -> Figures:
    """From the client's call to the handler's first statement, one run at a time."""
    register(system, bench_dags.one)
    waits: list[float] = []
    for _ in range(round(200 * share)):
        begun = time.time_ns()
        run_id = trigger(system, "one")
        finished(system, run_id)
        started = json.loads(system.client.get_task_output(run_id, "started").output.data)
        waits.append((started - begun) / 1e6)
    return {"trigger_to_start_p50_ms": quantile(waits, 0.5), "trigger_to_start_p99_ms": quantile(waits, 0.99)}


def isolated_attempts(system: System, share: float) -> Figures:
    """200 tasks, each in a process of its own."""
    return {"isolated_attempts_per_second": 200 / wall(one_run(system, bench_dags.isolated_200))}


def cached_hits(system: System, share: float) -> Figures:
    """1,000 runs of 10 cached tasks whose results are all kept, from before the call that creates them until a client
    sees the last one's end. By the client's clock: hits end at the instant that their step began with."""
    register(system, wide_dags.hits)
    finished(system, trigger(system, "hits"))  # makes the results
    amount = round(1_000 * share)
    began = time.monotonic()
    drained(system, "hits", create(system, "hits", amount), look_seconds=0.02)
    return {"cached_hits_per_second": amount * 10 / (time.monotonic() - began)}


MEASURES: dict[str, Measure] = {
    "chain": Measure(chain_hop),
    "trigger": Measure(trigger_to_start),
    "fanout_1000": Measure(fanout_1000),
    "runs": Measure(many_runs, workers=2),
    "cached": Measure(cached_hits, workers=2),
    "fanout_10000": Measure(fanout_10000),
    "map_10000": Measure(map_10000),
    "isolated": Measure(isolated_attempts, isolated=True),
    "create": Measure(create_runs, workers=0),  # the last one: it leaves runs behind that never start
}


def slots(measure: Measure, inline: int) -> int:
    return ISOLATED_SLOTS if measure.isolated else inline


def register(system: System, dag: Dag) -> None:
    system.client.register(dag)


def trigger(system: System, dag_id: str) -> str:
    return system.client.trigger(dag_id).dag_run_id


def trigger_map(system: System, amount: int) -> str:
    """A run with a map over so many items."""
    return system.client.trigger("mapped", params={"amount": amount}).dag_run_id


def create(system: System, dag_id: str, amount: int) -> set[str]:
    """Ids of that many new runs, made 1,000 a call."""
    made: set[str] = set()
    while len(made) < amount:
        call = [{"dag_id": dag_id}] * min(RUNS_PER_CALL, amount - len(made))
        made |= {run.dag_run_id for run in system.client.trigger_many(call)}  # type: ignore[arg-type]
    return made


def finished(system: System, run_id: str) -> DagRun:
    """The run once it has ended. BenchFailed unless it succeeded."""
    try:
        return succeeded(system.client.wait(run_id, timeout=RUN_SECONDS_MAX))
    finally:
        system.check()


def succeeded(run: DagRun) -> DagRun:
    if run.state != RUN_STATE_SUCCESS:
        raise BenchFailed(f"run {run.dag_run_id} of {run.dag_id} did not succeed: {run.reason}")
    return run


def drained(system: System, dag_id: str, wanted: set[str], look_seconds: float = 0.1) -> list[DagRun]:
    """Those runs, all ended. Asks seldom, so that asking costs the system little."""
    deadline = time.monotonic() + RUN_SECONDS_MAX
    while any(True for _ in system.client.list_dag_runs(dag_id, states=["queued", "running"], page_size=1)):
        system.check()
        if time.monotonic() > deadline:
            raise BenchFailed(f"{len(wanted)} runs have not ended within {RUN_SECONDS_MAX:g} s")
        time.sleep(look_seconds)
    runs = [run for run in system.client.list_dag_runs(dag_id, page_size=500) if run.dag_run_id in wanted]
    return [succeeded(run) for run in runs]


def one_run(system: System, dag: Dag) -> DagRun:
    register(system, dag)
    return finished(system, trigger(system, dag.dag_id))


def wall(run: DagRun) -> float:
    """Seconds that the run took, by the server's clock."""
    return seconds(run.end_time) - seconds(run.start_time)


def seconds(moment: Timestamp) -> float:
    return moment.seconds + moment.nanos / 1e9


def quantile(values: Sequence[float], part: float) -> float:
    """The value that `part` of them do not exceed."""
    ordered = sorted(values)
    return statistics.median(ordered) if part == 0.5 else ordered[min(len(ordered) - 1, int(len(ordered) * part))]
