"""Giving out work inside a step transaction: direct hand-off, claims, limits.

Authority. `task_queue` says what waits, `live_attempt` what runs, `concurrency_limit` how much may run, `limit_holder`
what counts against it. Credits and profiles are this replica's memory: a seat is a credit taken for a row that may
come.

Order of locks within the step: sessions (by id, FOR KEY SHARE) > candidates (skip locked) > all limit rows, freed and
wanted, once, DAGs' before all others, then by id (waiting) > count the holders in a NEW statement > take the allowed,
park the rest > unpark. A count in the locking statement would use the snapshot from before the wait and admit two into
one slot.

A class without limits skips the counting: its DAG's limit row is held FOR KEY SHARE and must say "no cap". Whoever sets
a cap takes FOR UPDATE, so waits for such claims to commit, and then counts what runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from ..core.effects import Release
from ..core.events import AttemptKey
from ..core.limit_use import LimitUse
from ..core.matching import TaskClass
from ..store import calls
from ..store import engine as store
from ..store.database import Connection
from .map_tasks import gathered_outputs, read_items
from .plans import RunFacts
from .pullers import Profile, Puller
from .step_types import Assigned, ChildEnd, LockedRun, Output, Replica, StepOutcome
from .values import read_xcoms

SEATS_MAX = 1000
Placed = tuple[LockedRun, Release]
Seated = tuple[Placed, TaskClass, Puller]
# Candidates of one profile in one queue, with the seats that they may take.
Wanted = tuple[Profile, int, list[Puller], list[store.Row]]
Taken = tuple[store.Row, Puller]
# A candidate and the limit that is too full for it.
Parked = tuple[store.Row, int]


class Claims:
    """The second half of a step. `undo` gives back every seat that was taken."""

    def __init__(self, replica: Replica, outcome: StepOutcome) -> None:
        self.replica, self.outcome = replica, outcome
        self.pullers = replica.pullers
        self.freed: set[int] = set()
        self._seats: Counter[Puller] = Counter()
        self._resources: list[tuple[Puller, Mapping[str, float]]] = []
        self._completing: set[UUID] = set()

    def undo(self) -> None:
        for puller, count in self._seats.items():
            puller.free += count
        for puller, amounts in self._resources:
            _add(puller, amounts, 1.0)
        self._seats, self._resources = Counter(), []
        self.pullers.hope_everywhere()

    def freed_by(self, row: store.Row) -> None:
        """The row was withdrawn from the queue: one that was let in again may leave its place to the next."""
        needs = self.pullers.classes.get(row["class_id"])
        if needs is not None and not row["parked_on"]:
            self.freed |= needs.slots(row["run_limit_id"]).keys() if self.pullers.is_limited(needs) else set()

    def _take(self, profile: Profile, count: int) -> list[Puller]:
        seats = profile.seats(count)
        self._seats.update(seats)
        return seats

    def _give_back(self, seats: Iterable[Puller]) -> None:
        for puller in seats:
            puller.free += 1
            self._seats[puller] -= 1

    # ---- direct hand-off
    async def hand_over(self, connection: Connection, released: list[Placed], now: datetime) -> list[Placed]:
        """Make live what can be at once; returns what must be queued."""
        await self.learn_classes(connection, released)
        ready, queued = self._candidates(released)
        if not ready:
            return queued
        seated, unseated = self._seat(ready)
        if not seated:
            return queued + unseated
        busy = await self._busy(connection, seated)
        open_sessions = await self._lock_sessions(connection, {puller for _, _, puller in seated}, now)
        direct: list[Seated] = []
        refused: list[Seated] = []
        for placed in seated:
            fits = placed[1].queue_id not in busy and placed[2].session_id in open_sessions
            fits = fits and not (placed[2].offer.others and busy & self._lines(placed[2]))
            (direct if fits else refused).append(placed)
        live = await store.hand_over(connection, _hand_over_columns(direct), now) if direct else set()
        for (run, release), needs, puller in direct:
            if (run.dag_run_id, release.task, release.map_index) in live:
                key = AttemptKey(run.dag_run_id, release.task, release.map_index, release.attempt_number)
                self.outcome.assigned.append(Assigned(key, puller, needs.class_id, run.plan))
                self._served(puller, needs)
            else:
                refused.append(((run, release), needs, puller))
        self._give_back(puller for _, _, puller in refused)
        return queued + unseated + [placed for placed, _, _ in refused]

    async def learn_classes(self, connection: Connection, released: list[Placed]) -> None:
        """A version registered elsewhere may name classes that this replica has not met."""
        known = self.pullers.classes
        if any(run.plan.class_of(release) not in known for run, release in released):
            self.pullers.learn(await store.task_classes(connection, max(known, default=0)))
            if any(run.plan.class_of(release) not in known for run, release in released):
                self.pullers.learn(await store.task_classes(connection, 0))

    def _candidates(self, released: list[Placed]) -> tuple[dict[int, list[Placed]], list[Placed]]:
        ready: dict[int, list[Placed]] = {}
        queued: list[Placed] = []
        for placed in released:
            run, release = placed
            needs = self.pullers.classes[run.plan.class_of(release)]
            if release.at is None and not self.pullers.is_limited(needs):
                ready.setdefault(needs.class_id, []).append(placed)
            else:
                queued.append(placed)
        return ready, queued

    def _seat(self, ready: dict[int, list[Placed]]) -> tuple[list[Seated], list[Placed]]:
        seated: list[Seated] = []
        unseated: list[Placed] = []
        for class_id, placed in ready.items():
            seats: list[Puller] = []
            for profile in self.pullers.for_class(class_id):
                if len(seats) >= len(placed):
                    break
                seats += self._take(profile, len(placed) - len(seats))
            needs = self.pullers.classes[class_id]
            seated += [(each, needs, puller) for each, puller in zip(placed, seats, strict=False)]
            unseated += placed[len(seats) :]
        return seated, unseated

    async def _busy(self, connection: Connection, seated: list[Seated]) -> set[int]:
        """Queues in which something waits that these workers should get first."""
        queues = {needs.queue_id for _, needs, _ in seated}
        queues.update(*(self._lines(puller) for _, _, puller in seated if puller.offer.others))
        classes: set[int] = set()
        for profile in {id(p): p for p in map(self._profile, {each[2].session_id for each in seated}) if p}.values():
            for queue_id in queues:
                classes.update(profile.unlimited.get(queue_id, ()), profile.limited.get(queue_id, ()))
        busy = await store.busy_queues(connection, list(queues), list(classes))
        self.pullers.hope(busy)
        return busy

    def _lines(self, puller: Puller) -> set[int]:
        """All queues of a worker that namespaces share: what waits in one of them is not gone by, whoever's it is."""
        profile = self._profile(puller.session_id)
        return set(profile.namespaces) if profile is not None else set()

    def _profile(self, session_id: UUID) -> Profile | None:
        puller = self.pullers.by_session.get(session_id)
        return self.pullers.profiles.get(puller.offer.key()) if puller is not None else None

    async def _lock_sessions(self, connection: Connection, pullers: set[Puller], now: datetime) -> set[UUID]:
        wanted = list(pullers)
        return await store.lock_sessions(
            connection, [each.session_id for each in wanted], [each.generation for each in wanted], now
        )

    # ---- claims from the queue
    async def claim(self, connection: Connection, now: datetime) -> None:
        """Claim for every profile that has credits and hope; then settle limits that were freed or are wanted."""
        wanted: list[Wanted] = []
        for profile in self.pullers.hungry():
            seats = await self._open_seats(connection, profile, now)
            if not seats:
                profile.hopeful.clear()  # the next poll looks again
            turns = profile.queues_in_turn(len(seats), self.pullers.weights)
            for number, (queue_id, part) in enumerate(turns):
                # No queue takes all: what one leaves over goes to the next, and the next claim begins elsewhere.
                parts = sum(each for _, each in turns[number:])
                share = -(-len(seats) * part // parts) if parts else len(seats)
                if share:
                    used, found = await self._claim_from(connection, profile, queue_id, seats[:share], now)
                    wanted += found
                    seats = seats[used:]
            self._give_back(seats)
        if wanted or self.freed:
            await self._settle_limits(connection, wanted, now)

    async def release(self, connection: Connection, now: datetime) -> None:
        """Claim nothing; what waits for limits that were freed may go on."""
        if self.freed:
            await self._settle_limits(connection, [], now)

    async def _claim_from(
        self, connection: Connection, profile: Profile, queue_id: int, seats: list[Puller], now: datetime
    ) -> tuple[int, list[Wanted]]:
        """Claim from one queue. Returns how many of the seats are used, and candidates that limits must judge."""
        limited = [each for each in profile.limited.get(queue_id, ()) if self._fits_somebody(each, seats)]
        unlimited = profile.unlimited.get(queue_id, ())
        if not limited:
            used = await self._claim_unlimited(connection, queue_id, unlimited, seats, now) if unlimited else 0
            found: list[Wanted] = []
        else:
            # One order over both kinds: a task that needs a slot of a pool waits no longer than one that needs none.
            count = len(seats) + profile.reach
            rows = await store.candidates(connection, queue_id, [*unlimited, *limited], count)
            used = min(len(rows), len(seats))
            found = [(profile, queue_id, seats[:used], rows)] if rows else []
        if used < len(seats):
            profile.give_up(queue_id)
        return used, found

    def _fits_somebody(self, class_id: int, seats: list[Puller]) -> bool:
        """Whether some puller has the resources now; a class that fits nobody must not stand before those that do."""
        needs = self.pullers.classes[class_id]
        return not needs.resources or _fitting_seat(list(dict.fromkeys(seats)), needs) is not None

    async def _open_seats(self, connection: Connection, profile: Profile, now: datetime) -> list[Puller]:
        seats = self._take(profile, min(profile.free, SEATS_MAX))
        open_sessions = await self._lock_sessions(connection, set(seats), now)
        shut = [puller for puller in seats if puller.session_id not in open_sessions]
        self._give_back(shut)
        return [puller for puller in seats if puller.session_id in open_sessions]

    async def _claim_unlimited(
        self, connection: Connection, queue_id: int, classes: Sequence[int], seats: list[Puller], now: datetime
    ) -> int:
        """Rows of classes without limits, in one statement. Returns how many there were."""
        rows = await store.claim(connection, queue_id, classes, [puller.session_id for puller in seats], now)
        for row in rows:
            self._assign(row, seats[row["n"] - 1])
        return len(rows)

    def _assign(self, row: store.Row, puller: Puller) -> None:
        key = AttemptKey(row["dag_run_id"], row["task_index"], row["map_index"], row["attempt_number"])
        self.outcome.assigned.append(Assigned(key, puller, row["class_id"]))
        needs = self.pullers.classes[row["class_id"]]
        self.replica.flow(needs.queue_id).served(row["order_key"], row["priority"])
        self._served(puller, needs)

    def _served(self, puller: Puller, needs: TaskClass) -> None:
        """A worker that several namespaces share has given one of them a turn."""
        if puller.offer.others and (profile := self._profile(puller.session_id)) is not None:
            profile.shares.served(needs.namespace, self.pullers.weights.get(needs.namespace, 1.0))

    # ---- limits
    async def _settle_limits(self, connection: Connection, wanted: list[Wanted], now: datetime) -> None:
        named = {limit_id for _, _, _, rows in wanted for row in rows for limit_id in self._slots(row)}
        classes = {row["class_id"] for _, _, _, rows in wanted for row in rows}
        # DAGs that have no cap as far as is known: held as such, without standing in each other's way.
        loose = {self.pullers.classes[each].tasks_limit_id for each in classes} - self.pullers.capped
        uncapped = await store.hold_uncapped(connection, loose - self.freed) if loose - self.freed else set()
        locked = (self.freed | named) - uncapped
        await store.lock_limits(connection, locked)
        use, counted = await store.limit_use(connection, locked)
        use |= {limit_id: LimitUse(None) for limit_id in uncapped}
        taken, parked = self._decide(wanted, use)
        if taken:
            await self._start(connection, taken, use, max(now, counted or now))
        if parked:
            await store.park(connection, _park_columns(parked))
            self.outcome.timers |= any(use[full].rate is not None for _, full in parked)
        await self._unpark(connection, self.freed | self._other_limits(parked), use)

    async def _start(self, connection: Connection, taken: list[Taken], use: dict[int, LimitUse], now: datetime) -> None:
        """Make live what may go. `now` is not before the starts of rates were counted, so that none is seen twice."""
        slots = [(row, *each) for row, _ in taken for each in self._slots(row).items()]
        # DAGs without a cap are held by nobody: who sets one counts what runs.
        loose = {self.pullers.classes[row["class_id"]].tasks_limit_id for row, _ in taken}
        held = [each for each in slots if each[1] not in loose or use[each[1]].capacity is not None]
        await store.take_limited(connection, _taken_columns(taken), _holder_columns(held), now)
        if starts := Counter(limit_id for _, limit_id, _ in slots if use[limit_id].rate is not None):
            await store.note_starts(connection, starts, now)
        for row, puller in taken:
            self._assign(row, puller)

    def _slots(self, row: store.Row) -> dict[int, int]:
        return self.pullers.classes[row["class_id"]].slots(row["run_limit_id"])

    def _other_limits(self, parked: list[Parked]) -> set[int]:
        """Limits that a parked row does not wait for: it may have been let in for one of their slots, which goes on."""
        return {limit_id for row, full in parked for limit_id in self._slots(row) if limit_id != full}

    def _decide(self, wanted: list[Wanted], use: dict[int, LimitUse]) -> tuple[list[Taken], list[Parked]]:
        """Who may go, in order; who is parked, and on which full limit. `use` is counted on.

        Our own locks hide no row from us: what one profile found, the next has found or claimed, too. It goes out once.
        """
        taken: list[Taken] = []
        parked: list[Parked] = []
        settled = {each.key[:3] for each in self.outcome.assigned}
        for profile, queue_id, seats, found in wanted:
            rows = [row for row in found if _instance_of(row) not in settled]
            before, parked_before = len(taken) + len(parked), len(parked)
            for row in rows:
                needs, slots = self.pullers.classes[row["class_id"]], self._slots(row)
                full = next((each for each, count in slots.items() if not use[each].admits(count)), None)
                seat = None if full is not None else _fitting_seat(seats, needs)
                if full is not None or seat is not None:
                    settled.add(_instance_of(row))
                if full is not None:
                    parked.append((row, full))
                elif seat is not None:
                    seats.remove(seat)
                    self._occupy(seat, needs.resources)
                    for limit_id, count in slots.items():
                        use[limit_id].occupy(count)
                    taken.append((row, seat))
            # What waits for a full limit stands before the others until it is parked: the next look goes further.
            crowded = 2 * (len(parked) - parked_before) >= len(rows)
            profile.reach = min(2 * len(rows), SEATS_MAX) if crowded else 0
            if len(rows) == len(found) and len(taken) + len(parked) == before:
                profile.hopeful.discard(queue_id)  # nobody here has the resources; the end of an attempt brings hope
            self._give_back(seats)
        return taken, parked

    def _occupy(self, seat: Puller, resources: Mapping[str, float]) -> None:
        if resources:
            _add(seat, resources, -1.0)
            self._resources.append((seat, resources))

    async def _unpark(self, connection: Connection, limit_ids: set[int], use: dict[int, LimitUse]) -> None:
        for limit_id in sorted(limit_ids):
            room = use[limit_id].room if limit_id in use else 0
            if room != 0:
                queues = await store.unpark(connection, limit_id, room)
                self.outcome.queues |= queues
                self.pullers.hope(queues)

    # ---- what the assignments carry
    def guilty(self) -> frozenset[UUID]:
        """Runs whose work was being completed when it failed; all that was given out when that is not known."""
        return frozenset(self._completing or {each.key.dag_run_id for each in self.outcome.assigned})

    async def _load_versions(self, connection: Connection, facts: Mapping[UUID, RunFacts]) -> None:
        """The versions of these runs, one by one where one is new: it may be one that this replica cannot read."""
        for version_id in {each.dag_version_id for each in facts.values()} - self.replica.plans.versions.keys():
            self._completing = {run_id for run_id, each in facts.items() if each.dag_version_id == version_id}
            await self.replica.plans.load(connection, [version_id])
        self._completing = set()

    async def complete(self, connection: Connection, runs: Mapping[UUID, LockedRun]) -> None:
        """Read facts, upstream outputs and checkpoints of what was assigned, still inside the transaction."""
        assigned = self.outcome.assigned
        if not assigned:
            return
        facts = await self.replica.plans.read_facts(connection, {each.key.dag_run_id for each in assigned})
        await self._load_versions(connection, facts)
        versions = self.replica.plans.versions
        moved = {
            each.key.dag_run_id
            for each in assigned
            if not versions[facts[each.key.dag_run_id].dag_version_id].has_class(each.class_id)
        }
        if moved:
            self.replica.plans.forget_facts(moved)
            facts |= await self.replica.plans.read_facts(connection, moved)
            await self._load_versions(connection, facts)
        needs: set[tuple[UUID, int]] = set()
        for each in assigned:
            each.facts = facts[each.key.dag_run_id]
            plan = each.plan = self.replica.plans.versions[each.facts.dag_version_id]
            needs.update((each.key.dag_run_id, task) for task in plan.output_needs[each.key.task])
        if needs:
            gathered = {
                (run_id, task): plan.graph.task_ids[task]
                for run_id, task in needs
                if task in (plan := self.replica.plans.versions[facts[run_id].dag_version_id]).graph.maps
            }
            outputs = await read_outputs(connection, needs - gathered.keys(), runs)
            if gathered:
                outputs |= await gathered_outputs(connection, gathered)
            for each in assigned:
                run_id = each.key.dag_run_id
                plan = self.replica.plans.versions[facts[run_id].dag_version_id]
                each.upstream = {
                    task: outputs[run_id, task]
                    for task in plan.output_needs[each.key.task]
                    if (run_id, task) in outputs
                }
        await _read_checkpoints(connection, [each for each in assigned if each.key.attempt_number > 1])
        await _read_child_ends(connection, [each for each in assigned if each.key.attempt_number > 1])
        if mapped := [each for each in assigned if each.key.map_index >= 0]:
            await read_items(connection, mapped)
        await read_xcoms(connection, assigned)


async def read_outputs(
    connection: Connection, needs: set[tuple[UUID, int]], runs: Mapping[UUID, LockedRun]
) -> dict[tuple[UUID, int], Output]:
    """Outputs by run and task: those of this very step from memory, the others from the table."""
    found = {
        (run_id, task): runs[run_id].outputs[task]
        for run_id, task in needs
        if run_id in runs and task in runs[run_id].outputs
    }
    missing = [pair for pair in needs if pair not in found]
    if missing:
        for row in await store.read_outputs(connection, [pair[0] for pair in missing], [pair[1] for pair in missing]):
            found[row["dag_run_id"], row["task_index"]] = Output(
                row["content_type"], row["body"], row["uri"], row["size_bytes"], row["sha256"]
            )
    return found


async def _read_checkpoints(connection: Connection, retried: list[Assigned]) -> None:
    if not retried:
        return
    rows = await store.read_checkpoints(
        connection, [each.key.dag_run_id for each in retried], [each.key.task for each in retried]
    )
    found = {(row["dag_run_id"], row["task_index"], row["map_index"]): row["checkpoint"] for row in rows}
    for each in retried:
        each.checkpoint = found.get(each.key[:3], b"")


async def _read_child_ends(connection: Connection, retried: list[Assigned]) -> None:
    rows = await calls.ends_for(connection, [each.key[:3] for each in retried]) if retried else ()
    found = {(row["dag_run_id"], row["task_index"], row["map_index"]): row for row in rows}
    for each in retried:
        if (row := found.get(each.key[:3])) is not None:
            content = (row["content_type"], row["body"], row["uri"], row["size_bytes"], row["sha256"])
            output = Output(*content) if row["content_type"] is not None else None
            ended = (row["child_run_id"], row["child_dag_id"], row["child_state"], row["child_reason"])
            each.child = ChildEnd(*ended, output)


def _instance_of(row: store.Row) -> tuple[UUID, int, int]:
    return row["dag_run_id"], row["task_index"], row["map_index"]


def _fitting_seat(seats: list[Puller], needs: TaskClass) -> Puller | None:
    for puller in seats:
        if all(puller.resources_free.get(name, 0.0) >= amount for name, amount in needs.resources.items()):
            return puller
    return None


def _add(puller: Puller, amounts: Mapping[str, float], sign: float) -> None:
    for name, amount in amounts.items():
        puller.resources_free[name] = puller.resources_free.get(name, 0.0) + sign * amount


def _hand_over_columns(direct: list[Seated]) -> list[list[object]]:
    rows = [
        (
            run.dag_run_id,
            release.task,
            release.map_index,
            release.attempt_number,
            needs.class_id,
            puller.session_id,
            release.tries,
            release.losses,
            release.redeliveries,
            run.plan.timeouts[release.task],
            needs.tasks_limit_id,
            release.deferrals,
            release.waiting_since,
            release.preemptions,
        )
        for (run, release), needs, puller in direct
    ]
    return [list(column) for column in zip(*rows, strict=True)]


def _taken_columns(taken: list[Taken]) -> list[list[object]]:
    return [
        [row["dag_run_id"] for row, _ in taken],
        [row["task_index"] for row, _ in taken],
        [row["map_index"] for row, _ in taken],
        [puller.session_id for _, puller in taken],
    ]


def _holder_columns(held: list[tuple[store.Row, int, int]]) -> list[list[object]]:
    return [
        [limit_id for _, limit_id, _ in held],
        *([row[name] for row, _, _ in held] for name in ("dag_run_id", "task_index", "map_index")),
        [slots for _, _, slots in held],
    ]


def _park_columns(parked: list[Parked]) -> list[list[object]]:
    return [
        [row["dag_run_id"] for row, _ in parked],
        [row["task_index"] for row, _ in parked],
        [row["map_index"] for row, _ in parked],
        [full for _, full in parked],
    ]
