"""What administration stores, as the wire has it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from glidepath_proto.admin.v1 import admin_service_pb2 as pb
from glidepath_proto.common.v1 import authorization_pb2

from ..store.administration import Pool, Worker
from ..store.identity import AuditEvent, Incident, Token
from .convert_common import invalid, to_timestamp

_NUMBERS: dict[str, Any] = {
    name.removeprefix("ROLE_").lower(): number
    for name, number in authorization_pb2.Role.items()
    if number != authorization_pb2.ROLE_UNSPECIFIED
}
_ROLES = {int(number): name for name, number in _NUMBERS.items()}


def role_in(field: str, number: int) -> str:
    """The word for a role of the wire. Raises InvalidInput."""
    if number not in _ROLES:
        raise invalid(field, str(number), "one of " + ", ".join(_ROLES.values()))
    return _ROLES[number]


def pool_out(pool: Pool) -> pb.Pool:
    return pb.Pool(
        namespace=pool.namespace, pool_name=pool.name, slots=pool.capacity, slots_used=pool.used, waiting=pool.waiting
    )


def token_out(token: Token) -> pb.Token:
    return pb.Token(
        token_id=token.token_id,
        name=token.name,
        namespace=token.namespace,
        role=_NUMBERS[token.role],
        create_time=to_timestamp(token.create_time),
        expire_time=to_timestamp(token.expire_time),
        revoke_time=to_timestamp(token.revoke_time),
        created_by=token.created_by,
    )


def worker_out(worker: Worker) -> pb.Worker:
    message = pb.Worker(
        session_id=str(worker.session_id),
        namespace=worker.namespace,
        worker_identity=worker.worker_identity,
        incarnation=worker.incarnation,
        state="draining" if worker.draining and worker.state == "open" else worker.state,
        queue_names=worker.queue_names,
        labels=worker.labels,
        attempts_live=worker.attempts_live,
        connect_time=to_timestamp(worker.connect_time),
        lease_expire_time=to_timestamp(worker.lease_expire_time),
        sdk_name=worker.sdk_name,
        sdk_version=worker.sdk_version,
        host_name=worker.host_name,
        other_namespaces=worker.other_namespaces,
    )
    if worker.clock_offset_seconds is not None and worker.clock_bound_seconds is not None:
        message.clock_offset.FromTimedelta(timedelta(seconds=worker.clock_offset_seconds))
        message.clock_bound.FromTimedelta(timedelta(seconds=worker.clock_bound_seconds))
    return message


def audit_event_out(event: AuditEvent) -> pb.AuditEvent:
    return pb.AuditEvent(
        audit_event_id=event.audit_event_id,
        time=to_timestamp(event.event_time),
        namespace=event.namespace,
        actor=event.actor,
        action=event.action,
        target=event.target,
        detail=event.detail,
    )


def incident_out(incident: Incident) -> pb.Incident:
    return pb.Incident(
        incident_id=incident.incident_id,
        time=to_timestamp(incident.event_time),
        namespace=incident.namespace,
        dag_run_id=str(incident.dag_run_id or ""),
        kind=incident.kind,
        message=incident.message,
    )
