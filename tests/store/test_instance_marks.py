"""Single instances of mapped tasks, marked and cancelled through the real store; and in a race with the engine."""

from __future__ import annotations

import asyncio
import json
import os
import random
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest
from step_room import SOON_SECONDS, Seat, StepRoom, command, ends
from test_mapped_runs import (
    AFTER,
    BROKEN,
    FROM_OUTPUT,
    MAPPED,
    Maps,
    failed_in_the_middle,
    literal,
    output,
    succeeded,
)

from glidepath_server.core.definition import MapInput, MapSpec, OutputRef
from glidepath_server.core.errors import NotFound, StateConflict
from glidepath_server.core.events import (
    AttemptKey,
    InstancesMarked,
    RunPaused,
    RunStarted,
    TasksCancelled,
    TasksCleared,
    TasksMarked,
)
from glidepath_server.core.states import MARKS, AttemptState, RunState, TaskEvent, TaskState
from glidepath_server.operations.audit import append_audit
from glidepath_server.operations.map_tasks import gathered_output
from glidepath_server.operations.step_runs import Step
from glidepath_server.operations.step_types import Assigned, Command, Replica, Report, RunWork
from glidepath_server.store import engine
from glidepath_server.store.database import transaction
from tests.checker.judges.attempts import judge_one_at_a_time, judge_starts
from tests.checker.judges.states import judge_arrows, judge_rules
from tests.checker.read_database import read_facts
from tests.checker.report import PASS

SUCCESS, FAILED, SKIPPED = TaskEvent.MARK_SUCCESS, TaskEvent.MARK_FAILED, TaskEvent.MARK_SKIPPED
CANCEL = TaskEvent.CANCEL
HALF = MapSpec((MapInput("x", OutputRef("task0")),), active_max=2, success_ratio_min=0.5)


def say(maps: Maps, mark: TaskEvent, *indexes: int) -> dict[uuid.UUID, RunWork]:
    return command(maps.run_id, InstancesMarked(MAPPED, indexes, mark, "by ann"))


async def rows(room: StepRoom) -> dict[int, int]:
    return dict(await room.watcher.fetch("select map_index, state from instance_mark"))


async def gathered(maps: Maps) -> Any:
    (after,) = await maps.claim()
    assert after.key.task == AFTER
    return json.loads(after.upstream[MAPPED].body or b"")


async def test_instances_in_every_place_have_the_end_that_is_said_and_the_list_has_none_of_them(room: StepRoom) -> None:
    maps = await Maps.begin(room, HALF)
    await maps.before([1, 2, 3, 4, 5])
    done, live = await maps.claim(2)
    await maps.succeed([done])
    assert [row["map_index"] for row in await room.watcher.fetch("select map_index from task_queue")] == [2]
    async with room.side() as side:
        outcome = await side.step_and_commit(say(maps, SKIPPED, 0, 1, 2, 4))
    assert [order.key for order in outcome.cancels] == [live.key]
    assert await rows(room) == dict.fromkeys((0, 1, 2, 4), TaskState.SKIPPED)
    (last,) = await maps.claim()
    assert last.key.map_index == 3, "what is marked is not given out"
    await maps.step(ends([live.key], output=output("late")))
    await maps.succeed([last])
    assert await gathered(maps) == [None, None, None, 40, None]
    counts = (await maps.board()).maps[MAPPED]
    assert (counts.skipped, counts.success, counts.out, counts.left) == (4, 1, 0, 0)


async def test_what_is_marked_a_success_that_had_succeeded_is_in_the_list_again(room: StepRoom) -> None:
    maps = await Maps.begin(room)
    await maps.before([1, 2, 3])
    first, *others = await maps.claim()
    await maps.succeed([first])
    await maps.step(say(maps, FAILED, 0))
    await maps.step(say(maps, SUCCESS, 0))
    await maps.succeed(others)
    assert await gathered(maps) == [10, 20, 30]


async def test_an_instance_that_runs_again_has_the_end_that_it_comes_to_then(room: StepRoom) -> None:
    maps = await failed_in_the_middle(room)
    await maps.step(say(maps, SKIPPED, 0))
    await maps.step(command(maps.run_id, TasksCleared((MAPPED, AFTER), instances={MAPPED: (0, 1)})))
    assert await rows(room) == {}
    await maps.succeed(await maps.claim())
    assert await gathered(maps) == [10, 20, 30]


async def test_a_map_that_begins_anew_knows_nothing_of_marks_before(room: StepRoom) -> None:
    maps = await failed_in_the_middle(room)
    await maps.step(say(maps, FAILED, 0))
    await maps.step(command(maps.run_id, TasksCleared((0, MAPPED, AFTER))))
    await maps.before([5])
    assert await rows(room) == {}
    await maps.step(say(maps, SUCCESS, 0))
    assert await gathered(maps) == [None]


async def test_states_of_a_longer_life_of_a_map_are_not_those_of_instances_to_come(room: StepRoom) -> None:
    """The history has them, of indexes whose turn has not come yet in this one."""
    maps = await Maps.begin(room, MapSpec(FROM_OUTPUT.inputs, active_max=1))
    await maps.before([1, 2, 3])
    for _ in range(3):
        await maps.succeed(await maps.claim(1))
    await maps.step(command(maps.run_id, TasksCleared((0, MAPPED, AFTER))))
    await maps.before([1, 2, 3])
    await maps.step(say(maps, SUCCESS, 2))
    assert (await maps.board()).maps[MAPPED].ahead == {2}


async def test_a_failed_instance_marked_as_success_is_no_dead_letter_and_the_run_ends_as_its_tasks(
    room: StepRoom,
) -> None:
    maps = await failed_in_the_middle(room)
    await maps.step(say(maps, SUCCESS, 1))
    assert await room.watcher.fetchval("select count(*) from dead_letter") == 0
    board = await maps.board()
    assert list(board.states) == [TaskState.SUCCESS, TaskState.SUCCESS, TaskState.UPSTREAM_FAILED]
    assert board.state is RunState.FAILED
    await maps.step(command(maps.run_id, TasksCleared((AFTER,))))
    assert await gathered(maps) == [10, None, 30]


async def test_a_map_that_is_marked_failed_though_all_have_good_ends_runs_again_as_a_whole(room: StepRoom) -> None:
    """Also where some have their ends before their turn: then nothing of it is left either."""
    maps = await Maps.begin(room, MapSpec(FROM_OUTPUT.inputs, active_max=1))
    await maps.before([1, 2, 3])
    await maps.step(command(maps.run_id, TasksCancelled((MAPPED,))))
    await maps.step(say(maps, SUCCESS, 0, 1, 2))
    counts = (await maps.board()).maps[MAPPED]
    assert counts.ahead == {1, 2} and counts.left == 0
    await maps.step(command(maps.run_id, TasksMarked((MAPPED,), FAILED, "by ann")))
    await maps.step(command(maps.run_id, TasksCleared((MAPPED, AFTER), only_failed=True)))
    for _ in range(3):
        await maps.succeed(await maps.claim(1))
    assert await gathered(maps) == [10, 20, 30]


@pytest.mark.parametrize("paused", [False, True])
async def test_an_instance_that_was_to_run_again_when_its_map_was_cancelled_has_no_output(
    room: StepRoom, paused: bool
) -> None:
    """It counts as cancelled, and what it said when it ran before is no longer so."""
    maps = await succeeded(room)
    if paused:
        await maps.step(command(maps.run_id, RunPaused((MAPPED,), "ann")))
    await maps.step(command(maps.run_id, TasksCancelled((MAPPED,), "by ann")))
    counts = (await maps.board()).maps[MAPPED]
    assert (counts.success, counts.cancelled) == (1, 1)
    async with room.database.worker.acquire() as connection, connection.transaction():
        found = await gathered_output(connection, "default", maps.run_id, MAPPED)
    assert found is not None and json.loads(found.body or b"") == [10, None]
    assert await rows(room) == {1: TaskState.CANCELLED}


async def test_one_instance_is_cancelled_and_the_others_go_on(room: StepRoom) -> None:
    maps = await Maps.begin(room, HALF)
    await maps.before([1, 2, 3, 4])
    live, other = await maps.claim(2)
    async with room.side() as side:
        outcome = await side.step_and_commit(say(maps, CANCEL, 0, 3))
    assert [order.key for order in outcome.cancels] == [live.key]
    await maps.step(ends([live.key], AttemptState.CANCELLED))
    await maps.succeed([other, *await maps.claim()])
    assert await gathered(maps) == [None, 20, 30, None]
    assert await rows(room) == {3: TaskState.CANCELLED}, "of a live one its attempt says so"
    with pytest.raises(StateConflict, match=r"task1\[1\] has already ended: success"):
        await maps.step(say(maps, CANCEL, 1, 3))


async def test_a_mark_that_waits_for_an_attempt_is_kept_over_its_retries(room: StepRoom) -> None:
    maps = await Maps.begin(room, HALF, retries=3)
    await maps.before([1, 2])
    live, other = await maps.claim(2)
    await maps.step(say(maps, SUCCESS, 0))
    await maps.step(ends([live.key], AttemptState.FAILED, failure=BROKEN))
    assert await room.queued() == {}
    await maps.succeed([other])
    assert await gathered(maps) == [None, 20]
    assert (await maps.board()).maps[MAPPED].success == 2


@pytest.mark.parametrize("indexes", [(3,), (-1,)])
async def test_an_instance_that_is_not_there_is_refused_and_nothing_is_said_of_the_others(
    room: StepRoom, indexes: tuple[int, ...]
) -> None:
    maps = await failed_in_the_middle(room)
    with pytest.raises(NotFound, match=rf"task1 has no instance {indexes[0]}, it has 3"):
        await maps.step(say(maps, SUCCESS, 0, *indexes))
    assert await rows(room) == {}


# ---- the race
LENGTH, MAP, BEHIND = 5, 0, 1
WORDS: Mapping[str, TaskEvent | None] = {
    "success": SUCCESS, "failed": FAILED, "skipped": SKIPPED, "cancel": CANCEL, "clear": None
}  # fmt: skip


class Race:
    """Runs of one DAG: a map of five, of which two may be out, and a task behind it. What operators say is audited, for
    the checker."""

    def __init__(self, room: StepRoom, session_id: uuid.UUID) -> None:
        self.room, self.session_id = room, session_id
        self.live: list[Assigned] = []

    async def act(self, batch: dict[uuid.UUID, RunWork], *, free: int = 0) -> None:
        replica = Replica()
        async with transaction(self.room.database.worker, "test") as connection:
            replica.pullers.learn(await engine.task_classes(connection, 0))
            if free:
                replica.pullers.add(Seat(self.session_id, 1, free))
            outcome = await Step(replica, batch, wait_seconds=SOON_SECONDS if batch else None).run(connection)
        assert not outcome.quarantined and not outcome.missed
        self.live += outcome.assigned

    async def end(self, key: AttemptKey) -> None:
        self.live = [each for each in self.live if each.key != key]
        report = Report(key, AttemptState.SUCCESS, output=output(1), origin="worker")
        await self.act({key.dag_run_id: RunWork(reports=[report])})

    async def say(self, run_id: uuid.UUID, word: str, indexes: tuple[int, ...]) -> None:
        mark = WORDS[word]
        event: InstancesMarked | TasksCleared = TasksCleared((MAP, BEHIND), True, instances={MAP: indexes})
        if mark is not None:
            event = InstancesMarked(MAP, indexes, mark, "by ann")
        action = "clear" if mark is None else "cancel" if mark is CANCEL else "mark"

        async def within(connection: Any, now: datetime, completed: Any) -> None:
            detail: dict[str, Any] = {"task_ids": [f"task{task}" for task in completed.tasks]}
            detail |= {"map_indexes": {"task0": list(indexes)}} | ({"state": word} if action == "mark" else {})
            told = {"action": f"task_instance.{action}", "target": f"dag_run/{run_id}", "detail": detail, "now": now}
            await append_audit(connection, namespace="default", actor="ann", **told)  # type: ignore[arg-type]

        try:
            await self.act({run_id: RunWork(command=Command(event, within))})
        except StateConflict:
            pass  # a cancel of what has ended

    async def round(self, seed: int) -> None:
        chance = random.Random(seed)
        run_id = await self.room.create_run(2)
        await self.act({run_id: RunWork(events=[RunStarted()])})
        await self.act({}, free=2)
        keys = sorted(each.key for each in self.live)
        await self.end(keys[1])  # so one is live, one has ended, one is queued, and two are to come
        words = [chance.choice(sorted(WORDS)) for _ in range(chance.randint(1, 3))]
        said = [(word, tuple(chance.sample(range(LENGTH), chance.randint(1, 2)))) for word in words]
        doing = [*(self.say(run_id, *each) for each in said), self.act({}, free=2), self.end(keys[0])]
        chance.shuffle(doing)
        async with asyncio.timeout(2 * SOON_SECONDS):
            await asyncio.gather(*doing)
        while True:
            await self.act({}, free=10)
            if not self.live:
                break
            for each in list(self.live):
                await self.end(each.key)
        await self.check(run_id, seed, said)

    async def check(self, run_id: uuid.UUID, seed: int, said: list[tuple[str, tuple[int, ...]]]) -> None:
        states = {
            row["map_index"]: TaskState(row["state"]).name.lower()
            for row in await self.room.watcher.fetch(
                """select distinct on (u.map_index) u.map_index, get_byte(e.states, (u.ord - 1)::integer) as state
                   from dag_run_event e cross join lateral
                        unnest(e.task_indexes, e.map_indexes) with ordinality as u (task_index, map_index, ord)
                   where e.dag_run_id = $1 and u.map_index >= 0
                   order by u.map_index, e.revision desc, u.ord desc""",
                run_id,
            )
        }
        for index in range(LENGTH):
            words = {word for word, indexes in said if index in indexes}
            allowed = words & {"success", "failed", "skipped"}
            # A cancel may come too late, or take back a mark that waits; what is cleared runs again.
            allowed |= {"cancelled", "success"} if "cancel" in words else set()
            allowed |= {"success"} if not words or "clear" in words else set()
            assert states.get(index) in allowed, f"seed {seed}: task0[{index}] ended {states.get(index)} after {said}"


async def races(room: StepRoom, database_url: str, seeds: range) -> None:
    over = MapSpec((MapInput("x", literal(*range(LENGTH))),), active_max=2, success_ratio_min=0.5)
    await room.store_dag(2, maps={MAP: over}, upstream={BEHIND: [MAP]})
    race = Race(room, await room.session())
    for number, seed in enumerate(seeds, 1):
        if number % 100 == 0:  # nobody renews its lease
            race.session_id = await room.session(f"worker{number}")
        await race.round(seed)
    facts = await read_facts(database_url)
    for judge in (judge_arrows, judge_rules, judge_starts, judge_one_at_a_time):
        judgement = judge(facts)
        assert judgement.breaks == 0, judgement
    assert judge_arrows(facts).outcome == PASS
    assert {audit.detail.get("state") for audit in facts.audits} >= {MARKS[mark].name.lower() for mark in MARKS}


async def test_operators_race_with_the_engine_over_single_instances(room: StepRoom, database_url: str) -> None:
    await races(room, database_url, range(40))


@pytest.mark.prove
@pytest.mark.timeout(1200)
async def test_a_thousand_races_over_single_instances(room: StepRoom, database_url: str) -> None:
    first = int(os.environ.get("RACE_SEED", "1000"))
    await races(room, database_url, range(first, first + 1000))
