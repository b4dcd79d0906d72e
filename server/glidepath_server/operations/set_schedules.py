"""What people do with schedules: set, pause, resume, delete one; declare all of a DAG's with its registration.

Each takes effect at the instant of its transaction. What was due before gets its outcome first, by what was said then,
and the cursor never moves back: no tick gets a second outcome, however often a schedule is changed or made again.

The DAG's row is held first, then schedules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from ..core.errors import InvalidInput, NotFound, StateConflict, Violation
from ..core.param_defaults import RunDates
from ..core.params import InvalidParams, ParamsSchema
from ..core.schedules import ContinuousRule, Overlap, Schedule, check_schedule, schedule_to_json
from ..core.tick_plans import plan_to_json
from ..store import schedules as store
from ..store import trigger
from ..store.database import Connection, database_now
from ..store.schedules import ScheduleKey, ScheduleRow
from ..store.trigger import Selector
from .audit import append_audit
from .find_dag import lock_dag
from .find_version import version_not_found
from .plan_schedules import first_due, plan_of, schedule_of
from .plans import Plans
from .tick_schedules import Outcomes, Ticked

SCHEDULES_MAX = 100
PARAMS_CHARACTERS_MAX = 65_536
# Missed ticks that a change waits for: so many times as are decided at once.
ROUNDS_MAX = 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
# What of a schedule is called otherwise where it comes from.
_WIRE_NAMES = {
    "rule.expression": "cron",
    "rule.seconds": "interval.every",
    "rule.anchor": "interval.anchor_time",
    "gap": "dst_gap",
    "overlap_hours": "dst_overlap",
    "rule.pause_seconds": "continuous.pause",
    "start": "start_time",
    "end": "end_time",
    "jitter_seconds": "jitter",
    "catchup_seconds": "catchup_within",
}
CATCHUP_RUNS_MAX = 1_000
NO_BOUND = 2**31 - 1
NAME_WORDS = "1 to 100 of A-Z a-z 0-9 _ . -, beginning with a letter or digit"


@dataclass(frozen=True, slots=True)
class Declaration:
    """What is said of a schedule. Both version fields None: the latest when a run is made."""

    schedule_name: str
    schedule: Schedule
    params: str = ""
    version_number: int | None = None
    alias: str | None = None

    def selector(self, dag_id: str) -> Selector:
        return Selector(dag_id, self.version_number, self.alias)


def check_declaration(declared: Declaration, at: str) -> Iterator[Violation]:
    """What is wrong with it by itself; `at` is where it stands ("schedules[2]")."""
    if not _NAME.fullmatch(declared.schedule_name):
        yield Violation(f"{at}.schedule_name", repr(declared.schedule_name[:120]), NAME_WORDS)
    if len(declared.params) > PARAMS_CHARACTERS_MAX:
        yield Violation(f"{at}.params", f"{len(declared.params)} characters", f"at most {PARAMS_CHARACTERS_MAX}")
    for each in check_schedule(declared.schedule, ""):
        yield replace(each, field=f"{at}.spec.{_wire_name(each.field.removeprefix('.'))}")
    if (declared.schedule.catchup_runs or 0) > CATCHUP_RUNS_MAX:
        yield Violation(f"{at}.spec.catchup_runs", str(declared.schedule.catchup_runs), f"1 to {CATCHUP_RUNS_MAX}")


def _wire_name(field: str) -> str:
    if field.startswith("rule.dates"):
        return field.replace("rule.dates", "dates.tick_time")
    return _WIRE_NAMES.get(field, field)


def check_declarations(declared: Sequence[Declaration]) -> Iterator[Violation]:
    """What is wrong with the schedules that a DAG declares."""
    if len(declared) > SCHEDULES_MAX:
        yield Violation("schedules", f"{len(declared)} schedules", f"at most {SCHEDULES_MAX} of one DAG")
    seen: set[str] = set()
    for index, each in enumerate(declared[:SCHEDULES_MAX]):
        yield from check_declaration(each, f"schedules[{index}]")
        if each.schedule_name in seen:
            yield Violation(f"schedules[{index}].schedule_name", repr(each.schedule_name), "a name that is not taken")
        seen.add(each.schedule_name)


def check_params(declared: Declaration, schema: ParamsSchema, now: datetime, at: str) -> list[Violation]:
    """Whether a run could be made with its params today."""
    try:
        schema.complete(declared.params, dates=RunDates(now, now, now))
    except InvalidParams as error:
        return [replace(each, field=f"{at}.{each.field}") for each in error.violations]
    return []


@dataclass(slots=True)
class ChangeSchedules:
    """Changes inside the caller's transaction; tell the engine of `ticked` after the commit."""

    connection: Connection
    plans: Plans
    namespace: str
    dag_id: str
    actor: str
    ticked: Ticked = field(default_factory=Ticked)

    # ---- one schedule
    async def set(self, declared: Declaration) -> ScheduleRow:
        """Create it, or replace what is said of it. The same again changes nothing. Raises InvalidInput, NotFound,
        StateConflict."""
        _refuse(list(check_declaration(declared, "declaration")))
        dag = await lock_dag(self.connection, self.namespace, self.dag_id)
        await self._check_version(declared)
        rows = {row.schedule_name: row for row in await self._lock()}
        row = rows.get(declared.schedule_name)
        if row is None or row.deleted:
            _check_count(sum(not each.deleted for each in rows.values()) + 1)
        elif row.origin == "dag":
            raise _declared_with_dag(row)
        await self._save(row, declared, "api", dag.paused)
        return await self.get(declared.schedule_name)

    async def set_paused(self, schedule_name: str, paused: bool) -> ScheduleRow:
        """Pause or resume it. Idempotent. Raises NotFound.

        What was due and has no outcome yet counts to the pause: a pause never has to wait for missed ticks.
        """
        await lock_dag(self.connection, self.namespace, self.dag_id)
        row = await store.lock(self.connection, self._key(schedule_name))
        if row is None or row.deleted:
            raise self._no_such(schedule_name)
        if row.paused != paused:
            now = await database_now(self.connection)
            await store.set_paused(self.connection, row.key, paused, now, self.actor)
            await self._audit("schedule.pause" if paused else "schedule.resume", schedule_name, {}, now)
        return await self.get(schedule_name)

    async def delete(self, schedule_name: str) -> None:
        """Delete it; its runs go on. One that is not there is deleted already. Raises StateConflict."""
        dag = await lock_dag(self.connection, self.namespace, self.dag_id)
        row = await store.lock(self.connection, self._key(schedule_name))
        if row is None or row.deleted:
            return
        if row.origin == "dag":
            raise _declared_with_dag(row)
        await self._delete(row, dag.paused)

    async def get(self, schedule_name: str) -> ScheduleRow:
        """Raises NotFound."""
        found = await store.list_schedules(self.connection, self.namespace, self.dag_id, schedule_name)
        # An empty name means any in a list, and none here.
        if not found or found[0].key != self._key(schedule_name):
            raise self._no_such(schedule_name)
        return found[0]

    # ---- all that a DAG declares
    async def declare(self, declared: Sequence[Declaration], dag_paused: bool) -> None:
        """Make these, and no others, the schedules that the DAG declares; the caller holds its row.

        Raises InvalidInput for a name that somebody has set by hand.
        """
        rows = {row.schedule_name: row for row in await self._lock()}
        taken = {name for name, row in rows.items() if row.origin == "api" and not row.deleted}
        wrong = [
            Violation(
                f"schedules[{index}].schedule_name", repr(each.schedule_name), "a name that SetSchedule has not set"
            )
            for index, each in enumerate(declared)
            if each.schedule_name in taken
        ]
        _refuse(wrong)
        _check_count(len(taken) + len(declared))
        names = {each.schedule_name for each in declared}
        for row in rows.values():
            if row.origin == "dag" and not row.deleted and row.schedule_name not in names:
                await self._delete(row, dag_paused)
        for each in declared:
            await self._save(rows.get(each.schedule_name), each, "dag", dag_paused)

    # ---- how
    async def _lock(self) -> list[ScheduleRow]:
        return await store.lock_of_dag(self.connection, self.namespace, self.dag_id)

    def _key(self, schedule_name: str) -> ScheduleKey:
        return ScheduleKey(self.namespace, self.dag_id, schedule_name)

    async def _check_version(self, declared: Declaration) -> None:
        """Whether its version is there and takes its params."""
        selector = declared.selector(self.dag_id)
        (found,) = await trigger.resolve(self.connection, self.namespace, [selector])
        if found.dag_version_id is None:
            raise await version_not_found(self.connection, self.namespace, "declaration", selector, found)
        await self.plans.load(self.connection, [found.dag_version_id])
        now = await database_now(self.connection)
        _refuse(check_params(declared, self.plans.schema(found.dag_version_id), now, "declaration"))

    async def _save(self, row: ScheduleRow | None, declared: Declaration, origin: str, dag_paused: bool) -> None:
        spec = schedule_to_json(declared.schedule)
        said: dict[str, Any] = {
            "origin": origin,
            "spec": spec,
            "params": declared.params,
            "version_number": declared.version_number,
            "alias": declared.alias,
        }
        if row is not None and not row.deleted and all(getattr(row, name) == each for name, each in said.items()):
            return
        now = await database_now(self.connection)
        waiting = await self._hand_over(row, declared.schedule, dag_paused, now)
        key = self._key(declared.schedule_name)
        await store.save(
            self.connection,
            key,
            **said,
            waiting=waiting,
            active_max=_active_max(declared.schedule),
            in_sequence=declared.schedule.overlap is Overlap.SEQUENCE,
            keep_missed=dag_paused or (row is not None and row.paused),
            now=now,
            actor=self.actor,
        )
        saved = await store.lock(self.connection, key)
        assert saved is not None
        if not saved.paused and not dag_paused:
            # So that whoever has set it is told when it ticks next.
            plan = plan_of(saved, now)
            await store.save_plans(self.connection, [(key, plan_to_json(plan), first_due(saved, plan, now))])
        await self._audit("schedule.set", declared.schedule_name, said, now)

    async def _hand_over(self, row: ScheduleRow | None, new: Schedule, dag_paused: bool, now: datetime) -> int:
        """End what the old schedule has under way; the number of ticks that go on waiting."""
        if row is None or row.deleted:
            return 0
        if not row.paused and not dag_paused:
            row = await self._settle(row, now)
        if isinstance(schedule_of(row.spec).rule, ContinuousRule):
            return 0
        if isinstance(new.rule, ContinuousRule) and row.waiting:
            await store.skip_waiting(self.connection, row.key, "the schedule was changed while it waited")
            return 0
        return row.waiting

    async def _delete(self, row: ScheduleRow, dag_paused: bool) -> None:
        now = await database_now(self.connection)
        if not row.paused and not dag_paused:
            await self._settle(row, now)
        await store.skip_waiting(self.connection, row.key, "the schedule was deleted while it waited")
        await store.delete(self.connection, row.key, now, self.actor)
        await self._audit("schedule.delete", row.schedule_name, {"origin": row.origin}, now)

    async def _settle(self, row: ScheduleRow, now: datetime) -> ScheduleRow:
        """Give what is due by now its outcome, by what was said of the schedule so far; the row as it is then.

        A tick whose jitter is not over goes at once: nobody would come back for it.
        """
        for _ in range(ROUNDS_MAX):
            plan = plan_of(row, now).hurried(now)
            if not plan.due(now):
                return row
            await Outcomes(self.connection, self.plans, now, self.ticked).give([(row, plan)])
            found = await store.lock(self.connection, row.key)
            assert found is not None
            if found.last_tick_time == row.last_tick_time:
                return found  # the schedule has made all the runs it may make
            row = found
        raise StateConflict(
            f"schedule {row.schedule_name!r} of DAG {self.dag_id} is still catching up on missed ticks",
            hint="wait until it has (list its ticks), then try again",
        )

    def _no_such(self, schedule_name: str) -> NotFound:
        return NotFound(
            f"DAG {self.dag_id!r} has no schedule {schedule_name!r} in namespace {self.namespace!r}",
            hint="list the schedules of the DAG",
        )

    async def _audit(self, action: str, schedule_name: str, detail: dict[str, Any], now: datetime) -> None:
        await append_audit(
            self.connection,
            namespace=self.namespace,
            actor=self.actor,
            action=action,
            target=f"schedule/{self.dag_id}/{schedule_name}",
            detail=detail,
            now=now,
        )


def _active_max(schedule: Schedule) -> int:
    """A tick that waits is looked at when fewer runs than these are active."""
    if schedule.overlap is not Overlap.ALLOW or isinstance(schedule.rule, ContinuousRule):
        return 1
    return schedule.overlap_runs or NO_BOUND


def _refuse(wrong: Sequence[Violation]) -> None:
    if wrong:
        raise InvalidInput("; ".join(map(str, wrong)), violations=list(wrong))


def _check_count(count: int) -> None:
    if count > SCHEDULES_MAX:
        _refuse([Violation("schedules", f"{count} schedules", f"at most {SCHEDULES_MAX} of one DAG")])


def _declared_with_dag(row: ScheduleRow) -> StateConflict:
    return StateConflict(
        f"schedule {row.schedule_name!r} was declared with DAG {row.dag_id}",
        hint="change it there and register the DAG again; it can be paused here",
    )
