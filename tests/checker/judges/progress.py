"""I12: a run that has not ended always owns something that moves it, or that says what it waits for."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cached_property, lru_cache

from tests.checker.facts import Attempt, ChildCall, Facts, Moment, Queued, Run, Task, Version
from tests.checker.judges.child_runs import broken_calls
from tests.checker.judges.limits import limit_of, needs_of
from tests.checker.judges.reuses import WAITS_FOR_A_CALL, waits_for_nothing
from tests.checker.machines import RUN_FINAL, TASK_FINAL
from tests.checker.report import Break, Verdict, judged
from tests.checker.steering import gates_of, task_says

# What a loop of the server does by itself, or a sweep has to rescue, is done within this time.
GRACE = timedelta(seconds=30)


def judge_progress(facts: Facts) -> Verdict:
    """I12, at each moment that was seen."""
    waiting = 0
    breaks: list[Break] = []
    for moment in facts.moments:
        look = _Look(facts, moment)
        for run in moment.runs:
            waiting += run.state not in RUN_FINAL
            breaks += look.judge(run)
        breaks += [*look.rows(), *look.events()]
    breaks += broken_calls(facts)
    return judged("I12", "runs seen that had not ended", waiting, breaks)


@lru_cache(maxsize=2)
def _run_ends(facts: Facts) -> dict[str, list[datetime]]:
    """When runs of each DAG ended."""
    found: dict[str, list[datetime]] = defaultdict(list)
    for event in facts.events:
        if event.run_state in RUN_FINAL and event.run_id in facts.runs:
            found[facts.runs[event.run_id].dag_id].append(event.time)
    return found


class _Look:
    """One moment, by run and task."""

    def __init__(self, facts: Facts, moment: Moment) -> None:
        self.facts, self.moment = facts, moment
        self.queued: dict[str, dict[str, Queued]] = defaultdict(dict)
        self.live: dict[str, dict[str, Attempt]] = defaultdict(dict)
        for row in moment.queued:
            self.queued[row.key.run_id][row.key.instance_name] = row
        for attempt in moment.live:
            self.live[attempt.key.run_id][attempt.key.instance_name] = attempt
        self.calling: dict[str, dict[str, ChildCall]] = defaultdict(dict)
        for call in moment.child_calls:
            if call.waiting:
                self.calling[call.key.run_id][call.key.instance_name] = call
        # Of mapped tasks: all instances that are somewhere.
        self.out: dict[tuple[str, str], set[str]] = defaultdict(set)
        keys = [row.key for row in moment.queued] + [attempt.key for attempt in moment.live]
        for key in keys + [call.key for call in moment.child_calls if call.waiting]:
            if key.map_index >= 0:
                self.out[key.run_id, key.task_id].add(key.instance_name)
        self.active = Counter((r.namespace, r.dag_id) for r in moment.runs if r.admitted and r.state not in RUN_FINAL)

    @cached_property
    def trying(self) -> Counter[int]:
        """How many rows may be claimed at once, by each limit that has a say."""
        rows = (row for row in self.moment.queued if row.due and not row.parked_on)
        return Counter(limit_id for row in rows for limit_id in needs_of(self.facts, self.moment, row.key))

    def judge(self, run: Run) -> Iterator[Break]:
        version = self.facts.version_by_id.get(run.version_id)
        if version is None:
            yield Break.of("a run is pinned to a version that is not there", run)
        elif run.quarantined:
            return  # waits for an operator, and an incident says so
        elif run.state in RUN_FINAL:
            yield from self._left_behind(run)
        elif run.state == "queued":
            yield from self._not_started(run)
        else:
            yield from self._tasks(run, version)

    def _left_behind(self, run: Run) -> Iterator[Break]:
        places = self.queued, self.live, self.calling
        for row in [row for place in places for row in place[run.run_id].values()]:
            yield Break.of("a run has ended, and this is left of it", run, row)

    def _not_started(self, run: Run) -> Iterator[Break]:
        """A run may have become admitted as lately as a run of its DAG has ended."""
        if not self._overdue(run.create_time) or any(map(self._lately, _run_ends(self.facts)[run.dag_id])):
            return
        limit = limit_of(self.moment, run.namespace, "dag_runs", run.dag_id)
        room = limit.room if limit else None
        if run.admitted:
            yield Break.of("a run was admitted, and nobody starts it", run)
        elif room is None or self.active[run.namespace, run.dag_id] < room:
            yield Break.of("a run waits for a place among the active runs of its DAG, and there is one", run)

    def _overdue(self, time: datetime) -> bool:
        return time <= self.moment.now - GRACE

    def _lately(self, time: datetime) -> bool:
        return self.moment.now - GRACE < time <= self.moment.now

    def _tasks(self, run: Run, version: Version) -> Iterator[Break]:
        board = dict(zip((task.task_id for task in version.tasks), run.board, strict=False))
        if not {"released", "restarting", "waiting"} & set(run.board):
            yield Break.of("a run goes on, and nothing of it is released", run)
        for task in version.tasks:
            state = board[task.task_id]
            # Of a mapped task that is out, at least one instance is somewhere.
            for name in sorted(self.out[run.run_id, task.task_id]) or [task.task_id]:
                yield from self._place(run, name, state)
            if state == "scheduled" and self._decided(version, task, board):
                yield Break.of(f"{task.task_id} waits, though its trigger rule has decided", run)

    def _place(self, run: Run, name: str, state: str) -> Iterator[Break]:
        """Where a task, or an instance of a mapped one, is whose task has this state."""
        live, call = self.live[run.run_id].get(name), self.calling[run.run_id].get(name)
        rows = [each for each in (self.queued[run.run_id].get(name), live, call) if each is not None]
        told = next((each.cancel_requested_time for each in (live, call) if each is not None), None)
        if state in ("released", "restarting"):
            if not rows:
                yield Break.of(f"{name} is {state}, and neither queued nor live nor a child run", run)
            elif len(rows) > 1:
                yield Break.of(f"{name} is in two places at once", run, *rows)
            elif state == "restarting" and told is None:
                yield Break.of(f"{name} is to restart, and its attempt was not told to end", run, *rows)
        elif rows:
            yield Break.of(f"{name} is {state}, and yet queued, live or a child run", run, *rows)

    def _decided(self, version: Version, task: Task, board: dict[str, str]) -> bool:
        """Whether no wait of a scheduled task is left. What a branch chose is not looked at: it decides either way."""
        gates = gates_of(version).get(task.task_id, ()) if task.rule != "always" else ()
        if gates and any(board[each] not in TASK_FINAL for each in [*gates, *task.upstream]):
            return False
        return task_says(version, task, board, {}) != "scheduled"

    def rows(self) -> Iterator[Break]:
        """What is queued is due, has a time to come, or a limit that is full."""
        if self.moment is self.facts.last:
            yield from self._orphans()
        for row in self.moment.queued:
            if not row.due and self._overdue(row.available_time):
                yield Break.of("its time came, and it is not due", row)
            elif row.parked_on > 0 and self._overdue(row.queue_time):
                yield from self._parked(row)
            elif row.parked_on == WAITS_FOR_A_CALL and self._overdue(row.queue_time):
                yield from waits_for_nothing(self.moment, row)

    def _orphans(self) -> Iterator[Break]:
        ends = {session.session_id: session.end_time for session in self.facts.sessions}
        for attempt in self.moment.live:
            ended = ends.get(attempt.session_id, attempt.start_time)
            if ended is not None and self._overdue(ended):
                yield Break.of("live in a session that has ended long ago", attempt)

    def _parked(self, row: Queued) -> Iterator[Break]:
        limit = next((each for each in self.moment.limits if each.limit_id == row.parked_on), None)
        if limit is None:
            yield Break.of("parked on a limit that is not there", row)
            return
        used = sum(holder.slots for holder in self.moment.holders if holder.limit_id == limit.limit_id)
        free = None if limit.room is None else limit.room - used
        needs = needs_of(self.facts, self.moment, row.key).get(limit.limit_id, 0)
        if (
            (free is None or free >= max(needs, 1))
            and not self.trying[limit.limit_id]
            and not self._freed_lately(limit.limit_id)
        ):
            yield Break.of("parked on a limit that has room", row, limit)

    def _freed_lately(self, limit_id: int) -> bool:
        return any(
            attempt.end_time is not None and self._lately(attempt.end_time)
            for attempt in self.facts.attempts
            if limit_id in needs_of(self.facts, self.moment, attempt.key)
        )

    def events(self) -> Iterator[Break]:
        aside = {run.run_id for run in self.moment.runs if run.quarantined}
        for run_id, since in self.moment.waiting_events:
            if run_id not in aside and self._overdue(since):
                yield Break.of(
                    f"an event has waited for run {run_id[-8:]} since {since:%H:%M:%S}, and it is not stepped"
                )
