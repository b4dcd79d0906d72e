"""What a backfill comes to: its dates in their order, the version of each, and what there is already."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from ..core.backfill import BackfillDate, Decision, Found, Skip, decide_date, estimate_seconds, in_order, latest_at
from ..core.backfill_dates import dates_of
from ..core.backfill_spec import LATEST, ORIGINAL, BackfillSpec, check_spec
from ..core.errors import InvalidInput, NotFound, Violation
from ..core.param_defaults import RunDates
from ..core.params import InvalidParams
from ..core.schedules import run_key, schedule_from_json
from ..store import backfills as store
from ..store import layouts, registry, trigger
from ..store.backfills import StoredSchedule
from ..store.database import Connection, database_now
from ..store.trigger import Selector
from .find_version import version_not_found
from .plans import Plans


@dataclass(frozen=True, slots=True)
class Lane:
    """The queue and the pool that new runs use instead of or beside those of the DAG. None: the DAG's."""

    queue_id: int | None = None
    pool_limit_id: int | None = None

    @property
    def key(self) -> bytes:
        """The layout hash of versions laid out for it; empty: as they were registered."""
        return b"" if self == Lane() else f"lane {self.queue_id} {self.pool_limit_id}".encode()


@dataclass(frozen=True, slots=True)
class BackfillPlan:
    """`numbers` are the versions of the dates, `version_ids` those as they were registered, by number."""

    spec: BackfillSpec
    params: str
    dates: list[BackfillDate]
    numbers: list[int]
    version_ids: Mapping[int, int]
    lane: Lane
    found: Mapping[str, Found]

    def key(self, date: BackfillDate) -> str:
        return run_key(self.spec.run_series, date.logical_date)

    def decisions(self) -> list[Decision]:
        """What would become of each date now."""
        return [
            Skip(date.skip) if date.skip else decide_date(self.spec.existing, self.found.get(self.key(date)))
            for date in self.dates
        ]

    def estimate(self, run_seconds: float | None) -> float | None:
        begun = sum(not isinstance(each, Skip) for each in self.decisions())
        return estimate_seconds(begun, self.spec.pace, run_seconds)


class BackfillPlanner:
    """Plans one backfill inside the caller's transaction. Raises InvalidInput with all that is wrong, NotFound."""

    def __init__(self, connection: Connection, plans: Plans, namespace: str, spec: BackfillSpec) -> None:
        self.connection, self.plans, self.namespace, self.spec = connection, plans, namespace, spec

    async def plan(self) -> BackfillPlan:
        spec, now = self.spec, await database_now(self.connection)
        if wrong := check_spec(spec, now):
            raise InvalidInput("; ".join(map(str, wrong)), violations=wrong)
        stored = await self._schedule()
        selector = Selector(spec.dag_id, *self._named(stored))
        [resolved] = await trigger.resolve(self.connection, self.namespace, [selector])
        if resolved.dag_version_number is None:
            raise await version_not_found(self.connection, self.namespace, "spec", selector, resolved)
        if spec.schedule_name and stored is None:
            names = await store.schedule_names(self.connection, self.namespace, spec.dag_id)
            raise _no_such("schedule", spec.schedule_name, names, f"DAG {spec.dag_id} has")
        seed = f"{self.namespace}/{spec.dag_id}/{spec.schedule_name}"
        schedule = schedule_from_json(stored.spec) if stored is not None else None
        params = self.spec.params or (stored.params if stored is not None else "")
        # Ten thousand dates take a while: others get their turns.
        dates = in_order(await asyncio.to_thread(dates_of, spec, schedule, seed, now), spec.order)
        numbers = await self._numbers(dates, resolved.dag_version_number)
        version_ids = await self._load(set(numbers))
        self._check_params(params, dates, numbers, version_ids)
        keys = [run_key(spec.run_series, date.logical_date) for date in dates]
        found = await store.runs_of_keys(self.connection, self.namespace, spec.dag_id, keys)
        return BackfillPlan(spec, params, dates, numbers, version_ids, await self._lane(), found)

    def _named(self, schedule: StoredSchedule | None) -> tuple[int | None, str | None]:
        """The number or the alias that the spec, or else its schedule, has; neither: the latest."""
        version = self.spec.dag_version
        if version == "" and schedule is not None:
            return schedule.version_number, schedule.alias
        if version in ("", LATEST, ORIGINAL):
            return None, None
        if version.isascii() and version.isdecimal() and len(version) < 10:
            return int(version), None
        return None, version

    async def _schedule(self) -> StoredSchedule | None:
        """The schedule that the spec names; None for none, or when it is not there."""
        dag_id, name = self.spec.dag_id, self.spec.schedule_name
        return await store.schedule(self.connection, self.namespace, dag_id, name) if name else None

    async def _numbers(self, dates: list[BackfillDate], number: int) -> list[int]:
        """Of each date the version that its run is to have."""
        if self.spec.dag_version != ORIGINAL:
            return [number] * len(dates)
        versions = await store.versions(self.connection, self.namespace, self.spec.dag_id)
        return [latest_at(versions, date.data_interval_end) for date in dates]

    async def _load(self, numbers: set[int]) -> dict[int, int]:
        ids: dict[int, int] = {}
        for number in sorted(numbers):
            found = await layouts.version_id(self.connection, self.namespace, self.spec.dag_id, number)
            assert found is not None
            ids[number] = found
        await self.plans.load(self.connection, ids.values())
        return ids

    def _check_params(
        self, params: str, dates: list[BackfillDate], numbers: list[int], version_ids: Mapping[int, int]
    ) -> None:
        """Against each version, with the first date that has it: what a chunk cannot make is found out here."""
        wrong: list[Violation] = []
        for number, version_id in version_ids.items():
            date = dates[numbers.index(number)]
            run_dates = RunDates(date.logical_date, date.data_interval_start, date.data_interval_end)
            try:
                self.plans.schema(version_id).complete(params, "spec.params", dates=run_dates)
            except InvalidParams as error:
                wrong += [
                    Violation(each.field, each.value, f"{each.expected} (version {number})")
                    for each in error.violations
                ]
        if wrong:
            raise InvalidInput("; ".join(map(str, wrong)), violations=wrong)

    async def _lane(self) -> Lane:
        queue_id = pool_id = None
        if name := self.spec.queue_name:
            queues = await store.queues(self.connection, self.namespace)
            queue_id = queues.get(name)
            if queue_id is None:
                raise _no_such("queue", name, list(queues))
        if name := self.spec.pool_name:
            pools = await registry.hold_pools(self.connection, self.namespace, [name])
            if name not in pools:
                names = await store.pool_names(self.connection, self.namespace)
                raise _no_such("pool", name, names)
            pool_id = pools[name].limit_id
        return Lane(queue_id, pool_id)


def _no_such(kind: str, name: str, names: list[str], where: str = "there is") -> NotFound:
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(sorted(names)[:10]) or 'none'}"
    return NotFound(f"spec.{kind}_name: {where} no {kind} {name!r}", hint=hint)
