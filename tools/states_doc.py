"""docs/states.md from the tables of the state machines, so that the page cannot say anything else than the code.

python -m tools.states_doc             write it
python -m tools.states_doc --check     exit code 1 when it is not what the tables say
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from glidepath_server.core import alerts, backfill, states, ticking
from glidepath_server.core.alerts import DeliveryState
from glidepath_server.core.backfill import BackfillState, DateOutcome
from glidepath_server.core.states import AttemptState, RunState, TaskState
from glidepath_server.core.ticking import TickState

PAGE = Path(__file__).resolve().parent.parent / "docs" / "states.md"

# What a state means to the person who reads it. One that is missing here stops this program.
TASKS = {
    TaskState.SCHEDULED: "waits for its upstreams",
    TaskState.RELEASED: "admitted: waits for its time, a slot or a worker, or runs",
    TaskState.RESTARTING: "was cleared while it ran; goes back as soon as the attempt has ended",
    TaskState.WAITING: "admitted, and asks people: waits for an answer, holds no slot",
    TaskState.SUCCESS: "an attempt succeeded",
    TaskState.FAILED: "an attempt failed and none is left, or trying again cannot help",
    TaskState.UPSTREAM_FAILED: "never ran, because of how its upstreams ended",
    TaskState.SKIPPED: "had nothing to do: the task said so, or its trigger rule did",
    TaskState.CANCELLED: "somebody ended it",
    TaskState.REMOVED: "is left out of the run, or not in the version that it was moved to",
}
ATTEMPTS = {
    AttemptState.RUNNING: "claimed by a worker",
    AttemptState.SUCCESS: "the body returned",
    AttemptState.FAILED: "the body raised, or its process died",
    AttemptState.TIMED_OUT: "took longer than its timeout",
    AttemptState.LOST: "its worker's lease ended; uses none of the task's retries",
    AttemptState.DEFERRED: "gave its slot back until an instant; another attempt follows then",
    AttemptState.SKIPPED: "the body said that there is nothing to do",
    AttemptState.CANCELLED: "ended because somebody asked for it",
    AttemptState.RETURNED: "handed back before the body did anything; counts as no try",
    AttemptState.CALLED: "went on as a child run, which has ended; another attempt is told how",
}
RUNS = {
    RunState.QUEUED: "created; nothing of it has started",
    RunState.RUNNING: "some task may still change",
    RunState.SUCCESS: "every task ended as success or skipped",
    RunState.FAILED: "a task ended as failed, upstream_failed or cancelled, or the run's time was up",
    RunState.CANCELLED: "somebody ended it",
}
TICKS = {
    TickState.DUE: "has no outcome yet, and no row",
    TickState.WAITING: "waits for a run of its schedule to end",
    TickState.RUN: "its run was made",
    TickState.MET: "a run with its key was there: of a backfill, or triggered",
    TickState.SKIP: "has no run; why is recorded",
}
BACKFILLS = {
    BackfillState.RUNNING: "gives its dates their outcomes, or waits for its runs",
    BackfillState.PAUSED: "begins nothing; what is there goes on",
    BackfillState.ENDED: "every date has its outcome, and every run of it has ended",
    BackfillState.CANCELLED: "somebody ended it; what waited is skipped",
}
DATES = {
    DateOutcome.WAITING: "its turn has not come, or its run is to be tried again",
    DateOutcome.CREATED: "its run was made",
    DateOutcome.RERUN: "a run with its key was there, and runs again, or has seen to it itself",
    DateOutcome.SKIPPED: "nothing is done for it; why is recorded",
}

ALERTS = {
    DeliveryState.PENDING: "not tried yet: facts may join it, or one before it is not done",
    DeliveryState.RETRYING: "was not taken yet, and is tried again",
    DeliveryState.DELIVERED: "its channel took it",
    DeliveryState.DEAD: "was refused, or not taken in time, or has no channel",
}

HEAD = """# States

Generated from `server/glidepath_server/core/states.py` by `python -m tools.states_doc`; edit the tables there. An arrow
that is not here does not exist: taking it is an error. States in bold are final: only a person's command
(`clear`, a mark, a retry), or a retry of the whole run, leaves them.
"""
TASK_TEXT = """The truth of a run: one byte per task in the run's board, written by the step transaction alone.
What people are shown is finer: *released* appears as `queued` (a row in task_queue that is due), `up_for_retry` or
`deferred` (a row for a later time) or `running` (a row in live_attempt, or one in child_run that waits). An arrow from
a state to itself is a new attempt, not a new state."""
ATTEMPT_TEXT = """One try of a task by one worker. It begins with the claim and ends once. One that calls a child run
goes on, running, until that ends."""
ALERT_TEXT = """What was sent to one channel about one run; from `server/glidepath_server/core/alerts.py`. Dead ones are
sent again when a person says so."""
TICK_TEXT = """What became of an instant of a schedule; from `server/glidepath_server/core/ticking.py`. The row is
written with the run or the skip, under the schedule's row, and nothing leaves a final state."""
BACKFILL_TEXT = """Runs of a DAG for many dates; from `server/glidepath_server/core/backfill.py`. `end` is the server's
own, the others are people's; what was cancelled stays so."""
DATE_TEXT = """One date of a backfill, under the backfill's row. A retry is of a date whose run has failed or was
cancelled; one that the schedule leaves out is skipped from the start."""
RUN_TEXT = "Follows from the states of the run's tasks; why it fails when it does is said in `adr/0001-run-state.md`."


def render() -> str:
    """The whole page."""
    final_attempts = set(AttemptState) - {AttemptState.RUNNING}
    return "\n".join(
        [
            HEAD,
            _section("Task instance", TASK_TEXT, TASKS, states.TASK_FINAL, states.TASK_TRANSITIONS),
            _section("Attempt", ATTEMPT_TEXT, ATTEMPTS, final_attempts, states.ATTEMPT_TRANSITIONS),
            _section("DAG run", RUN_TEXT, RUNS, states.RUN_FINAL, states.RUN_TRANSITIONS),
            _section("Tick of a schedule", TICK_TEXT, TICKS, ticking.TICK_FINAL, ticking.TICK_ARROWS),
            _section("Backfill", BACKFILL_TEXT, BACKFILLS, backfill.BACKFILL_FINAL, backfill.BACKFILL_ARROWS),
            _section("Date of a backfill", DATE_TEXT, DATES, backfill.DATE_FINAL, backfill.DATE_ARROWS),
            _section("Alert", ALERT_TEXT, ALERTS, alerts.DELIVERY_FINAL, alerts.DELIVERY_TRANSITIONS),
        ]
    )


def _section(
    title: str,
    text: str,
    meanings: Mapping[Any, str],
    final: Iterable[Enum],
    transitions: Mapping[Any, Enum],
) -> str:
    lines = [f"## {title}", "", text, "", "| State | Meaning |", "|---|---|"]
    for state in type(next(iter(meanings))):
        name = f"**{_name(state)}**" if state in set(final) else _name(state)
        lines.append(f"| {name} | {meanings[state]} |")
    lines += ["", "| From | Event | To |", "|---|---|---|"]
    for (before, event), after in transitions.items():
        lines.append(f"| {_name(before)} | {getattr(event, 'value', event)} | {_name(after)} |")
    return "\n".join(lines) + "\n"


def _name(state: Enum) -> str:
    return state.name.lower()


def main(arguments: list[str]) -> int:
    wanted = render()
    if arguments == ["--check"]:
        current = PAGE.exists() and PAGE.read_text() == wanted
        print("docs/states.md is current" if current else "docs/states.md is old: run python -m tools.states_doc")
        return 0 if current else 1
    PAGE.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
