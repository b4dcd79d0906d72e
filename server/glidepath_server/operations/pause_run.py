"""Pausing a run, or single tasks of it, and resuming it: events of the run's step."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.board import WHOLE_RUN
from ..core.errors import StateConflict
from ..core.events import RunPaused, RunResumed
from ..core.states import RUN_FINAL
from .command_runs import CommandCall, RunCommander, named_tasks

BY_CHARACTERS_MAX = 200


async def pause_run(commander: RunCommander, call: CommandCall, task_ids: Sequence[str]) -> None:
    """Nothing of these tasks (none: of the run) starts any more. Raises NotFound, StateConflict, InvalidInput."""
    if await commander.stored(call) is not None:
        return
    run, plan = await commander.load(call)
    if run.state in RUN_FINAL:
        raise StateConflict(f"run {run.dag_run_id} has already ended: {run.state.value}")
    tasks = tuple(named_tasks(plan, task_ids)) if task_ids else ()
    pauses = run.unpacked(plan.graph.size).pauses
    if not all(task in pauses for task in tasks or (WHOLE_RUN,)):
        await commander.carry_out(call, plan, RunPaused(tasks, by(call)), "dag_run.pause", {})


async def resume_run(commander: RunCommander, call: CommandCall, task_ids: Sequence[str]) -> None:
    """Lift the pauses of these tasks (none: all of the run). Raises NotFound, StateConflict, InvalidInput."""
    if await commander.stored(call) is not None:
        return
    run, plan = await commander.load(call)
    tasks = tuple(named_tasks(plan, task_ids)) if task_ids else ()
    pauses = run.unpacked(plan.graph.size).pauses
    if pauses and (not tasks or WHOLE_RUN in pauses or any(task in pauses for task in tasks)):
        await commander.carry_out(call, plan, RunResumed(tasks, by(call)), "dag_run.resume", {})


def by(call: CommandCall) -> str:
    """Who paused, and why, as it is shown with what waits."""
    return (f"{call.actor}: {call.reason}" if call.reason else call.actor)[:BY_CHARACTERS_MAX]
