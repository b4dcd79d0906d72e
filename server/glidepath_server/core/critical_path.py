"""The chain of waiting and work that decided when a run ended (or has got to, while it runs)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from .board import BAD
from .graph import Graph
from .states import TaskState
from .trigger_rules import TriggerRule


@dataclass(frozen=True, slots=True)
class AttemptTimes:
    """When an attempt of `task` was released, started and ended; None: not yet."""

    task: int
    queue_time: datetime
    start_time: datetime | None = None
    end_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One task instance of the path, over all its attempts."""

    task: int
    waited: timedelta
    worked: timedelta


@dataclass(slots=True)
class _Span:
    first: datetime
    last: datetime
    waited: timedelta = timedelta()
    worked: timedelta = timedelta()


def critical_path(graph: Graph, states: Sequence[int], attempts: Iterable[AttemptTimes], now: datetime) -> list[Step]:
    """From the run's start to its last end. Followed backwards: each task was let go by the upstream that ended last.

    An attempt that has not started or ended counts until `now`. A task that no attempt touched (skipped,
    upstream_failed) takes no time, so the path goes through it to whatever decided it. `states` are the board's state
    bytes. Every edge is looked at twice at most, however long the path.
    """
    spans = _spans(attempts, now)
    if not spans:
        return []
    deciders = _deciders(graph, states, spans)
    path: list[int] = []
    task: int | None = max(spans, key=lambda index: (spans[index].last, index))
    while task is not None:
        path.append(task)
        task = _let_go_by(graph, deciders, spans, task)
    return [Step(index, spans[index].waited, spans[index].worked) for index in reversed(path)]


def _spans(attempts: Iterable[AttemptTimes], now: datetime) -> dict[int, _Span]:
    spans: dict[int, _Span] = {}
    for attempt in attempts:
        start = attempt.start_time or now
        end = attempt.end_time or now
        span = spans.setdefault(attempt.task, _Span(attempt.queue_time, end))
        span.first, span.last = min(span.first, attempt.queue_time), max(span.last, end)
        span.waited += max(start - attempt.queue_time, timedelta())
        if attempt.start_time is not None:
            span.worked += max(end - start, timedelta())
    return spans


def _deciders(graph: Graph, states: Sequence[int], spans: Mapping[int, _Span]) -> list[int | None]:
    """Per task the task whose attempts decided when it ended: itself, or of one without attempts the upstream that
    failed first, or else the one that ended last. None: nothing before it had attempts."""

    def end(task: int) -> tuple[datetime, int]:
        return spans[task].last, task

    found: list[int | None] = []
    for task, upstream in enumerate(graph.upstream):
        if task in spans:
            found.append(task)
            continue
        failed = states[task] == TaskState.UPSTREAM_FAILED
        before = (found[each] for each in upstream if not failed or states[each] in BAD)
        choose = min if failed else max
        found.append(choose((each for each in before if each is not None), key=end, default=None))
    return found


def _let_go_by(graph: Graph, deciders: Sequence[int | None], spans: Mapping[int, _Span], task: int) -> int | None:
    """The task among what is upstream that ended last before `task` was released; None: it began with the run.

    Times of workers whose clocks are wrong may leave nobody that ended before; then whoever ended last stands for it.
    """
    if graph.rules[task] is TriggerRule.ALWAYS:
        return None
    ended = [each for upstream in graph.upstream[task] if (each := deciders[upstream]) is not None]
    before = [each for each in ended if spans[each].last <= spans[task].first]
    return max(before or ended, key=lambda index: (spans[index].last, index), default=None)
