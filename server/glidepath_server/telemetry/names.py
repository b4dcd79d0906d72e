"""The registry of names: every log event and field, and every metric. A name that is not here is not written.

Tables in the docs are made from this file, and tests/house holds the code against it.
"""

from __future__ import annotations

LOG_FIELDS: dict[str, str] = {
    "actor": "who asked: the name of a token",
    "address": "host:port",
    "attempt_number": "number of the attempt, from 1",
    "count": "how many rows, events or calls",
    "dag_id": "the DAG",
    "dag_run_id": "the run",
    "duration_seconds": "how long it took, by the monotonic clock",
    "error": "type and text of an exception",
    "incident": "id that the caller was told; search for it",
    "method": "full name of an RPC",
    "namespace": "the namespace",
    "path": "a file",
    "peer": "network address of the caller",
    "reason": "why, for a person",
    "revision": "schema revision, or revision of a run",
    "role": "role of a token",
    "service": "part of the server",
    "session_id": "worker session",
    "signal": "name of an operating system signal",
    "token_id": "public part of a token",
    "version": "version of the server",
}

LOG_EVENTS: dict[str, str] = {
    "call_failed": "an RPC raised something unexpected; the caller got the incident id",
    "database_unavailable": "a call was answered UNAVAILABLE because the database did not answer",
    "health_changed": "the server began or ceased to be ready",
    "pruned": "rows past their retention were deleted",
    "prune_failed": "a round of the pruner failed; the next one tries again",
    "schema_upgraded": "the schema was brought up to date at start",
    "server_started": "listeners are open",
    "server_stopping": "no new calls are taken; open ones end within the grace",
    "server_stopped": "everything is closed",
    "stream_ended_by_revocation": "a stream was ended because its token was revoked or expired",
    "token_check_failed": "revocations could not be read; the next round tries again",
    "token_created": "a token file was written at start",
}
