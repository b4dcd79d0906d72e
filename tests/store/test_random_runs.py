"""Random DAGs through the real store, many at a time: every run ends as the model says that knows no store.

The model (tests/unit/run_world.py) knows graph, rules, roles and what each attempt does; no order, no rows, no steps.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from step_room import HANDLER, StepRoom

from glidepath_server.core.canonical import canonical_json
from glidepath_server.core.definition import (
    DagSpec,
    Handler,
    Input,
    Literal,
    MapEmpty,
    MapInput,
    MapMode,
    MapSpec,
    OutputRef,
    ResolvedPolicy,
    TaskSpec,
)
from glidepath_server.core.errors import NotFound, StateConflict
from glidepath_server.core.events import (
    AttemptKey,
    Event,
    InstancesMarked,
    RunCancelled,
    RunPaused,
    RunResumed,
    RunStarted,
    RunTimedOut,
    TasksCancelled,
    TasksCleared,
    TasksMarked,
)
from glidepath_server.core.graph import Graph, TaskRole
from glidepath_server.core.states import (
    ATTEMPT_TRANSITIONS,
    MARKS,
    RUN_TRANSITIONS,
    TASK_TRANSITIONS,
    AttemptState,
    RunState,
    TaskEvent,
    TaskState,
)
from glidepath_server.core.trigger_rules import TriggerRule
from glidepath_server.operations.step_types import Assigned, Command, Output, Report, RunWork, StepOutcome
from tests.checker.judges.attempts import judge_one_at_a_time, judge_starts
from tests.checker.judges.states import judge_arrows, judge_rules
from tests.checker.read_database import read_facts
from tests.checker.report import PASS
from tests.unit.run_world import (
    BROKEN,
    GOOD,
    HOPELESS,
    A,
    Choice,
    MapModel,
    Script,
    expected_ends,
    random_run,
)

RUNS_PER_BATCH = 50
STEPS_MAX = 400
# Rules by which a task may run before an upstream has ended: whether there is a list by then depends on the order.
HASTY = {TriggerRule.ALWAYS, TriggerRule.ONE_SUCCESS, TriggerRule.ONE_FAILED, TriggerRule.ONE_DONE}
INSTANCE_SCRIPTS: list[Script] = [
    *([GOOD],) * 4,
    [(A.FAILED, BROKEN)] * 2,
    [(A.FAILED, HOPELESS)],
    [(A.SKIPPED, None)],
    [(A.LOST, None)] * 2,
    [(A.CANCELLED, None)],
]


@dataclass
class Life:
    """A random run: what its tasks do, and what its branches follow."""

    seed: int
    graph: Graph
    scripts: Sequence[Script]
    maps: Mapping[int, MapModel]
    run_id: UUID = field(init=False)

    @staticmethod
    def draw(seed: int) -> Life:
        graph, scripts = random_run(seed, random.Random(seed).randint(1, 12))
        return Life(seed, graph, [each[0] for each in scripts], _draw_maps(seed, graph))

    def choice(self, task: int) -> Choice | None:
        if task not in self.graph.gated:
            return None
        chance, after = random.Random(f"{self.seed} {task}"), self.graph.downstream[task]
        return tuple(sorted(chance.sample(after, chance.randint(0, len(after)))))

    def report(self, key: AttemptKey, session: UUID) -> Report:
        """What the attempt's worker says, or the judge of a session that was lost."""
        script = self.scripts[key.task] if key.map_index < 0 else self.maps[key.task].scripts[key.map_index]
        outcome, failure = script[key.attempt_number - 1] if key.attempt_number <= len(script) else GOOD
        report = Report(key, outcome, failure, origin="worker")
        if outcome is AttemptState.LOST:
            report.origin, report.judged = None, session
        choice = self.choice(key.task)
        if outcome is AttemptState.SUCCESS and choice is not None:
            names = [self.graph.task_ids[each] for each in choice]
            said: object = bool(choice) if key.task in self.graph.short_circuits else names
            body = json.dumps(said).encode()
            report.output = Output("application/json", body, None, len(body), "")
        elif outcome is AttemptState.SUCCESS:
            value: object = key.map_index if key.map_index >= 0 else list(range(_list_length(self.seed, key.task)))
            body = json.dumps(value).encode()
            report.output = Output("application/json", body, None, len(body), "")
        return report

    def map_spec(self, task: int) -> MapSpec | None:
        model = self.maps.get(task)
        if model is None:
            return None
        source: Input = Literal(json.dumps([*range(len(model.scripts))]).encode())
        if model.over is not None:
            source = OutputRef(self.graph.task_ids[model.over])
        empty = MapEmpty.SKIP if model.empty_skips else MapEmpty.SUCCEED
        return MapSpec((MapInput("x", source),), MapMode.ZIP, model.window, model.ratio, empty)

    def check_item(self, each: Assigned) -> None:
        """An instance has its own item: its index, or null where the instance that it is mapped over says nothing."""
        if each.key.map_index >= 0:
            assert json.loads(each.item)["x"] in (each.key.map_index, None), f"seed {self.seed}: {each}"

    def spec(self) -> DagSpec:
        graph = self.graph
        setups = {each for setups in graph.teardowns.values() for each in setups}

        def role(task: int) -> TaskRole:
            if task in graph.teardowns:
                return TaskRole.TEARDOWN
            if task in graph.gated:
                return TaskRole.SHORT_CIRCUIT if task in graph.short_circuits else TaskRole.BRANCH
            return TaskRole.SETUP if task in setups else TaskRole.WORK

        tasks = [
            TaskSpec(
                name,
                Handler(HANDLER),
                upstream_task_ids=tuple(graph.task_ids[each] for each in graph.upstream[task]),
                trigger_rule=graph.rules[task],
                role=role(task),
                policy=ResolvedPolicy(retry=graph.retries[task]),
                map=self.map_spec(task),
            )
            for task, name in enumerate(graph.task_ids)
        ]
        return DagSpec("dag", tuple(tasks))

    def ends(self) -> list[TaskState]:
        chosen = {task: self.choice(task) for task in range(self.graph.size)}
        choices = {task: choice for task, choice in chosen.items() if choice is not None}
        return expected_ends(self.graph, self.scripts, {}, choices, self.maps)


def _draw_maps(seed: int, graph: Graph) -> dict[int, MapModel]:
    """In every other run some of the tasks that do work are mapped: over a literal, or the output of one before."""
    chance = random.Random(f"maps {seed}")
    setups = {each for setups in graph.teardowns.values() for each in setups}
    found: dict[int, MapModel] = {}
    for task in range(graph.size) if chance.random() < 0.5 else ():
        if task in graph.gated or task in graph.teardowns or task in setups or chance.random() < 0.6:
            continue
        before = [each for each in graph.upstream[task] if each not in graph.gated]
        over = chance.choice([None, *before]) if graph.rules[task] not in HASTY else None
        length = _list_length(seed, task if over is None else over)
        if over in found:
            length = len(found[over].scripts)
        scripts = [chance.choice(INSTANCE_SCRIPTS) for _ in range(length)]
        ratio = chance.choice([1.0, 1.0, 0.5, 0.25])
        found[task] = MapModel(scripts, chance.randint(1, 3), ratio, chance.random() < 0.5, over)
    return found


def _list_length(seed: int, task: int) -> int:
    return random.Random(f"list {seed} {task}").choice([0, 1, 2, 3, 5])


class Crowd:
    """Runs of many DAGs on one replica with one worker."""

    def __init__(self, room: StepRoom, lives: Sequence[Life], chance: random.Random) -> None:
        self.room, self.chance = room, chance
        self.lives = {life.seed: life for life in lives}
        self.by_run: dict[UUID, Life] = {}
        self.live: list[AttemptKey] = []
        self.ends_per_step = 200
        self.session: UUID

    async def begin(self) -> None:
        if await self.room.watcher.fetchval("select count(*) from dag") == 0:
            await self.room.store_dag(1)
        class_id = await self.room.watcher.fetchval("select class_id from task_class")
        for life in self.lives.values():
            self.room.version = await self.room.watcher.fetchval(
                """insert into dag_version (namespace, dag_id, dag_version_number, content_hash, spec, class_ids,
                                            create_time, created_by)
                   values ('default', 'dag', $1, $4, $2, $3, glidepath_now(), 'test') returning dag_version_id""",
                life.seed + 2,
                canonical_json(life.spec()),
                [class_id] * life.graph.size,
                str(life.seed),
            )
            life.run_id = await self.room.create_run(life.graph.size)
            self.by_run[life.run_id] = life
        self.session = await self.room.session()

    async def run(self, disturb: Callable[[Crowd], dict[UUID, RunWork]] | None = None) -> None:
        """Start all, then end attempts in any order until nothing is left."""
        async with self.room.side() as side:
            await side.seat(self.session, free=10_000)
            for batch in _batches([*self.by_run], RUNS_PER_BATCH):
                self._note(await side.step_and_commit({each: RunWork(events=[RunStarted()]) for each in batch}))
            for _ in range(STEPS_MAX):
                if disturb is not None:
                    for run_id, work in disturb(self).items():
                        await self._order(side, run_id, work)
                if not self.live:
                    outcome = await side.step_and_commit()
                    self._note(outcome)
                    if not outcome.assigned:
                        return
                self._note(await side.step_and_commit(self._ends()))
        raise AssertionError("the runs come to no end")

    async def _order(self, side: Any, run_id: UUID, work: RunWork) -> None:
        try:
            self._note(await side.step_and_commit({run_id: work}))
        except (StateConflict, NotFound):
            await side.rollback()  # no such order fits the run now

    def _ends(self) -> dict[UUID, RunWork]:
        self.chance.shuffle(self.live)
        some, self.live = self.live[: self.ends_per_step], self.live[self.ends_per_step :]
        batch: dict[UUID, RunWork] = {}
        for key in some:
            life = self.by_run[key.dag_run_id]
            batch.setdefault(key.dag_run_id, RunWork()).reports.append(life.report(key, self.session))
        return batch

    def _note(self, outcome: StepOutcome) -> None:
        assert not outcome.quarantined, outcome.quarantined
        for each in outcome.assigned:
            self.by_run[each.key.dag_run_id].check_item(each)
        self.live += [each.key for each in outcome.assigned]

    async def check(self) -> None:
        rows = await self.room.watcher.fetch("select dag_run_id, state, board from dag_run")
        assert len(rows) == len(self.lives)
        for row in rows:
            life = self.by_run[row["dag_run_id"]]
            ends = [TaskState(code) for code in row["board"][: life.graph.size]]
            assert ends == life.ends(), f"seed {life.seed}"
            assert RunState(row["state"]) in (RunState.SUCCESS, RunState.FAILED), f"seed {life.seed}"


def _batches(items: Sequence[UUID], size: int) -> list[Sequence[UUID]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


async def _judge(database_url: str) -> None:
    """What they did is what the checker allows, too; nobody has told these runs anything."""
    facts = await read_facts(database_url)
    for judge in (judge_arrows, judge_rules, judge_starts, judge_one_at_a_time):
        judgement = judge(facts)
        assert judgement.outcome == PASS, judgement


async def _as_the_model_says(room: StepRoom, database_url: str, seeds: range) -> None:
    lives = [Life.draw(seed) for seed in seeds]
    lives = [life for life in lives if not life.graph.run_retries_max]
    crowd = Crowd(room, lives, random.Random(seeds.start))
    await crowd.begin()
    await crowd.run()
    await crowd.check()
    await _judge(database_url)


async def test_random_dags_end_as_the_model_says(room: StepRoom, database_url: str) -> None:
    await _as_the_model_says(room, database_url, range(150))


@pytest.mark.prove
@pytest.mark.parametrize("first", range(0, 17_000, 500))
async def test_ten_thousand_random_dags_end_as_the_model_says(room: StepRoom, database_url: str, first: int) -> None:
    """Of these seeds three in five draw a DAG without retries of the run, which is what the model is about."""
    await _as_the_model_says(room, database_url, range(first, first + 500))


# ---- every arrow
def _orders(crowd: Crowd) -> dict[UUID, RunWork]:
    """Now and then an operator, or the clock, wants something of a run."""
    run_ids = crowd.chance.sample([*crowd.by_run], 12)
    return {run_id: RunWork(command=Command(_order(crowd, run_id))) for run_id in run_ids}


def _order(crowd: Crowd, run_id: UUID) -> Event:
    chance, graph = crowd.chance, crowd.by_run[run_id].graph
    tasks = tuple(sorted(chance.sample(range(graph.size), chance.randint(1, min(3, graph.size)))))
    maps = crowd.by_run[run_id].maps
    kinds = ["cancel", "clear", "clear", *["mark"] * 5, "cancel run", "time out", "pause", "resume", "resume"]
    kind = chance.choice([*kinds, *["clear instances", "mark instances"] * 3] if maps else kinds)
    if kind == "mark instances":
        indexes = tuple(sorted({chance.randint(0, 4) for _ in range(2)}))
        words = [TaskEvent.CANCEL, *sorted(MARKS)]
        return InstancesMarked(chance.choice(sorted(maps)), indexes, chance.choice(words), "said so")
    if kind == "clear instances":
        task = chance.choice(sorted(maps))
        indexes = tuple(sorted({chance.randint(0, 4) for _ in range(2)}))
        return TasksCleared(tuple(sorted(graph.closure([task]))), cancel_running=True, instances={task: indexes})
    if kind == "clear":
        return TasksCleared(tuple(sorted(graph.closure(tasks))), cancel_running=True)
    if kind == "mark":
        return TasksMarked(tasks, chance.choice(sorted(MARKS)), "said so")
    events: dict[str, Event] = {
        "cancel": TasksCancelled(tasks),
        "cancel run": RunCancelled(),
        "pause": RunPaused(tasks, "ann"),
        "resume": RunResumed((), "ann"),
    }
    return events.get(kind, RunTimedOut())


async def test_every_arrow_of_every_machine_is_crossed_through_the_store_and_no_other(room: StepRoom) -> None:
    """Which arrows a crowd crosses is chance (its runs' ids order the rows): others come until none is missing."""
    # No task of these asks anybody (see tests/api/test_approvals.py), no run is moved to another version.
    elsewhere = {TaskState.WAITING, TaskState.REMOVED}
    wanted = {arrow for arrow in _arrows(TASK_TRANSITIONS) if elsewhere.isdisjoint(arrow)}
    for first in range(0, 1200, 120):
        await _live_with_orders(room, range(first, first + 120))
        tasks, runs = await _crossed(room)
        assert tasks <= _arrows(TASK_TRANSITIONS) and runs <= _run_arrows(), "an arrow that is not in the table"
        missing = sorted(f"{was.name} > {now.name}" for was, now in wanted - tasks)
        if not missing:
            break
    assert not missing, "arrows of tasks that were never crossed"
    assert not {(was, now) for (was, _), now in RUN_TRANSITIONS.items() if was is not now} - runs
    ends = {row["state"] for row in await room.watcher.fetch("select distinct state from task_attempt")}
    assert ends | {"deferred", "called"} == {state.value for state in ATTEMPT_TRANSITIONS.values()}


async def _mark_what_never_ran(room: StepRoom, lives: Sequence[Life]) -> None:
    """Orders seldom meet it: a task that could not run because of others has failed, an operator says."""
    sql = "select board from dag_run where dag_run_id = $1 and state = 'failed' and not quarantined"
    for life in lives:
        board = await room.watcher.fetchval(sql, life.run_id) or b""
        task = board[: life.graph.size].find(int(TaskState.UPSTREAM_FAILED))
        if task >= 0:
            event = TasksMarked((task,), TaskEvent.MARK_FAILED, "said so")
            async with room.side() as side:
                await side.step_and_commit({life.run_id: RunWork(command=Command(event))})
            return


async def _live_with_orders(room: StepRoom, seeds: range) -> None:
    crowd = Crowd(room, [Life.draw(seed) for seed in seeds], random.Random(seeds.start + 1))
    await crowd.begin()
    crowd.ends_per_step = 10
    lives = [*crowd.lives.values()]
    waits = [life for life in lives if life.seed % 10 == 0]
    async with room.side() as side:  # some are cancelled before they start
        for life in waits:
            await side.step_and_commit({life.run_id: RunWork(command=Command(RunCancelled()))})
    for life in waits:
        del crowd.by_run[life.run_id]
    await crowd.run(_orders_for(100))
    await _mark_what_never_ran(room, lives)


def _orders_for(steps: int) -> Callable[[Crowd], dict[UUID, RunWork]]:
    """Orders for so many steps; then what is paused is resumed, and the runs are left in peace."""
    left = iter(range(steps + 1))

    def orders(crowd: Crowd) -> dict[UUID, RunWork]:
        step = next(left, None)
        if step == steps:
            return {run_id: RunWork(command=Command(RunResumed((), "ann"))) for run_id in crowd.by_run}
        return _orders(crowd) if step is not None else {}

    return orders


def _arrows(table: dict[tuple[TaskState, Any], TaskState]) -> set[tuple[TaskState, TaskState]]:
    """From where to where. A retry is a new attempt in the same state, which no event of the run shows."""
    return {(was, now) for (was, _), now in table.items() if was is not now}


def _run_arrows() -> set[tuple[RunState, RunState]]:
    """One step may cross several arrows, as from queued over running to an end."""
    arrows = {(was, now) for (was, _), now in RUN_TRANSITIONS.items()}
    while more := {(a, d) for a, b in arrows for c, d in arrows if b is c} - arrows:
        arrows |= more
    return arrows


async def _crossed(room: StepRoom) -> tuple[set[tuple[TaskState, TaskState]], set[tuple[RunState, RunState]]]:
    """Arrows of tasks and of runs, from the events of all runs."""
    tasks, runs = set(), set()
    boards: dict[tuple[UUID, int], TaskState] = {}
    states: dict[UUID, RunState] = {}
    for row in await room.watcher.fetch("select * from dag_run_event order by dag_run_id, revision"):
        run_id, state = row["dag_run_id"], RunState(row["run_state"])
        was_run = states.get(run_id, RunState.QUEUED)
        if was_run is not state:
            runs.add((was_run, state))
        states[run_id] = state
        instances = row["map_indexes"] or [-1] * len(row["task_indexes"])
        for task, index, code in zip(row["task_indexes"], instances, row["states"], strict=True):
            if index >= 0:
                continue  # see tests/checker/judges/maps.py
            was = boards.get((run_id, task), TaskState.SCHEDULED)
            boards[run_id, task] = TaskState(code)
            if was is not TaskState(code):
                tasks.add((was, TaskState(code)))
    return tasks, runs
