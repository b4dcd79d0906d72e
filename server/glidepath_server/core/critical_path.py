"""The chain of waiting and work that decided when a run ended (or has got to, while it runs)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from .graph import Graph, TriggerRule


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


def critical_path(graph: Graph, attempts: Iterable[AttemptTimes], now: datetime) -> list[Step]:
    """From the run's start to its last end. Followed backwards: each task was let go by the upstream that ended last.

    An attempt that has not started or ended counts until `now`. A task that no attempt touched (skipped,
    upstream_failed) takes no time, so the path goes through it to the upstream that ended last before it.
    """
    spans = _spans(attempts, now)
    if not spans:
        return []
    path: list[int] = []
    task: int | None = max(spans, key=lambda index: (spans[index].last, index))
    while task is not None:
        path.append(task)
        task = _let_go_by(graph, spans, task)
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


def _let_go_by(graph: Graph, spans: Mapping[int, _Span], task: int) -> int | None:
    """The task among what is upstream that ended last before `task` was released; None: it began with the run.

    Times of workers whose clocks are wrong may leave nobody that ended before; then whoever ended last stands for it.
    """
    if graph.rules[task] is TriggerRule.ALWAYS:
        return None
    ended = list(_nearest_with_attempts(graph, spans, task))
    before = [index for index in ended if spans[index].last <= spans[task].first]
    return max(before or ended, key=lambda index: (spans[index].last, index), default=None)


def _nearest_with_attempts(graph: Graph, spans: Mapping[int, _Span], task: int) -> Iterator[int]:
    seen = set(graph.upstream[task])
    stack = list(seen)
    while stack:
        index = stack.pop()
        if index in spans:
            yield index
        else:
            stack += [further for further in graph.upstream[index] if further not in seen]
            seen.update(graph.upstream[index])
