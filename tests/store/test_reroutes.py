"""After so many attempts that failed or were lost a task waits in another queue, for the workers of that."""

from __future__ import annotations

import uuid

import pytest
from step_room import Seat, StepRoom

from glidepath_server.core.definition import Handler
from glidepath_server.core.draft import DagDraft, PolicyDraft, RetryDraft, TaskDraft
from glidepath_server.core.events import AttemptKey, RunStarted
from glidepath_server.core.matching import Offer
from glidepath_server.core.states import AttemptState
from glidepath_server.core.validation import LeaseTerms
from glidepath_server.operations import sessions
from glidepath_server.operations.new_runs import RunRequest
from glidepath_server.operations.plans import Plans
from glidepath_server.operations.register_dag_version import RegisterCall, RegisterDagVersion
from glidepath_server.operations.step_types import Report, RunWork
from glidepath_server.operations.trigger_dag_runs import TriggerCall, TriggerDagRuns
from glidepath_server.store import engine as store
from glidepath_server.store.sessions import WorkerFacts
from glidepath_server.store.trigger import Selector

HANDLER = "test:task"
RETRY = RetryDraft(retries_max=5, losses_max=5, delay_seconds=0, reroute_queue="big", reroute_after=2)


class Created:
    """Of an engine only what a trigger tells it."""

    def runs_created(self, run_ids: list[uuid.UUID]) -> None:
        (self.run_id,) = run_ids


async def started(room: StepRoom, *tasks: TaskDraft) -> uuid.UUID:
    """A run of a DAG that was registered, started."""

    async def nobody(_: set[int]) -> None:
        """No replica is up."""

    register = RegisterDagVersion(room.database, LeaseTerms(60.0, 10.0), nobody)
    await register(RegisterCall("default", "test", "", b"", DagDraft("dag", tasks)), lambda _: b"")
    engine = Created()
    call = TriggerCall("default", "test", "", b"", [RunRequest(Selector("dag"))])
    await TriggerDagRuns(room.database, Plans(), engine, nobody)(call, lambda _: b"")
    async with room.side() as side:
        await side.step_and_commit({engine.run_id: RunWork(events=[RunStarted()])})
    return engine.run_id


async def worker(room: StepRoom, queue: str) -> Seat:
    """A session that serves this queue."""
    offer = Offer("default", frozenset({queue}), {}, {}, ((HANDLER, frozenset({"*"})),))
    facts = WorkerFacts(queue, str(uuid.uuid4()), offer, "test", "0", "host", 1)
    greeting = await sessions.hello(room.database.worker, facts, [], uuid.uuid4(), 60.0)
    return Seat(greeting.session_id, 1, 1, offer)


async def claimed(room: StepRoom, queue: str) -> list[AttemptKey]:
    async with room.side() as side:
        side.replica.pullers.learn(await store.task_classes(room.watcher, 0))
        side.replica.pullers.add(await worker(room, queue))
        return [each.key for each in (await side.step_and_commit()).assigned]


async def ended(room: StepRoom, key: AttemptKey, outcome: AttemptState) -> None:
    session = await room.watcher.fetchval("select session_id from live_attempt")
    judged = session if outcome is AttemptState.LOST else None
    report = Report(key, outcome, judged=judged, origin=None if judged else "worker")
    async with room.side() as side:
        await side.step_and_commit({key.dag_run_id: RunWork(reports=[report])})


@pytest.mark.parametrize("outcome", [AttemptState.FAILED, AttemptState.TIMED_OUT, AttemptState.LOST])
async def test_the_attempt_after_so_many_goes_to_the_other_queue(room: StepRoom, outcome: AttemptState) -> None:
    await started(room, TaskDraft("train", Handler(HANDLER), policy=PolicyDraft(retry=RETRY)))
    for number in (1, 2):
        assert await claimed(room, "big") == []
        (key,) = await claimed(room, "default")
        assert key.attempt_number == number
        await ended(room, key, outcome)
    assert await claimed(room, "default") == []
    (key,) = await claimed(room, "big")
    assert key.attempt_number == 3
    await ended(room, key, AttemptState.SUCCESS)
    assert await room.watcher.fetchval("select state from dag_run") == "success"


async def test_what_was_handed_back_stays_where_it_was(room: StepRoom) -> None:
    await started(room, TaskDraft("train", Handler(HANDLER), policy=PolicyDraft(retry=RETRY)))
    for _ in range(3):
        (key,) = await claimed(room, "default")
        await ended(room, key, AttemptState.RETURNED)
    assert len(await claimed(room, "default")) == 1


async def test_a_free_worker_of_the_other_queue_gets_it_at_once(room: StepRoom) -> None:
    policy = PolicyDraft(retry=RetryDraft(retries_max=1, delay_seconds=0, reroute_queue="big"))
    await started(room, TaskDraft("train", Handler(HANDLER), policy=policy))
    (key,) = await claimed(room, "default")
    async with room.side() as side:
        side.replica.pullers.learn(await store.task_classes(room.watcher, 0))
        side.replica.pullers.add(await worker(room, "big"))
        work = RunWork(reports=[Report(key, AttemptState.FAILED, origin="worker")])
        (assigned,) = (await side.step_and_commit({key.dag_run_id: work})).assigned
    assert assigned.key.attempt_number == 2
    queue = "select queue_name from live_attempt join task_class using (class_id) join queue using (queue_id)"
    assert await room.watcher.fetchval(queue) == "big"
    ended = {key.dag_run_id: RunWork(reports=[Report(assigned.key, AttemptState.SUCCESS, origin="worker")])}
    async with room.side() as side:
        ((_, class_id),) = (await side.step_and_commit(ended)).ended
    queue = "select queue_name from task_class join queue using (queue_id) where class_id = $1"
    assert await room.watcher.fetchval(queue, class_id) == "big", "who waits there is told of what is free"
