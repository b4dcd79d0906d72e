"""Deadlines that will probably be missed are told of before they are, with the tasks that make it so."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from eta_scene import Scene, open_scene
from runs_room import CHAIN, dag
from serving import until

from glidepath_server.core.deadlines import Anchor, Deadline
from glidepath_server.core.prediction import forecast
from glidepath_server.core.states import AttemptState
from glidepath_server.operations import foresee_runs
from glidepath_server.operations.foresee_misses import Looks, Why, foresee_misses
from glidepath_server.operations.judge_deadlines import set_risks
from glidepath_server.operations.read_runs import RunReader
from glidepath_server.store import deadlines as store
from glidepath_server.store.database import database_now, transaction

pytestmark = pytest.mark.asyncio(loop_scope="module")
THRESHOLD = 0.75


class Watch:
    """Deadlines in a scene, looked ahead at when the test says so."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.room = scene, scene.room
        self.reader = RunReader(self.room.database, self.room.server.engine.replica.plans)

    async def start(self, dag_id: str, *deadlines: Deadline) -> str:
        """A run with these deadlines, and no others."""
        async with transaction(self.room.database.api, "test") as connection:
            now = await database_now(connection)
            await store.delete_undeclared(connection, "default", dag_id, [])
            await store.put_dag_deadlines(connection, "default", dag_id, deadlines, declared=True, now=now, by="test")
        return await self.room.start(dag_id)

    async def look(self, looks: Looks | None = None, runs_max: int = 100) -> dict[int, Why | None]:
        """What is said of deadlines now; it is written, too."""
        said = await foresee_misses(self.reader, looks or Looks(), THRESHOLD, runs_max)
        async with transaction(self.room.database.api, "risks") as connection:
            await set_risks(connection, said)
        return said

    async def states(self, run_id: str) -> dict[str, str]:
        rows = await self.room.rows("select deadline_name, state from deadline where dag_run_id = $1", UUID(run_id))
        return {row["deadline_name"]: row["state"] for row in rows}

    async def facts(self, run_id: str) -> list[tuple[str, dict[str, Any]]]:
        rows = await self.room.rows(
            "select kind, body from outbox where dag_run_id = $1 order by fact_id", UUID(run_id)
        )
        return [(row["kind"], json.loads(row["body"])) for row in rows]

    async def end(self, run_id: str, *task_ids: str) -> None:
        await self.scene.finish(*task_ids)
        await self.room.watch(run_id)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def watch(module_database_url: str) -> AsyncIterator[Watch]:
    async with open_scene(module_database_url, risk_interval_seconds=3600) as scene:
        # What the runs of these tests take is their own affair.
        await scene.loop("durations").stop()
        yield Watch(scene)


def by(seconds: float, **fields: Any) -> Deadline:
    return Deadline("soon", Anchor.QUEUE, seconds, **fields)


async def test_a_run_that_has_time_enough_is_on_track(watch: Watch) -> None:
    run_id = await watch.start("chain", by(2000))
    await watch.scene.hand.take("load")
    assert await watch.look() == {}
    assert await watch.states(run_id) == {"soon": "on_track"}
    await watch.end(run_id, *CHAIN)


async def test_a_server_goes_on_while_it_foresees_a_large_run(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    loop, said = asyncio.get_running_loop(), threading.Event()

    def slow(*arguments: Any) -> Any:
        loop.call_soon_threadsafe(said.set)
        assert said.wait(5), "nothing else is done meanwhile"
        return forecast(*arguments)

    run_id = await watch.start("chain", by(2000))
    await watch.scene.hand.take("load")
    monkeypatch.setattr(foresee_runs, "forecast", slow)
    assert await watch.look() == {}
    await watch.end(run_id, *CHAIN)


async def test_a_slow_task_is_warned_of_and_named_and_a_fast_one_takes_that_back(watch: Watch) -> None:
    run_id = await watch.start("chain", by(400))
    await watch.scene.hand.take("load")
    await watch.scene.wait(300)
    await watch.scene.hand.end("load")
    await watch.scene.hand.take("train")
    await watch.look()
    assert await watch.states(run_id) == {"soon": "at_risk"}
    ((kind, body),) = await watch.facts(run_id)
    assert kind == "at_risk"
    assert "will probably not be done by" in body["summary"] and "load took 5 min instead of" in body["summary"]
    assert [each["task_id"] for each in body["causes"]] == ["load"]
    assert 0.75 <= body["late_probability"] <= 1
    await watch.look()
    assert len(await watch.facts(run_id)) == 1
    await watch.scene.hand.end("train")
    await watch.scene.hand.take("report")
    await watch.look()
    assert await watch.states(run_id) == {"soon": "on_track"}
    assert [kind for kind, _ in await watch.facts(run_id)] == ["at_risk", "recovered"]
    await watch.end(run_id, "report")
    assert await watch.states(run_id) == {"soon": "met"}


async def test_the_eta_of_a_run_counts_slack_up_to_its_deadline(watch: Watch) -> None:
    run_id = await watch.start("chain", by(50, task_id="load"), Deadline("whole", Anchor.QUEUE, 1000))
    await watch.scene.hand.take("load")
    eta = await watch.scene.eta(run_id)
    due = (eta.due_time.ToDatetime() - eta.time.ToDatetime()).total_seconds()
    assert due == pytest.approx(1000, abs=5)
    assert eta.late_probability < 0.05
    await watch.end(run_id, *CHAIN)


async def test_a_deadline_of_a_task_looks_at_that_task(watch: Watch) -> None:
    deadlines = (
        Deadline("first", Anchor.QUEUE, 30, task_id="load"),
        Deadline("last", Anchor.QUEUE, 1500, task_id="report"),
    )
    run_id = await watch.start("chain", *deadlines)
    await watch.scene.hand.take("load")
    await watch.look()
    assert await watch.states(run_id) == {"first": "at_risk", "last": "on_track"}
    await watch.end(run_id, *CHAIN)


async def test_a_task_that_has_failed_will_not_be_done_in_time_by_itself(watch: Watch) -> None:
    await watch.room.register(dag("two", {"bad": [], "long": []}))
    run_id = await watch.start("two", by(9000, task_id="bad"))
    await watch.scene.hand.take("long")
    await watch.scene.hand.end("bad", AttemptState.FAILED)
    await watch.look()
    assert await watch.states(run_id) == {"soon": "at_risk"}
    assert (await watch.facts(run_id))[0][1]["because"] == "bad has not succeeded"
    await watch.scene.hand.end("long")
    await watch.room.watch(run_id)


async def test_of_two_runs_of_a_dag_the_one_with_less_slack_goes_first(watch: Watch) -> None:
    """What is released after a look at the deadlines; the worker has no room meanwhile."""
    relaxed = await watch.start("chain", by(90_000))
    await watch.scene.hand.take("load")
    first = watch.scene.hand.taken.pop("load")
    pressed = await watch.start("chain", by(300))
    await watch.scene.hand.take("load")
    replica, room_before = watch.room.server.engine.replica, watch.scene.hand.free
    await watch.look(Looks(urgency=replica.urgency))
    assert replica.urgency_of(UUID(pressed), 1) > 0.8 > 0.1 > replica.urgency_of(UUID(relaxed), 1)
    watch.scene.hand.free = -1
    last = watch.scene.hand.taken["load"]
    for each in (first, last):
        watch.scene.hand.taken["load"] = each
        await watch.scene.hand.end("load")
        watch.scene.hand.free = -1
    rows = await watch.room.rows("select dag_run_id from task_queue where due order by order_key")
    assert [str(row["dag_run_id"]) for row in rows] == [pressed, relaxed]
    for run_id in (relaxed, pressed):
        await watch.room.call("CancelDagRun", dag_run_id=run_id)
        await watch.room.watch(run_id)
    watch.scene.hand.free = room_before
    await watch.look(Looks(urgency=replica.urgency))
    assert replica.urgency == {}


async def test_a_guess_warns_nobody(watch: Watch) -> None:
    await watch.room.register(dag("new", {"never": []}))
    run_id = await watch.start("new", by(60))
    await watch.scene.hand.take("never")
    await watch.scene.wait(55)
    assert await watch.look() == {}
    await watch.end(run_id, "never")


async def test_a_deadline_is_looked_at_again_after_a_hundredth_of_its_time(watch: Watch) -> None:
    run_id = await watch.start("chain", by(1000))
    await watch.scene.hand.take("load")
    looks = Looks()
    await watch.look(looks)
    (first,) = looks.again.values()
    await watch.scene.wait(5)
    await watch.look(looks)
    assert list(looks.again.values()) == [first]
    await watch.scene.wait(10)
    await watch.look(looks)
    (second,) = looks.again.values()
    assert second - first > timedelta(seconds=5)
    await watch.end(run_id, *CHAIN)
    await watch.look(looks)
    assert looks.again == {}


async def test_a_round_is_bounded_and_the_next_one_takes_the_rest(watch: Watch) -> None:
    first = await watch.start("chain", by(400))
    await watch.scene.hand.take("load")
    await watch.scene.hand.end("load")
    await watch.scene.hand.take("train")
    second = await watch.room.start("chain")
    await watch.scene.hand.take("load")
    looks = Looks()
    await watch.look(looks, runs_max=1)
    assert len(looks.again) == 1
    await watch.look(looks, runs_max=1)
    assert len(looks.again) == 2
    await watch.scene.finish("train", "report", "load", "train", "report")
    for run_id in (first, second):
        await watch.room.watch(run_id)


async def test_the_loop_says_it_and_wakes_whoever_alerts(watch: Watch) -> None:
    run_id = await watch.start("chain", by(100))
    await watch.scene.hand.take("load")
    watch.scene.loop("risks").wake()

    async def at_risk() -> bool:
        return await watch.states(run_id) == {"soon": "at_risk"}

    await until(at_risk)
    await watch.end(run_id, *CHAIN)
