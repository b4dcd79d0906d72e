"""Mapped tasks through the real store: what instances are given, how many run at once, what is gathered and cleared."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from step_room import StepRoom, command, ends

from glidepath_server.core.board import Board
from glidepath_server.core.definition import JSON, Literal, MapInput, MapMode, MapSpec, OutputRef
from glidepath_server.core.errors import NotFound, StateConflict
from glidepath_server.core.events import RunPaused, RunResumed, RunStarted, TasksCancelled, TasksCleared
from glidepath_server.core.failure import Failure, FailureKind
from glidepath_server.core.states import AttemptState, RunIntent, RunState, TaskState
from glidepath_server.operations import map_tasks
from glidepath_server.operations.map_tasks import gathered_output
from glidepath_server.operations.step_types import Assigned, Output, RunWork
from glidepath_server.store.worker_feed import CHUNK_BYTES

BEFORE, MAPPED, AFTER = range(3)
UPSTREAM = {MAPPED: [BEFORE], AFTER: [MAPPED]}
BROKEN = Failure(FailureKind.BAD_INPUT, message="broken")
FROM_OUTPUT = MapSpec((MapInput("x", OutputRef("task0")),))


def literal(*values: Any) -> Literal:
    return Literal(json.dumps(values).encode())


def output(value: Any) -> Output:
    body = json.dumps(value).encode()
    return Output(JSON, body, None, len(body), "")


class Maps:
    """A started run of before -> mapped -> after, and one worker that takes all there is."""

    def __init__(self, room: StepRoom, run_id: uuid.UUID, session_id: uuid.UUID) -> None:
        self.room, self.run_id, self.session_id = room, run_id, session_id

    @staticmethod
    async def begin(room: StepRoom, spec: MapSpec = FROM_OUTPUT, **fields: Any) -> Maps:
        fields.setdefault("upstream", UPSTREAM)
        fields.setdefault("inputs", {AFTER: {"all": OutputRef("task1")}})
        await room.store_dag(3, maps={MAPPED: spec}, **fields)
        run_id = await room.create_run(3)
        found = Maps(room, run_id, await room.session())
        await found.step({run_id: RunWork(events=[RunStarted()])})
        return found

    async def step(self, batch: dict[uuid.UUID, RunWork], free: int = 0) -> list[Assigned]:
        async with self.room.side() as side:
            if free:
                await side.seat(self.session_id, free=free)
            return (await side.step_and_commit(batch)).assigned

    async def claim(self, free: int = 500) -> list[Assigned]:
        return sorted(await self.step({}, free), key=lambda each: each.key)

    async def before(self, value: Any) -> None:
        (each,) = await self.claim(1)
        await self.step(ends([each.key], output=output(value)))

    async def succeed(self, assigned: Sequence[Assigned]) -> None:
        """Each says ten times what it was given."""
        for each in assigned:
            await self.step(ends([each.key], output=output(10 * json.loads(each.item)["x"])))

    async def board(self) -> Board:
        row = await self.room.watcher.fetchrow("select * from dag_run where dag_run_id = $1", self.run_id)
        return Board.unpack(3, row["board"], RunState(row["state"]), RunIntent(row["intent"]), row["reason"])


async def test_instances_are_given_their_items_in_windows_and_the_list_of_their_outputs_follows(room: StepRoom) -> None:
    maps = await Maps.begin(room, MapSpec((MapInput("x", OutputRef("task0")),), active_max=2))
    await maps.before([1, 2, 3])
    first = await maps.claim()
    assert [(each.key.map_index, each.item) for each in first] == [(0, '{"x":1}'), (1, '{"x":2}')]
    await maps.succeed(first[:1])
    (third,) = await maps.claim()
    assert (third.key.map_index, third.item) == (2, '{"x":3}')
    await maps.succeed([third, first[1]])
    (after,) = await maps.claim()
    assert after.key.task == AFTER and json.loads(after.upstream[MAPPED].body or b"") == [10, 20, 30]


async def test_what_was_released_in_the_step_that_read_the_lists_is_handed_over_with_its_item(room: StepRoom) -> None:
    maps = await Maps.begin(room)
    (each,) = await maps.claim(1)
    assigned = await maps.step(ends([each.key], output=output([7, 8])), free=5)
    assert sorted(each.item for each in assigned) == ['{"x":7}', '{"x":8}']


async def test_an_instance_far_down_a_list_is_given_its_own_item(room: StepRoom) -> None:
    maps = await Maps.begin(room)
    await maps.before(list(range(600)))
    far = [each for each in await maps.claim(600) if each.key.map_index in (0, 255, 256, 512, 599)]
    assert [json.loads(each.item)["x"] for each in far] == [0, 255, 256, 512, 599]


async def test_a_product_has_each_with_each(room: StepRoom) -> None:
    spec = MapSpec((MapInput("x", literal(1, 2)), MapInput("y", literal("a", "b"))), MapMode.PRODUCT)
    maps = await Maps.begin(room, spec, upstream={AFTER: [MAPPED]})
    items = [each.item for each in await maps.claim() if each.key.map_index >= 0]
    assert items == ['{"x":1,"y":"a"}', '{"x":1,"y":"b"}', '{"x":2,"y":"a"}', '{"x":2,"y":"b"}']


@pytest.mark.parametrize(
    ("value", "why"),
    [(7, "x is mapped over int 7, expected a list"), ({"rows": 1}, 'x is mapped over dict {"rows": 1}')],
)
async def test_what_is_no_list_fails_the_task_and_says_so(room: StepRoom, value: Any, why: str) -> None:
    maps = await Maps.begin(room)
    await maps.before(value)
    board = await maps.board()
    assert board.states[MAPPED] == TaskState.FAILED and board.state is RunState.FAILED and why in board.reason
    letter = await room.watcher.fetchrow("select * from dead_letter")
    assert (letter["task_id"], letter["map_index"]) == ("task1", -1) and why in letter["reason"]


@pytest.mark.parametrize("body", [b"[1, 2", b"\xff", b"[" * 100_000, b"[NaN]"])
async def test_what_is_json_in_name_only_fails_the_task_and_sets_no_run_aside(room: StepRoom, body: bytes) -> None:
    maps = await Maps.begin(room)
    (each,) = await maps.claim(1)
    await maps.step(ends([each.key], output=Output(JSON, body, None, len(body), "")))
    board = await maps.board()
    assert board.states[MAPPED] == TaskState.FAILED
    assert "task1: the output of task0 is no JSON, whatever it says of itself" in board.reason


async def test_an_instance_whose_output_is_no_text_stands_in_the_list_as_its_reference(room: StepRoom) -> None:
    maps = await Maps.begin(room)
    await maps.before([1, 2])
    first, second = await maps.claim()
    await maps.step(ends([first.key], output=Output(JSON, b"\xff", None, 1, "of it")))
    await maps.succeed([second])
    (after,) = await maps.claim()
    reference = {"content_type": JSON, "size_bytes": 1, "sha256": "of it"}
    assert json.loads(after.upstream[MAPPED].body or b"") == [reference, 20]


async def test_a_list_that_is_too_large_is_mapped_over_no_more(room: StepRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glidepath_server.operations.map_tasks.LIST_BYTES_MAX", 6)
    over = {BEFORE: MapSpec((MapInput("x", literal(1, 2)),)), MAPPED: FROM_OUTPUT}
    await room.store_dag(3, maps=over, upstream=UPSTREAM)
    maps = Maps(room, await room.create_run(3), await room.session())
    await maps.step({maps.run_id: RunWork(events=[RunStarted()])})
    await maps.succeed(await maps.claim())
    assert "the outputs of task0 have 7 bytes together, at most 6 are read" in (await maps.board()).reason


async def test_a_map_over_nothing_is_skipped(room: StepRoom) -> None:
    maps = await Maps.begin(room)
    await maps.before([])
    board = await maps.board()
    assert list(board.states) == [TaskState.SUCCESS, TaskState.SKIPPED, TaskState.SKIPPED]


async def test_the_instances_of_a_map_may_be_mapped_over(room: StepRoom) -> None:
    over = {BEFORE: MapSpec((MapInput("x", literal(1, 2)),)), MAPPED: FROM_OUTPUT}
    await room.store_dag(3, maps=over, upstream=UPSTREAM)
    maps = Maps(room, await room.create_run(3), await room.session())
    await maps.step({maps.run_id: RunWork(events=[RunStarted()])})
    await maps.succeed(await maps.claim())
    assert [each.item for each in await maps.claim()] == ['{"x":10}', '{"x":20}']


async def test_a_cancel_takes_back_what_is_queued_and_tells_what_is_live(room: StepRoom) -> None:
    maps = await Maps.begin(room)
    await maps.before([1, 2, 3])
    (live,) = await maps.claim(1)
    async with room.side() as side:
        outcome = await side.step_and_commit(command(maps.run_id, TasksCancelled((MAPPED,))))
    assert [order.key for order in outcome.cancels] == [live.key] and await room.queued() == {}
    assert (await maps.board()).states[MAPPED] == TaskState.RELEASED, "not before its last attempt has ended"
    await maps.step(ends([live.key], AttemptState.CANCELLED))
    board = await maps.board()
    assert board.states[MAPPED] == TaskState.CANCELLED and board.maps[MAPPED].cancelled == 3


async def failed_in_the_middle(room: StepRoom, length: int = 3) -> Maps:
    """All instances but the second have succeeded, and the run has failed."""
    maps = await Maps.begin(room)
    await maps.before(list(range(1, length + 1)))
    first, bad, *others = await maps.claim()
    await maps.step(ends([bad.key], AttemptState.FAILED, failure=BROKEN))
    await maps.succeed([first, *others])
    assert (await maps.board()).state is RunState.FAILED
    return maps


async def test_what_did_not_succeed_runs_again_and_the_rest_is_kept(room: StepRoom) -> None:
    maps = await failed_in_the_middle(room)
    await maps.step(command(maps.run_id, TasksCleared((MAPPED, AFTER), only_failed=True)))
    assert await room.watcher.fetchval("select count(*) from dead_letter") == 0
    (again,) = await maps.claim()
    assert (again.key.map_index, again.key.attempt_number, again.item) == (1, 2, '{"x":2}')
    await maps.succeed([again])
    (after,) = await maps.claim()
    assert json.loads(after.upstream[MAPPED].body or b"") == [10, 20, 30]


async def test_what_a_pause_keeps_from_running_again_is_no_dead_letter_and_may_be_given_up_again(
    room: StepRoom,
) -> None:
    maps = await Maps.begin(room)
    await maps.before([1, 2])
    first, bad = await maps.claim()
    await maps.step(command(maps.run_id, RunPaused((MAPPED,), "ann")))
    await maps.succeed([first])
    await maps.step(ends([bad.key], AttemptState.FAILED, failure=BROKEN))
    assert (await maps.board()).state is RunState.FAILED
    await maps.step(command(maps.run_id, TasksCleared((MAPPED, AFTER), only_failed=True)))
    assert await room.watcher.fetchval("select count(*) from dead_letter") == 0
    await maps.step(command(maps.run_id, RunResumed((), "ann")))
    again = (await maps.claim())[1]
    await maps.step(ends([again.key], AttemptState.FAILED, failure=BROKEN))
    assert await room.watcher.fetchval("select attempt_number from dead_letter") == 2


async def test_named_instances_run_again_whatever_they_came_to(room: StepRoom) -> None:
    maps = await failed_in_the_middle(room)
    await maps.step(command(maps.run_id, TasksCleared((MAPPED, AFTER), instances={MAPPED: (0, 1)})))
    assert [(each.key.map_index, each.key.attempt_number) for each in await maps.claim()] == [(0, 2), (1, 2)]


async def test_what_an_instance_says_when_it_runs_again_takes_the_place_of_what_it_said(room: StepRoom) -> None:
    maps = await succeeded(room)
    (again,) = await maps.claim()
    await maps.step(ends([again.key], output=output("anew")))
    (after,) = await maps.claim()
    assert json.loads(after.upstream[MAPPED].body or b"") == [10, "anew"]


async def test_an_instance_that_fails_when_it_runs_again_has_said_nothing(room: StepRoom) -> None:
    maps = await succeeded(room)
    (again,) = await maps.claim()
    await maps.step(ends([again.key], AttemptState.FAILED, failure=BROKEN))
    (after,) = await maps.claim()
    assert json.loads(after.upstream[MAPPED].body or b"") == [10, None]


async def succeeded(room: StepRoom) -> Maps:
    """Both instances have succeeded, of which one is enough, and the second of them runs again."""
    maps = await Maps.begin(room, MapSpec((MapInput("x", OutputRef("task0")),), success_ratio_min=0.5))
    await maps.before([1, 2])
    await maps.succeed(await maps.claim())
    (after,) = await maps.claim()
    await maps.step(ends([after.key], output=output("read")))
    await maps.step(command(maps.run_id, TasksCleared((MAPPED, AFTER), instances={MAPPED: (1,)})))
    return maps


async def test_an_instance_that_is_live_runs_again_when_it_has_ended_if_that_is_asked_for(room: StepRoom) -> None:
    maps = await Maps.begin(room)
    await maps.before([1, 2])
    (live,) = await maps.claim(1)
    with pytest.raises(StateConflict, match="task1 is running"):
        await maps.step(command(maps.run_id, TasksCleared((MAPPED,), instances={MAPPED: (0,)})))
    await maps.step(command(maps.run_id, TasksCleared((MAPPED,), True, instances={MAPPED: (0, 1)})))
    assert [each.key.map_index for each in await maps.claim(1)] == [1]
    await maps.step(ends([live.key], AttemptState.SUCCESS))
    (again,) = await maps.claim()
    assert (again.key.map_index, again.key.attempt_number) == (0, 2)


async def test_an_instance_that_is_not_there_is_refused(room: StepRoom) -> None:
    maps = await failed_in_the_middle(room)
    with pytest.raises(NotFound, match="task1 has no instance 3, it has 3: 0 to 2"):
        await maps.step(command(maps.run_id, TasksCleared((MAPPED,), instances={MAPPED: (0, 3)})))


async def test_a_whole_clear_reads_the_lists_anew(room: StepRoom) -> None:
    maps = await failed_in_the_middle(room)
    await maps.step(command(maps.run_id, TasksCleared((BEFORE, MAPPED, AFTER), only_failed=True)))
    await maps.before([5])
    (only,) = await maps.claim()
    assert (only.key.map_index, only.key.attempt_number, only.item) == (0, 2, '{"x":5}')
    await maps.succeed([only])
    (after,) = await maps.claim()
    assert json.loads(after.upstream[MAPPED].body or b"") == [50]


@pytest.mark.parametrize("ends_before", [False, True])
async def test_an_instance_that_was_given_up_before_a_clear_of_the_whole_may_be_given_up_again(
    room: StepRoom, ends_before: bool
) -> None:
    maps = await Maps.begin(room, MapSpec((MapInput("x", OutputRef("task0")),), success_ratio_min=0.5))
    await maps.before([1, 2])
    for each, outcome in zip(await maps.claim(), (AttemptState.FAILED, AttemptState.SUCCESS), strict=True):
        if outcome is AttemptState.SUCCESS and not ends_before:
            await maps.step(command(maps.run_id, TasksCleared((MAPPED, AFTER), True)))
        await maps.step(ends([each.key], outcome, failure=BROKEN if outcome is AttemptState.FAILED else None))
    if ends_before:
        await maps.step(command(maps.run_id, TasksCleared((MAPPED, AFTER), True)))
    assert await room.watcher.fetchval("select count(*) from dead_letter") == 0
    first = next(each for each in await maps.claim() if each.key.map_index == 0)
    await maps.step(ends([first.key], AttemptState.FAILED, failure=BROKEN))
    assert await room.watcher.fetchval("select attempt_number from dead_letter") == 2


async def test_a_long_list_is_named_in_the_assignment_and_stored_once_when_it_is_large(
    room: StepRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is put together some instances at a time: all of them may be more than a server's memory."""
    monkeypatch.setattr("glidepath_server.operations.map_tasks.GATHERED_AT_ONCE", 70)
    length = 300
    maps = await Maps.begin(room)
    await maps.before(list(range(length)))
    keys = [each.key for each in await maps.claim()]
    large = output("x" * 3_000)
    reports = {maps.run_id: RunWork()}
    for key in keys:
        reports[maps.run_id].reports += ends([key], output=large)[maps.run_id].reports
    await maps.step(reports)
    (after,) = await maps.claim()
    assert after.upstream[MAPPED][:3] == (JSON, None, "output:task1")
    async with room.database.worker.acquire() as connection, connection.transaction():
        found = await gathered_output(connection, "default", maps.run_id, MAPPED)
        again = await gathered_output(connection, "default", maps.run_id, MAPPED)
    assert found is not None and found == again and found.uri == f"artifact:{found.sha256}"
    chunks = await room.watcher.fetch("select body from artifact_chunk order by chunk_index")
    assert json.loads(b"".join(row["body"] for row in chunks)) == ["x" * 3_000] * length
    assert max(len(row["body"]) for row in chunks) == CHUNK_BYTES


async def test_a_large_list_that_changes_while_it_is_stored_is_not_stored(
    room: StepRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read twice, for its name and for its bytes; an instance may be run again by hand in between."""
    monkeypatch.setattr(map_tasks, "GATHERED_BYTES_MAX", 1)
    maps = await Maps.begin(room)
    await maps.before([1, 2])
    await maps.succeed(await maps.claim())
    read = map_tasks.gather

    async def gather(*asked: Any) -> Any:
        found = await read(*asked)
        await room.watcher.execute("update task_output set body = '7' where map_index = 1")
        return found

    monkeypatch.setattr(map_tasks, "gather", gather)
    async with room.database.worker.acquire() as connection:
        with pytest.raises(StateConflict, match="while its outputs were gathered"):
            async with connection.transaction():
                await gathered_output(connection, "default", maps.run_id, MAPPED)
    assert await room.watcher.fetchval("select count(*) from artifact") == 0


async def test_a_retry_of_the_run_runs_only_what_failed_of_a_map(room: StepRoom) -> None:
    maps = await Maps.begin(room, run_retries_max=1)
    await maps.before([1, 2])
    first, second = await maps.claim()
    await maps.succeed([first])
    await maps.step(ends([second.key], AttemptState.FAILED, failure=BROKEN))
    assert (await maps.board()).state is RunState.RUNNING
    (again,) = await maps.claim()
    assert (again.key.map_index, again.key.attempt_number) == (1, 2)
