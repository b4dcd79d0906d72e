"""The runs of ticks. One that cannot be made is refused by itself, and the others are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from ..core.errors import AlreadyExists, InvalidInput, NotFound
from ..store import trigger
from ..store.database import DATA_CLASSES, Connection, sqlstate_class
from .new_runs import RUNS_PER_CALL_MAX, NewRuns, RunRequest
from .plans import Plans

ACTOR = "scheduler"


@dataclass(frozen=True, slots=True)
class MadeRun:
    """What came of a request: a run that was made, or one that was there (`met`), or why there can be none."""

    dag_run_id: UUID | None = None
    met: bool = False
    refusal: str = ""


@dataclass(slots=True)
class ScheduledRuns:
    """Makes runs inside the caller's transaction; tell the engine of `admitted` after the commit."""

    connection: Connection
    plans: Plans
    admitted: list[UUID] = field(default_factory=list)

    async def make(self, namespace: str, requests: Sequence[RunRequest]) -> list[MadeRun]:
        """One answer per request, in order; their keys differ."""
        keys = [(each.selector.dag_id, each.run_key) for each in requests]
        there = await trigger.runs_by_key(self.connection, namespace, keys)
        made: dict[int, MadeRun] = {
            index: MadeRun(there[key]["dag_run_id"], met=True) for index, key in enumerate(keys) if key in there
        }
        new = [index for index in range(len(requests)) if index not in made]
        for start in range(0, len(new), RUNS_PER_CALL_MAX):
            part = new[start : start + RUNS_PER_CALL_MAX]
            answers = await self._make(namespace, [requests[index] for index in part])
            made |= dict(zip(part, answers, strict=True))
        return [made[index] for index in range(len(requests))]

    async def _make(self, namespace: str, requests: Sequence[RunRequest]) -> list[MadeRun]:
        """All at once; when that cannot be, each half by itself, until it is known which cannot be made."""
        work = NewRuns(self.connection, self.plans, namespace, ACTOR, requests)
        try:
            async with self.connection.transaction():
                found = await work.run()
        except Exception as error:
            if not isinstance(error, InvalidInput | NotFound | AlreadyExists) and not _blames_data(error):
                raise
            if len(requests) > 1:
                middle = len(requests) // 2
                halves = requests[:middle], requests[middle:]
                return [made for half in halves for made in await self._make(namespace, half)]
            return [await self._refused(namespace, requests[0], error)]
        self.admitted += work.admitted
        return [MadeRun(each.dag_run_id, met=not each.created) for each in found]

    async def _refused(self, namespace: str, request: RunRequest, error: Exception) -> MadeRun:
        """Its key was taken since we looked; or there can be no such run."""
        key = (request.selector.dag_id, request.run_key)
        if isinstance(error, AlreadyExists):
            there = await trigger.runs_by_key(self.connection, namespace, [key])
            if key in there:
                return MadeRun(there[key]["dag_run_id"], met=True)
        return MadeRun(refusal=str(error).replace("runs[0].", "") or type(error).__name__)


def _blames_data(error: Exception) -> bool:
    return sqlstate_class(error) in DATA_CLASSES
