"""The work of an episode: DAGs of many shapes, and what a client does with a run of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from google.protobuf.duration_pb2 import Duration

from glidepath_proto.registry.v1 import dag_pb2
from tests.checker.tests.scenes import dag, task

POOL, POOL_SLOTS = "narrow", 3
LIMIT, LIMIT_SLOTS, LIMIT_RATE = "scarce", 4, (12, 2.0)
GRACE_SECONDS = 0.2
FOREVER = 300.0
MAP_LENGTH = 30


@dataclass(frozen=True)
class Shape:
    """`make` builds the DAG's tasks, for the handler's version; `follow` is what comes after the run was asked for."""

    tasks: int
    weight: int
    make: Callable[[str], Sequence[dag_pb2.TaskSpec]] | None
    follow: str = ""
    runs_active_max: int | None = None
    tasks_active_max: int | None = None
    run_tasks_active_max: int | None = None
    run_timeout_seconds: float | None = None
    poison: bool = False
    fail_fast: bool = False
    run_retries_max: int = 0

    def spec(self, dag_id: str, version: str) -> dag_pb2.DagSpec:
        """The DAG whose handlers have this version. Only for what journalling workers run."""
        assert self.make is not None
        spec = dag(dag_id, self.make(version), fail_fast=self.fail_fast, run_retries_max=self.run_retries_max)
        for name in ("runs_active_max", "tasks_active_max", "run_tasks_active_max"):
            if getattr(self, name) is not None:
                setattr(spec, name, getattr(self, name))
        if self.run_timeout_seconds is not None:
            spec.run_timeout.CopyFrom(_seconds(self.run_timeout_seconds))
        return spec


def _chain(version: str, seconds: float = 0.05) -> list[dag_pb2.TaskSpec]:
    first = task("t0", seconds=seconds, version=version)
    return [first, *(task(f"t{n}", f"t{n - 1}", seconds=seconds, version=version, retries=1) for n in range(1, 5))]


def _long_chain(version: str) -> list[dag_pb2.TaskSpec]:
    """Long enough that a newer version is registered before it ends."""
    return _chain(version, seconds=0.5)


def _fan(version: str) -> list[dag_pb2.TaskSpec]:
    leaves = [task(f"leaf{n}", "root", seconds=0.1 * n, version=version) for n in range(6)]
    skipped = task("maybe", "root", ends="skipped", version=version)
    names = [each.task_id for each in (*leaves, skipped)]
    return [task("root", version=version), *leaves, skipped, task("join", *names, rule="NONE_FAILED", version=version)]


def _retried(version: str) -> list[dag_pb2.TaskSpec]:
    bad = task("bad", fails=2, retries=2, version=version)
    hopeless = task("hopeless", fails=9, retries=1, version=version)
    alarm = task("alarm", "hopeless", rule="ONE_FAILED", version=version)
    return [bad, hopeless, alarm, task("never", "hopeless", version=version), task("end", "bad", version=version)]


def _timed(version: str) -> list[dag_pb2.TaskSpec]:
    late = task(
        "late",
        seconds=FOREVER,
        version=version,
        execution_timeout=_seconds(1.0),
        cancel_grace=_seconds(GRACE_SECONDS),
    )
    return [late, task("clean", "late", rule="ALL_DONE", version=version)]


def _held(version: str) -> list[dag_pb2.TaskSpec]:
    grace = _seconds(GRACE_SECONDS)
    return [
        task("hold", seconds=FOREVER, version=version, cancel_grace=grace),
        task("next", "hold", rule="ALL_DONE", version=version),
    ]


def _clearable(version: str) -> list[dag_pb2.TaskSpec]:
    return [task("bad", fails=1, version=version), task("after", "bad", seconds=0.3, version=version)]


def _pooled(version: str) -> list[dag_pb2.TaskSpec]:
    """Each takes slots of a pool and of a limit that has a rate, too."""
    pool = {"pool_name": POOL, "limits": {LIMIT: 1}}
    return [task(f"p{n}", seconds=0.2, version=version, pool_slots=1 + n % 2, **pool) for n in range(4)]


def _capped(version: str) -> list[dag_pb2.TaskSpec]:
    """The first is live once over all runs."""
    first = task("c0", seconds=0.15, version=version, active_max=1)
    return [first, *(task(f"c{n}", seconds=0.15, version=version) for n in range(1, 4))]


def _steered(version: str) -> list[dag_pb2.TaskSpec]:
    """A branch, a short circuit, and a failure between a setup and its teardown."""
    return [
        task("choose", role="BRANCH", returns="left", seconds=0.1, version=version, retries=1, fails=1),
        task("left", "choose", seconds=0.1, version=version),
        task("right", "choose", version=version),
        task("join", "left", "right", rule="ONE_SUCCESS", version=version),
        task("enough", role="SHORT_CIRCUIT", returns=False, seconds=0.2, version=version),
        task("never", "enough", "join", rule="ONE_SUCCESS", version=version),
        task("create", role="SETUP", version=version),
        task("breaks", "create", fails=1, version=version),
        task("delete", "create", "breaks", role="TEARDOWN", version=version),
    ]


def _clustered(version: str) -> list[dag_pb2.TaskSpec]:
    grace = _seconds(GRACE_SECONDS)
    return [
        task("create", role="SETUP", version=version),
        task("hold", "create", seconds=FOREVER, version=version, cancel_grace=grace),
        task("delete", "create", "hold", role="TEARDOWN", version=version),
    ]


def _fast(version: str) -> list[dag_pb2.TaskSpec]:
    # Whichever attempt it is that does not get lost, it fails: otherwise nothing would end what is held.
    return [*_clustered(version), task("breaks", "create", seconds=0.2, fails=99, version=version)]


def _waiting(version: str) -> list[dag_pb2.TaskSpec]:
    first = task("w0", defers=1, seconds=0.1, version=version)
    return [first, task("w1", "w0", defers=1, fails=1, retries=1, version=version)]


def _alone(version: str) -> list[dag_pb2.TaskSpec]:
    grace = _seconds(GRACE_SECONDS)
    mode = dag_pb2.LEASE_MODE_EXCLUSIVE
    first = task("x0", seconds=0.3, version=version, lease_mode=mode, cancel_grace=grace, retries=1)
    return [first, task("x1", "x0", seconds=0.1, version=version, lease_mode=mode, cancel_grace=grace)]


def _mapped(version: str) -> list[dag_pb2.TaskSpec]:
    """Of 30 instances some fail once, one so often that only a rerun has it succeed."""
    fails = [0, 1, 0, 3, *([0, 0, 1] * 9)][:MAP_LENGTH]
    over = dag_pb2.MapInput(name="fails", source=dag_pb2.Input(output=dag_pb2.OutputRef(task_id="list")))
    each = task("each", "list", seconds=0.05, retries=1, version=version)
    each.map.CopyFrom(dag_pb2.MapSpec(inputs=[over], active_max=8))
    gather = task("gather", "each", rule="ALL_DONE", version=version)
    gather.inputs["all"].output.task_id = "each"
    return [task("list", returns=fails, version=version), each, gather]


def _seconds(seconds: float) -> Duration:
    return Duration(seconds=int(seconds), nanos=int(seconds % 1 * 1e9))


# Of shapes without `make` the DAG is in bodies_dag.py, and workers of the Python SDK run it.
SHAPES = {
    "chain": Shape(5, 4, _chain),
    "fan": Shape(9, 3, _fan),
    "retried": Shape(8, 3, _retried),
    "timed": Shape(2, 2, _timed),
    "run_timed": Shape(2, 1, _held, run_timeout_seconds=1.5),
    "cancelled": Shape(2, 3, _held, "cancel run"),
    "task_cancelled": Shape(2, 2, _held, "cancel task"),
    "cleared": Shape(4, 3, _clearable, "clear"),
    "rerun": Shape(4, 2, _clearable, "rerun"),
    "pooled": Shape(4, 3, _pooled),
    "capped": Shape(4, 2, _capped, runs_active_max=2, tasks_active_max=3, run_tasks_active_max=2),
    "steered": Shape(9, 2, _steered, "rerun"),
    "clustered": Shape(3, 2, _clustered, "cancel run"),
    "fast": Shape(4, 1, _fast, fail_fast=True),
    "run_retried": Shape(4, 2, _clearable, run_retries_max=2),
    "marked": Shape(2, 2, _held, "mark task"),
    "waiting": Shape(2, 2, _waiting),
    "alone": Shape(2, 2, _alone),
    "mapped": Shape(MAP_LENGTH + 2, 2, _mapped, "rerun"),
    "mapped_cancelled": Shape(MAP_LENGTH + 2, 1, _mapped, "cancel run"),
    "renewed": Shape(5, 4, _long_chain, "register"),
    "ledger": Shape(4, 5, None),
    "ledger_renewed": Shape(4, 2, None, "register"),
    "ledger_cancelled": Shape(2, 1, None, "cancel run"),
    "ledger_mapped": Shape(21, 1, None),
    "poison": Shape(3, 1, None, poison=True),
}
