"""Backfills between the wire and the core."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf.duration_pb2 import Duration

from glidepath_proto.run.v1 import backfill_pb2, run_pb2
from glidepath_proto.run.v1 import backfill_service_pb2 as pb

from ..core.backfill import (
    DATES_MAX,
    RUNS_ACTIVE_DEFAULT,
    WEIGHT_DEFAULT,
    BackfillState,
    DateOutcome,
    Existing,
    Make,
    Order,
    Rerun,
    Skip,
)
from ..core.backfill_spec import LATEST, BackfillSpec, spec_from_json
from ..core.errors import InvalidInput
from ..core.states import RunState
from ..operations.create_backfill import Preview
from ..operations.steer_backfills import BackfillView
from ..store.backfills import StoredBackfill, StoredDate
from .convert_common import from_timestamp, invalid, to_timestamp
from .convert_run import text_in

_Spec = backfill_pb2.BackfillSpec
_ORDERS = {
    _Spec.ORDER_UNSPECIFIED: Order.ASCENDING,
    _Spec.ORDER_ASCENDING: Order.ASCENDING,
    _Spec.ORDER_DESCENDING: Order.DESCENDING,
}
_EXISTING = {
    _Spec.EXISTING_UNSPECIFIED: Existing.SKIP,
    _Spec.EXISTING_SKIP: Existing.SKIP,
    _Spec.EXISTING_RERUN_FAILED: Existing.RERUN_FAILED,
    _Spec.EXISTING_RERUN_ALL: Existing.RERUN_ALL,
}
_ORDERS_OUT = {order: number for number, order in _ORDERS.items()}
_EXISTING_OUT = {existing: number for number, existing in _EXISTING.items()}
_STATES: dict[BackfillState, Any] = {
    state: backfill_pb2.Backfill.State.Value(f"STATE_{state.name}") for state in BackfillState
}
_OUTCOMES: dict[DateOutcome, Any] = {
    outcome: backfill_pb2.BackfillDate.Outcome.Value(f"OUTCOME_{outcome.name}") for outcome in DateOutcome
}
_OUTCOMES_IN = {number: outcome for outcome, number in _OUTCOMES.items()}
_RUN_STATES: dict[RunState, Any] = {state: run_pb2.RunState.Value(f"RUN_STATE_{state.name}") for state in RunState}


def spec_in(message: _Spec) -> BackfillSpec:
    """A spec, checked as far as the wire goes. Raises InvalidInput."""
    if message.order not in _ORDERS:
        raise invalid("spec.order", str(message.order), "ORDER_ASCENDING or ORDER_DESCENDING")
    if message.existing not in _EXISTING:
        expected = "EXISTING_SKIP, EXISTING_RERUN_FAILED or EXISTING_RERUN_ALL"
        raise invalid("spec.existing", str(message.existing), expected)
    if len(message.logical_dates) > DATES_MAX:
        raise invalid(
            "spec.logical_dates", f"{len(message.logical_dates)} dates", f"1 to {DATES_MAX} dates in one backfill"
        )
    texts = ("dag_id", "schedule_name", "series", "cron", "zone", "params", "pool_name", "queue_name")
    said: dict[str, Any] = {name: text_in(f"spec.{name}", getattr(message, name)) for name in texts}
    version = text_in("spec.dag_version", message.dag_version)
    return BackfillSpec(
        **said,
        range_start=_time_in(message, "range_start"),
        range_end=_time_in(message, "range_end"),
        dates=tuple(_listed(message)),
        period_seconds=_seconds_in(message, "period"),
        order=_ORDERS[message.order],
        dag_version=version or ("" if message.schedule_name else LATEST),
        existing=_EXISTING[message.existing],
        runs_active_max=message.runs_active_max or RUNS_ACTIVE_DEFAULT,
        rate_runs=message.rate_runs or None,
        rate_seconds=_seconds_in(message, "rate_period"),
        weight=message.weight or WEIGHT_DEFAULT,
    )


def _time_in(message: Any, field: str) -> Any:
    try:
        return from_timestamp(message, field)
    except InvalidInput as error:
        raise invalid(f"spec.{field}", error.violations[0].value, error.violations[0].expected) from None


def _listed(message: _Spec) -> Iterable[Any]:
    for place, date in enumerate(message.logical_dates):
        holder = backfill_pb2.BackfillSpec(range_start=date)
        try:
            yield from_timestamp(holder, "range_start")
        except InvalidInput as error:
            at = f"spec.logical_dates[{place}]"
            raise invalid(at, error.violations[0].value, error.violations[0].expected) from None


def _seconds_in(message: Any, field: str) -> float | None:
    if not message.HasField(field):
        return None
    value: Duration = getattr(message, field)
    return value.seconds + value.nanos / 1e9


def outcomes_in(numbers: Iterable[int]) -> list[str]:
    """Outcomes of a filter. Raises InvalidInput."""
    found = []
    for number in numbers:
        if number not in _OUTCOMES_IN:
            raise invalid("outcomes", str(number), f"some of {', '.join(each.value for each in DateOutcome)}")
        found.append(_OUTCOMES_IN[number].value)
    return found


def backfill_out(view: BackfillView) -> backfill_pb2.Backfill:
    found, counts = view.backfill, view.counts
    return backfill_pb2.Backfill(
        backfill_id=str(found.backfill_id),
        namespace=found.namespace,
        spec=_spec_out(found),
        state=_STATES[found.state],
        reason=found.reason,
        date_count=found.date_count,
        counts=backfill_pb2.BackfillCounts(**counts),
        create_time=to_timestamp(found.create_time),
        created_by=found.created_by,
        end_time=to_timestamp(found.end_time),
        remaining=_duration(view.remaining_seconds),
    )


def created_out(backfill: StoredBackfill, skipped: int) -> bytes:
    counts = {"waiting": backfill.date_count - skipped, "skipped": skipped}
    view = BackfillView(backfill, counts)
    return pb.CreateBackfillResponse(backfill=backfill_out(view)).SerializeToString()


def date_out(date: StoredDate) -> backfill_pb2.BackfillDate:
    return backfill_pb2.BackfillDate(
        logical_date=to_timestamp(date.logical_date),
        data_interval_start=to_timestamp(date.data_interval_start),
        data_interval_end=to_timestamp(date.data_interval_end),
        outcome=_OUTCOMES[date.outcome],
        reason=date.reason,
        dag_run_id=str(date.dag_run_id) if date.dag_run_id is not None else "",
        run_state=_RUN_STATES[date.run_state] if date.run_state is not None else run_pb2.RUN_STATE_UNSPECIFIED,
        dag_version_number=date.dag_version_number,
    )


def preview_out(preview: Preview, dates_max: int) -> pb.PreviewBackfillResponse:
    plan = preview.plan
    decisions = plan.decisions()
    made = sum(isinstance(each, Make) for each in decisions)
    rerun = sum(isinstance(each, Rerun) for each in decisions)
    dates = []
    for date, number, decision in list(zip(plan.dates, plan.numbers, decisions, strict=True))[:dates_max]:
        outcome = {Make: DateOutcome.CREATED, Rerun: DateOutcome.RERUN}.get(type(decision), DateOutcome.SKIPPED)
        reason = decision.reason if isinstance(decision, Skip) else ""
        found = plan.found.get(plan.key(date))
        run_id, state = (found.dag_run_id, found.state) if found is not None else (None, None)
        span = (date.logical_date, date.data_interval_start, date.data_interval_end)
        dates.append(date_out(StoredDate(0, *span, number, outcome, reason, run_id, False, state)))
    return pb.PreviewBackfillResponse(
        dates=dates,
        date_count=len(plan.dates),
        created_count=made,
        rerun_count=rerun,
        skipped_count=len(plan.dates) - made - rerun,
        estimated=_duration(plan.estimate(preview.run_seconds)),
        run_duration=_duration(preview.run_seconds),
    )


def _spec_out(backfill: StoredBackfill) -> backfill_pb2.BackfillSpec:
    """As it was asked for, but for a list of dates: those are answered by ListBackfillDates."""
    spec = spec_from_json(backfill.spec)
    return backfill_pb2.BackfillSpec(
        dag_id=spec.dag_id,
        schedule_name=spec.schedule_name,
        series=backfill.series,
        range_start=to_timestamp(spec.range_start),
        range_end=to_timestamp(spec.range_end),
        cron=spec.cron,
        zone=spec.zone,
        period=_duration(spec.period_seconds),
        order=_ORDERS_OUT[spec.order],
        dag_version=spec.dag_version,
        params=backfill.params,
        existing=_EXISTING_OUT[spec.existing],
        runs_active_max=spec.runs_active_max,
        rate_runs=spec.rate_runs or 0,
        rate_period=_duration(spec.rate_seconds),
        weight=spec.weight,
        pool_name=spec.pool_name,
        queue_name=spec.queue_name,
    )


def _duration(seconds: float | None) -> Duration | None:
    if seconds is None:
        return None
    return Duration(seconds=int(seconds), nanos=round(seconds % 1 * 1e9) % 1_000_000_000)
