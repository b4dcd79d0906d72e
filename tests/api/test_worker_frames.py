"""No frame is over the message limit, whatever has collected; what has no room travels by reference or not at all."""

from __future__ import annotations

import json
from typing import Any

from runs_room import dag, open_room, run_state
from test_worker_unary import caller
from worker_room import Stream, open_workers, success

from glidepath_proto.registry.v1 import dag_pb2

KIB = 1024
LIMITS = {"message_bytes_max": 256 * KIB, "output_inline_bytes_max": 64 * KIB, "checkpoint_bytes_max": KIB}
OUTPUT = json.dumps("x" * (40 * KIB)).encode()


def gathering(sources: int, gatherers: int) -> dag_pb2.DagSpec:
    """Tasks of which each takes the outputs of all sources."""
    names = [f"source{number}" for number in range(sources)]
    spec = dag("churn", dict.fromkeys(names, ()) | {f"gather{number}": names for number in range(gatherers)})
    for task in spec.tasks[sources:]:
        for name in names:
            task.inputs["values"].list.items.add().output.task_id = name
    return spec


async def end(stream: Stream, assignments: list[Any], output: bytes) -> None:
    for start in range(0, len(assignments), 3):
        await stream.send(results=[success(each.task_token, output) for each in assignments[start : start + 3]])
    await stream.take("result_acks", len(assignments))


def inlined(assignment: Any) -> int:
    return sum(len(each.data) for each in assignment.upstream_outputs.values())


async def test_outputs_over_the_limit_travel_by_reference_and_can_be_fetched(database_url: str) -> None:
    async with open_room(database_url, **LIMITS) as room, open_workers(room) as workers:
        await room.register(gathering(8, gatherers=4))
        run_id = await room.start("churn")
        async with workers.stream(credits=12) as stream:
            await end(stream, await stream.take("assignments", 8), OUTPUT)
            gatherers = await stream.take("assignments", 4)
            for each in gatherers:
                assert 0 < inlined(each) <= 64 * KIB
                assert set(each.upstream_outputs) == {f"source{number}" for number in range(8)}
                for name, payload in each.upstream_outputs.items():
                    if payload.WhichOneof("body") == "uri":
                        assert (payload.uri, payload.size_bytes) == (f"output:{name}", len(OUTPUT))
                        answer = await workers.call("GetOutput", task_token=each.task_token, task_id=name)
                        assert answer.output.data == OUTPUT
            assert max(stream.frame_sizes) <= LIMITS["message_bytes_max"]
            await end(stream, gatherers, b"1")
        assert run_state(await room.watch(run_id)) == "success"


async def test_many_small_things_are_cut_into_frames(database_url: str) -> None:
    async with open_room(database_url, **LIMITS) as room, open_workers(room) as workers, workers.stream() as stream:
        for _ in range(3):
            results = [success(bytes([number % 256]) * 44) for number in range(4000)]
            await stream.send(results=results)
        await stream.take("result_acks", 12_000)
        assert max(stream.frame_sizes) <= LIMITS["message_bytes_max"]


async def test_an_assignment_that_cannot_be_sent_fails_and_says_why(database_url: str) -> None:
    async with open_room(database_url, **LIMITS) as room, open_workers(room) as workers:
        spec = dag("churn", {"only": []}, params_schema='{"properties": {"blob": {"type": "string"}}}')
        for number in range(4):
            spec.tasks[0].inputs[f"in{number}"].literal.data = json.dumps("x" * (58 * KIB)).encode()
        await room.register(spec)
        run_id = await room.start("churn", params=json.dumps({"blob": "y" * (50 * KIB)}))
        async with workers.stream(credits=1) as stream:
            assert run_state(await room.watch(run_id)) == "failed"
            assert not stream.got["assignments"]
            await room.register(dag("small", {"only": []}))
            await room.start("small")
            await stream.take("assignments")  # the credit was not used up
        (row,) = await room.rows("select state, failure from task_attempt")
        assert row["state"] == "failed"
        assert "message_bytes_max" in json.loads(row["failure"])["message"]


async def test_the_answer_of_a_claim_is_bounded_and_the_rest_comes_with_the_next(database_url: str) -> None:
    async with open_room(database_url, **LIMITS) as room, open_workers(room) as workers:
        spec = dag("churn", {f"task{number}": () for number in range(12)})
        for task in spec.tasks:
            task.inputs["value"].literal.data = json.dumps("x" * (15 * KIB)).encode()
        await room.register(spec)
        await room.start("churn")
        worker = await caller(workers)
        taken = [*worker.first]
        while len(taken) < 12:
            answer = await workers.call("Claim", session=worker.ref, assignments_max=12, wait={"seconds": 5})
            assert answer.assignments
            assert answer.ByteSize() <= LIMITS["message_bytes_max"] // 2 + 20 * KIB
            taken += answer.assignments
        assert len({each.task_token for each in taken}) == 12
