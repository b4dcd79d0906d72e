"""Methods for backfills: runs of a DAG for many dates, made at a pace."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypedDict, Unpack

from google.protobuf.duration_pb2 import Duration

from glidepath.client.calls import Call, Pages, iterated, rpc
from glidepath.client.requests import Api, Service, new_request_id, to_enum, to_enums, to_timestamp
from glidepath.client.runs import Date
from glidepath_proto.run.v1 import backfill_pb2
from glidepath_proto.run.v1 import backfill_service_pb2 as pb

_BACKFILLS = Service(pb, "BackfillService")


class BackfillOptions(TypedDict, total=False):
    """What a backfill makes, and how, beside its DAG. Its dates: `dates`, or those of a rule from `start` to `end`."""

    start: Date
    end: Date
    """The range, both ends in it; its dates are those of `schedule`, of `cron` in `zone`, or of `every`."""
    dates: Iterable[Date]
    schedule: str
    """A schedule of the DAG: the backfill meets the runs that it made."""
    cron: str
    zone: str
    """IANA name, with `cron`."""
    every: timedelta | float
    """A period from `start` on; seconds or a timedelta."""
    series: str
    """Without a schedule: run keys are series@date. "manual" unless given."""
    order: str
    """"ascending" or "descending" (newest first)."""
    version: str
    """"latest", a number or an alias, as it is when the backfill is created; "original": that of each date."""
    params: Mapping[str, Any]
    existing: str
    """For dates that have a run: "skip", "rerun_failed", "rerun_all"."""
    runs_active_max: int
    """At once, 1-10,000; 3 unless given."""
    rate: tuple[int, timedelta | float]
    """(runs, span): so many begin within any span of this length."""
    weight: float
    """Its share of a queue, where a DAG has 1; 0.1 unless given."""
    pool: str
    """Each attempt of a new run also takes a slot of this pool."""
    queue: str
    """New runs use this queue instead of the DAG's."""


class BackfillMethods(Api):
    """Backfills: previewing, creating, following and steering them."""

    @rpc
    def preview_backfill(
        self, dag_id: str, *, dates_max: int = 0, **options: Unpack[BackfillOptions]
    ) -> Call[pb.PreviewBackfillResponse]:
        """What a backfill would do now, without doing it: counts, the estimated time, and its first `dates_max` dates
        (100 unless given, at most 1,000). See `BackfillOptions`."""
        return _BACKFILLS.call(self, "PreviewBackfill", spec=_spec(dag_id, options), dates_max=dates_max)

    @rpc
    def create_backfill(
        self, dag_id: str, *, request_id: str = "", **options: Unpack[BackfillOptions]
    ) -> Call[backfill_pb2.Backfill]:
        """Create a backfill of up to 10,000 dates; its runs are made by the server, at its pace. See `BackfillOptions`.

        InvalidRequest names all that is wrong; NotFound for a DAG, version, schedule, pool or queue that is not there.
        """
        spec, request_id = _spec(dag_id, options), request_id or new_request_id()
        return _BACKFILLS.call(self, "CreateBackfill", "backfill", spec=spec, request_id=request_id)

    @rpc
    def get_backfill(self, backfill_id: str) -> Call[backfill_pb2.Backfill]:
        """With its counts, and while it runs the time that it may still take."""
        return _BACKFILLS.call(self, "GetBackfill", "backfill", backfill_id=backfill_id)

    @iterated
    def list_backfills(
        self, dag_id: str = "", *, include_ended: bool = False, page_size: int = 0
    ) -> Pages[backfill_pb2.Backfill]:
        """Newest first, of a DAG or of all."""
        return _BACKFILLS.pages(
            self, "ListBackfills", "backfills", dag_id=dag_id, include_ended=include_ended, page_size=page_size
        )

    @iterated
    def list_backfill_dates(
        self, backfill_id: str, *, outcomes: Sequence[str] = (), only_failed: bool = False, page_size: int = 0
    ) -> Pages[backfill_pb2.BackfillDate]:
        """Its dates in its order; `outcomes` such as ["skipped"]; `only_failed`: whose run failed or was cancelled."""
        kind = backfill_pb2.BackfillDate.Outcome
        return _BACKFILLS.pages(
            self,
            "ListBackfillDates",
            "dates",
            backfill_id=backfill_id,
            outcomes=to_enums(kind, "OUTCOME", outcomes, "outcomes"),
            only_failed=only_failed,
            page_size=page_size,
        )

    @rpc
    def pause_backfill(
        self, backfill_id: str, *, reason: str = "", request_id: str = ""
    ) -> Call[backfill_pb2.Backfill]:
        """Nothing new begins; what is there goes on. StateConflict when it has ended."""
        return _steer(self, "PauseBackfill", backfill_id, reason, request_id)

    @rpc
    def resume_backfill(
        self, backfill_id: str, *, reason: str = "", request_id: str = ""
    ) -> Call[backfill_pb2.Backfill]:
        """Go on where it was. StateConflict when it has ended."""
        return _steer(self, "ResumeBackfill", backfill_id, reason, request_id)

    @rpc
    def cancel_backfill(
        self, backfill_id: str, *, cancel_runs: bool = False, reason: str = "", request_id: str = ""
    ) -> Call[backfill_pb2.Backfill]:
        """For good: what waits is skipped; `cancel_runs` also ends its active runs. StateConflict when it has ended."""
        return _steer(self, "CancelBackfill", backfill_id, reason, request_id, cancel_runs=cancel_runs)

    @rpc
    def retry_backfill(
        self, backfill_id: str, *, reason: str = "", request_id: str = ""
    ) -> Call[backfill_pb2.Backfill]:
        """Rerun, at its pace, what has failed or was cancelled. StateConflict when nothing has."""
        return _steer(self, "RetryBackfill", backfill_id, reason, request_id)


def _steer(
    api: Api, method: str, backfill_id: str, reason: str, request_id: str, **fields: Any
) -> Call[backfill_pb2.Backfill]:
    request_id = request_id or new_request_id()
    return _BACKFILLS.call(
        api, method, "backfill", backfill_id=backfill_id, reason=reason, request_id=request_id, **fields
    )


def _spec(dag_id: str, options: BackfillOptions) -> backfill_pb2.BackfillSpec:
    kind = backfill_pb2.BackfillSpec
    rate_runs, rate_period = options.get("rate", (0, None))
    return kind(
        dag_id=dag_id,
        schedule_name=options.get("schedule", ""),
        series=options.get("series", ""),
        range_start=to_timestamp(options.get("start"), "start"),
        range_end=to_timestamp(options.get("end"), "end"),
        logical_dates=[date for each in options.get("dates", ()) if (date := to_timestamp(each, "dates")) is not None],
        cron=options.get("cron", ""),
        zone=options.get("zone", ""),
        period=_duration(options.get("every")),
        order=to_enum(kind.Order, "ORDER", options.get("order", "ascending"), "order"),
        dag_version=options.get("version", ""),
        params=json.dumps(options["params"]) if options.get("params") else "",
        existing=to_enum(kind.Existing, "EXISTING", options.get("existing", "skip"), "existing"),
        runs_active_max=options.get("runs_active_max", 0),
        rate_runs=rate_runs,
        rate_period=_duration(rate_period),
        weight=options.get("weight", 0),
        pool_name=options.get("pool", ""),
        queue_name=options.get("queue", ""),
    )


def _duration(value: timedelta | float | None) -> Duration | None:
    if value is None:
        return None
    duration = Duration()
    duration.FromTimedelta(value if isinstance(value, timedelta) else timedelta(seconds=value))
    return duration
