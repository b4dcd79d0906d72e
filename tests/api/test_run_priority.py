"""Who of what waits goes first, said anew by an operator: for runs and for single tasks of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from runs_room import Hand, Room, dag, open_room

pytestmark = pytest.mark.asyncio
ABREAST = {f"t{number}": [] for number in range(3)}


@pytest_asyncio.fixture
async def room(database_url: str) -> AsyncIterator[Room]:
    async with open_room(database_url) as found:
        await found.register(dag("churn", ABREAST))
        await found.register(dag("chain", {"a": [], "b": ["a"]}))
        yield found


async def waiting(room: Room) -> str:
    """A run whose three tasks all wait."""
    run_id = await room.start("churn")
    await room.watch(run_id, **dict.fromkeys(ABREAST, "queued"))
    return run_id


async def order(room: Room) -> list[tuple[str, int]]:
    """Runs and tasks that wait, in the order of their queue."""
    rows = await room.rows("select dag_run_id, task_index, order_key, priority from task_queue order by order_key")
    return [(str(row["dag_run_id"]), row["task_index"]) for row in rows]


async def said(room: Room) -> list[str]:
    rows = await room.rows("select target from audit_event where action = 'dag_run.priority'")
    return [row["target"] for row in rows]


async def test_what_waits_of_a_run_goes_before_what_waited_before_it(room: Room) -> None:
    first, second = await waiting(room), await waiting(room)
    assert [run_id for run_id, _ in await order(room)] == [first] * 3 + [second] * 3
    answer = await room.call("SetDagRunPriority", dag_run_id=second, priority=1)
    assert answer.moved == 3 and answer.dag_run.dag_run_id == second
    assert [run_id for run_id, _ in await order(room)] == [second] * 3 + [first] * 3
    hand = Hand(room.server, 1)
    await hand.connect()
    assert str((await hand.take("t0")).key.dag_run_id) == second


async def test_a_single_task_moves_and_a_word_on_the_run_takes_that_back(room: Room) -> None:
    run_id = await waiting(room)
    assert (await room.call("SetDagRunPriority", dag_run_id=run_id, priority=5, task_ids=["t2"])).moved == 1
    assert [task for _, task in await order(room)] == [2, 0, 1]
    assert (await room.call("SetDagRunPriority", dag_run_id=run_id, priority=7)).moved == 3
    assert [task for _, task in await order(room)] == [0, 1, 2]
    assert (await room.call("SetDagRunPriority", dag_run_id=run_id)).moved == 3
    assert [row["priority"] for row in await room.rows("select priority from task_queue")] == [0, 0, 0]
    assert await room.rows("select from dag_run where priorities is not null") == []


async def test_what_a_run_releases_later_goes_by_the_new_word(room: Room) -> None:
    run_id = await room.start("chain")
    await room.watch(run_id, a="queued")
    await room.call("SetDagRunPriority", dag_run_id=run_id, priority=3)
    await room.call("SetDagRunPriority", dag_run_id=run_id, priority=9, task_ids=["b"])
    hand = Hand(room.server, 1)
    await hand.connect()
    await hand.take("a")
    hand.free = -1  # its next credit is none
    await hand.end("a")
    await room.watch(run_id, b="queued")
    (row,) = await room.rows("select task_index, priority from task_queue")
    assert (row["task_index"], row["priority"]) == (1, 9)


async def test_a_repeated_request_has_one_effect_and_one_audit_row(room: Room) -> None:
    run_id = await waiting(room)
    call = {"dag_run_id": run_id, "priority": 4, "request_id": "once"}
    answers = await asyncio.gather(*(room.call("SetDagRunPriority", **call) for _ in range(4)))
    assert [each.moved for each in answers] == [3] * 4 and await said(room) == [f"dag_run/{run_id}"]
    keys = await room.rows("select order_key, priority from task_queue")
    assert {row["priority"] for row in keys} == {4} and max(row["order_key"] for row in keys) < 0
    # Another request that says the same changes nothing, and is not audited.
    assert (await room.call("SetDagRunPriority", dag_run_id=run_id, priority=4)).moved == 0
    assert await said(room) == [f"dag_run/{run_id}"]
