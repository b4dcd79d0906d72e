"""The registry of metrics: every one that a server counts, with its labels and what it means.

What is not here is not counted; the table of the docs is made from it. No label holds the id of a run, a task or a
token: each value is a time series of its own, for as long as the server lives.
"""

from __future__ import annotations

from typing import NamedTuple


class MetricName(NamedTuple):
    """`kind` is counter, gauge or histogram; `buckets` are upper bounds in the metric's unit."""

    kind: str
    labels: tuple[str, ...]
    doc: str
    buckets: tuple[float, ...] = ()


_FAST = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LATE = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 300.0, 3600.0)

METRICS: dict[str, MetricName] = {
    "glidepath_attempts_ended_total": MetricName(
        "counter", ("outcome",), "attempts whose end this replica accepted, by outcome: success, failed, lost, ..."
    ),
    "glidepath_claims_total": MetricName("counter", (), "attempts that this replica gave to workers"),
    "glidepath_clock_offset_seconds": MetricName(
        "gauge", (), "the database's clock minus this host's; over 2 in either direction wants mending"
    ),
    "glidepath_database_seconds": MetricName(
        "histogram", (), "how long the database took to answer the smallest question, asked once a round", _FAST
    ),
    "glidepath_deliveries_total": MetricName(
        "counter",
        ("channel", "outcome"),
        "tries to send alerts, by kind of channel and outcome: delivered, retried, dead_lettered",
    ),
    "glidepath_event_loop_lag_seconds": MetricName(
        "histogram", (), "how late a timer of this process went off: what keeps all its loops and calls waiting", _FAST
    ),
    "glidepath_loop_age_seconds": MetricName(
        "gauge", ("loop",), "since the last round of a loop that went well; more than its interval means trouble"
    ),
    "glidepath_queue_depth": MetricName(
        "gauge",
        ("namespace", "queue", "state"),
        "released task instances without a worker: due, later (a retry or deferral waits for its time), "
        "parked (a limit is full, an equal call runs, the run is quarantined)",
    ),
    "glidepath_queue_oldest_seconds": MetricName(
        "gauge", ("namespace", "queue"), "how long the oldest due task instance of a queue has waited"
    ),
    "glidepath_ready": MetricName("gauge", (), "1 while this replica wants calls, else 0"),
    "glidepath_runs_ended_total": MetricName(
        "counter", ("state",), "runs that ended in steps of this replica, by state"
    ),
    "glidepath_step_seconds": MetricName(
        "histogram", (), "length of a step transaction that was committed, from its connection to its commit", _FAST
    ),
    "glidepath_tick_lateness_seconds": MetricName(
        "histogram", (), "from a tick of a schedule to the creation of its run", _LATE
    ),
    "glidepath_worker_clock_offset_max_seconds": MetricName(
        "gauge", (), "how far the clock of a connected worker's host is off the database's, the farthest of all"
    ),
    "glidepath_trace_spans_total": MetricName(
        "counter", ("outcome",), "spans by what became of them: sent, refused (by the receiver), dropped (backlog full)"
    ),
}
