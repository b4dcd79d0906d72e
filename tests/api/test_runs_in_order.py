"""Runs of a DAG that go one after the other, by their logical dates."""

from __future__ import annotations

from typing import Any

from runs_room import CHAIN, Room, dag, open_room, run_state, timestamp

from glidepath_proto.run.v1 import run_pb2
from glidepath_server.store import engine

ONE = {"load": []}


def day(number: int) -> dict[str, Any]:
    return {"dag_id": "churn", "logical_date": timestamp(f"2026-01-{number:02}T00:00:00Z")}


async def made(room: Room, *days: int) -> list[str]:
    """Runs of these days, created in one call each, in this order."""
    return [(await room.trigger(day(number))).runs[0].dag_run_id for number in days]


async def admitted(room: Room) -> list[str]:
    rows = await room.rows("select dag_run_id from dag_run where admitted and state in ('queued', 'running')")
    return [str(row["dag_run_id"]) for row in rows]


async def end(room: Room, run_id: str) -> None:
    await room.call("CancelDagRun", dag_run_id=run_id)
    assert run_state(await room.watch(run_id)) == "cancelled"


async def test_runs_go_by_logical_date_and_one_after_the_other(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", CHAIN, runs_in_order=True))
        assert (await room.rows("select capacity from concurrency_limit where kind = 'dag_runs'"))[0]["capacity"] == 1
        third, fifth, second, also_second = await made(room, 3, 5, 2, 2)
        for run_id in (third, second, also_second, fifth):  # nothing ran when the third day came
            await room.watch(run_id, load="queued")
            assert await admitted(room) == [run_id]
            await end(room, run_id)


async def test_runs_of_one_call_start_with_the_earliest(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", ONE, runs_in_order=True))
        answer = await room.trigger(day(9), day(4), day(7))
        assert await admitted(room) == [answer.runs[1].dag_run_id]


async def test_a_run_that_waits_for_its_turn_names_the_run_before(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", ONE, runs_in_order=True))
        first, later, next_one = await made(room, 1, 5, 2)
        await room.watch(first, load="queued")
        for waiting in (later, next_one):
            [why] = (await room.call("ExplainDagRun", dag_run_id=waiting)).explanations
            assert why.wait == run_pb2.Explanation.WAIT_LIMIT
            assert why.message == (
                "the runs of churn go one after the other, by logical date: "
                f"run {first} (2026-01-01 00:00:00 UTC) has yet to end"
            )
            assert why.hint == f"glidepath run explain {first}"


async def test_a_cancelled_run_that_waits_lets_nobody_pass_it(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", ONE, runs_in_order=True))
        first, second, third = await made(room, 1, 2, 3)
        await room.watch(first, load="queued")
        await end(room, second)
        assert await admitted(room) == [first]
        await end(room, first)
        await room.watch(third, load="queued")


async def test_whoever_holds_the_next_run_holds_back_those_after_it(database_url: str) -> None:
    async with open_room(database_url, poll_interval_seconds=3600.0) as room:
        await room.register(dag("churn", ONE))
        [limit] = await room.rows(
            "update concurrency_limit set capacity = 1, in_order = true where kind = 'dag_runs' returning limit_id"
        )
        first, second, _ = await made(room, 1, 2, 3)
        await room.watch(first, load="queued")
        async with room.database.worker.acquire() as holder, room.database.worker.acquire() as other:
            async with holder.transaction():
                await holder.execute("select from dag_run where dag_run_id = $1::uuid for update", second)
                await end(room, first)
                async with other.transaction():
                    assert await engine.admit_runs(other, "default", "churn", limit["limit_id"]) == []
            async with other.transaction():
                found = await engine.admit_runs(other, "default", "churn", limit["limit_id"])
                assert [str(each) for each in found] == [second]
            async with other.transaction():
                assert await engine.admit_runs(other, "default", "churn", limit["limit_id"]) == []


async def test_the_latest_version_says_whether_runs_go_in_order(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", ONE, runs_active_max=1))
        first, late, early = await made(room, 1, 9, 4)
        await room.watch(first, load="queued")
        await room.register(dag("churn", ONE, runs_in_order=True))
        await end(room, first)
        await room.watch(early, load="queued")
        await room.register(dag("churn", ONE, runs_active_max=2))
        await room.watch(late, load="queued")
        assert set(await admitted(room)) == {early, late}
