"""Equal calls inside a step transaction: what takes a kept result, what waits for an equal call, what is kept.

Authority. `cached_result` says what is kept, and its row is the lock under which it is decided who of equal calls
runs; `cached_call` says who is at a key and who waits for it. An instance that waits is in the queue, parked as such:
it can be cancelled, cleared and marked as any other. Nothing here is memory.

In the order of the step, after all that takes work back:
1. First attempts of generations are looked up, one statement for all of them, and those that hit succeed in this very
   step; what follows from them is looked up in turn. No row is locked for that.
2. The rows of all keys of which a call begins or ends here are locked, once, by key. A chain of hits ends before.
3. In later statements: results are kept, and everybody is woken who waits for them; what has found nothing runs, when
   nobody is at it, or waits; of those who wait for a call that came to nothing, one is woken.
Whoever is woken has an event in its inbox, written in this transaction, and is looked up again by the step of its own
run: no step locks another's run. A wake-up is never the decision: that is made under the key's row.

Not looked up are tasks of which an operator has cleared what they had (Board.anew), and runs that refresh. They run
whoever is at their key, and keep their result in the place of the older one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from itertools import count
from typing import Any, NamedTuple
from uuid import UUID

from ..core.advance import advance
from ..core.board import FINAL
from ..core.caching import Named, OutputFacts, call_key
from ..core.effects import Release
from ..core.events import AttemptEnded, AttemptKey, EqualCallEnded, event_to_json
from ..core.json_text import to_json
from ..core.states import AttemptState, TaskState
from ..store import caching as store
from ..store import engine as engine_store
from ..store.caching import Key
from ..store.database import Connection
from .claims import read_outputs
from .map_tasks import gathered_list, items_by_instance
from .plans import RunFacts
from .step_types import LockedRun, Output, Replica, StepOutcome

# Of those who wait for one key, so many are woken by the step itself; the sweep wakes the others.
WOKEN_MAX = 1_000
# Rounds of a chain of hits in one step, and hits (some more, for a round is whole); what would follow waits for the
# next step of its run: nobody else may step the run meanwhile.
ROUNDS_MAX = 200
HITS_MAX = 5_000
# Making keys takes time: after so many others get a turn.
KEYS_AT_ONCE = 500
_OVER = FINAL | {int(TaskState.SCHEDULED)}
Instance = tuple[UUID, int, int]


class Call(NamedTuple):
    """The first attempt of a generation of a cached task instance."""

    run: LockedRun
    release: Release
    key: Key
    # Takes nothing that is kept, and waits for nobody.
    anew: bool

    @property
    def instance(self) -> Instance:
        return self.run.dag_run_id, self.release.task, self.release.map_index

    @property
    def attempt(self) -> AttemptKey:
        return AttemptKey(*self.instance, self.release.attempt_number)

    @property
    def seconds(self) -> float | None:
        """How old a result may be that it takes."""
        cache = self.run.plan.task(self.release.task).policy.cache
        assert cache is not None
        return cache.expire_after_seconds

    @property
    def names(self) -> tuple[str, str]:
        return self.run.plan.dag_id, self.run.plan.graph.task_ids[self.release.task]


class EqualCalls:
    """The part of a step that is about equal calls. A step without cached tasks asks the database nothing here."""

    def __init__(self, replica: Replica, outcome: StepOutcome) -> None:
        self.replica, self.outcome = replica, outcome
        # Whether the step has taken, kept or decided anything here.
        self.touched = False
        self._waiting: set[Instance] = set()
        self._params: dict[UUID, Any] = {}
        # What the last round has released, and nobody has looked up.
        self._late: set[AttemptKey] = set()

    async def run(
        self,
        connection: Connection,
        runs: Mapping[UUID, LockedRun],
        now: datetime,
        follow: Callable[[Connection], Awaitable[None]],
    ) -> None:
        """`follow` does what the boards ask for after what was answered here."""
        cached = {run_id: run for run_id, run in runs.items() if run.plan.graph.cached}
        if not cached:
            return
        await self._take_back(connection, cached)
        found: dict[AttemptKey, Call] = {}
        taken = 0
        for rounds in count():
            new = await self._calls(connection, cached, found)
            found |= {call.attempt: call for call in new}
            if rounds >= ROUNDS_MAX or taken >= HITS_MAX:
                self._late = {call.attempt for call in new}
                break
            wanted = [call for call in new if not call.anew]
            hits = await self._hits(connection, wanted, now) if wanted else []
            if not hits:
                break
            self.touched = True
            taken += len(hits)
            self._succeed(hits, now)
            await follow(connection)
        released = {
            AttemptKey(run_id, release.task, release.map_index, release.attempt_number)
            for run_id, run in cached.items()
            for release in run.effects.releases
        }
        await self._settle(connection, cached, [call for key, call in found.items() if key in released], now)

    async def _take_back(self, connection: Connection, runs: Mapping[UUID, LockedRun]) -> None:
        """Instances whose equal call has ended are released as if for the first time."""
        ended = [(run_id, *each) for run_id, run in runs.items() for each in run.effects.equal_calls_ended]
        for row in await store.take_back_calls(connection, ended) if ended else ():
            release = Release(row["task_index"], row["map_index"], row["attempt_number"], at=row["at"])
            runs[row["dag_run_id"]].effects.releases.append(release)

    # ---- 1. look up
    async def _calls(
        self, connection: Connection, runs: Mapping[UUID, LockedRun], known: Mapping[AttemptKey, Call]
    ) -> list[Call]:
        """The calls that have been released and are not known yet, with their keys."""
        new = [
            (run, release)
            for run_id, run in runs.items()
            for release in run.effects.releases
            if release.task in run.plan.graph.cached
            and not (
                release.tries or release.losses or release.redeliveries or release.deferrals or release.preemptions
            )
            and AttemptKey(run_id, release.task, release.map_index, release.attempt_number) not in known
        ]
        if not new:
            return []
        facts = await self.replica.plans.read_facts(connection, {run.dag_run_id for run, _ in new})
        needs = {(run.dag_run_id, task) for run, release in new for task in run.plan.key_needs[release.task]}
        outputs = await self._outputs(connection, needs, runs)
        mapped = {(run.dag_run_id, *release[:2]) for run, release in new if release.map_index >= 0}
        items = await items_by_instance(connection, mapped)
        calls = []
        for number, (run, release) in enumerate(new, 1):
            if number % KEYS_AT_ONCE == 0:
                await asyncio.sleep(0)
            run_facts = facts[run.dag_run_id]
            task_ids = run.plan.graph.task_ids
            upstream = {
                task_ids[task]: [OutputFacts(each.content_type, each.body, each.uri, each.sha256)]
                for task in run.plan.key_needs[release.task]
                if (each := outputs.get((run.dag_run_id, task))) is not None
            }
            item = items.get((run.dag_run_id, *release[:2]))
            named = self._named(run_facts, task_ids[release.task], release, upstream, to_json(item) if item else "")
            key = (run.plan.namespace, call_key(run.plan.task(release.task), named))
            anew = run_facts.refresh_cache or release.task in run.board.anew
            calls.append(Call(run, release, key, anew))
        return calls

    def _named(
        self, facts: RunFacts, task_id: str, release: Release, upstream: Mapping[str, list[OutputFacts]], item: str
    ) -> Named:
        if facts.dag_run_id not in self._params:
            self._params[facts.dag_run_id] = json.loads(facts.params or "{}")
        return Named(
            facts.namespace,
            facts.dag_id,
            task_id,
            str(facts.dag_run_id),
            facts.run_key,
            release.attempt_number,
            facts.logical_date,
            facts.data_interval_start,
            facts.data_interval_end,
            self._params[facts.dag_run_id],
            upstream,
            item,
        )

    async def _outputs(
        self, connection: Connection, needs: set[tuple[UUID, int]], runs: Mapping[UUID, LockedRun]
    ) -> dict[tuple[UUID, int], Output]:
        """What the keys take of upstream tasks; of mapped ones the list of all outputs."""
        mapped = {(run_id, task) for run_id, task in needs if task in runs[run_id].plan.graph.maps}
        found = await read_outputs(connection, needs - mapped, runs) if needs - mapped else {}
        for run_id, task in mapped:
            gathered = await gathered_list(connection, run_id, task)
            if gathered is not None:
                found[run_id, task] = gathered
        return found

    async def _hits(self, connection: Connection, calls: list[Call], now: datetime) -> list[Call]:
        rows = [(*call.key, *call.attempt, call.seconds) for call in calls]
        return [calls[place] for place in sorted(await store.take_hits(connection, rows, now))]

    def _succeed(self, hits: list[Call], now: datetime) -> None:
        """The ends of calls that nobody runs, as those of attempts."""
        by_run: dict[UUID, list[Call]] = {}
        for call in hits:
            by_run.setdefault(call.run.dag_run_id, []).append(call)
        for calls in by_run.values():
            run = calls[0].run
            taken = dict.fromkeys(call.release for call in calls)
            run.effects.releases = [each for each in run.effects.releases if each not in taken]
            events = [
                AttemptEnded(each.task, each.map_index, each.attempt_number, AttemptState.SUCCESS, 0, 0, 0, cached=True)
                for each in taken
            ]
            advance(run.plan.graph, run.board, events, now, run.effects)

    # ---- 2. and 3. decide under the keys' rows
    async def _settle(
        self, connection: Connection, runs: Mapping[UUID, LockedRun], calls: list[Call], now: datetime
    ) -> None:
        over = _over(runs) | {call.instance for call in calls}
        ended = await store.end_calls(connection, over) if over else []
        keys: dict[Key, tuple[str, str]] = {call.key: call.names for call in calls}
        for row in ended:
            run = runs[row["dag_run_id"]]
            names = (run.plan.dag_id, run.plan.graph.task_ids[row["task_index"]])
            keys.setdefault((row["namespace"], row["cache_key"]), names)
        if not keys:
            return
        self.touched = True
        await store.lock_keys(connection, ((*key, *names) for key, names in keys.items()), now)
        kept = await self._keep(connection, runs, ended, now)
        await self._begin(connection, calls, now)
        left = {(row["namespace"], row["cache_key"]) for row in ended} - kept
        if left:
            self.outcome.woken |= await store.wake_next(connection, left)
            await store.drop_empty(connection, left)

    async def _keep(
        self, connection: Connection, runs: Mapping[UUID, LockedRun], ended: list[store.Row], now: datetime
    ) -> set[Key]:
        """Keep the results of calls that have succeeded, the last of each key, and wake who waits for them."""
        at = {
            (row["dag_run_id"], row["task_index"], row["map_index"]): (row["namespace"], row["cache_key"])
            for row in ended
            if not row["waits"]
        }
        results: dict[Key, tuple[Any, ...]] = {}
        for run_id, run in runs.items():
            for task, map_index, attempt_number in run.effects.results:
                key = at.get((run_id, task, map_index))
                cache = run.plan.task(task).policy.cache
                if key is not None and cache is not None:
                    maker = (run.plan.dag_id, run.plan.graph.task_ids[task], run_id, task, map_index, attempt_number)
                    results[key] = (*key, *maker, cache.expire_after_seconds)
        if results:
            await store.keep_results(connection, list(results.values()), now)
            woken = await store.wake_all(connection, results, WOKEN_MAX)
            self.outcome.woken |= woken
            self.outcome.equal_calls = self.outcome.equal_calls or len(woken) >= WOKEN_MAX
        return set(results)

    async def _begin(self, connection: Connection, calls: list[Call], now: datetime) -> None:
        """Who runs, and who waits. One that finds a result only now takes it in its next step: no hit follows locks."""
        if not calls:
            return
        rows = []
        again: list[tuple[UUID, str]] = []
        running: set[Key] = set()
        seen = await store.look_again(connection, [(*call.key, call.seconds) for call in calls], now)
        for call, state in zip(calls, seen, strict=True):
            comes_again = state["kept"] or call.attempt in self._late
            waits = not call.anew and (comes_again or state["runs"] or call.key in running)
            if waits:
                self._waiting.add(call.instance)
                if comes_again:
                    release = call.release
                    event = EqualCallEnded(release.task, release.map_index, release.attempt_number)
                    again.append((call.run.dag_run_id, event_to_json(event)))
            else:
                running.add(call.key)
            rows.append((*call.key, *call.attempt, call.seconds, waits))
        await store.begin_calls(connection, rows)
        await engine_store.put_inbox(connection, again)
        self.outcome.woken |= {run_id for run_id, _ in again}

    # ---- what waits
    def waiting(
        self, released: Iterable[tuple[LockedRun, Release]]
    ) -> tuple[list[tuple[LockedRun, Release]], list[tuple[LockedRun, Release]]]:
        """What waits for an equal call, and what may be given out."""
        if not self._waiting:
            return [], list(released)
        waiting: list[tuple[LockedRun, Release]] = []
        ready: list[tuple[LockedRun, Release]] = []
        for run, release in released:
            waits = (run.dag_run_id, release.task, release.map_index) in self._waiting
            (waiting if waits else ready).append((run, release))
        return waiting, ready

    async def park(self, connection: Connection) -> None:
        """Put what waits out of the claim index, once it is in the queue."""
        if self._waiting:
            await store.park_calls(connection, self._waiting)


def _over(runs: Mapping[UUID, LockedRun]) -> set[Instance]:
    """Instances of cached tasks whose call is over: they have ended, or begin anew. One that a pause has taken back is
    looked up anew when it is resumed; until then it must not be waited for, nor stand before those who wait."""
    over = {
        (run_id, task, map_index)
        for run_id, run in runs.items()
        for task, map_index, state in run.effects.changes
        if task in run.plan.graph.cached and state in _OVER
    }
    for run_id, run in runs.items():
        for task in run.plan.graph.cached & run.board.maps.keys():
            over |= {(run_id, task, index) for index in run.board.maps[task].held}
    return over
