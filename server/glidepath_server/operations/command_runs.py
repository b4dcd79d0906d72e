"""What operators do to runs: cancel, clear, rerun. Each is an event of the run's step, audited in its transaction.

What is checked here, before the step, makes good messages; the step checks again what may have changed meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from ..core.board import FINAL, Board
from ..core.errors import InvalidInput, NotFound, StateConflict, Violation
from ..core.events import InstancesMarked, RunCancelled, RunMoved, TasksCancelled, TasksCleared, TasksMarked
from ..core.graph import Graph, reached
from ..core.states import MARKS, RUN_FINAL, TASK_NOT_SUCCESSFUL, RunIntent, RunState, TaskEvent, TaskState
from ..store import runs_read
from ..store.database import Connection, transaction
from .audit import append_audit
from .map_tasks import check_instances
from .move_run import RunMover
from .plans import Plan
from .read_runs import RunReader, task_indexes
from .requests import once
from .run_engine import Command, RunEngine

TASK_IDS_MAX = 10_000
AUDITED_TASKS_MAX = 100
REASON_CHARACTERS_MAX = 1_000
_BAD = frozenset(int(state) for state in TASK_NOT_SUCCESSFUL)


@dataclass(frozen=True, slots=True)
class CommandCall:
    """A command as it came in: who, on which run, and what makes a repetition the same call."""

    method: str
    namespace: str
    actor: str
    dag_run_id: UUID
    request_id: str
    body: bytes
    reason: str = ""
    # Comes first in the step's transaction; what it raises leaves the run as it was.
    before: Callable[[Connection, datetime], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """What a clear takes beside the tasks that it names, and of all these."""

    downstream: bool = False
    upstream: bool = False
    only_failed: bool = False
    cancel_running: bool = False

    def of(self, graph: Graph, board: Board, chosen: set[int]) -> set[int]:
        """The tasks of a run, as its board is now."""
        found = set(chosen)
        if self.downstream:
            found |= graph.closure(chosen)
        if self.upstream:
            found |= reached(chosen, graph.upstream)
        return {task for task in found if board.states[task] in _BAD} if self.only_failed else found


class _NotYet(Exception):
    """The request id has no answer yet."""


@dataclass(slots=True)
class _Repeated(Exception):
    """The request id got its answer while this call was on its way."""

    answer: bytes = field(default=b"")


def _nothing(_: Command) -> bytes:
    """The answer to a command that has none of its own."""
    return b""


@dataclass(frozen=True, slots=True)
class RunCommander:
    """Commands to runs. Every method raises NotFound, StateConflict, InvalidInput; then nothing has changed."""

    reader: RunReader
    engine: RunEngine
    # Needed for commands that name a version.
    mover: RunMover | None = None

    async def cancel_run(self, call: CommandCall) -> None:
        """End the run: nothing new starts, what is live is told to end. A cancelled run stays as it is."""
        if await self.stored(call) is not None:
            return
        run, plan = await self.load(call)
        if run.state is RunState.CANCELLED or (run.intent is RunIntent.CANCEL and run.state not in RUN_FINAL):
            return
        if run.state in RUN_FINAL:
            raise StateConflict(f"run {run.dag_run_id} has already ended: {run.state.value}")
        await self.carry_out(call, plan, RunCancelled(_reason(call)), "dag_run.cancel", {})

    async def cancel_tasks(self, call: CommandCall, task_ids: Sequence[str], map_indexes: Sequence[int] = ()) -> None:
        """End single tasks, or these instances of the only, mapped one; those that are cancelled already stay so."""
        if await self.stored(call) is not None:
            return
        run, plan = await self.load(call)
        tasks = named_tasks(plan, task_ids)
        if run.state is RunState.QUEUED:
            raise StateConflict("the run has not started yet", hint="cancel the run, or wait until it has started")
        if map_indexes:
            await self._mark_instances(call, run, plan, tasks, map_indexes, TaskEvent.CANCEL)
            return
        states = run.states(plan.graph.size)
        still_open = tuple(task for task in tasks if states[task] not in FINAL)
        if still_open:
            event = TasksCancelled(still_open, _reason(call))
            await self.carry_out(call, plan, event, "task_instance.cancel", {})
            return
        ended = [task for task in tasks if states[task] != TaskState.CANCELLED]
        if ended:
            task = ended[0]
            name = TaskState(states[task]).name.lower()
            raise StateConflict(f"task {plan.graph.task_ids[task]} has already ended: {name}")

    async def mark(
        self, call: CommandCall, task_ids: Sequence[str], mark: TaskEvent, map_indexes: Sequence[int] = ()
    ) -> None:
        """Say how tasks, or these instances of the only, mapped one, have ended; those that have that end already stay
        as they are."""
        if await self.stored(call) is not None:
            return
        run, plan = await self.load(call)
        tasks = named_tasks(plan, task_ids)
        if map_indexes:
            await self._mark_instances(call, run, plan, tasks, map_indexes, mark)
            return
        states = run.states(plan.graph.size)
        last_try = mark is TaskEvent.MARK_FAILED and run.state is RunState.RUNNING and plan.graph.run_retries_max > 0
        if run.state is RunState.QUEUED or last_try or any(states[task] != MARKS[mark] for task in tasks):
            event = TasksMarked(tuple(tasks), mark, _reason(call))
            await self.carry_out(call, plan, event, "task_instance.mark", {"state": MARKS[mark].name.lower()})

    async def _mark_instances(
        self,
        call: CommandCall,
        run: runs_read.Run,
        plan: Plan,
        tasks: Sequence[int],
        map_indexes: Sequence[int],
        mark: TaskEvent,
    ) -> None:
        """What is audited names a few of many instances, as it does tasks."""
        indexes = tuple(sorted({*map_indexes}))
        instances = _of_one(plan, run, tasks, indexes)
        is_cancel = mark is TaskEvent.CANCEL
        detail = _detail(plan, instances) | ({} if is_cancel else {"state": MARKS[mark].name.lower()})
        event = InstancesMarked(tasks[0], indexes, mark, _reason(call))
        await self.carry_out(call, plan, event, f"task_instance.{'cancel' if is_cancel else 'mark'}", detail)

    async def clear(
        self,
        call: CommandCall,
        task_ids: Sequence[str],
        selection: Selection,
        map_indexes: Sequence[int] = (),
        version: str = "",
    ) -> list[str]:
        """Let tasks run again, or these instances of the only, mapped one, and what the selection adds to them.
        On another version of the DAG, if one is named. Returns what was cleared."""
        stored = await self.stored(call)
        if stored is not None:
            return _cleared(stored)
        run, plan = await self.load(call)
        if version and map_indexes:
            violation = Violation("map_indexes", f"{len(map_indexes)} of them", "none, on another version")
            raise InvalidInput(str(violation), violations=[violation])
        if version:
            target = await self._target(run, plan, version)
            chosen = set(named_tasks(target, task_ids))
            return await self._move(call, "task_instance.clear", run, target, chosen, selection)
        tasks = named_tasks(plan, task_ids)
        instances = _of_one(plan, run, tasks, tuple(map_indexes)) if map_indexes else {}
        return await self._clear(call, "task_instance.clear", run, plan, set(tasks), selection, instances)

    async def rerun(self, call: CommandCall, version: str = "") -> list[str]:
        """Clear what failed, was cancelled or never ran because of that, and what follows, on this version of the DAG
        ("": the run's own). Returns what was cleared."""
        stored = await self.stored(call)
        if stored is not None:
            return _cleared(stored)
        run, plan = await self.load(call)
        if version:
            target = await self._target(run, plan, version)
            states = run.states(plan.graph.size)
            bad = {task for task, state in enumerate(states) if state in _BAD and task not in target.graph.removed}
            return await self._move(call, "dag_run.rerun", run, target, bad, Selection(downstream=True))
        chosen = {task for task, state in enumerate(run.states(plan.graph.size)) if state in _BAD}
        if not chosen:
            raise StateConflict(
                f"nothing to rerun: no task of the run has failed, the run is {run.state.value}",
                hint="clear the tasks that should run again",
            )
        return await self._clear(call, "dag_run.rerun", run, plan, chosen, Selection(downstream=True), {}, True)

    async def _clear(
        self,
        call: CommandCall,
        action: str,
        run: runs_read.Run,
        plan: Plan,
        chosen: set[int],
        selection: Selection,
        instances: Mapping[int, tuple[int, ...]],
        keep_successes: bool = False,
    ) -> list[str]:
        board, names = run.unpacked(plan.graph.size), plan.graph.task_ids
        tasks = tuple(sorted(selection.of(plan.graph, board, chosen)))
        if not tasks:
            raise StateConflict("nothing to clear: none of these tasks has failed", hint="clear without only_failed")
        if all(board.states[task] == TaskState.SCHEDULED for task in tasks):
            raise StateConflict("nothing to clear: none of these tasks has been released yet")

        def answer(event: Command) -> bytes:
            assert isinstance(event, TasksCleared)
            cleared = [names[task] for task in event.tasks if board.states[task] != TaskState.SCHEDULED]
            return json.dumps(cleared).encode()

        kept = keep_successes or selection.only_failed
        event = TasksCleared(tasks, selection.cancel_running, _reason(call), {}, instances, kept)
        detail = asdict(selection) | _detail(plan, instances)
        return _cleared(await self.carry_out(call, plan, event, action, detail, answer))

    async def _target(self, run: runs_read.Run, plan: Plan, version: str) -> Plan:
        assert self.mover is not None
        return await self.mover.target(run.dag_run_id, plan, version)

    async def _move(
        self, call: CommandCall, action: str, run: runs_read.Run, target: Plan, chosen: set[int], selection: Selection
    ) -> list[str]:
        """Clear on another version; indexes are those of the run, laid out for it."""
        graph = target.graph
        board = Board(bytearray(run.states(graph.size)) + bytes(graph.size - len(run.states(graph.size))))
        tasks = tuple(sorted(selection.of(graph, board, chosen) - graph.removed))

        def answer(event: Command) -> bytes:
            assert isinstance(event, RunMoved)
            cleared = [graph.task_ids[task] for task in event.tasks if board.states[task] != TaskState.SCHEDULED]
            return json.dumps(cleared).encode()

        event = RunMoved(tasks, target.dag_version_id, target.dag_version_number, _reason(call))
        detail = {
            **asdict(selection),
            "from_version": run.dag_version_number,
            "to_version": target.dag_version_number,
        }
        return _cleared(await self.carry_out(call, target, event, action, detail, answer))

    # ---- carrying out
    async def load(self, call: CommandCall) -> tuple[runs_read.Run, Plan]:
        async with self.reader.database.api.acquire() as connection:
            return await self.reader.load(connection, call.namespace, call.dag_run_id)

    async def stored(self, call: CommandCall) -> bytes | None:
        """The answer that this request id got before, None when it is new. Raises AlreadyExists for another body."""
        try:
            async with transaction(self.reader.database.api, "request") as connection:
                return await _once(connection, call, _not_yet)
        except _NotYet:
            return None

    async def carry_out(
        self,
        call: CommandCall,
        plan: Plan,
        event: Command,
        action: str,
        detail: dict[str, Any],
        answer: Callable[[Command], bytes] = _nothing,
    ) -> bytes:
        """One step of the run with the event, the audit row and the request's answer in one transaction.

        The audit names the tasks of the event, and `answer` is made of it, as it was completed under the run's lock.
        """
        made: list[bytes] = []

        async def within(connection: Connection, now: datetime, completed: Command) -> None:
            if call.before is not None:
                await call.before(connection, now)
            named = {} if isinstance(completed, RunCancelled) else {"task_ids": _ids(plan, completed.tasks)}

            async def write() -> bytes:
                await append_audit(
                    connection,
                    namespace=call.namespace,
                    actor=call.actor,
                    action=action,
                    target=f"dag_run/{call.dag_run_id}",
                    detail={**named, **detail, "reason": call.reason},
                    now=now,
                )
                made.append(answer(completed))
                return made[-1]

            stored = await _once(connection, call, write)
            if not made:
                raise _Repeated(stored)

        try:
            await self.engine.command(call.dag_run_id, event, within)
        except _Repeated as repeated:
            return repeated.answer
        return made[-1]


async def _once(connection: Connection, call: CommandCall, run: Any) -> bytes:
    return await once(
        connection, namespace=call.namespace, request_id=call.request_id, method=call.method, body=call.body, run=run
    )


async def _not_yet() -> bytes:
    raise _NotYet


def _cleared(answer: bytes) -> list[str]:
    names: list[str] = json.loads(answer)
    return names


def _reason(call: CommandCall) -> str:
    return f"{call.reason} (by {call.actor})" if call.reason else f"by {call.actor}"


def named_tasks(plan: Plan, task_ids: Sequence[str]) -> list[int]:
    """Indexes of the tasks that were named. Raises InvalidInput for none or too many, NotFound for an unknown one."""
    if not 1 <= len(task_ids) <= TASK_IDS_MAX:
        violation = Violation("task_ids", f"{len(task_ids)} task ids", f"1 to {TASK_IDS_MAX} task ids")
        raise InvalidInput(str(violation), violations=[violation])
    tasks = sorted(set(task_indexes(plan, task_ids)))
    for task in tasks:
        if task in plan.graph.removed:
            raise NotFound(
                f"DAG {plan.dag_id} version {plan.dag_version_number} has task {plan.graph.task_ids[task]!r} no more",
                hint="the run was moved to this version; move it to one that has the task",
            )
    return tasks


def _of_one(
    plan: Plan, run: runs_read.Run, tasks: Sequence[int], map_indexes: tuple[int, ...]
) -> dict[int, tuple[int, ...]]:
    """Instances by the task that they are of. Raises InvalidInput or NotFound when it is not one task that has them."""
    if len(tasks) != 1:
        violation = Violation("task_ids", f"{len(tasks)} tasks", "one task, whose map_indexes these are")
        raise InvalidInput(str(violation), violations=[violation])
    instances = {tasks[0]: map_indexes}
    check_instances(plan.graph, run.unpacked(plan.graph.size), instances)
    return instances


def _detail(plan: Plan, instances: Mapping[int, tuple[int, ...]]) -> dict[str, Any]:
    """What the audit trail has of instances."""
    named = {plan.graph.task_ids[task]: list(indexes[:AUDITED_TASKS_MAX]) for task, indexes in instances.items()}
    return {"map_indexes": named} if named else {}


def _ids(plan: Plan, tasks: Iterable[int]) -> list[str]:
    """Names for the audit trail; a few of many."""
    names = [plan.graph.task_ids[task] for task in tasks]
    more = len(names) - AUDITED_TASKS_MAX
    return [*names[:AUDITED_TASKS_MAX], f"and {more} more"] if more > 0 else names
