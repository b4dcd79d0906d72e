"""XComs and the uses of artifacts between the wire and the core."""

from __future__ import annotations

import json
from collections.abc import Mapping

from glidepath_proto.common.v1 import artifact_pb2, payload_pb2, references_pb2
from glidepath_proto.run.v1 import value_service_pb2 as pb
from glidepath_proto.worker.v1 import task_pb2

from ..core.definition import JSON
from ..core.events import AttemptKey
from ..core.values import NUMBERS_MAX, READ, WRITE, InvalidValues, Use, Values, checked
from ..operations.plans import Plan
from ..operations.step_types import Assigned
from ..store.values import StoredUse
from .convert_common import to_timestamp

_DIRECTIONS = {artifact_pb2.ArtifactUse.DIRECTION_READ: READ, artifact_pb2.ArtifactUse.DIRECTION_WRITE: WRITE}
_DIRECTIONS_OUT = {name: number for number, name in _DIRECTIONS.items()}


# ---- in
def values_in(success: task_pb2.Success) -> Values:
    """What a success left beside its output. Raises InvalidValues with the limit that it breaks."""
    xcoms = tuple((each.key, each.value) for each in success.xcoms)
    return checked(Values(xcoms, tuple(map(_use_in, success.artifacts))))


def _use_in(message: artifact_pb2.ArtifactUse) -> Use:
    artifact = message.artifact
    return Use(
        _DIRECTIONS.get(message.direction, ""),
        artifact.uri,
        artifact.sha256,
        artifact.size_bytes,
        artifact.type,
        artifact.name,
        artifact.content_type,
        artifact.metadata,
        _numbers_in(artifact.numbers),
    )


def _numbers_in(numbers: Mapping[str, float]) -> str:
    """Numbers that are none (not finite) have no form in JSON, and no place in a comparison."""
    if len(numbers) > NUMBERS_MAX or any(len(name) > 200 or "\0" in name for name in numbers):
        raise InvalidValues(f"an artifact has at most {NUMBERS_MAX} numbers, with names of at most 200 characters")
    try:
        return json.dumps(dict(numbers), sort_keys=True, allow_nan=False)
    except ValueError:
        raise InvalidValues("the numbers of metrics are finite; leave out what is not") from None


# ---- out
def add_xcoms(message: task_pb2.Assignment, plan: Plan, each: Assigned, room: int) -> None:
    """Inline as many as there is room for; the others by name, to be fetched."""
    for (task, key), value in sorted(each.xcoms.items()):
        found = message.xcoms.add(task_id=plan.graph.task_ids[task], key=key)
        if value is None:
            continue
        room -= len(value)
        if room >= 0:
            found.value.CopyFrom(payload_pb2.Payload(content_type=JSON, data=value.encode()))
        else:
            uri = f"xcom:{found.task_id}/{key}"
            found.value.CopyFrom(payload_pb2.Payload(content_type=JSON, uri=uri, size_bytes=len(value)))


def attempt_out(plan: Plan, key: AttemptKey) -> references_pb2.AttemptRef:
    return references_pb2.AttemptRef(
        dag_run_id=str(key.dag_run_id),
        task_id=plan.graph.task_ids[key.task],
        map_index=key.map_index,
        attempt_number=key.attempt_number,
    )


def use_out(plan: Plan, stored: StoredUse) -> pb.StoredUse:
    use = stored.use
    return pb.StoredUse(
        attempt=attempt_out(plan, stored.key),
        dag_id=stored.dag_id,
        use=artifact_pb2.ArtifactUse(
            direction=_DIRECTIONS_OUT[use.direction],
            artifact=artifact_pb2.Artifact(
                uri=use.uri,
                sha256=use.sha256,
                size_bytes=use.size_bytes,
                type=use.type,
                name=use.name,
                content_type=use.content_type,
                metadata=use.metadata,
                numbers=json.loads(use.numbers),
            ),
        ),
        time=to_timestamp(stored.time),
    )


def metrics_out(plan: Plan, stored: StoredUse, dag_version_number: int) -> pb.StoredMetrics:
    return pb.StoredMetrics(
        attempt=attempt_out(plan, stored.key),
        dag_version_number=dag_version_number,
        name=stored.use.name,
        numbers=json.loads(stored.use.numbers),
        time=to_timestamp(stored.time),
    )
