"""When a deadline is called at risk, when that is taken back, and what is named as the cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .prediction import Forecast, TaskForecast

# The probability to be late from which on a deadline is at risk; docs/prediction.md shows what it leads to. With a
# probability p of a miss at the start, the share of punctual runs that are ever warned is p (1 - threshold) /
# (threshold (1 - p)) at most, whatever the graph: the probability is a martingale (Doob).
THRESHOLD = 0.75
# It is back on track when the probability has fallen to this share of the threshold: what wavers about it says so once.
CALM_SHARE = 0.5
CAUSES_MAX = 3
# A task that still runs is a cause only if it matters in so many futures.
_CRITICAL_MIN = 0.25
# Longer than usual by less of it is not worth a word.
_OVERRUN_MIN = 0.1


@dataclass(frozen=True, slots=True)
class Cause:
    """A task instance that makes a run late: `took` or will take so many seconds, wait and work, `usual` as a rule."""

    task: int
    took: float
    usual: float
    is_ended: bool

    @property
    def overrun(self) -> float:
        return self.took - self.usual

    def text(self, task_id: str) -> str:
        """For a person."""
        if self.overrun <= 0:
            return f"{task_id} is still to come and takes {span(self.usual)}"
        verb = "took" if self.is_ended else "will take about"
        return f"{task_id} {verb} {span(self.took)} instead of {span(self.usual)}"


def is_at_risk(late: float, was_at_risk: bool, threshold: float = THRESHOLD) -> bool:
    """Whether a deadline that is missed with probability `late` is at risk: from the threshold on, and once it is,
    until the probability is well below it."""
    return late > threshold * CALM_SHARE if was_at_risk else late >= threshold


def causes(
    forecast: Forecast, spent: Mapping[int, float], path: Mapping[int, float], usual: Mapping[int, float]
) -> Sequence[Cause]:
    """What makes a run late, the most first; at most CAUSES_MAX.

    `spent`: seconds that what has begun or is queued has taken already. `path`: what the tasks that have ended on the
    way up to now took. `usual`: what these take as a rule. Nothing takes longer than usual: the longest still to come.
    """
    found = [Cause(task, took, usual[task], True) for task, took in path.items() if task in usual]
    open_ones = [each for each in forecast.tasks.values() if each.critical >= _CRITICAL_MIN]
    found += [_open(each, spent.get(each.task, 0.0)) for each in open_ones]
    slow = [each for each in found if each.overrun > _OVERRUN_MIN * each.usual]
    if slow:
        return sorted(slow, key=lambda each: (-each.overrun, each.task))[:CAUSES_MAX]
    longest = sorted(open_ones, key=lambda each: (-each.length, each.task))[:CAUSES_MAX]
    return [Cause(each.task, each.usual, each.usual, False) for each in longest]


def _open(task: TaskForecast, spent: float) -> Cause:
    # What has not begun takes what it takes as a rule; its mean is above its median, which is no news.
    return Cause(task.task, spent + task.length if spent else task.usual, task.usual, False)


def span(seconds: float) -> str:
    """Of a duration, the two largest units."""
    whole = max(round(seconds), 0)
    for unit, size, smaller, smaller_size in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // smaller_size
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{max(seconds, 0.0):.1f} s" if seconds < 10 else f"{whole} s"
