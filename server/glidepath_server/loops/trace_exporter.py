"""Sends the spans of what has ended, beside the steps and never in them. Runs only while `otlp_endpoint` is set.

What is to be sent are rows, so nothing is lost with this process; a receiver that is down is asked again after a pause,
and what is kept for it meanwhile is bounded.
"""

from __future__ import annotations

from ..operations.export_traces import Send, export_traces
from ..operations.plans import Plans
from ..settings import Settings
from ..store.database import Database
from ..telemetry import get_logger
from ..telemetry.metrics import Metrics
from .level import LevelLoop

PAUSES_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
_log = get_logger("traces")


def trace_exporter(database: Database, plans: Plans, settings: Settings, metrics: Metrics, send: Send) -> LevelLoop:
    """The loop; any number of replicas may run it, each takes what nobody else is at."""
    failures = 0

    async def once() -> float | None:
        nonlocal failures
        done = await export_traces(database, plans, send, settings.trace_backlog_max)
        for outcome, count in (("sent", done.sent), ("refused", done.refused), ("dropped", done.dropped)):
            metrics.spans(outcome, count)
        if done.refused or done.dropped:
            _log.warning("spans_lost", refused=done.refused, dropped=done.dropped)
        if done.failure:
            pause = PAUSES_SECONDS[min(failures, len(PAUSES_SECONDS) - 1)]
            failures += 1
            _log.warning("spans_retried", reason=done.failure)
            return pause
        failures = 0
        return 0.0 if done.more else settings.poll_interval_seconds

    return LevelLoop("traces", once, PAUSES_SECONDS[-1])
