"""Making runs: whoever wants some (a caller, a schedule, a backfill) makes them here, up to a thousand in a handful of
statements, all or none.

The key of a run is unique within its DAG for ever. Who asks for a key that is taken is told of the run that has it, if
that has the content that was asked for.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from .. import clock
from ..core.errors import AlreadyExists, InvalidInput, Violation
from ..core.layouts import Layout
from ..core.param_defaults import RunDates
from ..core.params import InvalidParams
from ..core.parts import lacks, part_of
from ..store import engine as engine_store
from ..store import layouts, trigger
from ..store.database import Connection, database_now
from ..store.trigger import NewRun, Resolved, Selector
from .audit import append_audit
from .find_version import version_not_found
from .first_boards import first_board, wrong_names
from .new_deadlines import write_new_deadlines
from .plans import Plan, Plans
from .read_runs import index_of

RUNS_PER_CALL_MAX = 1_000
RUN_KEY_CHARACTERS_MAX = 200
# Further violations show up when these are mended.
VIOLATIONS_MAX = 50
# Checking params takes time: after so many runs others get a turn.
RUNS_AT_ONCE = 100
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class RunRequest:
    """One run that a caller asks for. Empty run key: the run's id. None: logical date now, interval [date, date]."""

    selector: Selector
    run_key: str = ""
    params: str = ""
    logical_date: datetime | None = None
    data_interval_start: datetime | None = None
    data_interval_end: datetime | None = None
    traceparent: str = ""
    refresh_cache: bool = False
    # The run is created paused at these tasks.
    pause_at: tuple[str, ...] = ()
    # Not empty: these tasks alone, and with them what comes before or after them.
    only: tuple[str, ...] = ()
    only_with_upstream: bool = False
    only_with_downstream: bool = False
    # Who makes it: "manual", "scheduled" or "backfill". Child runs are made by the step of their callers.
    run_type: str = "manual"
    backfill_id: UUID | None = None
    # A run that has the key is the answer, whatever its content.
    any_content: bool = False


@dataclass(frozen=True, slots=True)
class Triggered:
    """The run that a request led to. `created` is False when its key existed."""

    dag_run_id: UUID
    run_key: str
    dag_version_number: int
    created: bool


def check_size(runs: Sequence[RunRequest]) -> None:
    if not 1 <= len(runs) <= RUNS_PER_CALL_MAX:
        violation = Violation("runs", f"{len(runs)} runs", f"1 to {RUNS_PER_CALL_MAX} runs in one call")
        raise InvalidInput(str(violation), violations=[violation])


class _Part(NamedTuple):
    """A part of a DAG as it is asked for."""

    selector: Selector
    only: tuple[str, ...]
    with_upstream: bool
    with_downstream: bool


def _part(request: RunRequest) -> _Part:
    return _Part(request.selector, request.only, request.only_with_upstream, request.only_with_downstream)


class NewRuns:
    """The runs that somebody asks for at once, inside the caller's transaction. `run` once; tell the engine of what is
    `admitted` after the commit.
    """

    def __init__(
        self, connection: Connection, plans: Plans, namespace: str, actor: str, requests: Sequence[RunRequest]
    ) -> None:
        self.connection, self.plans, self.namespace, self.actor = connection, plans, namespace, actor
        self.requests = requests
        self.admitted: list[UUID] = []
        # Whether task classes were made, for runs of a part of their DAG; then the engine is told of that, too.
        self.classes_made = False

    async def run(self) -> list[Triggered]:
        """One answer per item, in order.

        Raises InvalidInput with the violations of all items, NotFound (DAG, version, alias), AlreadyExists (the key of
        a run has other content); then the caller's transaction must be rolled back.
        """
        check_size(self.requests)
        self.now = await database_now(self.connection)
        self.versions = await self._resolve()
        self.parts = await self._lay_out()
        wanted = await self._new_runs()
        keys = [(run.dag_id, run.run_key, run.dag_run_id) for run in wanted]
        taken = await trigger.take_keys(self.connection, self.namespace, keys)
        new = [run for run in wanted if run.dag_run_id in taken]
        if new:
            await trigger.insert_runs(self.connection, self.namespace, self.now, self.actor, new)
            watched = [run for run in new if run.has_deadlines]
            await write_new_deadlines(self.connection, self.plans, self.namespace, self.now, watched)
            await self._admit(new)
            await self._audit(new)
        answers = {run.dag_run_id: self._created(run) for run in new}
        if len(new) < len(wanted):
            answers |= await self._existing([(i, run) for i, run in enumerate(wanted) if run.dag_run_id not in taken])
        return [answers[run.dag_run_id] for run in wanted]

    async def _admit(self, new: Sequence[NewRun]) -> None:
        """Runs of a capped DAG are admitted, oldest first, as far as there is room; the others wait."""
        self.admitted += [run.dag_run_id for run in new if run.admitted]
        limits = {self._limit_id(run.dag_id): run.dag_id for run in new if not run.admitted}
        for limit_id, dag_id in sorted(limits.items()):
            self.admitted += await engine_store.admit_runs(self.connection, self.namespace, dag_id, limit_id)

    def _limit_id(self, dag_id: str) -> int:
        return next(
            each.runs_limit_id
            for selector, each in self.versions.items()
            if selector.dag_id == dag_id and each.runs_limit_id is not None
        )

    def _created(self, run: NewRun) -> Triggered:
        return Triggered(run.dag_run_id, run.run_key, self._number(run.dag_version_id), created=True)

    def _number(self, dag_version_id: int) -> int:
        return self.plans.versions[dag_version_id].dag_version_number

    async def _audit(self, new: Sequence[NewRun]) -> None:
        dag_ids = sorted({run.dag_id for run in new})
        target = f"dag_run/{new[0].dag_run_id}" if len(new) == 1 else "dag/" + ",".join(dag_ids[:3])
        detail = {"count": len(new), "dag_ids": dag_ids, "dag_run_ids": [str(run.dag_run_id) for run in new]}
        await append_audit(
            self.connection,
            namespace=self.namespace,
            actor=self.actor,
            action="dag_run.trigger",
            target=target,
            detail=detail,
            now=self.now,
        )

    # ---- versions
    async def _resolve(self) -> dict[Selector, Resolved]:
        """What each selector of the call means, its plan loaded. Raises NotFound for the first item that has none."""
        selectors = list(dict.fromkeys(each.selector for each in self.requests))
        found = dict(zip(selectors, await trigger.resolve(self.connection, self.namespace, selectors), strict=True))
        for index, each in enumerate(self.requests):
            if found[each.selector].dag_version_id is None:
                raise await version_not_found(
                    self.connection, self.namespace, f"runs[{index}]", each.selector, found[each.selector]
                )
        await self.plans.load(
            self.connection, {each.dag_version_id for each in found.values() if each.dag_version_id is not None}
        )
        return found

    async def _lay_out(self) -> dict[_Part, int]:
        """The version of each part of a DAG that is asked for, its plan loaded. Raises InvalidInput for the first item
        whose part cannot run by itself."""
        found: dict[_Part, int] = {}
        for index, each in enumerate(self.requests):
            if not each.only or _part(each) in found:
                continue
            version_id = self._version_id(each)
            left_out = self._left_out(self.plans.versions[version_id], each, f"runs[{index}].only_task_ids")
            if left_out:
                layout = Layout(self.plans.versions[version_id].graph.task_ids, left_out)
                version_id, made = await layouts.ensure_layout(self.connection, version_id, layout)
                self.classes_made |= made
                await self.plans.load(self.connection, [version_id])
            found[_part(each)] = version_id
        return found

    def _left_out(self, plan: Plan, request: RunRequest, field: str) -> frozenset[str]:
        violations = list(wrong_names(plan, field, request.only))
        if not violations:
            index = index_of(plan.graph)
            tasks = [index[task_id] for task_id in request.only]
            up, down = request.only_with_upstream, request.only_with_downstream
            part = part_of(plan.graph, tasks, with_upstream=up, with_downstream=down)
            violations = [Violation(field, *lack) for lack in lacks(plan.spec, plan.graph, part)]
        if violations:
            violations = violations[:VIOLATIONS_MAX]
            raise InvalidInput(f"{violations[0]}{_and_more(violations)}", violations=violations)
        return frozenset(plan.graph.task_ids[task] for task in range(plan.graph.size) if task not in part)

    def _version_id(self, request: RunRequest) -> int:
        """The version that a run of it has: once the parts are laid out, that of its part."""
        version_id = self.versions[request.selector].dag_version_id
        assert version_id is not None
        return version_id

    # ---- content
    async def _new_runs(self) -> list[NewRun]:
        """The runs as they would be stored, one per item. Raises InvalidInput with the violations of all items."""
        limits = {each.runs_limit_id for each in self.versions.values() if each.runs_limit_id is not None}
        capped = await trigger.capped_limits(self.connection, limits)
        run_ids = clock.new_ids(self.now, len(self.requests))
        violations: list[Violation] = []
        params: dict[tuple[int, str, RunDates | None], str] = {}
        runs = []
        for index, (each, run_id) in enumerate(zip(self.requests, run_ids, strict=True)):
            at = f"runs[{index}]"
            violations += _violations(each, at)
            violations += self._wrong_names(each, at)
            try:
                runs.append(self._new_run(each, run_id, capped, params))
            except InvalidParams as error:
                violations += [replace(violation, field=f"{at}.{violation.field}") for violation in error.violations]
            if len(violations) >= VIOLATIONS_MAX:
                break
            if index % RUNS_AT_ONCE == RUNS_AT_ONCE - 1:
                await asyncio.sleep(0)
        if violations:
            raise InvalidInput(f"{violations[0]}{_and_more(violations)}", violations=violations)
        return runs

    def _wrong_names(self, request: RunRequest, at: str) -> Iterator[Violation]:
        plan = self.plans.versions[self._version_id(request)]
        yield from wrong_names(plan, f"{at}.pause_at_task_ids", request.pause_at)

    def _new_run(
        self,
        request: RunRequest,
        run_id: UUID,
        capped: set[int],
        params: dict[tuple[int, str, RunDates | None], str],
    ) -> NewRun:
        resolved = self.versions[request.selector]
        version_id = self.parts[_part(request)] if request.only else self._version_id(request)
        date = request.logical_date or self.now
        dates = RunDates(date, request.data_interval_start or date, request.data_interval_end or date)
        schema = self.plans.schema(version_id)
        known = (version_id, request.params, dates if schema.dated else None)
        if known not in params:
            params[known] = schema.complete(request.params, dates=dates)
        return NewRun(
            run_id,
            version_id,
            resolved.runs_limit_id not in capped,
            self.plans.versions[version_id].graph.size,
            request.selector.dag_id,
            request.run_key or str(run_id),
            params[known],
            *dates,
            request.traceparent,
            request.refresh_cache,
            first_board(self.plans.versions[version_id], request.pause_at, self.actor),
            request.run_type,
            resolved.has_deadlines,
            request.backfill_id,
        )

    # ---- keys that existed
    async def _existing(self, runs: Sequence[tuple[int, NewRun]]) -> dict[UUID, Triggered]:
        """What has the keys that were not free, by the id the new run would have had. Raises AlreadyExists."""
        keys = [(run.dag_id, run.run_key) for _, run in runs]
        rows = await trigger.runs_by_key(self.connection, self.namespace, keys)
        await self.plans.load(
            self.connection, {row["dag_version_id"] for row in rows.values() if row["dag_version_id"] is not None}
        )
        found = {}
        for index, run in runs:
            row = rows[run.dag_id, run.run_key]
            if row["dag_version_id"] is not None and not self.requests[index].any_content:
                self._check_same(index, row, run.dag_version_id)
            number = row["dag_version_number"] or self._number(run.dag_version_id)
            found[run.dag_run_id] = Triggered(row["dag_run_id"], run.run_key, number, created=False)
        return found

    def _check_same(self, index: int, row: trigger.Row, version_id: int) -> None:
        """Raise AlreadyExists when what was asked for differs from the run that has its key."""
        request = self.requests[index]
        different = "; ".join(self._differences(request, row))
        if request.only and version_id != row["dag_version_id"]:
            different = "; ".join(filter(None, [different, "it has other tasks"]))
        if different:
            raise AlreadyExists(
                f"runs[{index}].run_key: DAG {row['dag_id']} has run {row['dag_run_id']} with key {row['run_key']!r}, "
                f"which differs: {different}",
                hint="use another run key, or ask for the same content",
            )

    def _differences(self, request: RunRequest, row: trigger.Row) -> Iterator[str]:
        """What the caller said that the stored run does not have. What the caller left open does not count."""
        number = request.selector.number
        if number is not None and number != row["dag_version_number"]:
            yield f"dag_version_number is {row['dag_version_number']}, asked for {number}"
        try:
            dates = RunDates(row["logical_date"], row["data_interval_start"], row["data_interval_end"])
            params = self.plans.schema(row["dag_version_id"]).complete(request.params, dates=dates)
        except InvalidParams:
            params = request.params
        if params != row["params"]:
            yield f"params are {_cut(row['params'])}, asked for {_cut(params)}"
        for name in ("logical_date", "data_interval_start", "data_interval_end"):
            asked = getattr(request, name)
            if asked is not None and asked != row[name]:
                yield f"{name} is {row[name].isoformat()}, asked for {asked.isoformat()}"


def _violations(request: RunRequest, at: str) -> Iterator[Violation]:
    """What is wrong with an item besides its params."""
    key = request.run_key
    if key and (len(key) > RUN_KEY_CHARACTERS_MAX or not key.isprintable()):
        yield Violation(f"{at}.run_key", repr(_cut(key)), f"1 to {RUN_KEY_CHARACTERS_MAX} printable characters")
    if request.traceparent and not _TRACEPARENT.fullmatch(request.traceparent):
        yield Violation(f"{at}.traceparent", repr(_cut(request.traceparent)), "a W3C traceparent (00-...), or nothing")
    start, end = request.data_interval_start, request.data_interval_end
    if (start is None) != (end is None):
        name = "data_interval_start" if start is None else "data_interval_end"
        yield Violation(f"{at}.{name}", "nothing", "both ends of the data interval, or neither")
    elif start is not None and end is not None and end < start:
        expected = f"not before data_interval_start {start.isoformat()}"
        yield Violation(f"{at}.data_interval_end", end.isoformat(), expected)


def _cut(text: str) -> str:
    return text if len(text) <= 200 else text[:197] + "..."


def _and_more(violations: Sequence[Violation]) -> str:
    return f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
