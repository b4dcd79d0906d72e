"""Create runs: up to a thousand per call, all or none, in one transaction and a handful of statements."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from ..store.database import Database, transaction
from .new_runs import NewRuns, RunRequest, Triggered, check_size
from .plans import Plans
from .requests import once
from .run_engine import RunEngine


@dataclass(frozen=True, slots=True)
class TriggerCall:
    """A call as it came in: who, where, what, and what makes a repetition the same call."""

    namespace: str
    actor: str
    request_id: str
    body: bytes
    runs: Sequence[RunRequest]


@dataclass(slots=True)
class TriggerDagRuns:
    """The operation. `on_changed` is awaited after a commit that made task classes."""

    database: Database
    plans: Plans
    engine: RunEngine
    on_changed: Callable[[set[int]], Awaitable[None]]

    async def __call__(self, call: TriggerCall, encode: Callable[[list[Triggered]], bytes]) -> bytes:
        """The encoded answer, also when the request id was used before with the same body.

        A paused DAG accepts runs; they wait. Raises InvalidInput, NotFound (DAG, version, alias), AlreadyExists (run
        key with other content, request id with another body); then nothing was stored.
        """
        check_size(call.runs)
        admitted: list[UUID] = []
        classes_made = False

        async def run() -> bytes:
            nonlocal classes_made
            work = NewRuns(connection, self.plans, call.namespace, call.actor, call.runs)
            answer = encode(await work.run())
            admitted.extend(work.admitted)
            classes_made = work.classes_made
            return answer

        async with transaction(self.database.api, "trigger") as connection:
            answer = await once(
                connection,
                namespace=call.namespace,
                request_id=call.request_id,
                method="TriggerDagRuns",
                body=call.body,
                run=run,
            )
        if classes_made:
            await self.on_changed(set())
        if admitted:
            self.engine.runs_created(admitted)
        return answer
