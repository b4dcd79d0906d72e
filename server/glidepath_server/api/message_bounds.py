"""How much may be in one message of a worker."""

from __future__ import annotations

from glidepath_proto.worker.v1 import worker_service_pb2 as pb

from .convert_common import invalid

# Of each list in a message of the worker, and of log lines in all its chunks together.
ITEMS_PER_MESSAGE_MAX = 10_000
LINES_PER_MESSAGE_MAX = 100_000
_LISTS = frozenset(
    {"credits", "accepted_task_tokens", "started_task_tokens", "held_task_tokens", "progress", "results", "log_chunks"}
)


def check_size(message: pb.WorkRequest | pb.ReportRequest | pb.HeartbeatRequest) -> None:
    """Raises InvalidInput for a message whose handling would take much more memory than the message."""
    for field, value in message.ListFields():
        if field.name in _LISTS and len(value) > ITEMS_PER_MESSAGE_MAX:
            raise invalid(field.name, f"{len(value)} items", f"at most {ITEMS_PER_MESSAGE_MAX} in one message")
        if field.name == "log_chunks" and (lines := sum(len(each.entries) for each in value)) > LINES_PER_MESSAGE_MAX:
            raise invalid("log_chunks", f"{lines} lines", f"at most {LINES_PER_MESSAGE_MAX} in one message")
