"""Limits as the wire has them."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from glidepath_proto.admin.v1 import capacity_service_pb2 as pb

from ..store.named_limits import Limit, Terms


def terms_in(request: pb.SetLimitRequest) -> Terms:
    """What the request says of the limit; what it leaves out is not limited."""
    slots = request.slots if request.HasField("slots") else None
    if not request.HasField("rate"):
        return Terms(slots)
    per = request.rate.per
    return Terms(slots, request.rate.starts, per.seconds + per.nanos / 1e9)


def limit_out(limit: Limit) -> pb.Limit:
    return pb.Limit(
        namespace=limit.namespace,
        limit_name=limit.name,
        slots=limit.capacity,
        slots_used=limit.used,
        waiting=limit.waiting,
        rate=_rate_out(limit),
        starts_counted=limit.started,
    )


def _rate_out(limit: Limit) -> pb.StartRate | None:
    if limit.rate_starts is None or limit.rate_seconds is None:
        return None
    nanos = round(limit.rate_seconds * 1e9)
    per = Duration(seconds=nanos // 1_000_000_000, nanos=nanos % 1_000_000_000)
    return pb.StartRate(starts=limit.rate_starts, per=per)
