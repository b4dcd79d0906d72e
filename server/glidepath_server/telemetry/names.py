"""The registry of names in log lines: every event, and every field beside it. A name that is not here is not written.

A test holds the code against it; the tables of the docs are made from it.
"""

from __future__ import annotations

LOG_EVENTS: dict[str, str] = {
    "batch_split": "a step failed by somebody's data; its runs are stepped one by one to find whose",
    "call_failed": "an RPC raised something unexpected; the caller got the incident id",
    "claim_failed": "a claim without results or events failed; it is tried again",
    "database_unavailable": "a call was answered UNAVAILABLE because the database did not answer",
    "health_changed": "the server began or ceased to be ready",
    "lane_failed": "a step failed outside its transaction; the lane goes on",
    "assignment_broken": "an assignment could not be built for its worker; it is taken back",
    "feed_dropped": "logs or progress that the database refuses for good were dropped",
    "feed_retried": "logs or progress could not be written yet; they are tried again",
    "listen_failed": "the connection for wake-ups was lost; polls stand behind it until it is back",
    "loop_failed": "a round of a loop raised something unexpected; the next one tries again",
    "loop_retried": "a round of a loop met a busy or absent database; the next one tries again",
    "notify_failed": "other replicas could not be woken; they find the same by polling",
    "pruned": "rows past their retention were deleted",
    "quarantine_failed": "a run that fails its steps could not be marked; it is tried again",
    "readiness_failed": "the database did not answer the check for readiness",
    "resources_unknown": "what a worker has free could not be read; it gets no work that needs resources until it can",
    "run_quarantined": "a run whose step fails was set aside, with an incident; ReleaseDagRun lets it go on",
    "schema_upgraded": "a revision of the schema was applied at start",
    "server_started": "listeners are open",
    "server_stopped": "everything is closed",
    "server_stopping": "no new calls are taken; open ones end within the grace",
    "signal_received": "the operating system asked the server to stop",
    "step_retried": "a step met a busy or absent database; it is tried again",
    "stream_ended_by_revocation": "a stream was ended because its token was revoked or has expired",
    "telling_failed": "a worker could not be told what was committed; its lease or the accept timeout puts it right",
    "token_written": "a first token was made and written to a file",
}

LOG_FIELDS: dict[str, str] = {
    "address": "host:port for users",
    "channel": "channel of wake-ups in the database",
    "count": "how many rows",
    "what": "which kind of rows",
    "dag_run_id": "the run",
    "error": "type and text of an exception",
    "exc_info": "an exception; written as a traceback in the field `exception`",
    "incident": "id that the caller was told",
    "lane": "number of an engine lane",
    "loop": "name of a loop",
    "method": "full name of an RPC",
    "path": "a file",
    "peer": "network address of the caller",
    "ready": "whether the server is ready for calls",
    "reason": "why, for a person",
    "revision": "revision of the schema",
    "role": "role of a token",
    "runs": "how many runs",
    "service": "part of the server that speaks",
    "signal": "name of a signal of the operating system",
    "token_id": "public part of a token",
    "version": "version of the server",
    "worker_address": "host:port for workers",
}
