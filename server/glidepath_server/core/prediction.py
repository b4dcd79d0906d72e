"""When a run that goes on will end: a distribution, and for each task how much it may still slip.

What has ended is certain, what runs has lasted so long and goes on, what waits has its usual wait and work before it
(core/durations.py). N possible futures are drawn at once, task by task along the graph: a task begins when what lets it
go has ended, so the end of the run in a future is the longest way through that future, whichever way that is. Adding up
means along one path would be too early wherever paths join (Fulkerson 1962); simulation of the network is the remedy of
Van Slyke (1963), as is the share of futures in which a task is on the longest way, its criticality.

All times are seconds from now.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from .durations import Belief
from .graph import Graph
from .trigger_rules import TriggerRule

# Futures of a small run; a large one has fewer, so that the work is bounded.
FUTURES_MAX = 128
FUTURES_MIN = 16
_WORK_MAX = 25_600
# Futures in which the longest way is followed back.
_TRACED_MAX = 32
_FIRST_ENDS = frozenset({TriggerRule.ONE_SUCCESS, TriggerRule.ONE_FAILED, TriggerRule.ONE_DONE})

Draws = list[float]


class Phase(StrEnum):
    """Where a task is."""

    ENDED = "ended"
    RUNNING = "running"
    QUEUED = "queued"
    SCHEDULED = "scheduled"


@dataclass(frozen=True, slots=True)
class TaskNow:
    """What is known of a task now.

    `elapsed`: of a running one since its attempt began, of a queued one since it could be claimed. `delay`: it cannot
    be claimed sooner. `ahead`: what is before it in its queue takes so long at least. Of a mapped task `elapsed` is the
    mean over the `live` instances, and `rest` further ones have not begun, of which `window` run at a time.
    """

    phase: Phase
    elapsed: float = 0.0
    delay: float = 0.0
    ahead: float = 0.0
    live: int = 1
    rest: int = 0
    window: int = 1


@dataclass(frozen=True, slots=True)
class TaskBelief:
    """What to expect of a task instance: its work, retries included; and its wait for a worker."""

    work: Belief
    wait: Belief


@dataclass(frozen=True, slots=True)
class TaskForecast:
    """`end` is the median; `usual` what wait and work take as a rule, `length` the median of what of it still comes.
    `slack`: the task may end so much later, by the medians, before the run ends after `target`. `critical`: the share
    of futures in which the run's end came from it.

    Medians, as the run's own ETA is: of a task that has run once, the mean of what is possible lies far behind all that
    is likely."""

    task: int
    end: float
    length: float
    usual: float
    slack: float
    critical: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """`ends` are the run's possible ends, sorted; `tasks` says of each task that has not ended what becomes of it."""

    ends: Sequence[float]
    tasks: Mapping[int, TaskForecast]
    # Tasks that have not ended and of which nothing is known: all times are guesses to that extent.
    unknown: Sequence[int]
    _draws: Mapping[int, Draws] = field(repr=False, default_factory=dict)

    def end(self, share: float, tasks: Collection[int] = ()) -> float:
        """The time by which the run (tasks named: the last of these) has ended in this share of futures."""
        ends = self._ends(tasks)
        return ends[min(int(share * len(ends)), len(ends) - 1)]

    def late(self, seconds: float, tasks: Collection[int] = ()) -> float:
        """The probability that it ends later than in `seconds`."""
        ends = self._ends(tasks)
        return 1.0 - bisect_right(ends, seconds) / len(ends)

    def _ends(self, tasks: Collection[int]) -> Sequence[float]:
        if not tasks:
            return self.ends
        return sorted(_latest([self._draws[task] for task in tasks if task in self._draws]) or [0.0])


def forecast(
    graph: Graph, tasks: Sequence[TaskNow], beliefs: Sequence[TaskBelief], target: float | None = None
) -> Forecast:
    """What becomes of a run. By task index: where each task is, and what to expect of it. `target`: slack counts up to
    it; None: up to the median of the run's end."""
    still = [task for task, now in enumerate(tasks) if now.phase is not Phase.ENDED]
    if not still:
        return Forecast([0.0], {}, [])
    number = max(min(FUTURES_MAX, _WORK_MAX // len(still)), FUTURES_MIN)
    ends: dict[int, Draws] = {}
    lengths: dict[int, float] = {}
    for task in still:
        own = _own_draws(task, tasks[task], beliefs[task], number)
        begin = _begin(graph, task, ends)
        ends[task] = own if begin is None else [a + b for a, b in zip(begin, own, strict=True)]
        lengths[task] = _median(own)
    last = [task for task in still if not any(after in ends for after in graph.downstream[task])]
    run = _latest([ends[task] for task in last]) or [0.0]
    goal = _median(run) if target is None else target
    shares = _criticality(graph, ends, last, number)
    found = {}
    after: dict[int, float] = {}
    for task in reversed(still):
        after[task] = max((lengths[each] + after[each] for each in graph.downstream[task] if each in ends), default=0.0)
        end = _median(ends[task])
        usual = beliefs[task].work.median + beliefs[task].wait.median
        found[task] = TaskForecast(task, end, lengths[task], usual, goal - end - after[task], shares.get(task, 0.0))
    unknown = [task for task in still if not beliefs[task].work.count]
    return Forecast(sorted(run), dict(sorted(found.items())), unknown, ends)


def _own_draws(task: int, now: TaskNow, belief: TaskBelief, number: int) -> Draws:
    """From the time when the task may begin (now, if it has begun) to its end."""
    works, waits = 2 * task, 2 * task + 1
    if now.phase is Phase.RUNNING:
        live = belief.work.longest(works, number, of=now.live, over=now.elapsed)
        left = [max(each - now.elapsed, 0.0) for each in live]
        if not now.rest:
            return left
        return [max(a, b) for a, b in zip(left, _instances(task, now, belief, number), strict=True)]
    if now.rest:
        return [now.delay + each for each in _instances(task, now, belief, number)]
    work = belief.work.draws(works, number)
    if now.phase is Phase.QUEUED and (now.elapsed or now.ahead):
        wait = [max(each - now.elapsed, now.ahead) for each in belief.wait.longest(waits, number, over=now.elapsed)]
    else:
        wait = belief.wait.draws(waits, number)
    return [now.delay + a + b for a, b in zip(wait, work, strict=True)]


def _instances(task: int, now: TaskNow, belief: TaskBelief, number: int) -> Draws:
    """`rest` instances, `window` at a time: all together at once when they fit; else work / window, and half of the
    longest, which list scheduling may leave over at the end (Graham 1969 bounds it by the whole)."""
    at_once = max(min(now.window, now.rest), 1)
    longest = belief.work.longest(2 * task, number, of=now.rest)
    wait = belief.wait.longest(2 * task + 1, number, of=now.rest)
    if at_once >= now.rest:
        return [a + b for a, b in zip(longest, wait, strict=True)]
    each = sum(belief.work.draws(2 * task, number)) / number + sum(belief.wait.draws(2 * task + 1, number)) / number
    return [now.rest * each / at_once + (1 - 1 / at_once) * a / 2 for a in longest]


def _begin(graph: Graph, task: int, ends: Mapping[int, Draws]) -> Draws | None:
    """When what lets the task go has ended; None: it has."""
    rule = graph.rules[task]
    if rule is TriggerRule.ALWAYS:
        return None
    before = {*graph.upstream[task], *graph.gates.get(task, ())}
    open_ones = [ends[each] for each in sorted(before) if each in ends]
    if rule in _FIRST_ENDS:
        return None if len(open_ones) < len(before) or not open_ones else list(map(min, *open_ones, open_ones[0]))
    return _latest(open_ones)


def _median(draws: Draws) -> float:
    return sorted(draws)[len(draws) // 2]


def _latest(draws: Sequence[Draws]) -> Draws | None:
    found: Draws | None = None
    for each in draws:
        found = each if found is None else [a if a > b else b for a, b in zip(found, each, strict=True)]
    return found


def _criticality(graph: Graph, ends: Mapping[int, Draws], last: Sequence[int], number: int) -> dict[int, float]:
    """The share of futures in which each task is on the longest way, followed back from the end in some of them."""
    counts: dict[int, int] = {}
    traced = min(number, _TRACED_MAX)
    for future in range(traced):
        at = max(last, key=lambda each: ends[each][future])
        while True:
            counts[at] = counts.get(at, 0) + 1
            before = [each for each in graph.upstream[at] if each in ends]
            if not before or graph.rules[at] is TriggerRule.ALWAYS:
                break
            choose = min if graph.rules[at] in _FIRST_ENDS else max
            at = before[0] if len(before) == 1 else choose(before, key=lambda each: ends[each][future])
    return {task: count / traced for task, count in counts.items()}
