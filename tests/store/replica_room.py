"""A replica's engine without its tasks: a test says when its lanes step, so nothing has to be waited for."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from step_room import OFFER, Seat, StepRoom

from glidepath_server.core.matching import Offer
from glidepath_server.loops.engine import Engine
from glidepath_server.operations.step_types import Assigned, Report, Verdict
from glidepath_server.settings import Settings
from glidepath_server.store import engine as store


class Worker(Seat):
    """A connected session that notes what it is told; `deaf`: telling it raises."""

    def __init__(
        self, session_id: uuid.UUID, *, generation: int = 1, free: int = 0, offer: Offer = OFFER, deaf: bool = False
    ) -> None:
        super().__init__(session_id, generation, free, offer)
        self.deaf = deaf
        self.assigned: list[Assigned] = []
        self.acks: list[tuple[Report, Verdict]] = []

    def assign(self, assigned: list[Any]) -> None:
        if self.deaf:
            raise ConnectionError("the stream broke")
        self.assigned += assigned

    def acknowledge(self, acks: list[Any]) -> None:
        if self.deaf:
            raise ConnectionError("the stream broke")
        self.acks += acks

    @property
    def tasks(self) -> list[int]:
        """The tasks that were assigned to it, in order."""
        return [each.key.task for each in self.assigned]

    @property
    def verdicts(self) -> list[Verdict]:
        return [verdict for _, verdict in self.acks]


async def replica(room: StepRoom, **settings: Any) -> Engine:
    """An engine that knows the task classes and caps of now, as after its start."""
    engine = Engine(room.database, Settings.load({}, **settings))
    await learn(engine)
    return engine


async def learn(engine: Engine) -> None:
    async with engine.database.worker.acquire() as connection:
        engine.replica.pullers.learn(await store.task_classes(connection, 0))
        engine.replica.pullers.set_capped(await store.capped_limits(connection))


async def turn(engine: Engine) -> None:
    """Step all that has arrived, and claim until nobody can take more or nothing is found."""
    for lane in engine.lanes:
        while lane._has_work():
            await lane._batch(lane._take())


def pending(engine: Engine) -> Sequence[uuid.UUID]:
    """Runs for which something waits in a lane."""
    return [run_id for lane in engine.lanes for run_id in lane.pending]
