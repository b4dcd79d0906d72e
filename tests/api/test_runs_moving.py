"""Following and steering runs while they move: a real server and database, and a worker played by hand."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import UUID

import grpc
import pytest
from runs_room import CHAIN, SOON_SECONDS, Hand, Room, dag, open_room, rest, run_state, state_name

from glidepath_proto.registry.v1 import registry_service_pb2
from glidepath_proto.run.v1 import run_pb2
from glidepath_server.core.states import AttemptState
from glidepath_server.operations.follow_runs import watch_run
from glidepath_server.operations.read_runs import RunReader

pytestmark = pytest.mark.asyncio
Code = grpc.StatusCode


async def hand_for(room: Room, slots: int = 10, **offer: Any) -> Hand:
    hand = Hand(room.server, slots, **offer)
    await hand.connect()
    return hand


async def code_of(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""


async def actions(room: Room) -> list[str]:
    rows = await room.rows("select action from audit_event where action not like '%register%' order by audit_event_id")
    return [row["action"] for row in rows if row["action"].startswith(("dag_run.", "task_instance."))]


# ---- following
async def test_a_watcher_sees_each_task_run_and_the_run_end(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", CHAIN))
        hand = await hand_for(room)
        run_id = await room.start("churn")
        seen: dict[str, list[str]] = {name: [] for name in CHAIN}
        messages = []
        async with asyncio.timeout(SOON_SECONDS):
            async for message in room.stream("WatchDagRun", dag_run_id=run_id):
                messages.append(message)
                for each in message.task_instances:
                    seen[each.task_id].append(state_name(each.state))
                    if state_name(each.state) == "running":
                        await hand.end(each.task_id)
        assert all(states[-2:] == ["running", "success"] for states in seen.values())
        assert [each.task_id for each in messages[0].task_instances] == list(CHAIN)
        last = messages[-1].dag_run
        assert (run_state(last), dict(last.task_counts)) == ("success", {"success": 3})
        revisions = [message.dag_run.revision for message in messages]
        assert revisions == sorted(revisions)


async def test_a_watcher_that_was_cut_off_gets_only_what_has_changed_since(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", CHAIN))
        hand = await hand_for(room)
        run_id = await room.start("churn")
        run = await room.watch(run_id, load="running")
        await hand.end("load")
        await hand.take("train")
        call = room.stream("WatchDagRun", dag_run_id=run_id, after_revision=run.revision)
        message = await asyncio.wait_for(call.read(), SOON_SECONDS)
        call.cancel()
        assert {each.task_id: state_name(each.state) for each in message.task_instances} == {
            "load": "success",
            "train": "running",
        }


async def test_who_waits_for_the_end_of_a_run_hears_of_the_run_alone(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", CHAIN))
        hand = await hand_for(room)
        run_id = await room.start("churn")
        stream = aiter(room.stream("WatchDagRun", dag_run_id=run_id, run_only=True))
        messages = [await asyncio.wait_for(anext(stream), SOON_SECONDS)]
        for task_id in CHAIN:
            await hand.end(task_id)
        messages += [message async for message in stream]
        assert not any(message.task_instances for message in messages)
        first, last = messages[0].dag_run, messages[-1].dag_run
        assert (run_state(first) in ("queued", "running"), sum(first.task_counts.values())) == (True, 3)
        assert (run_state(last), dict(last.task_counts)) == ("success", {"success": 3})
        revisions = [message.dag_run.revision for message in messages]
        assert revisions == sorted(set(revisions))


async def test_a_watcher_on_another_replica_sees_the_run_end(database_url: str) -> None:
    async with open_room(database_url) as room, open_room(database_url) as other:
        await room.register(dag("churn", {"only": []}))
        hand = await hand_for(room)
        watching = asyncio.create_task(other.watch(run_id := await room.start("churn")))
        await hand.end("only")
        assert run_state(await watching) == "success"
        assert run_state(await room.run(run_id)) == "success"


async def test_changes_that_nobody_reads_are_folded_into_one_look(database_url: str) -> None:
    async with open_room(database_url) as room:
        names = [f"t{number}" for number in range(10)]
        await room.register(dag("chain", {name: names[max(0, i - 1) : i] for i, name in enumerate(names)}))
        hand = await hand_for(room)
        run_id = await room.start("chain")
        await hand.take("t0")
        engine = room.server.engine
        looks = watch_run(RunReader(room.database, engine.replica.plans), engine, "default", UUID(run_id), 0)
        first = await anext(looks)
        assert first.counts == {"running": 1, "scheduled": 9}
        for name in names:
            await hand.end(name)
        last, *others = [look async for look in looks]
        assert not others
        assert (last.counts, [view.task for view in last.changed]) == ({"success": 10}, list(range(10)))


async def test_what_is_too_large_for_one_message_comes_in_parts(database_url: str) -> None:
    async with open_room(database_url) as room:
        names = [f"t{number:03}" for number in range(200)]
        await room.register(dag("wide", {name: [] for name in names}))
        hand = await hand_for(room, 200)
        run_id = await room.start("wide")
        for name in names:
            await hand.end(name, AttemptState.FAILED, message="x" * 8000)
        pages, token = [], ""
        while not pages or token:
            page = await room.call("ListTaskInstances", dag_run_id=run_id, page_token=token)
            assert page.ByteSize() <= 1024 * 1024 + 10_000
            pages.append([each.task_id for each in page.task_instances])
            token = page.next_page_token
        assert len(pages) == 2
        assert [name for page in pages for name in page] == names
        parts = await rest(room.stream("WatchDagRun", dag_run_id=run_id))
        assert [each.task_id for part in parts for each in part.task_instances] == names
        # Cut off between two parts, a client asks again from where it was before both.
        assert [part.dag_run.revision for part in parts] == [0, (await room.run(run_id)).revision]
        attempts = await room.call("ListAttempts", dag_run_id=run_id, page_size=500)
        assert len(attempts.attempts) < 200
        more = await room.call("ListAttempts", dag_run_id=run_id, page_size=500, page_token=attempts.next_page_token)
        assert len(attempts.attempts) + len(more.attempts) == 200


async def test_attempts_and_outputs_are_the_history_of_a_run(database_url: str) -> None:
    async with open_room(database_url) as room:
        spec = dag("churn", CHAIN)
        spec.tasks[0].policy.retry.retries_max = 1
        await room.register(spec)
        hand = await hand_for(room)
        run_id = await room.start("churn")
        await hand.end("load", AttemptState.FAILED, message="no route\nto host")
        await hand.end("load", output='{"rows": 3}')
        await hand.take("train")
        answer = await room.call("ListAttempts", dag_run_id=run_id)
        assert [
            (each.task_id, each.attempt_number, run_pb2.AttemptState.Name(each.state), each.has_output)
            for each in answer.attempts
        ] == [
            ("load", 1, "ATTEMPT_STATE_FAILED", False),
            ("load", 2, "ATTEMPT_STATE_SUCCESS", True),
            ("train", 1, "ATTEMPT_STATE_RUNNING", False),
        ]
        assert answer.attempts[0].failure.message == "no route\nto host"
        assert answer.attempts[0].worker_identity == "hand"
        pages, token = [], ""
        while not pages or token:
            page = await room.call("ListAttempts", dag_run_id=run_id, page_size=1, page_token=token)
            pages += [(each.task_id, each.attempt_number) for each in page.attempts]
            token = page.next_page_token
        assert pages == [("load", 1), ("load", 2), ("train", 1)]
        output = (await room.call("GetTaskOutput", dag_run_id=run_id, task_id="load")).task_output
        assert (output.attempt_number, output.output.data) == (2, b'{"rows": 3}')
        await hand.end("train")
        await hand.take("report")
        nothing = (await room.call("GetTaskOutput", dag_run_id=run_id, task_id="train")).task_output
        assert nothing.attempt_number == 1
        assert not nothing.HasField("output")


# ---- logs
async def write_log(connection: Any, run_id: str, sequence_number: int, *texts: str) -> None:
    entries = json.dumps([["2026-01-01T00:00:00+00:00", "stdout", text] for text in texts])
    await connection.execute(
        "insert into task_log_chunk (dag_run_id, task_index, map_index, attempt_number, sequence_number, entries)"
        " values ($1, 0, -1, 1, $2, $3)",
        run_id,
        sequence_number,
        entries,
    )


async def test_log_lines_come_in_the_order_of_the_server_and_resume_behind_a_cursor(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", {"only": []}))
        hand = await hand_for(room)
        run_id = await room.start("churn")
        await hand.take("only")
        call = room.stream("StreamLogs", dag_run_id=run_id, follow=True)
        async with room.database.api.acquire() as connection:
            await write_log(connection, run_id, 0, "a", "b")
        first = await asyncio.wait_for(call.read(), SOON_SECONDS)
        assert [line.text for line in first.lines] == ["a", "b"]
        async with room.database.api.acquire() as connection, room.database.worker.acquire() as late:
            transaction = late.transaction()
            await transaction.start()
            await write_log(late, run_id, 1, "c")
            await write_log(connection, run_id, 2, "d")
            await hand.end("only")
            # What is committed behind an open transaction is held back: it would overtake what that one has written.
            held = room.stream("StreamLogs", dag_run_id=run_id, follow=True, after=first.cursor)
            reading = asyncio.create_task(held.read())
            await room.watch(run_id)
            assert not reading.done()
            await transaction.commit()
        texts = [line.text for line in (await asyncio.wait_for(reading, SOON_SECONDS)).lines]
        texts += [line.text for message in await rest(held) for line in message.lines]
        assert texts == ["c", "d"]
        assert [line.text for message in await rest(call) for line in message.lines] == ["c", "d"]


async def test_log_order_is_that_of_numbers_not_of_their_text(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", {"only": []}))
        run_id = await room.start("churn")
        async with room.database.api.acquire() as connection:
            for number, written in enumerate(("10", "9", "100")):
                await write_log(connection, run_id, number, written)
                await connection.execute(
                    "update task_log_chunk set written = $1::text::xid8 where sequence_number = $2", written, number
                )
        messages = await rest(room.stream("StreamLogs", dag_run_id=run_id))
        assert [line.text for message in messages for line in message.lines] == ["9", "10", "100"]


async def test_a_large_log_is_cut_into_messages(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", {"only": []}))
        hand = await hand_for(room)
        run_id = await room.start("churn")
        await hand.take("only")
        async with room.database.api.acquire() as connection:
            for number in range(20):
                await write_log(connection, run_id, number, *[f"{number}-{line}-" + "x" * 10_000 for line in range(20)])
        first, *others = await rest(room.stream("StreamLogs", dag_run_id=run_id))
        assert len(others) >= 4
        assert all(message.ByteSize() < 1024 * 1024 for message in [first, *others])
        lines = [line.text.rstrip("x") for message in [first, *others] for line in message.lines]
        assert lines == [f"{number}-{line}-" for number in range(20) for line in range(20)]
        resumed = await rest(room.stream("StreamLogs", dag_run_id=run_id, after=first.cursor))
        assert [line.text.rstrip("x") for message in resumed for line in message.lines] == lines[len(first.lines) :]


# ---- steering
async def test_a_cancelled_run_ends_when_its_live_attempts_have_and_once_is_enough(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", CHAIN))
        hand = await hand_for(room)
        run_id = await room.start("churn")
        await hand.take("load")
        run = (await room.call("CancelDagRun", dag_run_id=run_id, reason="wrong data", request_id="c1")).dag_run
        assert (run_state(run), run.cancel_requested) == ("running", True)
        await room.call("CancelDagRun", dag_run_id=run_id, reason="wrong data", request_id="c1")
        await room.call("CancelDagRun", dag_run_id=run_id)
        await hand.told_to_end("load")
        await hand.end("load", AttemptState.CANCELLED)
        ended = await room.watch(run_id)
        assert (run_state(ended), set((await room.states(run_id)).values())) == ("cancelled", {"cancelled"})
        await room.call("CancelDagRun", dag_run_id=run_id)
        assert await actions(room) == ["dag_run.trigger", "dag_run.cancel"]


async def test_a_run_that_has_ended_is_not_cancelled(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", {"only": []}))
        hand = await hand_for(room)
        run_id = await room.start("churn")
        await hand.end("only")
        await room.watch(run_id)
        assert await code_of(room.call("CancelDagRun", dag_run_id=run_id)) == (
            Code.FAILED_PRECONDITION,
            f"run {run_id} has already ended: success",
        )


async def test_what_follows_a_cancelled_task_obeys_its_trigger_rule(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", {"load": [], "other": [], "train": ["load"]}))
        hand = await hand_for(room)
        run_id = await room.start("churn")
        await hand.take("load")
        await hand.take("other")
        await room.call("CancelTaskInstances", dag_run_id=run_id, task_ids=["load"], reason="not today")
        await hand.told_to_end("load")
        await hand.end("load", AttemptState.CANCELLED)
        await room.call("CancelTaskInstances", dag_run_id=run_id, task_ids=["load"])
        await hand.end("other")
        await room.watch(run_id)
        assert await room.states(run_id) == {"load": "cancelled", "other": "success", "train": "upstream_failed"}
        code, message = await code_of(room.call("CancelTaskInstances", dag_run_id=run_id, task_ids=["other"]))
        assert (code, message) == (Code.FAILED_PRECONDITION, "task other has already ended: success")


async def test_cleared_tasks_run_again_and_their_attempt_numbers_go_on(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", CHAIN))
        hand = await hand_for(room)
        run_id = await room.start("churn")
        for name in CHAIN:
            await hand.end(name)
        await room.watch(run_id)
        answer = await room.call(
            "ClearTaskInstances", dag_run_id=run_id, task_ids=["train"], downstream=True, request_id="c1"
        )
        assert list(answer.cleared_task_ids) == ["train", "report"]
        assert run_state(answer.dag_run) == "running"
        await hand.end("train")
        await hand.take("report")
        again = await room.call(
            "ClearTaskInstances", dag_run_id=run_id, task_ids=["train"], downstream=True, request_id="c1"
        )
        assert list(again.cleared_task_ids) == ["train", "report"]
        assert (await room.states(run_id))["train"] == "success"
        await hand.end("report")
        await room.watch(run_id)
        attempts = (await room.call("ListAttempts", dag_run_id=run_id)).attempts
        assert [(each.task_id, each.attempt_number) for each in attempts] == [
            ("load", 1),
            ("train", 1),
            ("report", 1),
            ("train", 2),
            ("report", 2),
        ]
        assert await actions(room) == ["dag_run.trigger", "task_instance.clear"]


async def test_a_live_task_is_cleared_only_when_it_may_be_told_to_end(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", {"only": []}))
        hand = await hand_for(room)
        run_id = await room.start("churn")
        await hand.take("only")
        refusal = await code_of(room.call("ClearTaskInstances", dag_run_id=run_id, task_ids=["only"]))
        assert refusal[0] is Code.FAILED_PRECONDITION
        assert refusal[1].startswith("task only is running")
        await room.call("ClearTaskInstances", dag_run_id=run_id, task_ids=["only"], cancel_running=True)
        await hand.told_to_end("only")
        await hand.end("only", AttemptState.CANCELLED)
        await hand.take("only")
        await hand.end("only")
        assert run_state(await room.watch(run_id)) == "success"
        assert await actions(room) == ["dag_run.trigger", "task_instance.clear"]


async def test_a_rerun_runs_what_failed_and_what_follows_and_nothing_else(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", CHAIN))
        hand = await hand_for(room)
        run_id = await room.start("churn")
        await hand.end("load")
        await hand.end("train", AttemptState.FAILED)
        assert run_state(await room.watch(run_id)) == "failed"
        answer = await room.call("RerunDagRun", dag_run_id=run_id, request_id="r1")
        assert list(answer.cleared_task_ids) == ["train", "report"]
        await hand.end("train")
        await hand.end("report")
        assert run_state(await room.watch(run_id)) == "success"
        # Repeated after all has ended well: the same answer, and nothing runs.
        again = await room.call("RerunDagRun", dag_run_id=run_id, request_id="r1")
        assert list(again.cleared_task_ids) == ["train", "report"]
        assert run_state(again.dag_run) == "success"
        assert await actions(room) == ["dag_run.trigger", "dag_run.rerun"]


async def test_one_command_sent_many_times_at_once_has_one_effect(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", {"only": []}))
        hand = await hand_for(room)
        run_id = await room.start("churn")
        await hand.end("only")
        await room.watch(run_id)
        answers = await asyncio.gather(
            *[
                room.call(
                    "ClearTaskInstances", dag_run_id=run_id, task_ids=["only"], cancel_running=True, request_id="c1"
                )
                for _ in range(6)
            ]
        )
        assert all(list(answer.cleared_task_ids) == ["only"] for answer in answers)
        await hand.end("only")
        assert run_state(await room.watch(run_id)) == "success"
        assert await actions(room) == ["dag_run.trigger", "task_instance.clear"]


# ---- explaining
async def explain(room: Room, run_id: str) -> dict[str, tuple[str, str]]:
    answer = await room.call("ExplainDagRun", dag_run_id=run_id)
    return {
        each.task_id: (run_pb2.Explanation.Wait.Name(each.wait).removeprefix("WAIT_").lower(), each.message)
        for each in answer.explanations
    }


async def test_each_wait_is_explained(database_url: str) -> None:
    async with open_room(database_url) as room:
        spec = dag("churn", {"load": [], "side": [], "train": ["load", "side"]}, tasks_active_max=1)
        spec.tasks[0].policy.priority = 1
        await room.register(spec)
        run_id = await room.start("churn")
        await room.watch(run_id, load="queued", side="queued")
        found = await explain(room, run_id)
        assert found["load"] == ("worker", "no worker is connected; it needs queue default, handler test:task")
        assert found["train"] == ("upstream", "waits for 2 of 2 upstream tasks: load, side")
        other = await hand_for(room, queue_names={"defalt"}, identity="misspelt")
        assert "the nearest, misspelt: serves queues defalt, not default" in (await explain(room, run_id))["load"][1]
        hand = await hand_for(room)
        await room.watch(run_id, load="running")
        found = await explain(room, run_id)
        assert found["load"][0] == "running"
        assert found["load"][1].startswith("running on worker hand for ")
        assert found["side"] == (
            "limit",
            f"the limit on live attempts of churn is full: 1 of 1 in use; held by churn load (run {run_id})",
        )
        await hand.end("load")
        await hand.end("side")
        await hand.end("train")
        await room.watch(run_id)
        assert not other.taken
        answer = await room.call("ExplainDagRun", dag_run_id=run_id)
        assert not answer.explanations
        assert [step.task_id for step in answer.critical_path] == ["load", "train"] or [
            step.task_id for step in answer.critical_path
        ] == ["side", "train"]
        one = await room.call("ExplainDagRun", dag_run_id=run_id, task_id="load")
        assert one.explanations[0].message == "ended: success"


async def test_a_paused_dag_takes_runs_and_says_why_they_wait(database_url: str) -> None:
    async with open_room(database_url) as room:
        await room.register(dag("churn", CHAIN))
        hand = await hand_for(room)
        await room.registry.PauseDag(registry_service_pb2.PauseDagRequest(dag_id="churn"), metadata=room.metadata)
        run_id = await room.start("churn")
        await room.watch(run_id, load="queued")
        assert (await explain(room, run_id))["load"] == ("paused", "the DAG churn is paused")
        assert not hand.taken
        await room.registry.UnpauseDag(registry_service_pb2.UnpauseDagRequest(dag_id="churn"), metadata=room.metadata)
        await hand.take("load")
