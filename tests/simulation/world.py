"""The whole of it: rows, replicas, workers, network and a clock that only `pass` moves; one method per thing that can
happen.

A history is a list of actions, each a tuple of words. `do` carries one out, or says that it cannot happen now; so a
history stays one when actions are taken out of it, and a failing one can be shrunk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from glidepath_server.core.board import Board
from glidepath_server.core.errors import StateConflict
from glidepath_server.core.events import (
    Event,
    RunCancelled,
    RunStarted,
    RunTimedOut,
    TasksCancelled,
    TasksCleared,
    event_to_json,
)
from glidepath_server.core.states import RUN_FINAL, TASK_NOT_SUCCESSFUL, AttemptState, RunIntent, RunState, TaskState

from .judge import Judge
from .rows import Attempt, Database, Key, LimitRow, LiveRow, Overdue, Report, RunRow, SessionRow
from .scenario import POOL, POOL_LIMIT, Plan, Scenario, plan_of
from .step import Replica, Rules, Step, Told, is_active
from .workers import SERVER, Message, Network, Worker

START = datetime(2026, 1, 1, tzinfo=UTC)
LEASE_SECONDS = 30.0
ASSIGNMENT_SECONDS = 5.0
TIMEOUT_SLACK_SECONDS = 5.0
_BAD = frozenset(int(state) for state in TASK_NOT_SUCCESSFUL)
Action = tuple[str, ...]


class World:
    """State of one simulated life. `tell` gets a line for each action with what followed from it."""

    def __init__(self, scenario: Scenario, tell: Callable[[str], None] | None = None) -> None:
        self.scenario, self.tell = scenario, tell
        plans = {draft.dag_id: plan_of(number, draft) for number, draft in enumerate(scenario.dags)}
        classes = {each.class_id: each for plan in plans.values() for each in plan.classes}
        slots = {number: {each.tasks_limit_id: 1} for number, each in classes.items()}
        for number, each in classes.items():
            if each.pool_limit_id is not None:
                slots[number][each.pool_limit_id] = each.pool_slots
        seats = {each.name: (each.slots, each.offer) for each in scenario.workers}
        self.rules = Rules(plans, classes, slots, seats)
        self.db = Database()
        self.db.limits[POOL_LIMIT] = LimitRow("pool", POOL, scenario.pool_slots)
        for plan in plans.values():
            self.db.limits[plan.tasks_limit] = LimitRow("dag_tasks", plan.spec.dag_id, plan.spec.tasks_active_max)
        self.replicas = {name: Replica(name) for name in ("A", "B")}
        self.workers = {each.name: Worker(each) for each in scenario.workers}
        self.network = Network()
        self.seconds = 0.0
        self.judge = Judge(self.rules)
        self.said: list[str] = []
        self.counts: Counter[str] = Counter()

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def do(self, action: Action) -> bool:
        """Carry out an action; False when it cannot happen now. Raises Broken when a promise is broken."""
        self.said.clear()
        verb, *words = action
        done = False
        try:
            done = bool(getattr(self, f"do_{verb}")(*words))
        finally:
            self.counts[verb] += done
            if self.tell is not None and (done or self.said):
                self.tell(f"{self.seconds:6g} s  {' '.join(action):44}  {'; '.join(self.said)}".rstrip())
        return done

    # ---- time and chance
    def do_pass(self, seconds: str) -> bool:
        self.seconds += float(seconds)
        return True

    def do_lose(self, text: str) -> bool:
        return self.network.take(text) is not None

    def do_copy(self, text: str) -> bool:
        if text not in self.network.bag:
            return False
        self.network.send(self.network.bag[text][0])
        return True

    def do_restart(self, replica: str) -> bool:
        """A replica is killed; another process takes its place."""
        self.replicas[replica] = Replica(replica)
        return True

    # ---- workers
    def do_kill(self, worker: str) -> bool:
        if not self.workers[worker].alive:
            return False
        self.workers[worker].kill()
        return True

    def do_hello(self, worker: str) -> bool:
        if self.workers[worker].session:
            return False
        self.network.send(self.workers[worker].hello())
        return True

    def do_beat(self, worker: str) -> bool:
        if not self.workers[worker].session:
            return False
        self.network.send(self.workers[worker].beat())
        return True

    def do_resend(self, worker: str) -> bool:
        results = list(self.workers[worker].results())
        for each in results:
            self.network.send(each)
        return bool(results)

    def do_work(self, worker: str, text: str) -> bool:
        """The code of an attempt ends."""
        holder = self.workers[worker]
        attempt = next((each for each in holder.hands if str(each) == text), None)
        if attempt is None or holder.hands[attempt].report is not None:
            return False
        plan = self.plan(attempt.run)
        policy = plan.spec.tasks[plan.graph.task_ids.index(attempt.task_id)].policy
        holder.finish(attempt, self.scenario, self.now, policy.execution_timeout_seconds)
        report = holder.hands[attempt].report
        assert report is not None
        self.said.append(f"{attempt} {report.outcome.value}")
        self.network.send(Message("result", SERVER, str(attempt), (report,)))
        return True

    # ---- what arrives
    def do_deliver(self, text: str, replica: str) -> bool:
        message = self.network.take(text)
        if message is None:
            return False
        if message.to != SERVER:
            self.workers[message.to].hear(message, self.now)
            return True
        match message.kind, message.body:
            case "result", (Report() as report,):
                self.replicas[replica].arrived.append(report)
            case "beat", (str() as session, tuple() as listed):
                self._beat(self.replicas[replica], session, listed)
            case "hello", (str() as worker, int() as incarnation, tuple() as listed):
                self._hello(self.replicas[replica], worker, incarnation, listed)
        return True

    def _hello(self, replica: Replica, name: str, incarnation: int, listed: Sequence[Attempt]) -> None:
        """A session, with what the worker lists bound to it; what it does not list is taken back or lost."""
        session = f"{name}/{incarnation}"
        for other, old in self.db.sessions.items():
            if old.worker == name and old.is_open and old.incarnation != incarnation:
                self.db.sessions[other] = old._replace(is_open=False)
        known = self.db.sessions.get(session)
        while known is not None and not known.is_open:  # a session that left open never opens again
            session += "+"
            known = self.db.sessions.get(session)
        self.db.sessions[session] = SessionRow(name, incarnation, True, self.now + timedelta(seconds=LEASE_SECONDS))
        bound = {each for each in listed if self._bind(each, name, session)}
        for key, row in self.db.live.items():
            if self.db.sessions[row.session].worker == name and self.attempt(key) not in bound:
                outcome = AttemptState.RETURNED if row.session == session else AttemptState.LOST
                replica.arrived.append(Report(self.attempt(key), outcome, judged=row.session, reason="not in hand"))
        fenced = tuple(each for each in listed if each not in bound)
        self.network.send(Message("welcome", name, session, (incarnation, session, fenced)))

    def _bind(self, attempt: Attempt, worker: str, session: str) -> bool:
        key, row = self._live(attempt)
        if row is None or self.db.sessions[row.session].worker != worker:
            return False
        self.db.live[key] = row._replace(session=session)
        return True

    def _live(self, attempt: Attempt) -> tuple[Key, LiveRow | None]:
        key = attempt.run, self.plan(attempt.run).graph.task_ids.index(attempt.task_id)
        row = self.db.live.get(key)
        return key, row if row is not None and row.release.attempt_number == attempt.number else None

    def _beat(self, replica: Replica, session: str, listed: Sequence[Attempt]) -> None:
        """Renew the session; say what of its list is dead and what is to end; take back what never arrived."""
        row = self.db.sessions[session]
        if row.is_open:
            self.db.sessions[session] = row._replace(lease_expire_time=self.now + timedelta(seconds=LEASE_SECONDS))
        own = {self.attempt(key): live for key, live in self.db.live.items() if live.session == session}
        old = self.now - timedelta(seconds=ASSIGNMENT_SECONDS)
        for attempt, live in own.items():
            if row.is_open and attempt not in listed and live.start_time < old:
                replica.arrived.append(Report(attempt, AttemptState.RETURNED, judged=session, reason="never arrived"))
        fenced = tuple(each for each in listed if each not in own)
        cancelled = tuple(each for each, live in own.items() if live.cancel_requested)
        self.network.send(Message("heard", row.worker, session, (session, row.is_open, fenced, cancelled)))

    # ---- steps
    def do_step(self, replica: str, fate: str) -> bool:
        """A step transaction. Fates: commit; lost (the process dies before the commit); silent (right after it)."""
        self._step(self.replicas[replica], None, fate)
        return True

    def _step(self, replica: Replica, command: tuple[str, Event] | None, fate: str = "commit") -> bool:
        before, waiting = self.db.snapshot(), replica.arrived
        try:
            told = Step(self.rules, self.db, replica, self.now).run(command)
        except StateConflict as refused:
            assert command is not None, refused
            self.said.append(f"refused: {refused}")
            self.counts["refused"] += 1
            self.db, replica.arrived = before, waiting
            replica.tallies.clear()
            return False
        if fate == "lost":
            self.db = before
            self.replicas[replica.name] = Replica(replica.name)
            return True
        self._note(told)
        self.judge.check(self.db, told, self.now)
        if fate == "silent":
            self.replicas[replica.name] = Replica(replica.name)
        else:
            self._tell(told)
        return True

    def _tell(self, told: Told) -> None:
        for report, _ in told.acks:
            for name, worker in self.workers.items():
                if report.attempt in worker.hands and not report.judged:
                    self.network.send(Message("ack", name, str(report.attempt), (report.attempt,)))
        for attempt, session in told.assigned:
            to = self.db.sessions[session].worker
            self.network.send(Message("assign", to, str(attempt), (session, attempt)))
        for attempt, session in told.cancels:
            self.network.send(Message("cancel", self.db.sessions[session].worker, str(attempt), (attempt,)))

    def _note(self, told: Told) -> None:
        """What a person reads of a step, and what was counted in it."""
        for report, verdict in told.acks:
            self.counts[verdict] += 1
            self.counts[report.outcome.value] += verdict == "accepted"
            self.said.append(f"{report.attempt} {report.outcome.value}: {verdict}")
        for step in told.runs:
            names = self.plan(step.run).graph.task_ids
            for task, _, state in step.effects.changes:
                self.said.append(f"{step.run}.{names[task]} {TaskState(state).name.lower()}")
            for each in step.effects.releases:
                at = f" at {(each.at - START).total_seconds():g} s" if each.at else ""
                self.said.append(f"{step.run}.{names[each.task]}#{each.attempt_number} queued{at}")
            self.counts["withdrawn"] += len(step.withdrawn)
            self.counts["retried"] += sum(each.tries > 0 for each in step.effects.releases)
            if step.effects.run_state is not None:
                self.said.append(f"{step.run} {step.effects.run_state.value}")
                self.counts[f"run {step.effects.run_state.value}"] += 1
        for attempt, session in told.assigned:
            self.said.append(f"{attempt} claimed for {session}")
        self.counts["parked"] += sum(row.parked_on > 0 for row in self.db.queue.values())

    def do_shelve(self, replica: str) -> bool:
        """What has arrived for runs, and is no report, goes to their inboxes: another replica may step it."""
        arrived = self.replicas[replica].arrived
        events = [each for each in arrived if not isinstance(each, Report | Overdue)]
        self.replicas[replica].arrived = [each for each in arrived if isinstance(each, Report | Overdue)]
        self.db.inbox += [(run, event_to_json(event)) for run, event in events]
        return bool(events)

    # ---- loops: each looks at the rows, and what it saw is dealt with in a later step
    def do_look(self, replica: str, loop: str) -> bool:
        before = len(self.replicas[replica].arrived), self.db.queue.copy()
        getattr(self, f"_look_for_{loop}")(self.replicas[replica])
        return before != (len(self.replicas[replica].arrived), self.db.queue)

    def _look_for_due(self, replica: Replica) -> None:
        """Rows whose time has come join the claim index."""
        for key, row in self.db.queue.items():
            if not row.due and row.available_time <= self.now:
                self.db.queue[key] = row._replace(due=True)

    def _look_for_late_runs(self, replica: Replica) -> None:
        for name, row in self.db.runs.items():
            waits = row.state is RunState.RUNNING and row.intent is RunIntent.RUN
            if waits and row.timeout_time is not None and row.timeout_time <= self.now:
                replica.arrived.append((name, RunTimedOut()))

    def _look_for_overdue(self, replica: Replica) -> None:
        slack = timedelta(seconds=TIMEOUT_SLACK_SECONDS)
        for key, row in self.db.live.items():
            if row.timeout_time is not None and row.timeout_time + slack < self.now and not row.cancel_requested:
                replica.arrived.append(Overdue(self.attempt(key)))

    def _look_for_leases(self, replica: Replica) -> None:
        """Sessions whose lease has ended are closed; attempts of closed sessions are lost."""
        for name, row in self.db.sessions.items():
            if row.is_open and row.lease_expire_time < self.now:
                self.db.sessions[name] = row._replace(is_open=False)
        for key, live in self.db.live.items():
            if not self.db.sessions[live.session].is_open:
                replica.arrived.append(Report(self.attempt(key), AttemptState.LOST, judged=live.session))

    def _look_for_admission(self, replica: Replica) -> None:
        """Runs that their DAG's cap lets in, oldest first; and admitted runs that nobody has started."""
        for name, row in sorted(self.db.runs.items(), key=lambda each: each[1].order):
            if row.state is RunState.QUEUED and not row.admitted and self._has_room(row.dag_id):
                self.db.runs[name] = row = row._replace(admitted=True)
            if row.state is RunState.QUEUED and row.admitted:
                replica.arrived.append((name, RunStarted()))

    def _has_room(self, dag_id: str) -> bool:
        cap = self.rules.plans[dag_id].spec.runs_active_max
        return cap is None or sum(is_active(row, dag_id) for row in self.db.runs.values()) < cap

    # ---- operators
    def do_trigger(self, run: str, replica: str) -> bool:
        dag_id = dict(self.scenario.runs).get(run)
        if dag_id is None or run in self.db.runs:
            return False
        board = Board.fresh(self.rules.plans[dag_id].graph.size).pack()
        self.db.runs[run] = RunRow(dag_id, len(self.db.runs), board, admitted=self._has_room(dag_id))
        if self.db.runs[run].admitted:
            self.replicas[replica].arrived.append((run, RunStarted()))
        return True

    def do_cancel_run(self, run: str, replica: str) -> bool:
        row = self.db.runs.get(run)
        if row is None or row.state in RUN_FINAL:
            return False
        return self._step(self.replicas[replica], (run, RunCancelled("enough")))

    def do_cancel(self, run: str, tasks: str, replica: str) -> bool:
        chosen = self._tasks(run, tasks)
        return bool(chosen) and self._step(self.replicas[replica], (run, TasksCancelled(chosen)))

    def do_clear(self, run: str, tasks: str, how: str, replica: str) -> bool:
        """`how` holds the words downstream and running."""
        chosen = self._tasks(run, tasks)
        if chosen and "downstream" in how:
            chosen = tuple(sorted(self.plan(run).graph.closure(set(chosen))))
        event = TasksCleared(chosen, cancel_running="running" in how)
        return bool(chosen) and self._step(self.replicas[replica], (run, event))

    def do_rerun(self, run: str, replica: str) -> bool:
        row = self.db.runs.get(run)
        size = self.plan(run).graph.size if row else 0
        bad = {task for task, state in enumerate(row.board[:size]) if state in _BAD} if row else set()
        chosen = tuple(sorted(self.plan(run).graph.closure(bad))) if bad else ()
        return bool(chosen) and self._step(self.replicas[replica], (run, TasksCleared(chosen)))

    def do_pause(self, dag_id: str) -> bool:
        return self._limit(dag_id, paused=True)

    def do_unpause(self, dag_id: str) -> bool:
        return self._limit(dag_id, paused=False)

    def do_pool(self, slots: str) -> bool:
        self.db.limits[POOL_LIMIT] = self.db.limits[POOL_LIMIT]._replace(capacity=int(slots))
        return True

    def _limit(self, dag_id: str, paused: bool) -> bool:
        plan = self.rules.plans.get(dag_id)
        if plan is None or self.db.limits[plan.tasks_limit].paused is paused:
            return False
        self.db.limits[plan.tasks_limit] = self.db.limits[plan.tasks_limit]._replace(paused=paused)
        return True

    def _tasks(self, run: str, names: str) -> tuple[int, ...]:
        if run not in self.db.runs:
            return ()
        known = self.plan(run).graph.task_ids
        return tuple(sorted(known.index(name) for name in names.split(",") if name in known))

    # ---- names
    def plan(self, run: str) -> Plan:
        return self.rules.plans[self.db.runs[run].dag_id]

    def attempt(self, key: Key) -> Attempt:
        """The live attempt of a task instance."""
        return Attempt(key[0], self.plan(key[0]).graph.task_ids[key[1]], self.db.live[key].release.attempt_number)
