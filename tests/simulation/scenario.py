"""What a seed stands for: DAGs, runs, workers, pools, and how each attempt would end. All data, so it can be shrunk."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from glidepath_server.core.canonical import canonical_json, from_canonical_json
from glidepath_server.core.compile import compile_graph
from glidepath_server.core.definition import DagSpec, Handler
from glidepath_server.core.draft import DagDraft, PolicyDraft, RetryDraft, TaskDraft, resolve
from glidepath_server.core.failure import Failure, FailureKind
from glidepath_server.core.graph import Graph
from glidepath_server.core.matching import Offer, TaskClass
from glidepath_server.core.states import AttemptState
from glidepath_server.core.trigger_rules import TriggerRule
from glidepath_server.core.validation import check_dag

HANDLER = "test:task"
POOL, POOL_LIMIT = "gate", 1
QUEUES, ZONES = ("default", "gpu"), ("north", "south")

Outcome = tuple[AttemptState, Failure | None]
_BROKEN = Failure(FailureKind.APPLICATION, message="broken")
BAD_ENDS: tuple[Outcome, ...] = (
    (AttemptState.FAILED, _BROKEN),
    (AttemptState.FAILED, _BROKEN),
    (AttemptState.FAILED, None),
    (AttemptState.FAILED, Failure(FailureKind.APPLICATION, message="slow down", retry_after_seconds=40)),
    (AttemptState.FAILED, Failure(FailureKind.BAD_INPUT, message="no such file")),
    (AttemptState.FAILED, Failure(FailureKind.APPLICATION, message="for ever", retryable=False)),
    (AttemptState.SKIPPED, None),
    (AttemptState.RETURNED, None),
)


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    name: str
    slots: int
    offer: Offer


@dataclass(frozen=True, slots=True)
class Scenario:
    """`health` is the chance that an attempt is a success. `mended`: in the end pauses are lifted and
    pools have slots. `returns`: in the end workers that were killed come back.
    `lags`: replica B steps seldom, so what it has seen grows old."""

    seed: int
    dags: tuple[DagDraft, ...]
    runs: tuple[tuple[str, str], ...]  # name of the run, its DAG
    workers: tuple[WorkerPlan, ...]
    pool_slots: int
    health: float
    mended: bool
    returns: bool
    lags: bool

    def outcome(self, run: str, task_id: str, number: int) -> Outcome:
        """How the code of an attempt ends if it is let; the same whatever else happens."""
        chance = random.Random(f"{self.seed}/{run}/{task_id}/{number}")
        return (AttemptState.SUCCESS, None) if chance.random() < self.health else chance.choice(BAD_ENDS)

    def obeys(self, run: str, task_id: str, number: int) -> bool:
        """Whether an attempt that is told to end does so before its code has ended by itself."""
        return random.Random(f"obeys {self.seed}/{run}/{task_id}/{number}").random() < 0.8


@dataclass(frozen=True, slots=True)
class Plan:
    """A registered DAG: compiled from its own canonical text, with the task class of each task."""

    number: int
    spec: DagSpec
    graph: Graph
    classes: tuple[TaskClass, ...]

    @property
    def tasks_limit(self) -> int:
        return 10 + self.number


def plan_of(number: int, draft: DagDraft) -> Plan:
    """What registration makes of a draft. Class ids are unique over all DAGs."""
    checked = check_dag(draft)
    assert not checked.violations, checked.violations
    spec = from_canonical_json(canonical_json(resolve(draft, checked.order)))
    return Plan(number, spec, compile_graph(spec), tuple(_classes(number, spec)))


def _classes(number: int, spec: DagSpec) -> list[TaskClass]:
    return [
        TaskClass(
            class_id=1000 * number + index,
            namespace="default",
            dag_id=spec.dag_id,
            queue_id=QUEUES.index(task.policy.queue_name),
            queue_name=task.policy.queue_name,
            handler_name=task.handler.name,
            handler_version="",
            worker_selector=task.policy.worker_selector,
            resources={},
            tasks_limit_id=10 + number,
            pool_limit_id=POOL_LIMIT if task.policy.pool_name else None,
            pool_slots=task.policy.pool_slots if task.policy.pool_name else 0,
        )
        for index, task in enumerate(spec.tasks)
    ]


def draw_scenario(seed: int) -> Scenario:
    """The scenario of a seed."""
    chance = random.Random(seed)
    dags = tuple(_dag(chance, f"dag{number}") for number in range(chance.randint(1, 2)))
    runs = tuple((f"r{number}", chance.choice(dags).dag_id) for number in range(chance.randint(1, 4)))
    return Scenario(
        seed,
        dags,
        runs,
        tuple(_worker(chance, f"w{number}") for number in range(chance.randint(1, 3))),
        pool_slots=chance.randint(1, 3),
        health=chance.choice([1.0, 0.9, 0.7, 0.4]),
        mended=chance.random() < 0.7,
        returns=chance.random() < 0.7,
        lags=chance.random() < 0.4,
    )


def _dag(chance: random.Random, dag_id: str) -> DagDraft:
    names = [f"t{number:02}" for number in range(chance.choice([1, 2, 4, 7, 12]))]
    width = chance.choice([1, 2, 4, 12])
    return DagDraft(
        dag_id,
        tuple(_task(chance, name, names[max(0, number - width) : number]) for number, name in enumerate(names)),
        run_timeout_seconds=chance.choice([None, None, 30.0, 120.0]),
        runs_active_max=chance.choice([None, None, 1, 2]),
        tasks_active_max=chance.choice([None, None, 1, 3]),
    )


def _task(chance: random.Random, name: str, near: Sequence[str]) -> TaskDraft:
    upstream = chance.sample(near, min(len(near), chance.choice([0, 1, 1, 2, 3])))
    policy = PolicyDraft(
        queue_name=QUEUES[chance.random() < 0.2],
        retry=_retry(chance),
        execution_timeout_seconds=chance.choice([None, None, 5.0, 20.0]),
        pool_name=POOL if (pooled := chance.random() < 0.3) else None,
        pool_slots=chance.randint(1, 2) if pooled else None,
        priority=chance.choice([0, 0, 0, 5]),
        worker_selector={"zone": chance.choice(ZONES)} if chance.random() < 0.1 else None,
    )
    rule = chance.choice([TriggerRule.ALL_SUCCESS, *TriggerRule]) if upstream else TriggerRule.ALL_SUCCESS
    return TaskDraft(name, Handler(HANDLER), upstream_task_ids=upstream, trigger_rule=rule, policy=policy)


def _retry(chance: random.Random) -> RetryDraft:
    retries, losses = chance.randint(0, 3), chance.randint(0, 3)
    match chance.randint(0, 2):
        case 0:
            return RetryDraft(retries, delay_seconds=0.0, losses_max=losses)
        case 1:
            return RetryDraft(retries, delay_seconds=10.0, backoff=3.0, delay_max_seconds=60.0, losses_max=losses)
        case _:
            return RetryDraft(retries, delays_seconds=(5.0, 0.0, 30.0), losses_max=losses)


def _worker(chance: random.Random, name: str) -> WorkerPlan:
    queues = frozenset(QUEUES if chance.random() < 0.6 else [chance.choice(QUEUES)])
    zone = {"zone": chance.choice(ZONES)} if chance.random() < 0.7 else {}
    offer = Offer("default", queues, zone, {}, ((HANDLER, frozenset({"*"})),))
    return WorkerPlan(name, chance.randint(1, 4), offer)
