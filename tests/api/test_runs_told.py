"""What a run says of itself to people: why attempts ended, how long it took since it was cleared, its id in part."""

from __future__ import annotations

import grpc
import pytest
from runs_room import CHAIN, Hand, Room, dag, open_room, run_state

from glidepath_proto.run.v1 import run_pb2
from glidepath_server.core.states import AttemptState
from glidepath_server.operations import sessions

pytestmark = pytest.mark.asyncio


async def hand_for(room: Room) -> Hand:
    hand = Hand(room.server, 5)
    await hand.connect()
    return hand


async def leave(room: Room, hand: Hand) -> None:
    """The worker says goodbye with work in its hands."""
    room.server.engine.detach(hand)
    room.server.engine.submit(await sessions.leave(room.server.database.worker, hand.session_id, hand.generation))


async def test_a_lost_attempt_says_why(database_url: str) -> None:
    async with open_room(database_url) as room:
        spec = dag("churn", {"only": []})
        spec.tasks[0].policy.retry.losses_max = 1
        await room.register(spec)
        hand = await hand_for(room)
        run_id = await room.start("churn")
        await hand.take("only")
        await leave(room, hand)
        await room.watch(run_id, only="queued")
        (attempt,) = (await room.call("ListAttempts", dag_run_id=run_id)).attempts
        assert (attempt.state, attempt.reason) == (run_pb2.ATTEMPT_STATE_LOST, "the worker left")
        (waiting,) = (await room.call("ExplainDagRun", dag_run_id=run_id)).explanations
        assert waiting.message.endswith("; attempt 1 ended lost: the worker left")
        assert waiting.hint == "glidepath workers  # start a worker of yours that offers handler test:task"


async def test_the_time_of_a_run_that_was_cleared_counts_from_the_clear(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", CHAIN))
        hand = await hand_for(room)
        run_id = await room.start("churn")
        for name in CHAIN:
            await hand.end(name)
        before = await room.watch(run_id)
        await room.rows("update clock set shift = shift + interval '30 minutes'")
        cleared = await room.call("ClearTaskInstances", dag_run_id=run_id, task_ids=["train"], downstream=True)
        started = cleared.dag_run.start_time.ToDatetime()
        assert (started - before.end_time.ToDatetime()).total_seconds() >= 1800
        await hand.end("train")
        await hand.take("report")
        # A clear of a run that goes on is no new start of it.
        again = await room.call("ClearTaskInstances", dag_run_id=run_id, task_ids=["load"])
        assert again.dag_run.start_time.ToDatetime() == started


async def test_the_critical_path_is_made_of_what_counts_still(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", CHAIN))
        hand = await hand_for(room)
        run_id = await room.start("churn")
        await hand.take("load")
        await room.rows("update clock set shift = shift + interval '30 minutes'")
        for name in CHAIN:
            await hand.end(name)
        await room.watch(run_id)
        assert (await half_hours(room, run_id))["load"] == 1
        await room.call("ClearTaskInstances", dag_run_id=run_id, task_ids=["load"])
        await hand.end("load")
        await room.watch(run_id)
        assert set((await half_hours(room, run_id)).values()) == {0}


async def half_hours(room: Room, run_id: str) -> dict[str, int]:
    """Whole half hours of work per task of the critical path."""
    path = (await room.call("ExplainDagRun", dag_run_id=run_id)).critical_path
    return {step.task_id: step.worked.seconds // 1800 for step in path}


async def test_a_failed_run_tells_of_a_failure_that_did_not_end_it(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("wide", {"bad": [], "good": []}))
        hand = await hand_for(room)
        run_id = await room.start("wide")
        await hand.end("bad", AttemptState.FAILED, message="no rows")
        assert (await room.run(run_id)).reason == "bad: attempts used: 1 of 1: ValueError: no rows"
        await hand.end("good")
        run = await room.watch(run_id)
        assert (run_state(run), run.reason) == ("failed", "bad: attempts used: 1 of 1: ValueError: no rows")
        cleared = await room.call("ClearTaskInstances", dag_run_id=run_id, task_ids=["bad"])
        assert cleared.dag_run.reason == ""


async def test_runs_are_found_by_the_beginning_of_their_id(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", CHAIN))
        answer = await room.trigger(*({"dag_id": "churn"} for _ in range(3)))
        ids = sorted((run.dag_run_id for run in answer.runs), reverse=True)
        assert await found(room, ids[0]) == ids[:1]
        assert await found(room, ids[0].replace("-", "").upper()) == ids[:1]
        assert await found(room, ids[0][:8]) == ids
        assert await found(room, ids[0][:8], dag_id="churn") == ids
        assert await found(room, "f" * 32) == []
        page = await room.call("ListDagRuns", dag_run_id_prefix=ids[0][:8], page_size=2)
        more = await room.call(
            "ListDagRuns", dag_run_id_prefix=ids[0][:8], page_size=2, page_token=page.next_page_token
        )
        assert [run.dag_run_id for answer in (page, more) for run in answer.dag_runs] == ids


async def found(room: Room, prefix: str, **fields: str) -> list[str]:
    answer = await room.call("ListDagRuns", dag_run_id_prefix=prefix, **fields)
    return [run.dag_run_id for run in answer.dag_runs]


@pytest.mark.parametrize("prefix", ["01xy", "0" * 33, "last"])
async def test_what_begins_no_id_is_refused(database_url: str, prefix: str) -> None:
    async with open_room(database_url) as room:
        with pytest.raises(grpc.aio.AioRpcError, match="dag_run_id_prefix") as caught:
            await room.call("ListDagRuns", dag_run_id_prefix=prefix)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
