"""What a server counts, for Prometheus. One object per server: nothing is global, so servers of one process stay apart.

Counting costs a microsecond and no I/O; what has to be asked of the database is asked by a loop (loops/metrics.py) and
never by a scrape, so that no scraper can load it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from .metric_names import METRICS

CONTENT_TYPE = CONTENT_TYPE_LATEST
# When a counter began is a second series beside each, by this host's clock.
disable_created_metrics()


class Metrics:
    """The metrics of telemetry/metric_names.py. Each method is one thing that happened."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._metrics = {name: self._make(name) for name in METRICS}
        self._before_scrape: list[Callable[[], None]] = []

    def _make(self, name: str) -> Counter | Gauge | Histogram:
        kind, labels, doc, buckets = METRICS[name]
        if kind == "histogram":
            return Histogram(name, doc, labels, registry=self._registry, buckets=buckets)
        return Counter(name, doc, labels, registry=self._registry) if kind == "counter" else self._gauge(name)

    def _gauge(self, name: str) -> Gauge:
        return Gauge(name, METRICS[name].doc, METRICS[name].labels, registry=self._registry)

    def text(self) -> bytes:
        """Everything in Prometheus' text format, with the content type `CONTENT_TYPE`."""
        for look in self._before_scrape:
            look()
        return generate_latest(self._registry)

    def before_scrape(self, look: Callable[[], None]) -> None:
        """Call this before each answer: for what is read off memory in no time."""
        self._before_scrape.append(look)

    # ---- what happened
    def step(self, seconds: float, claims: int, attempts: Mapping[str, int], runs: Mapping[str, int]) -> None:
        """A step was committed: attempts by outcome and runs by state that ended in it."""
        self._observe("glidepath_step_seconds", seconds)
        self._count("glidepath_claims_total", claims)
        for outcome, count in attempts.items():
            self._count("glidepath_attempts_ended_total", count, outcome)
        for state, count in runs.items():
            self._count("glidepath_runs_ended_total", count, state)

    def tick(self, lateness_seconds: float) -> None:
        """A run was created for a tick that was due so long before."""
        self._observe("glidepath_tick_lateness_seconds", lateness_seconds)

    def delivery(self, channel: str, outcome: str) -> None:
        """An alert was delivered, retried or dead_lettered."""
        self._count("glidepath_deliveries_total", 1, channel, outcome)

    def spans(self, outcome: str, count: int) -> None:
        """Spans were sent, refused or dropped."""
        self._count("glidepath_trace_spans_total", count, outcome)

    def event_loop_lag(self, seconds: float) -> None:
        """A timer went off so late."""
        self._observe("glidepath_event_loop_lag_seconds", seconds)

    # ---- how things stand
    def database(self, seconds: float, clock_offset_seconds: float) -> None:
        """The database answered in `seconds`, and its clock is ahead of this host's by the offset."""
        self._observe("glidepath_database_seconds", seconds)
        self._set("glidepath_clock_offset_seconds", clock_offset_seconds)

    def worker_clocks(self, offset_max_seconds: float) -> None:
        self._set("glidepath_worker_clock_offset_max_seconds", offset_max_seconds)

    def loop_age(self, loop: str, seconds: float) -> None:
        self._set("glidepath_loop_age_seconds", seconds, loop)

    def ready(self, ready: bool) -> None:
        self._set("glidepath_ready", ready)

    def queues(self, rows: Iterable[tuple[str, str, Mapping[str, int], float]]) -> None:
        """All queues with something in them: namespace, queue, rows by state, seconds that the oldest due one waits.

        A queue that is not named any more is empty and leaves the answer.
        """
        for name in ("glidepath_queue_depth", "glidepath_queue_oldest_seconds"):
            self._metrics[name].clear()
        for namespace, queue, depths, oldest in rows:
            self._set("glidepath_queue_oldest_seconds", oldest, namespace, queue)
            for state, depth in depths.items():
                self._set("glidepath_queue_depth", depth, namespace, queue, state)

    # ----
    def _count(self, name: str, count: int, *labels: str) -> None:
        if count:
            metric = self._labelled(name, labels)
            assert isinstance(metric, Counter)
            metric.inc(count)

    def _observe(self, name: str, value: float) -> None:
        metric = self._metrics[name]
        assert isinstance(metric, Histogram)
        metric.observe(value)

    def _set(self, name: str, value: float, *labels: str) -> None:
        metric = self._labelled(name, labels)
        assert isinstance(metric, Gauge)
        metric.set(value)

    def _labelled(self, name: str, labels: tuple[str, ...]) -> Counter | Gauge | Histogram:
        metric = self._metrics[name]
        return metric.labels(*labels) if labels else metric
