"""One episode: the faults and the work of a plan, then healing, then everything must end, and the checker judges."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.chaos.crowd import Crowd
from tests.chaos.harm import Harm, Undo
from tests.chaos.plan import FAULT_SECONDS, SERVERS, WORKERS, Plan
from tests.chaos.system import System
from tests.checker import INVARIANTS, Report, Watch, check, read_facts
from tests.checker.facts import Moment
from tests.checker.tests.scenes import wait_until

# From the end of the last fault until all is at rest. Alone it takes a few seconds: a lease, its verdict, what is left
# of retries and timeouts. The rest is for a machine that has other things to do.
LIVENESS_SECONDS = 60.0
TICK_SECONDS = 0.05
LINES_MAX = 12
# What is asked for when all is healed, to see that it works as before.
PROBES = ("chain", "pooled", "alone", "ledger")

_UNFINISHED = """
select format('run %s of %s is %s', dag_run_id, dag_id, state)
  from dag_run where state in ('queued', 'running')
union all
select format('%s/%s #%s is live with %s (session %s), cancel asked for at %s',
              dag_run_id, task_index, attempt_number, worker_identity, s.state, cancel_requested_time)
  from live_attempt join worker_session s using (session_id)
union all
select format('%s/%s is queued, due %s, parked on %s', dag_run_id, task_index, due, parked_on) from task_queue
union all
select format('an event waits for run %s', dag_run_id) from run_inbox
union all
select format('a slot is held for %s/%s', dag_run_id, task_index) from limit_holder
union all
select format('backfill %s is %s', backfill_id, state) from backfill where state not in ('ended', 'cancelled')
union all
select format('tick %s waits', tick_time) from schedule_tick where state = 'waiting'"""


class Broken(AssertionError):
    """An episode did not keep what it must. The text says what, and the plan that led to it."""


@dataclass(frozen=True)
class Outcome:
    """What an episode showed; `seconds` by part."""

    plan: Plan
    runs: int
    struck: Counter[str]
    report: Report
    seconds: dict[str, float]

    def __str__(self) -> str:
        took = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in self.seconds.items())
        return f"seed {self.plan.seed}: {self.runs} runs, {self.struck.total()} faults; {took}"


class Episode:
    """Lives through one plan. `moments` are those seen of this system before, and get those of this episode."""

    def __init__(self, system: System, plan: Plan, moments: list[Moment]) -> None:
        self.system, self.plan, self.moments = system, plan, moments
        self.crowd, self.harm = Crowd(system), Harm(system)
        self.seconds: dict[str, float] = {}

    def live(self) -> Outcome:
        """Raises Broken when something is not finished in time, a process ended by itself, a promise is broken."""
        try:
            return self._live()
        except Exception as error:  # whatever it is, it happened under this plan
            said = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
            raise Broken(f"{said}\n\n{self.plan}") from error
        finally:
            self.crowd.close()

    def _live(self) -> Outcome:
        self.crowd.prepare()
        with Watch(self.system.database_url) as watch:
            with self._part("faults"):
                self._strike()
            with self._part("healing"):
                self._heal()
        self.moments += watch.moments
        with self._part("checking"):
            report = self._judge()
        return Outcome(self.plan, len(self.crowd.runs), self.harm.struck, report, self.seconds)

    @contextmanager
    def _part(self, name: str) -> Iterator[None]:
        begun = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - begun

    # ---- faults
    def _strike(self) -> None:
        """Each fault at its time, and its end at its own; what has died of them is started again."""
        start, number = time.monotonic(), itertools.count()
        self.crowd.go(self.plan.work, start)
        due: list[tuple[float, int, Undo]] = []
        blows = iter(self.plan.blows)
        coming = next(blows, None)
        while (now := time.monotonic() - start) < FAULT_SECONDS or due:
            if coming is not None and coming.at <= now:
                heapq.heappush(due, (now + coming.seconds, next(number), self.harm.strike(coming)))
                coming = next(blows, None)
            elif due and due[0][0] <= now:
                heapq.heappop(due)[2]()
            else:
                self.system.tend()
                threading.Event().wait(TICK_SECONDS)

    # ---- healing
    def _heal(self) -> None:
        """Everybody is back, everything that was asked for has ended, and what is asked for now ends as well."""
        self.harm.heal()
        deadline = time.monotonic() + LIVENESS_SECONDS
        self.crowd.wait()
        self.crowd.rest()
        self._wait(lambda: self.system.servers_answering() == set(SERVERS), "every replica answers", deadline)
        for shape in PROBES:
            self.crowd.ask(shape)
        self._wait(lambda: self._unfinished() == [], "all that was asked for has ended", deadline)
        self._wait(lambda: self.system.sessions() == set(WORKERS), "every worker has a session", deadline)
        assert not self.system.odd_ends, "\n".join(self.system.odd_ends)
        self.crowd.close()

    def _wait(self, true: Callable[[], bool], what: str, deadline: float) -> None:
        def well() -> bool:
            self.system.tend()
            return true()

        try:
            wait_until(well, f"{what}, after healing", deadline - time.monotonic())
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *self._state()])) from error

    def _unfinished(self) -> list[str]:
        """What is not at rest, in words; what cannot be asked is not at rest."""
        rows = self.system.rows(f"select 'asked' as what union all ({_UNFINISHED})")
        said = [row["what"] for row in rows]
        return [each for each in said if each != "asked"] if "asked" in said else ["the database does not answer"]

    def _state(self) -> list[str]:
        unfinished = self._unfinished()
        more = [f"... and {len(unfinished) - LINES_MAX} more"] if len(unfinished) > LINES_MAX else []
        return [
            *unfinished[:LINES_MAX],
            *more,
            f"replicas that answer: {', '.join(sorted(self.system.servers_answering()))}",
            f"workers with a session: {', '.join(sorted(self.system.sessions()))}",
            *self.system.odd_ends,
        ]

    # ---- judgement
    def _judge(self) -> Report:
        facts = asyncio.run(read_facts(self.system.database_url, self.system.journals, earlier=self.moments))
        report = check(facts, expect=())
        unknown = [run_id for run_id in self.crowd.runs if run_id not in facts.runs]
        assert not unknown, f"runs that were acknowledged and are not there: {unknown}"
        assert report.ok, f"\n{report}"
        return report


def premises(outcomes: list[Outcome]) -> Counter[str]:
    """How often each premise occurred. An episode's report is of its system so far: the last one of each counts."""
    return Counter({name: sum(each.report[name].occurred for each in outcomes) for name in INVARIANTS})
