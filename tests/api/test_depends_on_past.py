"""Tasks that start only once the same task in the run before has ended well."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from runs_room import SOON_SECONDS, Hand, Room, dag, open_room, run_state, state_name, timestamp

from glidepath_proto.registry.v1 import dag_pb2
from glidepath_proto.run.v1 import run_pb2
from glidepath_server.core.states import AttemptState
from glidepath_server.loops.past import past_sweeper

WAITED_FOR = "select previous_run_id from past_wait where dag_run_id = $1::uuid"
CHURN = {"load": [], "train": ["load"]}


def spec(tasks: dict[str, list[str]] = CHURN, *, past: bool = True) -> dag_pb2.DagSpec:
    """`train` depends on the past."""
    found = dag("churn", tasks)
    for each in found.tasks:
        if each.task_id == "train" and past:
            each.policy.depends_on_past = True
    return found


@asynccontextmanager
async def house(database_url: str, slots: int = 4, **overrides: Any) -> AsyncIterator[tuple[Room, Hand]]:
    async with open_room(database_url, **overrides) as room:
        await room.register(spec())
        hand = Hand(room.server, slots)
        await hand.connect()
        yield room, hand


async def day(room: Room, number: int) -> str:
    run_id: str = (
        (await room.trigger({"dag_id": "churn", "logical_date": timestamp(f"2026-01-{number:02}T00:00:00Z")}))
        .runs[0]
        .dag_run_id
    )
    return run_id


async def loaded(room: Room, hand: Hand, number: int) -> str:
    """A run of which `load` has ended."""
    run_id = await day(room, number)
    await hand.end("load")
    return run_id


async def waiting(room: Room, run_id: str) -> run_pb2.Explanation:
    """Why `train` waits, once it does."""
    await room.watch(run_id, load="success")
    [why] = (await room.call("ExplainDagRun", dag_run_id=run_id, task_id="train")).explanations
    return why


async def test_a_task_waits_until_it_has_succeeded_in_the_run_before(database_url: str) -> None:
    async with house(database_url) as (room, hand):
        first, second = await loaded(room, hand, 1), await loaded(room, hand, 2)
        why = await waiting(room, second)
        assert why.wait == run_pb2.Explanation.WAIT_PAST and state_name(why.state) == "scheduled"
        assert why.message == (
            f"depends on the past: waits for the same task in the run before, run {first} (2026-01-01 00:00:00 UTC), "
            "which has yet to end"
        )
        assert why.hint == f"glidepath run explain {first}"
        assert (await hand.take("train")).key.dag_run_id.hex == first.replace("-", "")
        await hand.end("train")
        assert run_state(await room.watch(first)) == "success"
        await hand.end("train")
        assert run_state(await room.watch(second)) == "success"
        assert await room.rows("select from past_wait") == []


async def test_a_failure_holds_back_the_next_run_until_it_is_cleared_and_succeeds(database_url: str) -> None:
    async with house(database_url) as (room, hand):
        first = await loaded(room, hand, 1)
        await hand.end("train", AttemptState.FAILED)
        assert run_state(await room.watch(first)) == "failed"
        second = await loaded(room, hand, 2)
        why = await waiting(room, second)
        assert why.message.endswith(f"run {first} (2026-01-01 00:00:00 UTC): failed")
        assert why.hint == f"glidepath run clear {first} --task train  # or glidepath run mark"
        await room.call("ClearTaskInstances", dag_run_id=first, task_ids=["train"])
        await hand.end("train")
        assert run_state(await room.watch(first)) == "success"
        await hand.end("train")
        assert run_state(await room.watch(second)) == "success"


async def test_a_mark_lets_the_next_run_go_on(database_url: str) -> None:
    async with house(database_url) as (room, hand):
        first = await loaded(room, hand, 1)
        await hand.end("train", AttemptState.FAILED)
        second = await loaded(room, hand, 2)
        await waiting(room, second)
        await room.call("MarkTaskInstances", dag_run_id=first, task_ids=["train"], state="TASK_STATE_SKIPPED")
        await hand.end("train")
        assert run_state(await room.watch(second)) == "success"


async def test_a_run_that_waits_can_be_cancelled(database_url: str) -> None:
    async with house(database_url) as (room, hand):
        await loaded(room, hand, 1)
        second = await loaded(room, hand, 2)
        await waiting(room, second)
        await room.call("CancelDagRun", dag_run_id=second)
        assert run_state(await room.watch(second)) == "cancelled"
        assert await room.rows("select from past_wait") == []


async def test_an_earlier_run_that_comes_late_disturbs_nothing_that_has_started(database_url: str) -> None:
    async with house(database_url) as (room, hand):
        later = await loaded(room, hand, 5)
        await hand.take("train")
        earlier = await day(room, 3)
        await hand.take("load")
        await past_sweeper(room.server.engine).once()
        assert (await room.states(later))["train"] == "running"
        await hand.end("train")
        assert run_state(await room.watch(later)) == "success"
        await hand.end("load")
        await hand.end("train")
        assert run_state(await room.watch(earlier)) == "success"


async def test_a_run_that_comes_between_is_the_run_before_from_then_on(database_url: str) -> None:
    async with house(database_url, slots=1) as (room, hand):
        first = await loaded(room, hand, 1)
        await hand.take("train")
        hand.free += 1
        later = await loaded(room, hand, 9)
        await waiting(room, later)
        between = await loaded(room, hand, 5)
        await past_sweeper(room.server.engine).once()
        await hand.end("train")
        assert run_state(await room.watch(first)) == "success"
        assert (await hand.take("train")).key.dag_run_id.hex == between.replace("-", "")
        assert between in (await waiting(room, later)).message
        await hand.end("train")
        await hand.end("train")
        assert run_state(await room.watch(later)) == "success"


async def test_a_run_that_comes_between_lets_go_what_waited_for_one_that_failed(database_url: str) -> None:
    async with house(database_url) as (room, hand):
        await loaded(room, hand, 1)
        await hand.end("train", AttemptState.FAILED)
        later = await loaded(room, hand, 9)
        await waiting(room, later)
        between = await loaded(room, hand, 5)
        await waiting(room, between)
        await past_sweeper(room.server.engine).once()
        async with asyncio.timeout(SOON_SECONDS):
            while str((await room.rows(WAITED_FOR, later))[0]["previous_run_id"]) != between:
                await asyncio.sleep(0.02)
        await room.call("MarkTaskInstances", dag_run_id=between, task_ids=["train"], state="TASK_STATE_SUCCESS")
        await hand.end("train")
        assert run_state(await room.watch(later)) == "success"


async def test_a_run_before_without_that_task_holds_nobody_back(database_url: str) -> None:
    async with house(database_url) as (room, hand):
        await room.register(dag("churn", {"load": []}))
        await loaded(room, hand, 1)
        await room.register(spec({"another": [], **CHURN}))
        second = await loaded(room, hand, 2)
        await hand.end("another")
        await hand.end("train")
        assert run_state(await room.watch(second)) == "success"


async def test_a_version_that_knows_of_no_such_waits_is_found_by_the_sweep(database_url: str) -> None:
    async with house(database_url) as (room, hand):
        await room.register(spec(past=False))
        first = await loaded(room, hand, 1)
        await room.register(spec({"another": [], **CHURN}))
        second = await loaded(room, hand, 2)
        assert (await waiting(room, second)).wait == run_pb2.Explanation.WAIT_PAST
        await hand.end("another")
        await hand.end("train")
        assert run_state(await room.watch(first)) == "success"
        await past_sweeper(room.server.engine).once()
        await hand.end("train")
        assert run_state(await room.watch(second)) == "success"


async def test_runs_of_one_date_go_by_their_ids(database_url: str) -> None:
    async with house(database_url) as (room, hand):
        first, second = await loaded(room, hand, 1), await loaded(room, hand, 1)
        assert first in (await waiting(room, second)).message
        await hand.end("train")
        await hand.end("train")
        assert run_state(await room.watch(second)) == "success"
