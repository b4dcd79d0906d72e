"""What the tests of forecasts share: a room with a worker, in which time passes only when the test says so."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from runs_room import CHAIN, Hand, Room, dag, open_room
from serving import until

from glidepath_server.loops.level import LevelLoop

SECONDS = {"load": 60.0, "train": 200.0, "report": 10.0}


class Scene:
    """A room with a worker, in which time passes only when the test says so."""

    def __init__(self, room: Room, hand: Hand) -> None:
        self.room, self.hand, self.seconds = room, hand, 0.0

    async def wait(self, seconds: float) -> None:
        self.seconds += seconds
        await self.room.rows("update clock set shift = make_interval(secs => $1)", self.seconds)

    def loop(self, name: str) -> LevelLoop:
        return next(each for each in self.room.server._loops if each.name == name)

    async def run(self, dag_id: str, seconds: Mapping[str, float]) -> None:
        """A run from its start to its end."""
        run_id = await self.room.start(dag_id)
        for task_id, each in seconds.items():
            await self.hand.take(task_id)
            await self.wait(each)
            await self.hand.end(task_id)
        await self.room.watch(run_id)

    async def finish(self, *task_ids: str) -> None:
        """End tasks of a run, each after its usual time."""
        for task_id in task_ids:
            await self.hand.take(task_id)
            await self.wait(SECONDS.get(task_id, 1.0))
            await self.hand.end(task_id)

    async def learnt(self, count: int) -> None:
        """Until the server has learnt from so many runs of a task."""

        async def enough() -> bool:
            rows = await self.room.rows("select max(work_count) as most from task_duration")
            return bool(rows[0]["most"] is not None and rows[0]["most"] >= count)

        await until(enough, 10)

    async def eta(self, run_id: str, **fields: Any) -> Any:
        return (await self.room.call("GetRunEta", dag_run_id=run_id, **fields)).eta


def after(eta: Any, field: str) -> float:
    """Seconds from the answer to a time in it."""
    time: Timestamp = getattr(eta, field)
    return (time.ToDatetime() - eta.time.ToDatetime()).total_seconds()


@asynccontextmanager
async def open_scene(database_url: str, **settings: Any) -> AsyncIterator[Scene]:
    """The DAG `chain` has run four times; the server knows what its tasks take."""
    async with open_room(database_url, learn_interval_seconds=0.05, **settings) as room:
        await room.register(dag("chain", CHAIN))
        hand = Hand(room.server, 10)
        await hand.connect()
        scene = Scene(room, hand)
        for _ in range(4):
            await scene.run("chain", SECONDS)
        await scene.learnt(4)
        yield scene
