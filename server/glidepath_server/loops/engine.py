"""The engine of a replica: where work comes in, the step transaction, and what happens after its commit.

Runs are routed to lanes by id, so two lanes of a replica never wait for the same run. Nothing here is the truth: work
that is lost with the process is found again by the loops that poll (queued runs, inboxes, live attempts of ended
sessions), and a worker repeats what was not acknowledged.

After a COMMIT whose outcome is unknown the reports are simply stepped again: what was committed is answered DUPLICATE,
and attempts that became live without being sent are taken back by the accept timeout of their session's sweep.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import structlog

from ..clock import monotonic
from ..core.errors import NotFound, PermissionDenied
from ..core.events import AttemptKey, Event, RunStarted
from ..crash_points import reach
from ..operations.map_tasks import gathered_output
from ..operations.plans import RunFacts
from ..operations.pullers import Puller
from ..operations.quarantine_run import mark_quarantined, quarantine_run
from ..operations.step_runs import Step
from ..operations.step_types import Command, Output, Replica, Report, RunWork, StepOutcome
from ..settings import Settings
from ..store import engine as store
from ..store import values
from ..store.database import CONNECTION_ERRORS, Connection, Database, is_retryable, transaction
from .lanes import Lane, PatientLane
from .telling import grouped, tell

log = structlog.get_logger()
HELD_BACK_MAX = 1000
LOOK_AGAIN_SECONDS = 1.0


class Engine:
    """Face towards the rest of a replica: submit reports, run commands, attach workers, watch runs."""

    def __init__(self, database: Database, settings: Settings, replica: Replica | None = None) -> None:
        self.database, self.settings = database, settings
        self.replica = replica or Replica()
        self.replica.plans.traced = bool(settings.otlp_endpoint)
        self.lanes = [Lane(self, number) for number in range(settings.engine_lanes)]
        self.patient = PatientLane(self)
        # Work of quarantined runs that could not even be put into their inbox; kept for their release.
        self.held_back: dict[UUID, RunWork] = {}
        self._deriving: set[asyncio.Task[None]] = set()
        self._in_flight: set[asyncio.Event] = set()
        # Called after a commit, must not block: what woke which loop.
        self.on_timers: Callable[[], None] = _nothing
        self.on_admission: Callable[[], None] = _nothing
        self.on_queues: Callable[[set[int]], None] = _ignore
        self.on_cancels: Callable[[], None] = _nothing
        self.on_equal_calls: Callable[[], None] = _nothing
        # Each step that was committed, and its seconds; None: nobody counts.
        self.on_step: Callable[[Step, float], None] | None = None
        self.on_facts: Callable[[], None] = _nothing
        self.on_past: Callable[[], None] = _nothing
        self.on_backfills: Callable[[], None] = _nothing
        self.on_runs_ended: Callable[[], None] = _nothing
        self._watchers: dict[UUID, set[asyncio.Event]] = {}
        self.steps_committed = 0
        # Monotonic time of the last step whose COMMIT may have happened unseen; None once that was looked into.
        self.unsettled_since: float | None = None

    async def start(self) -> None:
        async with self.database.engine.acquire() as connection:
            self.replica.pullers.learn(await store.task_classes(connection, 0))
            self.replica.pullers.set_capped(await store.capped_limits(connection))
            self.replica.pullers.weights = await store.namespace_weights(connection)
            self.replica.see_heads(await store.queue_heads(connection))
        for lane in self.lanes:
            lane.start()
        self.patient.start()

    async def stop(self) -> None:
        """Finish the steps under way; what is pending stays with those who hold it."""
        await asyncio.gather(*(lane.stop() for lane in self.lanes), self.patient.stop())
        for task in self._deriving:
            task.cancel()

    # ---- what arrives
    def lane(self, run_id: UUID) -> Lane:
        return self.lanes[run_id.int % len(self.lanes)]

    def submit(self, reports: Iterable[Report]) -> None:
        """Ends of attempts; each report's origin is told after the commit."""
        touched = set()
        for report in reports:
            lane = self.lane(report.key.dag_run_id)
            lane.work(report.key.dag_run_id).reports.append(report)
            touched.add(lane)
        for lane in touched:
            lane.wake.set()

    def add_event(self, run_id: UUID, event: Event) -> None:
        lane = self.lane(run_id)
        lane.work(run_id).events.append(event)
        lane.wake.set()

    def add_inbox(self, run_id: UUID) -> None:
        """The run has rows in its inbox; what was held back in its quarantine is due, too."""
        lane = self.lane(run_id)
        lane.work(run_id).inbox = True
        lane.again({run_id: self.held_back.pop(run_id, RunWork())})

    def runs_created(self, run_ids: Iterable[UUID]) -> None:
        """Queued, admitted runs: the rows are the durable fact, this only makes the start early."""
        for run_id in run_ids:
            self.add_event(run_id, RunStarted())

    async def command(
        self, run_id: UUID, event: Event, within: Callable[[Connection, Any, Any], Awaitable[None]] | None = None
    ) -> None:
        """Run an operator's event in a step of its own, with `within` (audit, request row) in the same transaction.

        Raises what the step raises (StateConflict, ...); then nothing was changed.
        """
        command = Command(event, within, asyncio.get_running_loop().create_future())
        self.patient.command(run_id, command)
        assert command.done is not None
        await command.done

    # ---- workers
    def attach(self, puller: Puller) -> None:
        """Give work to a session by this stream. Of two streams of a session here only the newer goes on: work meant
        for the other would be lost, and nobody else would end it."""
        known = self.replica.pullers.by_session.get(puller.session_id)
        if known is not None and known.generation > puller.generation:
            puller.ended()
            return
        if known is not None and known is not puller:
            known.ended()
        self.replica.pullers.add(puller)
        self.derive_resources(puller)
        self.credits_changed()

    def detach(self, puller: Puller) -> None:
        """Forget a session's stream, unless a newer one has taken its place."""
        if self.replica.pullers.by_session.get(puller.session_id) is puller:
            self.replica.pullers.remove(puller.session_id)

    def derive_resources(self, puller: Puller) -> None:
        """Say what a worker has free from what it runs, not from what was counted: none of it until that is known."""
        task = asyncio.create_task(self._derive_resources(puller))
        self._deriving.add(task)
        task.add_done_callback(self._deriving.discard)

    async def _derive_resources(self, puller: Puller) -> None:
        while True:
            marked = puller.resources_free = {}
            # A step under way may have given the worker something that cannot be read yet.
            await asyncio.gather(*(over.wait() for over in self._in_flight))
            try:
                async with self.database.worker.acquire() as connection:
                    class_ids = await store.classes_of_session(connection, puller.session_id)
            except CONNECTION_ERRORS as error:
                log.warning("resources_unknown", error=repr(error))
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
                continue
            if puller.resources_free is not marked or marked:
                continue  # an attempt ended while we looked
            puller.resources_free = self.replica.pullers.left_over(puller.offer, class_ids)
            self.replica.pullers.hope_everywhere()
            self.credits_changed()
            return

    def credits_changed(self) -> None:
        """A worker can take more: look for work if some may be there."""
        for _ in self.replica.pullers.hungry():
            self.look_for_work()
            return

    def look_for_work(self, queues: set[int] | None = None) -> None:
        if queues is not None:
            self.replica.pullers.hope(queues)
        for lane in self.lanes:
            if not lane.busy:
                lane.wake.set()
                return
        self.lanes[0].wake.set()

    async def classes_changed(self) -> None:
        """A version was registered: learn its task classes and the caps of its DAG."""
        async with self.database.worker.acquire() as connection:
            known = self.replica.pullers.classes
            self.replica.pullers.learn(await store.task_classes(connection, max(known, default=0)))
        await self.limits_changed()

    async def limits_changed(self) -> None:
        async with self.database.worker.acquire() as connection:
            self.replica.pullers.set_capped(await store.capped_limits(connection))
            self.replica.pullers.weights = await store.namespace_weights(connection)

    # ---- what a live attempt may read
    async def namespace_of(self, key: AttemptKey) -> str:
        """The namespace of an attempt's run. Raises NotFound when the run is gone."""
        return (await self._facts(key)).namespace

    async def upstream_output(self, key: AttemptKey, task_id: str) -> Output:
        """The output of a task upstream of the attempt. Raises PermissionDenied for any other, NotFound for none."""
        facts, task = await self._upstream(key, task_id)
        output = await self._output_of(key.dag_run_id, task, facts)
        if output is None:
            raise NotFound(f"task {task_id!r} has no output")
        return output

    async def upstream_xcom(self, key: AttemptKey, task_id: str, map_index: int, xcom_key: str) -> str:
        """What a task upstream of the attempt pushed, as JSON. Raises PermissionDenied and NotFound likewise."""
        _, task = await self._upstream(key, task_id)
        async with self.database.worker.acquire() as connection:
            found = await values.read_xcoms(connection, [(key.dag_run_id, task, map_index, xcom_key)])
        value = found.get((key.dag_run_id, task, xcom_key))
        if value is None:
            why = f"pushed no {xcom_key!r}" if found else "has not succeeded, and what it pushed counts only then"
            raise NotFound(f"task {task_id!r} {why}")
        return value

    async def _upstream(self, key: AttemptKey, task_id: str) -> tuple[RunFacts, int]:
        facts = await self._facts(key)
        graph = self.replica.plans.versions[facts.dag_version_id].graph
        allowed = {graph.task_ids[index]: index for index in graph.upstream[key.task]}
        if task_id not in allowed:
            raise PermissionDenied(
                f"task {task_id!r} is not upstream", hint=f"upstream are: {', '.join(allowed) or 'none'}"
            )
        return facts, allowed[task_id]

    async def _output_of(self, run_id: UUID, task: int, facts: RunFacts) -> Output | None:
        if task in self.replica.plans.versions[facts.dag_version_id].graph.maps:
            async with transaction(self.database.worker, "artifact") as connection:
                return await gathered_output(connection, facts.namespace, run_id, task)
        async with self.database.worker.acquire() as connection:
            rows = await store.read_outputs(connection, [run_id], [task])
        return Output(*(rows[0][name] for name in Output._fields)) if rows else None

    async def _facts(self, key: AttemptKey) -> RunFacts:
        async with self.database.worker.acquire() as connection:
            # Its version may have changed since it was read.
            self.replica.plans.forget_facts([key.dag_run_id])
            found = await self.replica.plans.load_facts(connection, [key.dag_run_id])
        if key.dag_run_id not in found:
            raise NotFound("the run is not there any more")
        return found[key.dag_run_id]

    # ---- watching
    @asynccontextmanager
    async def subscribe(self, run_id: UUID) -> AsyncIterator[asyncio.Event]:
        """An event that is set after each committed change of the run on this replica."""
        changed = asyncio.Event()
        watchers = self._watchers.setdefault(run_id, set())
        watchers.add(changed)
        try:
            yield changed
        finally:
            watchers.discard(changed)
            if not watchers:
                self._watchers.pop(run_id, None)

    def notify(self, run_ids: Iterable[UUID]) -> None:
        if self._watchers:
            for run_id in run_ids:
                for changed in self._watchers.get(run_id, ()):
                    changed.set()

    # ---- steps
    async def step(
        self, batch: dict[UUID, RunWork], *, wait_seconds: float | None = None, claiming: bool = True
    ) -> StepOutcome:
        """One committed step; `settle` the outcome. After an exception nothing was changed, unless COMMIT failed."""
        step = Step(self.replica, batch, wait_seconds=wait_seconds, claiming=claiming)
        over, committing, begun = asyncio.Event(), False, monotonic()
        self._in_flight.add(over)
        try:
            async with transaction(self.database.engine, "step", step.parts) as connection:
                outcome = await step.run(connection)
                committing = True
        except BaseException as error:
            step.undo()
            if committing and is_retryable(error):
                self._doubt()
            raise
        finally:
            over.set()
            self._in_flight.discard(over)
        if self.on_step is not None:
            self.on_step(step, monotonic() - begun)
        return outcome

    def _doubt(self) -> None:
        """Something may be committed that its workers were not told: have it looked for once it is old enough."""
        self.unsettled_since = monotonic()
        for puller in self.replica.pullers.by_session.values():
            self.derive_resources(puller)

    def lose_hope(self) -> None:
        """Claim nothing until the next poll."""
        for profile in self.replica.pullers.profiles.values():
            profile.hopeful.clear()

    async def quarantine(self, run_id: UUID, work: RunWork, error: BaseException) -> None:
        """Set a run aside with what has come for it. What not even its inbox takes is kept here for its release.

        Raises what may go well later (is_retryable); then nothing was changed, and nothing is kept here.
        """
        reason = f"{type(error).__name__}: {error}"
        log.error("run_quarantined", dag_run_id=str(run_id), reason=reason, exc_info=error)
        try:
            async with transaction(self.database.engine, "quarantine") as connection:
                acks = await quarantine_run(connection, self.replica.plans, run_id, work, reason)
        except Exception as second:
            if is_retryable(second):
                raise
            log.error("quarantine_failed", dag_run_id=str(run_id), reason=repr(second))
            await self._quarantine_bare(run_id, work, reason)
            return
        self.settle(StepOutcome(acks=acks, equal_calls=True, facts=True))

    async def _quarantine_bare(self, run_id: UUID, work: RunWork, reason: str) -> None:
        async with transaction(self.database.engine, "quarantine_bare") as connection:
            await mark_quarantined(connection, run_id, reason)
        self.on_facts()
        if len(self.held_back) < HELD_BACK_MAX:
            self.held_back.setdefault(run_id, RunWork()).absorb(work)

    # ---- after the commit
    def settle(self, outcome: StepOutcome) -> None:
        """Everything that only a commit allows: acknowledge, assign, cancel, wake."""
        self.steps_committed += 1
        try:
            self._tell(outcome)
        except BaseException:
            self._doubt()
            raise
        self._wake(outcome)

    def _tell(self, outcome: StepOutcome) -> None:
        for run_id, revision, tally in outcome.tallies:
            self.replica.keep_tally(run_id, revision, tally)
        self._give_back_resources(outcome)
        if outcome.assigned:
            reach("assignment.before_send")
        for puller, assigned in grouped((each.puller, each) for each in outcome.assigned).items():
            tell(puller.assign, assigned)
        told = ((report.origin, (report, verdict)) for report, verdict in outcome.acks if report.origin is not None)
        if outcome.acks:
            reach("ack.before_send")
        for origin, acks in grouped(told).items():
            tell(origin.acknowledge, acks)
        self._send_cancels(outcome)

    def _give_back_resources(self, outcome: StepOutcome) -> None:
        pullers = self.replica.pullers
        for session_id, class_id in outcome.ended:
            needs = pullers.classes.get(class_id)
            puller = pullers.by_session.get(session_id)
            if needs is not None and needs.resources and puller is not None:
                for name, amount in needs.resources.items():
                    puller.resources_free[name] = puller.resources_free.get(name, 0.0) + amount
                pullers.hope([needs.queue_id])

    def _send_cancels(self, outcome: StepOutcome) -> None:
        elsewhere = False
        if outcome.cancels:
            reach("cancel.before_send")
        for order in outcome.cancels:
            puller = self.replica.pullers.by_session.get(order.session_id)
            if puller is None:
                elsewhere = True
            else:
                tell(puller.cancel, [order])
        if elsewhere:
            self.on_cancels()

    def _wake(self, outcome: StepOutcome) -> None:
        if self._watchers:
            self.notify(outcome.touched)
            self.notify(each.key.dag_run_id for each in outcome.assigned)
        if outcome.timers:
            self.on_timers()
        if outcome.equal_calls:
            self.on_equal_calls()
        if outcome.facts:
            self.on_facts()
        if outcome.past:
            self.on_past()
        if outcome.ended_capped or outcome.unadmitted:
            self.on_admission()
        if outcome.backfills:
            self.on_backfills()
        if outcome.runs_ended:
            self.on_runs_ended()
        if outcome.created:
            self.runs_created(outcome.created)
        for run_id in outcome.inboxes | outcome.woken:
            self.add_inbox(run_id)
        if outcome.queues:
            self.on_queues(outcome.queues)
            self.credits_changed()
        for run_id, reason in outcome.quarantined:
            log.error("run_quarantined", dag_run_id=str(run_id), reason=reason)


def _nothing() -> None:
    """Nobody listens yet."""


def _ignore(_: set[int]) -> None:
    """Nobody listens yet."""
