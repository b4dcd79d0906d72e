"""How good the warnings of predicted misses are: made-up runs whose ends are known, written to docs/prediction.md.

    python -m tools.prediction_doc [--runs N] [--seed N] [--print]

A fixed generator: three graphs, log-normal durations (sigma 0.4) whose medians the predictor does not know, log-normal
waits for a worker. Each graph has 30 past runs to learn from, and a deadline that 20 % of its runs miss. Each run is
looked at some ninety times, the more often the nearer its deadline. Beside the predictor stand an oracle, the same rule
with the true distributions, and two rules without any: the run lasts longer than the average run; what is left of the
average, by the share of tasks that have ended, reaches beyond the deadline.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median

from glidepath_server.core.durations import Belief, Summary, believe
from glidepath_server.core.graph import Graph
from glidepath_server.core.prediction import Phase, TaskBelief, TaskNow, forecast
from glidepath_server.core.retry import RetryPolicy
from glidepath_server.core.trigger_rules import TriggerRule
from glidepath_server.core.warning import THRESHOLD

PAGE = Path(__file__).parent.parent / "docs" / "prediction.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
SIGMA, WAIT_SIGMA, WAIT_MEDIAN = 0.4, 0.8, 20.0
PAST_RUNS, MISS_SHARE, PARTS = 30, 0.2, 25
SHAPES: dict[str, list[list[int]]] = {
    "chain of 8": [[task - 1] if task else [] for task in range(8)],
    "diamond of 10": [[], [0], [1], [2], [3], [0], [5], [6], [4, 7], [8]],
    "fan-out of 12": [[], *[[0]] * 9, list(range(1, 10)), [10]],
}
_TRUE = 200


@dataclass(frozen=True)
class World:
    """A DAG whose tasks take what they take: medians in seconds."""

    graph: Graph
    medians: Sequence[float]

    def run(self, chance: random.Random) -> Past:
        begins: list[float] = []
        starts: list[float] = []
        ends: list[float] = []
        for task, upstream in enumerate(self.graph.upstream):
            begins.append(max((ends[each] for each in upstream), default=0.0))
            starts.append(begins[-1] + WAIT_MEDIAN * math.exp(chance.gauss(0, WAIT_SIGMA)))
            ends.append(starts[-1] + self.medians[task] * math.exp(chance.gauss(0, SIGMA)))
        return Past(begins, starts, ends)


@dataclass(frozen=True)
class Past:
    """When each task of a run could be claimed, began, ended."""

    begins: Sequence[float]
    starts: Sequence[float]
    ends: Sequence[float]

    @property
    def length(self) -> float:
        return max(self.ends)

    def at(self, time: float) -> list[TaskNow]:
        """What can be known then."""
        return [self._task(task, time) for task in range(len(self.ends))]

    def _task(self, task: int, time: float) -> TaskNow:
        if self.ends[task] <= time:
            return TaskNow(Phase.ENDED)
        if self.starts[task] <= time:
            return TaskNow(Phase.RUNNING, elapsed=time - self.starts[task])
        if self.begins[task] <= time:
            return TaskNow(Phase.QUEUED, elapsed=time - self.begins[task])
        return TaskNow(Phase.SCHEDULED)


Rule = Callable[[Past, float], bool]


@dataclass
class Score:
    """Of one rule: how many runs were late, or not, and of these warned; the leads of the right warnings, as shares of
    their runs' lengths. A warning counts when it comes before the deadline."""

    late: int = 0
    on_time: int = 0
    false: int = 0
    leads: list[float] = field(default_factory=list)

    @property
    def recall(self) -> float:
        return len(self.leads) / self.late if self.late else 0.0

    @property
    def false_share(self) -> float:
        return self.false / self.on_time if self.on_time else 0.0

    @property
    def lead(self) -> float:
        return median(self.leads) if self.leads else 0.0

    def count(self, past: Past, deadline: float, rule: Rule, parts: int) -> None:
        is_late = past.length > deadline
        self.late += is_late
        self.on_time += not is_late
        until = min(past.length, deadline)
        warned = next((time for time in look_times(deadline, parts) if time < until and rule(past, time)), None)
        if warned is None:
            return
        if is_late:
            self.leads.append((deadline - warned) / past.length)
        else:
            self.false += 1


def look_times(deadline: float, parts: int) -> Iterator[float]:
    """After a part of the time that is left, so the more often the nearer the deadline."""
    time = 0.0
    while time < deadline:
        yield time
        time += max((deadline - time) / parts, deadline / (16 * parts))


def graph_of(upstream: Sequence[Sequence[int]]) -> Graph:
    size = len(upstream)
    down = tuple(tuple(each for each in range(size) if task in upstream[each]) for task in range(size))
    ids = tuple(f"t{task}" for task in range(size))
    return Graph(ids, tuple(map(tuple, upstream)), down, (TriggerRule.ALL_SUCCESS,) * size, (RetryPolicy(),) * size)


def scores(runs: int, seed: int, threshold: float = THRESHOLD, parts: int = PARTS) -> dict[str, dict[str, Score]]:
    """By shape and rule."""
    found = {}
    for shape, upstream in SHAPES.items():
        chance = random.Random(f"{seed} {shape}")
        world = World(graph_of(upstream), [60 * math.exp(chance.uniform(math.log(5), math.log(20))) for _ in upstream])
        lengths = sorted(world.run(chance).length for _ in range(2000))
        deadline = lengths[int(len(lengths) * (1 - MISS_SHARE))]
        past = [world.run(chance) for _ in range(PAST_RUNS)]
        rules = _rules(world, past, deadline, threshold)
        found[shape] = {name: Score() for name in rules}
        for _ in range(runs):
            run = world.run(chance)
            for name, rule in rules.items():
                found[shape][name].count(run, deadline, rule, parts)
    return found


def _rules(world: World, past: Sequence[Past], deadline: float, threshold: float) -> dict[str, Rule]:
    size = world.graph.size
    learnt = [
        TaskBelief(
            _believed(run.ends[task] - run.starts[task] for run in past),
            _believed(run.starts[task] - run.begins[task] for run in past),
        )
        for task in range(size)
    ]
    wait = Belief(math.log(WAIT_MEDIAN), WAIT_SIGMA, _TRUE, 1)
    true = [TaskBelief(Belief(math.log(each), SIGMA, _TRUE, 1), wait) for each in world.medians]
    average = fmean(run.length for run in past)

    def predicted(beliefs: Sequence[TaskBelief]) -> Rule:
        def rule(run: Past, time: float) -> bool:
            return forecast(world.graph, run.at(time), beliefs).late(deadline - time) >= threshold

        return rule

    def share_left(run: Past, time: float) -> bool:
        return time + average * sum(end > time for end in run.ends) / size > deadline

    return {
        "Glidepath": predicted(learnt),
        "oracle": predicted(true),
        "elapsed over average": lambda run, time: time > average,
        "average times tasks left": share_left,
    }


def _believed(seconds: Iterable[float]) -> Belief:
    return believe(Summary.of(seconds), Summary(), Summary())


def total(by_shape: dict[str, dict[str, Score]], rule: str) -> Score:
    every = [rules[rule] for rules in by_shape.values()]
    leads = [lead for each in every for lead in each.leads]
    return Score(sum(e.late for e in every), sum(e.on_time for e in every), sum(e.false for e in every), leads)


def table(by_shape: dict[str, dict[str, Score]]) -> str:
    lines = [
        "| Graph | Rule | Runs | Late | Late ones warned in time | Punctual ones warned | Median lead, of the run |",
        "|---|---|---|---|---|---|---|",
    ]
    names = list(next(iter(by_shape.values())))
    rows = [(shape, name, rules[name]) for shape, rules in by_shape.items() for name in names]
    rows += [("**all**", name, total(by_shape, name)) for name in names]
    for shape, name, score in rows:
        runs = score.late + score.on_time
        figures = f"{score.recall:.1%} | {score.false_share:.1%} | {score.lead:.1%}"
        lines.append(f"| {shape} | {name} | {runs} | {score.late} | {figures} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=300, help="runs of each graph")
    parser.add_argument("--seed", type=int, default=20261127)
    parser.add_argument("--threshold", type=float, default=THRESHOLD)
    parser.add_argument("--print", action="store_true", help="print the table, write nothing")
    asked = parser.parse_args()
    text = table(scores(asked.runs, asked.seed, asked.threshold))
    if asked.print:
        print(text)
        return
    page = PAGE.read_text()
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


if __name__ == "__main__":
    main()
